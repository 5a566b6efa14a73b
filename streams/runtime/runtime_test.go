package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/runtime"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func cluster(t *testing.T, partitions int32, topics ...string) []string {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topics...),
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0", "group.min.session.timeout.ms": "100"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c.ListenAddrs()
}

// counts is the topology of these tests: words by another key, through a
// repartition topic, counted in total.
func counts(t *testing.T, app string, opts ...streams.StoreOption) *topology.Topology {
	t.Helper()
	b := streams.New(app)
	words := streams.From(b, "words", serde.String, serde.String)
	byWord := streams.SelectKey(words, "by-word", serde.String, func(r streams.Rec[string, string]) string { return r.Value })
	streams.Count(byWord.GroupByKey(), "word-counts", opts...).ToStream().To("counts", serde.String, serde.Int64)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func produce(t *testing.T, addrs []string, topic string, n int, value func(i int) string, at func(i int) int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var records []*kgo.Record
	for i := range n {
		records = append(records, &kgo.Record{
			Topic: topic, Key: []byte(fmt.Sprint("k", i%7)), Value: []byte(value(i)), Timestamp: time.UnixMilli(at(i)),
		})
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// process is one process of an application, which can be killed: its network
// goes down at once and for good.
type process struct {
	app  *runtime.App
	reg  *prometheus.Registry
	stop context.CancelFunc
	done chan error
	dead atomic.Bool
	mu   sync.Mutex
	open []net.Conn
}

func start(t *testing.T, topo *topology.Topology, addrs []string, c runtime.Config) *process {
	t.Helper()
	p := &process{reg: prometheus.NewRegistry(), done: make(chan error, 1)}
	c.Client = []kgo.Opt{kgo.SeedBrokers(addrs...), kgo.Dialer(p.dial), kgo.MetadataMinAge(50 * time.Millisecond)}
	if c.Threads == 0 {
		c.Threads = 1
	}
	if c.CommitInterval == 0 {
		c.CommitInterval = 50 * time.Millisecond
	}
	c.PollWait = 20 * time.Millisecond
	if c.SessionTimeout == 0 {
		c.SessionTimeout = 1500 * time.Millisecond
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 3 * time.Second
	}
	var err error
	if p.app, err = runtime.New(topo, c, testLog(), p.reg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go func() { p.done <- p.app.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		p.kill()
		<-p.done
	})
	return p
}

var errKilled = errors.New("killed")

func (p *process) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if p.dead.Load() {
		return nil, errKilled
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open = append(p.open, c)
	if p.dead.Load() {
		c.Close()
	}
	return c, nil
}

func (p *process) kill() {
	p.dead.Store(true)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.open {
		c.Close()
	}
}

// end stops the process in order.
func (p *process) end(t *testing.T) {
	t.Helper()
	p.stop()
	if err := <-p.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	p.done <- nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// totals reads the committed counts of the processes.
func totals(t *testing.T, processes ...*process) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, p := range processes {
		err := p.app.Each("word-counts", func(_ processor.TaskID, it state.Item) bool {
			n, err := serde.Int64.Decode(it.Value)
			if err != nil {
				t.Error(err)
			}
			out[string(it.Key)] += n
			return true
		})
		if err != nil {
			t.Error(err)
		}
	}
	return out
}

func sum(m map[string]int64) (n int64) {
	for _, v := range m {
		n += v
	}
	return n
}

func word(i int) string { return fmt.Sprint("w", i%11) }
func tick(i int) int64  { return int64(1_700_000_000_000 + i) }

func TestCountsThroughRepartitionAreExactWithoutFaults(t *testing.T) {
	addrs := cluster(t, 4, "words", "counts")
	produce(t, addrs, "words", 1000, word, tick)
	p := start(t, counts(t, "app"), addrs, runtime.Config{App: "app", StateDir: t.TempDir(), Threads: 2})
	eventually(t, "1000 words counted", func() bool { return sum(totals(t, p)) == 1000 })
	if got := totals(t, p); len(got) != 11 || got["w0"] != 91 {
		t.Errorf("counts %v", got)
	}
	if s := p.app.State(); s != runtime.Running {
		t.Errorf("state %s", s)
	}
	p.end(t)
	if s := p.app.State(); s != runtime.Stopped {
		t.Errorf("state %s after the end", s)
	}
}

func TestOrderlyRestartContinuesExactly(t *testing.T) {
	for _, disk := range []bool{true, false} {
		t.Run(fmt.Sprint("disk=", disk), func(t *testing.T) {
			addrs := cluster(t, 2, "words", "counts")
			c := runtime.Config{App: "app"}
			if disk {
				c.StateDir = t.TempDir()
			}
			produce(t, addrs, "words", 500, word, tick)
			p := start(t, counts(t, "app"), addrs, c)
			eventually(t, "500 words", func() bool { return sum(totals(t, p)) == 500 })
			p.end(t)
			produce(t, addrs, "words", 300, word, tick)
			p = start(t, counts(t, "app"), addrs, c)
			eventually(t, "800 words", func() bool { return sum(totals(t, p)) >= 800 })
			if n := sum(totals(t, p)); n != 800 {
				t.Errorf("%d words counted after an orderly restart, want 800", n)
			}
			p.end(t)
		})
	}
}

func TestKilledMemberLosesNothing(t *testing.T) {
	addrs := cluster(t, 4, "words", "counts")
	topo := counts(t, "app")
	a := start(t, topo, addrs, runtime.Config{App: "app", StateDir: t.TempDir()})
	b := start(t, topo, addrs, runtime.Config{App: "app", StateDir: t.TempDir()})
	eventually(t, "both members have tasks", func() bool { return len(a.app.Tasks()) == 4 && len(b.app.Tasks()) == 4 })
	produce(t, addrs, "words", 600, word, tick)
	eventually(t, "600 words counted by two", func() bool { return sum(totals(t, a, b)) >= 600 })
	produce(t, addrs, "words", 400, word, tick)
	a.kill()
	eventually(t, "the survivor has all tasks", func() bool { return len(b.app.Tasks()) == 8 })
	eventually(t, "1000 words counted by one", func() bool { return sum(totals(t, b)) >= 1000 })
	for w, n := range totals(t, b) {
		want := int64(0)
		for i := range 600 {
			if word(i) == w {
				want++
			}
		}
		for i := range 400 {
			if word(i) == w {
				want++
			}
		}
		if n < want {
			t.Errorf("%s: %d counted, want at least %d", w, n, want)
		}
	}
	b.end(t)
}

func TestJoiningMemberTakesOverExactly(t *testing.T) {
	addrs := cluster(t, 4, "words", "counts")
	topo := counts(t, "app")
	a := start(t, topo, addrs, runtime.Config{App: "app", StateDir: t.TempDir()})
	produce(t, addrs, "words", 500, word, tick)
	eventually(t, "500 words", func() bool { return sum(totals(t, a)) == 500 })
	b := start(t, topo, addrs, runtime.Config{App: "app", StateDir: t.TempDir()})
	eventually(t, "tasks are shared", func() bool { return len(a.app.Tasks()) == 4 && len(b.app.Tasks()) == 4 })
	produce(t, addrs, "words", 500, word, tick)
	eventually(t, "1000 words", func() bool { return sum(totals(t, a, b)) >= 1000 })
	if n := sum(totals(t, a, b)); n != 1000 {
		t.Errorf("%d words counted after a planned move, want 1000", n)
	}
	a.end(t)
	b.end(t)
}

func TestWindowsCloseOnQuietInput(t *testing.T) {
	addrs := cluster(t, 2, "words", "counts")
	b := streams.New("app")
	words := streams.From(b, "words", serde.String, serde.String)
	spec := window.Tumbling(time.Second).CloseWhenIdle(300 * time.Millisecond)
	streams.Count(words.GroupByKey().Window(spec), "word-counts").EmitOnClose().ToStream().
		To("counts", windowed.Key(serde.String), serde.Int64)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, topo, addrs, runtime.Config{App: "app", StateDir: t.TempDir()})
	now := time.Now().UnixMilli()
	produce(t, addrs, "words", 70, word, func(int) int64 { return now })
	got := consume(t, addrs, "counts", 7)
	for _, r := range got {
		if n, err := serde.Int64.Decode(r.Value); err != nil || n != 10 {
			t.Errorf("window %q counts %d (%v), want 10", r.Key, n, err)
		}
	}
	p.end(t)
}

// consume reads n records of a topic.
func consume(t *testing.T, addrs []string, topic string, n int) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n && ctx.Err() == nil {
		out = append(out, cl.PollFetches(ctx).Records()...)
	}
	if len(out) != n {
		t.Fatalf("%d records in %s, want %d", len(out), topic, n)
	}
	return out
}

func TestMissingInputTopicIsNamed(t *testing.T) {
	addrs := cluster(t, 1, "other")
	p := start(t, counts(t, "app"), addrs, runtime.Config{App: "app", TopicWait: 50 * time.Millisecond})
	err := <-p.done
	p.done <- nil
	if !errors.Is(err, runtime.ErrTopics) {
		t.Errorf("error %v", err)
	}
	if p.app.State() != runtime.Failed {
		t.Errorf("state %s", p.app.State())
	}
}

// testLog shows what the application says when LEAT_TEST_LOG is set.
func testLog() *slog.Logger {
	if os.Getenv("LEAT_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
}
