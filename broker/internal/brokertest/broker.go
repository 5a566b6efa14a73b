package brokertest

import (
	"context"
	"log/slog"
	"maps"
	"net"
	"testing"
	"time"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/client"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience bounds every wait of a test; it is reached only by a failing one.
const patience = 30 * time.Second

// Broker is a running broker.
type Broker struct {
	*broker.Broker
	Addr    string
	Metrics *prometheus.Registry

	t    testing.TB
	stop context.CancelFunc
	done chan error // what Run returned
}

// properties are settings that suit tests: groups form at once, and the offsets
// topic has few partitions.
func properties() map[string]string {
	return map[string]string{
		"listeners":                        "PLAINTEXT://127.0.0.1:0",
		"group.initial.rebalance.delay.ms": "0",
		"group.min.session.timeout.ms":     "100",
		"offsets.topic.num.partitions":     "4",
	}
}

// Config is the configuration of a broker in dir, with more properties over
// those that suit tests.
func Config(dir string, more map[string]string) broker.Config {
	p := properties()
	maps.Copy(p, more)
	return broker.Config{DataDir: dir, Properties: p}
}

// Start starts a broker with a folder of its own and stops it with the test.
func Start(t testing.TB, more map[string]string) *Broker {
	t.Helper()
	return StartIn(t, t.TempDir(), more)
}

// StartIn starts a broker in dir and stops it with the test, unless that has
// done so.
func StartIn(t testing.TB, dir string, more map[string]string) *Broker {
	t.Helper()
	return Run(t, Config(dir, more))
}

// Run starts a broker and waits until it is ready.
func Run(t testing.TB, cfg broker.Config) *Broker {
	t.Helper()
	reg := prometheus.NewRegistry()
	b, err := broker.New(cfg, Logger(t), reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tb := &Broker{Broker: b, Metrics: reg, t: t, stop: cancel, done: make(chan error, 1)}
	go func() { tb.done <- b.Run(ctx) }()
	t.Cleanup(tb.Stop)
	select {
	case <-b.Ready():
	case err := <-tb.done:
		tb.done <- nil
		t.Fatalf("broker does not start: %v", err)
	case <-time.After(patience):
		t.Fatal("broker is not ready")
	}
	tb.Addr = b.Addr("PLAINTEXT").String()
	return tb
}

// Stop stops the broker in order. It may be called twice.
func (b *Broker) Stop() {
	if b.stop == nil {
		return
	}
	b.stop()
	b.stop = nil
	select {
	case err := <-b.done:
		if err != nil {
			b.t.Errorf("broker stops with: %v", err)
		}
	case <-time.After(patience):
		b.t.Error("broker does not stop")
	}
}

// Client is a client of the broker, closed with the test.
func (b *Broker) Client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	cl, err := client.New(client.Config{Brokers: []string{b.Addr}}, append([]kgo.Opt{
		kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.FetchMaxWait(250 * time.Millisecond),
	}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(cl.Close)
	return cl
}

// Admin is an administrative client of the broker, closed with the test.
func (b *Broker) Admin() *kadm.Client { return kadm.NewClient(b.Client()) }

// CreateTopic creates a topic; configs are keys and values in turn.
func (b *Broker) CreateTopic(name string, partitions int32, configs ...string) {
	b.t.Helper()
	set := make(map[string]*string)
	for i := 0; i+1 < len(configs); i += 2 {
		set[configs[i]] = &configs[i+1]
	}
	if _, err := b.Admin().CreateTopic(Context(b.t), partitions, 1, set, name); err != nil {
		b.t.Fatalf("create topic %s: %v", name, err)
	}
}

// Dial opens a connection for single frames.
func (b *Broker) Dial() *Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", b.Addr)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { c.Close() })
	return &Conn{Conn: c, t: b.t}
}

// Context is a context that ends with the test, or when patience is over.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Logger passes a broker's warnings to the test's log.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
