package exchange

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/clean"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/deploy/testbed"
)

// Kafka's own reader finds nothing wrong with files that compaction has made, nor
// with those of a log that was moved to another directory.
func TestKafkaDumpsCompactedAndMovedLogs(t *testing.T) {
	require(t)
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: dirs}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg := commitlog.DefaultConfig()
	cfg.Compact, cfg.Delete, cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.MinCleanableDirtyRatio = true, false, 4096, 128, 0
	tp := record.TopicPartition{Topic: "latest"}
	l, err := m.GetOrCreate(tp, [16]byte{7}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	now := time.UnixMilli(firstTime)
	cleaner, err := clean.NewCleaner(clean.Config{
		Logs: m.Logs, HighWatermark: func(l *commitlog.Log) (int64, bool) { return l.EndOffset(), true },
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(0)
	for range 2 { // markers get their horizon when compaction meets them again
		fillCompacted(t, l, now)
		size = l.Size()
		for cleaner.Step(t.Context(), now) {
		}
	}
	if l.Size() > size/2 {
		t.Fatalf("%d of %d bytes are left", l.Size(), size)
	}
	v, err := m.BeginMove(tp, dirs[1])
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	want := dumpFolder(t, l.Path())
	for done := false; !done; {
		if _, done, err = v.Copy(1 << 20); err != nil {
			t.Fatal(err)
		}
	}
	moved, err := v.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	if got := dumpFolder(t, moved.Path()); got != want {
		t.Errorf("the tool sees %d records and markers in the moved log, %d before", got, want)
	}
}

// fillCompacted writes keys over and over in plain batches, in transactions that
// are committed and in some that are aborted.
func fillCompacted(t *testing.T, l *commitlog.Log, now time.Time) {
	t.Helper()
	add := func(data []byte, err error) {
		t.Helper()
		if err == nil {
			_, err = l.AppendAsLeader(data, 0, commitlog.AppendOptions{Origin: commitlog.OriginCoordinator, Now: now.UnixMilli()})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range int32(300) {
		opts := record.NewOptions()
		opts.Compression = record.Compression(i % 5)
		if txn := i%3 > 0; txn {
			opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = int64(4000+i%3), 0, i/3*4, true
		}
		var b record.Builder
		b.Reset(opts)
		for n := range 4 {
			b.Append(now.UnixMilli()+int64(i), fmt.Appendf(nil, "key %d", (int(i)+n*7)%25), fmt.Appendf(nil, "value %d %s", i, strings.Repeat("v", n*20)))
		}
		add(b.Build(nil))
		if opts.Transactional {
			add(record.AppendMarker(nil, opts.ProducerID, 0, now.UnixMilli(), record.Marker{Type: record.MarkerType(i / 3 % 2)}))
		}
	}
}

// dumpFolder has kafka-dump-log read all files of a partition, and gives the
// number of records and markers that it sees. Offsets with gaps are the rule here.
func dumpFolder(t *testing.T, dir string) (records int) {
	t.Helper()
	bad := regexp.MustCompile(`(?im)^.*(isvalid: false|mismatch|corrupt|exception|error|failed|out of order|missing).*$`)
	for pattern, flags := range map[string][]string{
		"*.log": {"--deep-iteration"}, "*.index": {"--index-sanity-check"}, "*.timeindex": {"--verify-index-only"},
		"*.txnindex": {"--deep-iteration"}, "*.snapshot": {"--deep-iteration"},
	} {
		paths := must(filepath.Glob(filepath.Join(dir, pattern)))(t)
		if len(paths) == 0 {
			t.Errorf("no %s in %s", pattern, dir)
			continue
		}
		for _, flag := range flags {
			out := testbed.KafkaTool(t, "3.9", "", "kafka-dump-log", flag, "--files", strings.Join(paths, ","))
			if found := bad.FindAllString(out, 5); found != nil {
				t.Errorf("kafka-dump-log %s of %s: %q", flag, pattern, found)
			}
			switch pattern {
			case "*.log":
				records = strings.Count(out, "| offset: ")
				if !strings.Contains(out, "endTxnMarker: ABORT") || !strings.Contains(out, "deleteHorizonMs: OptionalLong[") {
					t.Errorf("no marker of an aborted transaction, or no delete horizon, in\n%.2000s", out)
				}
			case "*.index":
				if strings.Count(out, "passed sanity check") != len(paths) {
					t.Errorf("%d index files: %.1000s", len(paths), out)
				}
			case "*.snapshot":
				if !strings.Contains(out, "producerId: 4001 producerEpoch: 0 ") {
					t.Errorf("no producer in %.1000s", out)
				}
			}
		}
	}
	return records
}
