package console

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/demo"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/connectors/all"
)

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write golden files anew")
	flag.String("shots", "", "folder for screenshots of every page")
	// Most of the time the tests wait for samples, windows and the browser.
	if err := flag.Set("test.parallel", "3"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(time.Minute)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("never: %s", what)
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// startBroker runs a broker with a console over it.
func startBroker(t *testing.T, change func(*Config)) (c *Console, adm *kadm.Client, cl *kgo.Client) {
	t.Helper()
	b, err := broker.New(broker.Config{DataDir: t.TempDir(), Properties: map[string]string{
		"listeners": "PLAINTEXT://localhost:0", "group.initial.rebalance.delay.ms": "0",
	}}, quiet(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	runIn(t, "broker", b.Run)
	<-b.Ready()
	opts, err := client.Config{Brokers: []string{b.Addr("PLAINTEXT").String()}}.Options()
	if err != nil {
		t.Fatal(err)
	}
	config := Config{Bootstrap: b.Addr("PLAINTEXT").String(), Client: opts, Log: quiet()}
	if change != nil {
		change(&config)
	}
	if c, err = New(config); err != nil {
		t.Fatal(err)
	}
	runIn(t, "console", c.Run)
	if cl, err = kgo.NewClient(opts...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return c, kadm.NewClient(cl), cl
}

// runIn runs work until the test ends.
func runIn(t *testing.T, what string, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- work(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("%s: %v", what, err)
		}
	})
}

// demoWindow is the length of windows in demos of tests.
const demoWindow = 2 * time.Second

// startDemo runs everything and returns the address of its console.
func startDemo(t *testing.T, rate int) (base string, c *Console) {
	t.Helper()
	urls, consoles := make(chan string, 1), make(chan *Console, 1)
	reg := prometheus.NewRegistry()
	cfg := demo.Config{
		Version: "test", DataDir: t.TempDir(), Rate: rate, Window: demoWindow, Started: time.Now(), Screen: io.Discard,
		Opened: func(url string) { urls <- url }, Log: quiet(), Registry: reg, Gatherer: reg,
		Connectors: runConnectors,
		Console: func(p demo.Parts) (demo.Console, error) {
			c, err := New(configOf(p))
			consoles <- c
			return c, err
		},
	}
	runIn(t, "demo", func(ctx context.Context) error {
		_, err := demo.Run(ctx, cfg)
		return err
	})
	select {
	case base = <-urls:
		return base, <-consoles
	case <-time.After(time.Minute):
		t.Fatal("the demo did not start")
		return "", nil
	}
}

func configOf(p demo.Parts) Config {
	cfg := Config{Bootstrap: p.Bootstrap, Client: p.Client, Files: p.Files, Log: p.Log, Trial: p.Trial}
	for _, pipeline := range p.Pipelines {
		cfg.Pipelines = append(cfg.Pipelines, Pipeline{App: pipeline.App, Text: pipeline.Text})
	}
	cfg.Connectors = func() []Connector {
		var out []Connector
		for _, s := range p.Connectors.List() {
			info, _ := p.Connectors.Info(s.Name)
			out = append(out, Connector{
				Connector: admin.Connector{Connector: s.Name, Type: s.Type, State: string(s.Connector.State), Tasks: len(s.Tasks), Running: len(s.Tasks)},
				Topics:    []string{info.Config["topic"]}})
			for _, task := range s.Tasks {
				out[len(out)-1].Records += task.Stats.Written
			}
		}
		return out
	}
	return cfg
}

func runConnectors(base herder.Config) func(context.Context, string, []map[string]string) error {
	return func(ctx context.Context, _ string, properties []map[string]string) error {
		cfg := base
		cfg.Worker = maps.Clone(base.Worker)
		maps.Copy(cfg.Worker, map[string]string{"key.converter": "string", "value.converter": "json", "value.converter.schemas.enable": "false"})
		cfg.Connectors, cfg.Plugins = properties, all.Plugins()
		h, err := herder.NewStandalone(cfg)
		if err != nil {
			return err
		}
		return h.Run(ctx)
	}
}

// get asks the handler.
func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
	h.ServeHTTP(w, r)
	return w
}

// fill creates a topic and writes n records value {"n":i,"city":…}.
func fill(t *testing.T, adm *kadm.Client, cl *kgo.Client, topic string, partitions int32, n int) {
	t.Helper()
	if _, err := adm.CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil && !strings.Contains(err.Error(), "already exists") {
		t.Fatal(err)
	}
	cities := []string{"Paris", "Lima", "Oslo"}
	records := make([]*kgo.Record, n)
	for i := range n {
		records[i] = &kgo.Record{
			Topic: topic, Key: fmt.Append(nil, i), Value: fmt.Appendf(nil, `{"n":%d,"city":"%s"}`, i, cities[i%3]),
			Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)),
		}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// serve listens on a free port until the test ends.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(func() {
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL
}

// offer writes records at a rate until stop.
func offer(t *testing.T, cl *kgo.Client, rate int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ctx.Err() == nil; <-tick.C {
			for range rate / 100 {
				n++
				cl.Produce(ctx, &kgo.Record{Topic: "orders", Key: fmt.Append(nil, n), Value: fmt.Appendf(nil, `{"n":%d,"city":"Paris","text":"some more text as events have"}`, n)}, nil)
			}
		}
	}()
	return func() {
		cancel()
		<-done
		_ = cl.Flush(t.Context())
	}
}
