package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is an in-process cluster with clients to look at it.
type world struct {
	t      *testing.T
	broker *kfake.Cluster
	client *kgo.Client
	admin  *kadm.Client
	reg    *prometheus.Registry
	made   *Metrics
}

func newWorld(t *testing.T, partitions int32) *world {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "in"), kfake.SeedTopics(1, "dead"), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	reg := prometheus.NewRegistry()
	return &world{t: t, broker: c, client: cl, admin: kadm.NewClient(cl), reg: reg, made: NewMetrics(reg)}
}

func (w *world) config(props map[string]string) Config {
	return Config{Connector: "c", Props: props, Metrics: w.made, Registry: w.reg,
		Worker: map[string]string{"key.converter": "string", "value.converter": "json", "value.converter.schemas.enable": "false",
			"offset.flush.interval.ms": "30", "consumer.fetch.max.wait.ms": "50"},
		Client: []kgo.Opt{kgo.SeedBrokers(w.broker.ListenAddrs()...)},
		Logger: slog.New(slog.NewTextHandler(testWriter{w.t}, nil))}
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) { w.t.Log(string(b)); return len(b), nil }

func (w *world) produce(partition int32, values ...string) {
	w.t.Helper()
	for i, v := range values {
		r := &kgo.Record{Topic: "in", Partition: partition, Key: []byte(fmt.Sprint(i)), Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("x")}}}
		if err := w.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// records reads a topic from its beginning to its present end.
func (w *world) records(topic string) []*kgo.Record {
	w.t.Helper()
	ends, err := w.admin.ListEndOffsets(context.Background(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	want := 0
	ends.Each(func(o kadm.ListedOffset) { want += int(o.Offset) })
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.broker.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		w.t.Fatal(err)
	}
	defer cl.Close()
	var out []*kgo.Record
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for len(out) < want && ctx.Err() == nil {
		out = append(out, cl.PollFetches(ctx).Records()...)
	}
	return out
}

func (w *world) committed(partition int32) int64 {
	offsets, err := w.admin.FetchOffsets(context.Background(), "connect-c")
	if err != nil {
		return -1
	}
	o, ok := offsets.Lookup("in", partition)
	if !ok {
		return -1
	}
	return o.At
}

// eventually looks again and again until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-look.C:
		case <-late:
			t.Fatal("waited in vain for: " + what)
		}
	}
}

// run runs f until stop is called, which returns f's error.
func run(f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() error { cancel(); return <-done }
}

// sinkTask notes what it is given.
type sinkTask struct {
	mu     sync.Mutex
	got    []string // "partition/offset=value"
	log    []string // calls other than Put
	put    func(*sinkTask, []*connect.Record) error
	safe   func(map[connect.TopicPartition]int64) map[connect.TopicPartition]int64
	opened func(connect.SinkContext, []connect.TopicPartition)
	tc     connect.SinkContext
}

func (s *sinkTask) Start(_ context.Context, tc connect.SinkContext, _ map[string]string) error {
	s.tc = tc
	return nil
}

func (s *sinkTask) Put(_ context.Context, rs []*connect.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.put != nil {
		return s.put(s, rs)
	}
	s.take(rs)
	return nil
}

func (s *sinkTask) take(rs []*connect.Record) {
	for _, r := range rs {
		s.got = append(s.got, fmt.Sprintf("%d/%d=%v", r.Partition, r.Offset, r.Value))
	}
}

func (s *sinkTask) PreCommit(_ context.Context, cur map[connect.TopicPartition]int64) (map[connect.TopicPartition]int64, error) {
	if s.safe != nil {
		return s.safe(cur), nil
	}
	return cur, nil
}

func (s *sinkTask) Open(_ context.Context, parts []connect.TopicPartition) error {
	if s.opened != nil {
		s.opened(s.tc, parts)
	}
	s.note("open", parts)
	return nil
}

func (s *sinkTask) Flush(_ context.Context, parts []connect.TopicPartition) error {
	s.note("flush", parts)
	return nil
}

func (s *sinkTask) Close(_ context.Context, parts []connect.TopicPartition, lost bool) error {
	s.note(fmt.Sprintf("close lost=%v", lost), parts)
	return nil
}

func (s *sinkTask) note(what string, parts []connect.TopicPartition) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf("%s %d", what, len(parts)))
}

func (s *sinkTask) Stop() error { return nil }

func (s *sinkTask) values() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func startSink(t *testing.T, cfg Config, task connect.SinkTask) (*SinkRunner, func() error) {
	t.Helper()
	r, err := NewSink(cfg, task)
	if err != nil {
		t.Fatal(err)
	}
	return r, run(r.Run)
}

func TestSinkGetsEverythingAndCommitsWhatIsSafe(t *testing.T) {
	w := newWorld(t, 2)
	w.produce(0, "1", "2", "3")
	w.produce(1, "4")
	task := &sinkTask{safe: func(cur map[connect.TopicPartition]int64) map[connect.TopicPartition]int64 {
		return map[connect.TopicPartition]int64{{Topic: "in", Partition: 0}: min(2, cur[connect.TopicPartition{Topic: "in", Partition: 0}])}
	}}
	_, stop := startSink(t, w.config(map[string]string{"topics": "in"}), task)
	eventually(t, "four records", func() bool { return len(task.values()) == 4 })
	eventually(t, "a commit", func() bool { return w.committed(0) == 2 })
	if got := w.committed(1); got != -1 {
		t.Errorf("partition 1 was not called safe, yet %d is committed", got)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"open 2", "flush 2", "close lost=false 2"}; !slices.Equal(task.log, want) {
		t.Errorf("calls %v, want %v", task.log, want)
	}
	// The next run starts behind what was committed.
	again := &sinkTask{}
	_, stop = startSink(t, w.config(map[string]string{"topics.regex": "i."}), again)
	eventually(t, "the rest again", func() bool { return len(again.values()) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if w.committed(0) != 3 || w.committed(1) != 1 {
		t.Errorf("committed %d and %d", w.committed(0), w.committed(1))
	}
}

func TestSinkStartsWhereTheTaskAsks(t *testing.T) {
	w := newWorld(t, 1)
	w.produce(0, "1", "2", "3", "4")
	again := false
	task := &sinkTask{
		opened: func(tc connect.SinkContext, parts []connect.TopicPartition) { tc.RequestOffset(parts[0], 2) },
		put: func(s *sinkTask, rs []*connect.Record) error {
			s.take(rs)
			if len(s.got) == 2 && !again {
				again = true
				s.tc.RequestOffset(rs[0].Origin, 1)
			}
			return nil
		}}
	_, stop := startSink(t, w.config(map[string]string{"topics": "in"}), task)
	eventually(t, "the records asked for", func() bool { return len(task.values()) == 5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(task.got, " "); got != "0/2=3 0/3=4 0/1=2 0/2=3 0/3=4" {
		t.Errorf("got %s", got)
	}
}

func TestSinkRepeatsARetriablePut(t *testing.T) {
	w := newWorld(t, 1)
	w.produce(0, "1", "2")
	fails := 2
	task := &sinkTask{put: func(s *sinkTask, rs []*connect.Record) error {
		if len(rs) > 0 && fails > 0 {
			fails--
			return connect.Retriable(errors.New("not yet"))
		}
		s.take(rs)
		return nil
	}}
	_, stop := startSink(t, w.config(map[string]string{"topics": "in"}), task)
	eventually(t, "the records", func() bool { return len(task.values()) == 2 })
	if err := stop(); err != nil || fails != 0 {
		t.Errorf("%v, %d failures left", err, fails)
	}
}

func TestSinkFailsOnAnyOtherError(t *testing.T) {
	w := newWorld(t, 1)
	w.produce(0, "1")
	boom := errors.New("boom")
	r, err := NewSink(w.config(map[string]string{"topics": "in"}), &sinkTask{put: func(_ *sinkTask, rs []*connect.Record) error {
		if len(rs) > 0 {
			return boom
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background()); !errors.Is(err, boom) {
		t.Errorf("got %v", err)
	}
	if got := w.committed(0); got > 0 {
		t.Errorf("%d is committed", got)
	}
}

func TestDeadLetters(t *testing.T) {
	w := newWorld(t, 1)
	w.produce(0, "1", "not json", "3", "4", "5")
	task := &sinkTask{put: func(s *sinkTask, rs []*connect.Record) error {
		for i, r := range rs {
			switch r.Value {
			case int64(3):
				return &connect.RecordError{Index: i, Err: errors.New("three")}
			case int64(4):
				if err := s.tc.Report(context.Background(), r, errors.New("four")); err != nil {
					return err
				}
				continue
			}
			s.take(rs[i : i+1])
		}
		return nil
	}}
	cfg := w.config(map[string]string{"topics": "in", "connector.class": "x", "errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead",
		"errors.deadletterqueue.context.headers.enable": "true"})
	_, stop := startSink(t, cfg, task)
	eventually(t, "the good records", func() bool { return len(task.values()) >= 2 && w.committed(0) == 5 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(task.got, " "); got != "0/0=1 0/4=5" {
		t.Errorf("taken: %s", got)
	}
	var got []string
	for _, r := range w.records("dead") {
		h := map[string]string{}
		for _, x := range r.Headers {
			h[strings.TrimPrefix(x.Key, "__connect.errors.")] = string(x.Value)
		}
		got = append(got, fmt.Sprintf("%s %s %s %s %s %s", r.Value, h["h"], h["topic"], h["offset"], h["stage"], h["exception.message"][:4]))
	}
	want := []string{"not json x in 1 VALUE_CONVERTER conv", "4 x in 3 TASK_PUT four", "3 x in 2 TASK_PUT thre"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("dead letters %q\nwant %q", got, want)
	}
}

func TestToleranceNoneStopsAtTheFirstBadRecord(t *testing.T) {
	w := newWorld(t, 1)
	w.produce(0, "not json")
	r, err := NewSink(w.config(map[string]string{"topics": "in"}), &sinkTask{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "VALUE_CONVERTER") {
		t.Errorf("got %v", err)
	}
}

func TestPartitionsMoveBetweenTasks(t *testing.T) {
	w := newWorld(t, 4)
	for p := range int32(4) {
		w.produce(p, "1", "2", "3")
	}
	a, b := &sinkTask{}, &sinkTask{}
	cfg := w.config(map[string]string{"topics": "in"})
	_, stopA := startSink(t, cfg, a)
	eventually(t, "all records at the first task", func() bool { return len(a.values()) == 12 })
	cfg.Task = 1
	_, stopB := startSink(t, cfg, b)
	eventually(t, "partitions at the second task", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.log) > 0
	})
	for p := range int32(4) {
		w.produce(p, "4", "5")
	}
	eventually(t, "all records", func() bool { return len(a.values())+len(b.values()) >= 20 })
	if err := errors.Join(stopA(), stopB()); err != nil {
		t.Fatal(err)
	}
	all := append(a.values(), b.values()...)
	slices.Sort(all)
	if n := len(slices.Compact(slices.Clone(all))); n != 20 || len(all) != 20 {
		t.Errorf("%d records, %d of them different, want 20: a revoked partition is committed before it moves", len(all), n)
	}
	if len(b.values()) == 0 {
		t.Error("the second task got nothing")
	}
}

func TestPauseHoldsASink(t *testing.T) {
	w := newWorld(t, 1)
	task := &sinkTask{}
	r, stop := startSink(t, w.config(map[string]string{"topics": "in"}), task)
	w.produce(0, "1")
	eventually(t, "the first record", func() bool { return len(task.values()) == 1 })
	r.Pause()
	w.produce(0, "2")
	r.Resume()
	eventually(t, "the second record", func() bool { return len(task.values()) == 2 && r.Stats().Written == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// sourceTask gives records from a list and goes on after the stored offset.
type sourceTask struct {
	values  []any
	next    int64
	commits int
	poll    func(*sourceTask) error
}

func (s *sourceTask) Start(ctx context.Context, tc connect.SourceContext, _ map[string]string) error {
	o, err := tc.Offset(ctx, map[string]any{"p": "x"})
	s.next, _ = connect.OffsetLong(o, "n")
	return err
}

func (s *sourceTask) Poll(ctx context.Context) ([]*connect.SourceRecord, error) {
	if s.poll != nil {
		if err := s.poll(s); err != nil {
			return nil, err
		}
	}
	if s.next >= int64(len(s.values)) {
		<-ctx.Done()
		return nil, nil
	}
	v := s.values[s.next]
	s.next++
	return []*connect.SourceRecord{{Record: connect.Record{Topic: "in", Partition: 1, Key: "k", Value: v, Headers: []connect.Header{{Name: "n", Value: s.next}}},
		SourcePartition: map[string]any{"p": "x"}, SourceOffset: map[string]any{"n": s.next}}}, nil
}

func (s *sourceTask) Commit(context.Context, []connect.SourceOffset) error { s.commits++; return nil }
func (s *sourceTask) Stop() error                                          { return nil }

func openStore(t *testing.T) *store.File {
	t.Helper()
	f, err := store.OpenFile(filepath.Join(t.TempDir(), "offsets"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func startSource(t *testing.T, cfg Config, task connect.SourceTask, s store.Offsets) (*SourceRunner, func() error) {
	t.Helper()
	r, err := NewSource(cfg, task, s)
	if err != nil {
		t.Fatal(err)
	}
	return r, run(r.Run)
}

func storedN(t *testing.T, s store.Offsets) int64 {
	t.Helper()
	o, err := s.Get(context.Background(), "c", map[string]any{"p": "x"})
	if err != nil {
		t.Fatal(err)
	}
	n, _ := connect.OffsetLong(o, "n")
	return n
}

func TestSourceStoresOffsetsAndGoesOn(t *testing.T) {
	w, st := newWorld(t, 2), openStore(t)
	values := []any{int64(1), "two", map[string]any{"n": 3.0}}
	task := &sourceTask{values: values[:2]}
	r, stop := startSource(t, w.config(nil), task, st)
	eventually(t, "the offset", func() bool { return storedN(t, st) == 2 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if s := r.Stats(); s.Read != 2 || s.Written != 2 || task.commits == 0 {
		t.Errorf("%+v, %d commits", s, task.commits)
	}
	_, stop = startSource(t, w.config(nil), &sourceTask{values: values}, st)
	eventually(t, "the next offset", func() bool { return storedN(t, st) == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range w.records("in") {
		got = append(got, fmt.Sprintf("%d %s %s %s", k.Partition, k.Key, k.Value, k.Headers[0].Value))
	}
	if want := []string{"1 k 1 1", `1 k "two" 2`, `1 k {"n":3.0} 3`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSourceSkipsWhatItMayAndRetriesPolls(t *testing.T) {
	w, st := newWorld(t, 2), openStore(t)
	fails := 1
	task := &sourceTask{values: []any{int64(1), make(chan int), int64(3)}, poll: func(s *sourceTask) error {
		if s.next == 2 && fails > 0 {
			fails--
			return connect.Retriable(errors.New("not yet"))
		}
		return nil
	}}
	_, stop := startSource(t, w.config(map[string]string{"errors.tolerance": "all", "errors.deadletterqueue.topic.name": "dead"}), task, st)
	eventually(t, "the last offset", func() bool { return storedN(t, st) == 3 })
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if good, dead := len(w.records("in")), len(w.records("dead")); good != 2 || dead != 1 {
		t.Errorf("%d good records and %d dead letters", good, dead)
	}
}

func TestSourceFailsWithoutLosingWhatWasStored(t *testing.T) {
	w, st := newWorld(t, 2), openStore(t)
	r, err := NewSource(w.config(nil), &sourceTask{values: []any{int64(1), make(chan int)}}, st)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "VALUE_CONVERTER") {
		t.Errorf("got %v", err)
	}
	if n := storedN(t, st); n != 1 {
		t.Errorf("stored offset is %d, want 1", n)
	}
}

func TestSourceFailsWhenTheBrokerRefuses(t *testing.T) {
	w, st := newWorld(t, 2), openStore(t)
	cfg := w.config(map[string]string{"producer.override.max.request.size": "1000"})
	r, err := NewSource(cfg, &sourceTask{values: []any{int64(1), strings.Repeat("x", 5000), int64(3)}}, st)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "KAFKA_PRODUCE") {
		t.Errorf("got %v", err)
	}
	if n := storedN(t, st); n != 1 {
		t.Errorf("stored offset is %d, want 1: nothing behind a record that failed", n)
	}
}

func TestTrackerKnowsOnlyTheFinishedPrefix(t *testing.T) {
	tr := newTracker()
	var es []*sent
	for i := range 4 {
		e, err := tr.add(&connect.SourceRecord{SourcePartition: map[string]any{"p": i % 2}, SourceOffset: map[string]any{"n": i}})
		if err != nil {
			t.Fatal(err)
		}
		es = append(es, e)
	}
	tr.finish(es[1])
	tr.finish(es[3])
	if got := tr.take(); len(got) != 0 {
		t.Errorf("the first record is open, yet %v may be stored", got)
	}
	tr.finish(es[0])
	got := tr.take()
	if len(got) != 2 || got[`{"p":0}`].Offset["n"] != 0 || got[`{"p":1}`].Offset["n"] != 1 {
		t.Errorf("got %v", got)
	}
	tr.finish(es[2])
	tr.restore(got)
	if got = tr.take(); got[`{"p":0}`].Offset["n"] != 2 || got[`{"p":1}`].Offset["n"] != 3 || tr.pending() != 0 {
		t.Errorf("got %v", got)
	}
}

func TestBadSettings(t *testing.T) {
	w := newWorld(t, 1)
	for _, props := range []map[string]string{
		{}, {"topics": "a", "topics.regex": "b"}, {"topics.regex": "("}, {"topics": "a", "errors.tolerance": "some"},
		{"topics": "a", "key.converter": "avro"}, {"topics": "a", "transforms": "x"},
	} {
		if _, err := NewSink(w.config(props), &sinkTask{}); err == nil {
			t.Errorf("%v passed", props)
		}
	}
	cfg := w.config(map[string]string{"topics": "a", "consumer.override.auto.offset.reset": "middle"})
	r, err := NewSink(cfg, &sinkTask{})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(context.Background()); err == nil {
		t.Error("auto.offset.reset=middle passed")
	}
}
