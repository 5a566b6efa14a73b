package herder_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/connect/store"
)

// flaky is a source whose first task misbehaves as told; task 1 is always well.
type flaky struct {
	starts    *atomic.Int64
	misdeed   func(start int64) error
	failStart *atomic.Bool
	cc        connect.ConnectorContext
}

func (f *flaky) Start(_ context.Context, cc connect.ConnectorContext, _ map[string]string) error {
	f.cc = cc
	if f.failStart != nil && f.failStart.Swap(false) {
		return errors.New("connector cannot start")
	}
	return nil
}
func (f *flaky) TaskConfigs(n int) ([]map[string]string, error) {
	out := make([]map[string]string, n)
	for i := range out {
		out[i] = map[string]string{"index": string(rune('0' + i))}
	}
	return out, nil
}
func (f *flaky) NewTask() connect.SourceTask { return &flakyTask{f: f} }
func (f *flaky) Stop() error                 { return nil }

type flakyTask struct {
	f     *flaky
	start int64
	bad   bool
}

func (t *flakyTask) Start(_ context.Context, _ connect.SourceContext, props map[string]string) error {
	if t.bad = props["index"] == "0"; t.bad {
		t.start = t.f.starts.Add(1)
	}
	return nil
}
func (t *flakyTask) Poll(ctx context.Context) ([]*connect.SourceRecord, error) {
	if t.bad {
		if err := t.f.misdeed(t.start); err != nil {
			return nil, err
		}
	}
	<-ctx.Done()
	return nil, nil
}
func (t *flakyTask) Stop() error { return nil }

func runFlaky(t *testing.T, backoffMs string, f *flaky) (*herder.Standalone, func()) {
	t.Helper()
	offsets, err := store.OpenFile(t.TempDir() + "/o")
	if err != nil {
		t.Fatal(err)
	}
	f.starts = &atomic.Int64{}
	h, err := herder.NewStandalone(herder.Config{
		Worker:     map[string]string{"task.restart.backoff.ms": backoffMs},
		Connectors: []map[string]string{{"name": "f", "connector.class": "flaky", "tasks.max": "2"}},
		Plugins: []connect.Plugin{{Name: "flaky", Version: "1", Config: func() *config.Def { return config.New() },
			Source: func() connect.SourceConnector {
				return &flaky{starts: f.starts, misdeed: f.misdeed, failStart: f.failStart}
			}}},
		Client: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Offsets: offsets,
		Logger: slog.New(slog.NewTextHandler(testWriter{t}, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = h.Run(ctx) })
	return h, func() { cancel(); wg.Wait() }
}

func taskState(t *testing.T, h *herder.Standalone, id int) herder.TaskStatus {
	t.Helper()
	s, err := h.Status("f")
	if err != nil {
		t.Fatal(err)
	}
	if id >= len(s.Tasks) {
		return herder.TaskStatus{}
	}
	return s.Tasks[id]
}

func TestFailedTasksStartAgain(t *testing.T) {
	f := &flaky{misdeed: func(start int64) error {
		switch start {
		case 1:
			return errors.New("boom")
		case 2:
			panic("worse")
		}
		return nil
	}}
	h, stop := runFlaky(t, "20", f)
	defer stop()
	eventually(t, "the third start", func() bool { s := taskState(t, h, 0); return s.Restarts == 2 && s.State == herder.Running })
	if s := taskState(t, h, 1); s.State != herder.Running || s.Restarts != 0 {
		t.Errorf("the other task is %+v", s)
	}
}

func TestAFailureShowsAndWaitsForRestart(t *testing.T) {
	f := &flaky{misdeed: func(start int64) error {
		if start == 1 {
			return errors.New("boom")
		}
		return nil
	}}
	h, stop := runFlaky(t, "-1", f)
	defer stop()
	eventually(t, "the failure", func() bool { return taskState(t, h, 0).State == herder.Failed })
	if s := taskState(t, h, 0); !strings.Contains(s.Trace, "boom") {
		t.Errorf("trace is %q", s.Trace)
	}
	if err := h.RestartTask("f", 0); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the restart", func() bool { return taskState(t, h, 0).State == herder.Running })
	for _, err := range []error{h.RestartTask("f", 9), h.RestartTask("g", 0), h.Restart("g"), h.Pause("g")} {
		if !errors.Is(err, herder.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	}
}

func TestConnectorRestartsAndPauses(t *testing.T) {
	failing := &atomic.Bool{}
	failing.Store(true)
	f := &flaky{misdeed: func(int64) error { return nil }, failStart: failing}
	h, stop := runFlaky(t, "20", f)
	defer stop()
	state := func() herder.State { s, _ := h.Status("f"); return s.Connector.State }
	eventually(t, "the start after a failed one", func() bool { return state() == herder.Running && taskState(t, h, 0).State == herder.Running })
	if err := h.Pause("f"); err != nil || state() != herder.Paused {
		t.Errorf("%v, %s", err, state())
	}
	if err := h.Restart("f"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second start, still paused", func() bool { return f.starts.Load() == 2 && taskState(t, h, 0).State == herder.Paused })
	if err := h.Resume("f"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "running again", func() bool { return state() == herder.Running && taskState(t, h, 1).State == herder.Running })
	if i, err := h.Info("f"); err != nil || i.Config["connector.class"] != "flaky" || len(i.Tasks) != 2 || i.Type != "source" {
		t.Errorf("%+v, %v", i, err)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	plugin := connect.Plugin{Name: "p", Source: func() connect.SourceConnector { return &flaky{} },
		Config: func() *config.Def { return config.New(config.Key{Name: "must", Type: config.String, Required: true}) }}
	good := map[string]string{"name": "a", "connector.class": "p", "must": "x"}
	for name, c := range map[string]struct {
		worker     map[string]string
		connectors []map[string]string
		want       error
	}{
		"no name":       {nil, []map[string]string{{"connector.class": "p"}}, config.ErrInvalid},
		"no class":      {nil, []map[string]string{{"name": "a", "connector.class": "nope"}}, herder.ErrNoPlugin},
		"missing key":   {nil, []map[string]string{{"name": "a", "connector.class": "p"}}, config.ErrInvalid},
		"same name":     {map[string]string{"offset.storage.file.filename": "x"}, []map[string]string{good, good}, config.ErrInvalid},
		"no store":      {nil, []map[string]string{good}, config.ErrInvalid},
		"worker number": {map[string]string{"offset.flush.interval.ms": "x"}, nil, config.ErrInvalid},
	} {
		_, err := herder.NewStandalone(herder.Config{Worker: c.worker, Connectors: c.connectors, Plugins: []connect.Plugin{plugin}, Logger: slog.Default()})
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
