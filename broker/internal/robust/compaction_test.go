package robust

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/clean"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/deploy/testbed"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const cleanedFolder = "compacted-0"

// Kafka's cleaner and ours leave the same records of the same log: plain,
// idempotent and transactional ones of a real client, written by Kafka. In the
// second round the log is one that Kafka's cleaner has been through before.
// Kafka's tools find nothing wrong with what our cleaner leaves.
func TestCompactionAgreesWithKafka(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts Java processes")
	}
	testbed.Require(t, "kafka-3.9")
	k := &kafkaLog{t: t, dir: t.TempDir(), port: testbed.FreePort(t), zookeeper: testbed.ZooKeeper(t)}
	for round := range 2 {
		p := k.start("log.cleaner.enable=false")
		k.fill(round)
		p.Stop(t)
		ours := filepath.Join(t.TempDir(), "log")
		copyFolder(t, filepath.Join(k.dir, "data"), ours)
		before := contents(t, filepath.Join(ours, cleanedFolder))

		p = k.start("log.cleaner.enable=true", "log.cleaner.backoff.ms=200")
		end := k.sealed(ours)
		p.Until(t, "Kafka has compacted the log", func() bool { return k.cleaned() >= end })
		p.Stop(t)
		compactFolder(t, ours, end)

		kafka, leat := contents(t, filepath.Join(k.dir, "data", cleanedFolder)), contents(t, filepath.Join(ours, cleanedFolder))
		if len(leat) >= len(before)*3/4 {
			t.Errorf("round %d: %d of %d records are left: the test tests nothing", round, len(leat), len(before))
		}
		if !slices.Equal(kafka, leat) {
			t.Errorf("round %d: of %d records Kafka keeps %d, Leat %d; only Kafka %v; only Leat %v", round,
				len(before), len(kafka), len(leat), without(kafka, leat), without(leat, kafka))
		}
		dumpFolder(t, filepath.Join(ours, cleanedFolder), len(leat))
	}
}

// without gives the lines of a that b lacks.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// kafkaLog is a broker of Kafka with one compacted topic.
type kafkaLog struct {
	t         *testing.T
	dir       string
	port      int
	zookeeper string
}

func (k *kafkaLog) start(properties ...string) *testbed.Process {
	return testbed.KafkaIn(k.t, "3.9", k.zookeeper, k.dir, k.port, append(properties, "offsets.topic.num.partitions=1",
		"transaction.state.log.num.partitions=1", "log.initial.task.delay.ms=0")...)
}

// fill produces batches of a few records over few keys, so that each segment has
// a part of many transactions.
func (k *kafkaLog) fill(round int) {
	t, ctx := k.t, k.t.Context()
	addr := "127.0.0.1:" + strconv.Itoa(k.port)
	patient := kgo.UnknownTopicRetries(-1) // Kafka answers before it knows its topics
	cl := dial(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), patient)
	defer cl.Close()
	if round == 0 {
		value := func(s string) *string { return &s }
		_, err := kadm.NewClient(cl).CreateTopic(ctx, 1, 1, map[string]*string{
			"cleanup.policy": value("compact"), "segment.bytes": value("3000"), "min.cleanable.dirty.ratio": value("0.01"),
			"delete.retention.ms": value("1"), "index.interval.bytes": value("300"),
		}, "compacted")
		if err != nil {
			t.Fatal(err)
		}
	}
	var writers []*kgo.Client
	for i := range 3 {
		w := dial(t, addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), patient, kgo.TransactionalID(fmt.Sprint("writer ", i)),
			kgo.ProducerBatchCompression([]kgo.CompressionCodec{kgo.NoCompression(), kgo.ZstdCompression(), kgo.Lz4Compression()}[i]))
		defer w.Close()
		writers = append(writers, w)
	}
	for i := range 60 {
		produce(t, ctx, cl, i)
		for j, w := range writers {
			if i%5 == j {
				if err := w.BeginTransaction(); err != nil {
					t.Fatal(err)
				}
			}
			if i%5 >= j {
				produce(t, ctx, w, i+j*7)
			}
			if i%5 == 4 {
				if err := w.EndTransaction(ctx, kgo.TransactionEndTry((i/5+j)%3 > 0)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for i := range 40 { // all that is above lies in sealed segments
		produce(t, ctx, cl, i)
	}
}

// produce writes one batch; some of its records are tombstones.
func produce(t *testing.T, ctx context.Context, cl *kgo.Client, i int) {
	t.Helper()
	var records []*kgo.Record
	for n := range 1 + i%3 {
		r := &kgo.Record{Topic: "compacted", Key: fmt.Append(nil, "key ", (i*3+n*5)%23), Value: fmt.Append(nil, i, strings.Repeat("v", i))}
		if (i+n)%6 == 0 {
			r.Value = nil
		}
		records = append(records, r)
	}
	if err := cl.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// sealed is the base of the newest segment of a copy of the log.
func (k *kafkaLog) sealed(dir string) int64 {
	names := logFiles(k.t, filepath.Join(dir, cleanedFolder))
	base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(names[len(names)-1]), ".log"), 10, 64)
	if err != nil {
		k.t.Fatal(err)
	}
	return base
}

// cleaned is how far Kafka's cleaner says it is.
func (k *kafkaLog) cleaned() (offset int64) {
	text, err := os.ReadFile(filepath.Join(k.dir, "data", "cleaner-offset-checkpoint"))
	if err != nil {
		return -1
	}
	offset = -1
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "compacted 0 %d", &offset)
	}
	return offset
}

// compactFolder runs our cleaner over a log directory and checks how far it says
// that it is.
func compactFolder(t *testing.T, dir string, end int64) {
	t.Helper()
	cfg := commitlog.DefaultConfig()
	cfg.Compact, cfg.Delete, cfg.MinCleanableDirtyRatio, cfg.DeleteRetentionMs = true, false, 0.01, 1
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 3000, 300
	m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{dir}, Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := m.Log(record.TopicPartition{Topic: "compacted"})
	if !ok {
		t.Fatal("the log is not found")
	}
	c, err := clean.NewCleaner(clean.Config{
		Logs:          func() []*commitlog.Log { return []*commitlog.Log{l} },
		HighWatermark: func(l *commitlog.Log) (int64, bool) { return l.EndOffset(), true },
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Step(t.Context(), time.Now()) || c.Uncleanable(l.Partition()) != nil {
		t.Errorf("nothing is compacted: %v", c.Uncleanable(l.Partition()))
	}
	if l.CleanedOffset() != end {
		t.Errorf("compacted to %d, want %d", l.CleanedOffset(), end)
	}
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
}

// contents lists the records and markers of a log's folder, whoever wrote it.
func contents(t *testing.T, dir string) (out []string) {
	t.Helper()
	for _, name := range logFiles(t, dir) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for len(data) > 0 {
			b, rest, err := record.Next(data)
			if err == nil {
				err = b.CheckCRC()
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			out, data = appendRecords(t, out, b), rest
		}
	}
	return out
}

func appendRecords(t *testing.T, out []string, b record.Batch) []string {
	t.Helper()
	var it record.Iterator
	defer it.Close()
	if err := it.Reset(b, 0); err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		r := &it.Record
		line := fmt.Sprintf("%d at %d: %q=%q", r.Offset, r.Timestamp, r.Key, r.Value)
		if r.Value == nil {
			line += " (none)"
		}
		out = append(out, line)
	}
	if it.Err() != nil {
		t.Fatal(it.Err())
	}
	return out
}

func logFiles(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no segments in %s: %v", dir, err)
	}
	return names
}

// copyFolder copies the topic's folder and the checkpoints of a log directory.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(from, cleanedFolder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(to, cleanedFolder), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		copyFile(t, name, filepath.Join(to, cleanedFolder, filepath.Base(name)))
	}
	for _, name := range []string{"cleaner-offset-checkpoint", "recovery-point-offset-checkpoint", ".kafka_cleanshutdown"} {
		if _, err := os.Stat(filepath.Join(from, name)); err == nil {
			copyFile(t, filepath.Join(from, name), filepath.Join(to, name))
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
}

// dumpFolder runs kafka-dump-log over all files of a cleaned log.
func dumpFolder(t *testing.T, dir string, records int) {
	t.Helper()
	out := dump(t, logFiles(t, dir), "--deep-iteration")
	if n := strings.Count(out, "\n| offset: ") + strings.Count(out, "endTxnMarker: "); n < records {
		t.Errorf("the tool sees %d records, want %d", n, records)
	}
	for _, pattern := range []string{"*.index", "*.timeindex", "*.txnindex", "*.snapshot"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		dump(t, paths, "--deep-iteration")
		if strings.HasSuffix(pattern, "index") && pattern != "*.txnindex" {
			dump(t, paths, "--index-sanity-check")
		}
	}
}
