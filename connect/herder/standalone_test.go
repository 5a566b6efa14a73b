package herder_test

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/connectors/activity"
	"github.com/leatstream/leat/connectors/parquet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const total = 3000

func newCluster(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "activity"), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func start(t *testing.T, c *kfake.Cluster, dir string, rate int) (*herder.Standalone, func()) {
	t.Helper()
	h, err := herder.NewStandalone(herder.Config{
		Worker: map[string]string{
			"key.converter": "string", "value.converter": "json", "value.converter.schemas.enable": "false",
			"offset.storage.file.filename": filepath.Join(dir, "offsets.json"), "offset.flush.interval.ms": "50",
			"task.shutdown.graceful.timeout.ms": "5000",
		},
		Connectors: []map[string]string{
			{"name": "events", "connector.class": "activity", "topic": "activity", "rate": strconv.Itoa(rate), "max.records": strconv.Itoa(total)},
			{"name": "lake", "connector.class": "parquet", "topics": "activity", "path": filepath.Join(dir, "lake"), "flush.size": "400", "tasks.max": "2",
				"rotate.interval.ms": "300", "rotate.idle.ms": "200",
				"schema":                              "event_id:string,at:timestamp,action:string,member_id:long,page:string,query:string,country:string,session:string,ms:double,device:string,bot:boolean",
				"consumer.override.fetch.max.wait.ms": "50"},
		},
		Plugins:  []connect.Plugin{activity.Plugin(), parquet.Plugin()},
		Client:   []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)},
		Logger:   slog.New(slog.NewTextHandler(testWriter{t}, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := h.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	return h, func() { cancel(); <-done }
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(b))
	return len(b), nil
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

var finalName = regexp.MustCompile(`^activity\+(\d)\+(\d{10})\+(\d{10})\.parquet$`)

// rows reads every finished file and counts rows per event id.
func rows(t *testing.T, root string) map[string]int {
	t.Helper()
	out := map[string]int{}
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !finalName.MatchString(d.Name()) {
			return err
		}
		type row struct {
			EventID string `parquet:"event_id"`
		}
		got, err := pq.ReadFile[row](path)
		for _, r := range got {
			out[r.EventID]++
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return out
}

func TestSourceToSinkOverRestarts(t *testing.T) {
	c, dir := newCluster(t), t.TempDir()
	h, stop := start(t, c, dir, 3000)
	eventually(t, "some records in files", func() bool { return len(rows(t, filepath.Join(dir, "lake"))) > 300 })
	for _, s := range h.List() {
		if s.Connector.State != herder.Running || len(s.Tasks) == 0 || s.Tasks[0].State != herder.Running {
			t.Errorf("status while running: %+v", s)
		}
	}
	stop()
	_, stop = start(t, c, dir, 3000)
	eventually(t, "all records in files", func() bool { return len(rows(t, filepath.Join(dir, "lake"))) == total })
	stop()
	for id, n := range rows(t, filepath.Join(dir, "lake")) {
		if n != 1 {
			t.Fatalf("event %s is in %d rows", id, n)
		}
	}
}

// A mistyped setting is named once, and none that something reads.
func TestUnknownSettingsAreNamed(t *testing.T) {
	var log strings.Builder
	_, err := herder.NewStandalone(herder.Config{
		Worker: map[string]string{"offset.storage.file.filename": filepath.Join(t.TempDir(), "offsets")},
		Connectors: []map[string]string{{
			"name": "lake", "connector.class": "parquet", "topics": "t", "path": t.TempDir(), "flush.sise": "3", "tasks.max": "2",
			"errors.tolerance": "all", "key.converter": "string", "value.converter.schemas.enable": "false", "consumer.override.client.id": "x",
			"transforms": "drop", "transforms.drop.type": "Filter",
		}},
		Plugins: []connect.Plugin{parquet.Plugin()},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "\n"); got != 1 || !strings.Contains(log.String(), "connector=lake key=flush.sise") {
		t.Errorf("log:\n%s", &log)
	}
}
