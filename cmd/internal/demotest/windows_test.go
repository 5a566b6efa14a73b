package demotest

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/deploy/testbed"
)

// truth counts the exported events by page, action and window: what a run
// without any interruption would count.
const truth = `
import duckdb, json, sys
dir, width = sys.argv[1], int(sys.argv[2])
rows = duckdb.sql(f"""select page || ' ' || action || '@' || strftime(make_timestamp((epoch_ms(e.at) // {width}) * {width} * 1000), '%Y-%m-%dT%H:%M:%SZ'), count(*)
  from read_parquet('{dir}/**/*.parquet', hive_partitioning=false) e group by all""").fetchall()
json.dump(dict(rows), sys.stdout)
`

// windowsMatch compares each closed window, in the topic of results of a demo
// that has ended, with the events that were exported.
func windowsMatch(t *testing.T, dir string, ok func(counted, exported int64) bool) {
	t.Helper()
	exported := map[string]int64{}
	out := testbed.Python(t, truth, filepath.Join(dir, "out"), strconv.FormatInt(window().Milliseconds(), 10))
	if err := json.Unmarshal([]byte(out), &exported); err != nil {
		t.Fatal(err)
	}
	wrong := 0
	closed := closedWindows(t, dir)
	for key, counted := range closed {
		if !ok(counted, exported[key]) {
			if wrong++; wrong <= 10 {
				t.Errorf("window %s: %d counted, %d exported", key, counted, exported[key])
			}
		}
	}
	if wrong > 0 || len(closed) == 0 {
		t.Errorf("%d of %d closed windows are wrong", wrong, len(closed))
	}
}

// closedWindows reads the results by a broker on the folder of the demo's.
func closedWindows(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	s := testbed.StartServer(t, filepath.Join(dir, "broker"), testbed.FreePort(t))
	defer s.Stop(t)
	const topic = "activity-per-minute"
	cl, err := client.New(client.Config{Brokers: []string{s.Addr}}, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	ends.Each(func(o kadm.ListedOffset) { left += o.Offset })
	closed := map[string]int64{}
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			var row struct{ Events int64 }
			if err := json.Unmarshal(r.Value, &row); err != nil || !strings.Contains(string(r.Key), "@") {
				t.Fatalf("result %s: %s: %v", r.Key, r.Value, err)
			}
			closed[string(r.Key)] = row.Events // a later result stands for the former
		})
	}
	return closed
}
