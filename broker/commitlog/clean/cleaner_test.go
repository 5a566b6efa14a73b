package clean

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// bed is a manager with compacted logs and a cleaner over them.
type bed struct {
	t   testing.TB
	fs  vfs.FS
	dir string
	m   *commitlog.Manager
	c   *Cleaner
	reg *prometheus.Registry
	set Settings
}

func newBed(t testing.TB, fsys vfs.FS, dir string, cfg commitlog.Config) *bed {
	t.Helper()
	b := &bed{t: t, fs: fsys, dir: dir, reg: prometheus.NewRegistry(), set: DefaultSettings()}
	var err error
	if b.m, err = commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{dir}, FS: fsys, Defaults: cfg}, nil, nil); err != nil {
		t.Fatal(err)
	}
	b.c, err = NewCleaner(Config{
		Settings: func() Settings { return b.set }, Logs: b.m.Logs,
		HighWatermark: func(l *commitlog.Log) (int64, bool) { return l.EndOffset(), true },
	}, nil, b.reg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func compacted() commitlog.Config {
	c := commitlog.DefaultConfig()
	c.Compact, c.Delete, c.MinCleanableDirtyRatio = true, false, 0
	c.TimestampAfterMaxMs = math.MaxInt64
	return c
}

func (b *bed) log(topic string) *commitlog.Log {
	b.t.Helper()
	l, ok := b.m.Log(record.TopicPartition{Topic: topic})
	if !ok {
		var err error
		if l, err = b.m.GetOrCreate(record.TopicPartition{Topic: topic}, [16]byte{}, compacted()); err != nil {
			b.t.Fatal(err)
		}
	}
	return l
}

// kv is a record of the tests below; an empty value is a tombstone.
type kv struct{ key, value string }

func put(t testing.TB, l *commitlog.Log, opts record.BuilderOptions, records ...kv) {
	t.Helper()
	var b record.Builder
	b.Reset(opts)
	for _, r := range records {
		var value []byte
		if r.value != "" {
			value = []byte(r.value)
		}
		b.Append(now.UnixMilli(), []byte(r.key), value)
	}
	data, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAsLeader(data, 0, commitlog.AppendOptions{Origin: commitlog.OriginCoordinator, Now: now.UnixMilli()}); err != nil {
		t.Fatal(err)
	}
}

func roll(t testing.TB, l *commitlog.Log) {
	t.Helper()
	if err := l.Roll(now); err != nil {
		t.Fatal(err)
	}
}

// batches reads the whole log.
func batches(t testing.TB, l *commitlog.Log) (out []record.Batch) {
	t.Helper()
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		s, err := l.Read(offset, 1<<20, true, l.EndOffset())
		if err != nil || s.Size() == 0 {
			t.Fatalf("read at %d: %d bytes, %v", offset, s.Size(), err)
		}
		data, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		for len(data) > 0 {
			b, rest, err := record.Next(data)
			if err != nil {
				break
			}
			out = append(out, b)
			offset, data = b.LastOffset()+1, rest
		}
	}
	return out
}

// contents gives what a log holds, such as "3:k=v 4:k=∅ 7:marker".
func contents(t testing.TB, l *commitlog.Log) string {
	t.Helper()
	var out bytes.Buffer
	for _, b := range batches(t, l) {
		var it record.Iterator
		if err := it.Reset(b, 0); err != nil {
			t.Fatal(err)
		}
		for it.Next() {
			switch r := &it.Record; {
			case b.IsControl():
				fmt.Fprintf(&out, "%d:marker ", r.Offset)
			case r.Value == nil:
				fmt.Fprintf(&out, "%d:%s=∅ ", r.Offset, r.Key)
			default:
				fmt.Fprintf(&out, "%d:%s=%s ", r.Offset, r.Key, r.Value)
			}
		}
		it.Close()
	}
	return string(bytes.TrimSpace(out.Bytes()))
}

func (b *bed) cleanAt(at time.Time) int {
	n := 0
	for b.c.Step(b.t.Context(), at) {
		if n++; n > 100 {
			b.t.Fatal("the cleaner does not come to an end")
		}
	}
	return n
}

func check(t testing.TB, l *commitlog.Log, want string) {
	t.Helper()
	sound(t, l)
	if got := contents(t, l); got != want {
		t.Errorf("log holds\n%s\nwant\n%s", got, want)
	}
}

// sound has the sealed segments checked as the scrubber does.
func sound(t testing.TB, l *commitlog.Log) {
	t.Helper()
	for _, s := range l.SealedSegments() {
		c, err := l.CheckSegment(s.BaseOffset)
		if err != nil {
			t.Fatal(err)
		}
		if _, problems, _, err := c.Step(1 << 40); err != nil || len(problems) > 0 || len(l.Damage()) > 0 {
			t.Errorf("segment %d: %v, %v, %v", s.BaseOffset, err, problems, l.Damage())
		}
		c.Close()
	}
}

func TestLastValuesStay(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	l := b.log("t")
	put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"b", "1"}, kv{"a", "2"})
	roll(t, l)
	put(t, l, record.NewOptions(), kv{"b", "2"}, kv{"c", "1"})
	roll(t, l)
	put(t, l, record.NewOptions(), kv{"a", "active"})
	b.cleanAt(now)
	check(t, l, "2:a=2 3:b=2 4:c=1 5:a=active")
	if list, _ := l.Segments(); len(list) != 2 || list[0].BaseOffset != 0 {
		t.Errorf("segments %v, want one cleaned and the active one", list)
	}
	if b.cleanAt(now) != 0 {
		t.Error("a clean log was cleaned again")
	}
}

func TestTombstoneWaitsForItsHorizon(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	l := b.log("t")
	cfg := l.Config()
	cfg.DeleteRetentionMs = 1000
	l.Configure(cfg)
	put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"b", "1"})
	put(t, l, record.NewOptions(), kv{"a", ""})
	more := func(key string) {
		put(t, l, record.NewOptions(), kv{key, "1"})
		roll(t, l)
	}
	more("x")
	b.cleanAt(now)
	check(t, l, "1:b=1 2:a=∅ 3:x=1")
	if h, ok := batches(t, l)[1].DeleteHorizon(); !ok || h != now.UnixMilli()+1000 {
		t.Errorf("horizon %d %v", h, ok)
	}
	more("y")
	b.cleanAt(now.Add(900 * time.Millisecond)) // does not move the horizon
	check(t, l, "1:b=1 2:a=∅ 3:x=1 4:y=1")
	more("z")
	b.cleanAt(now.Add(1000 * time.Millisecond))
	check(t, l, "1:b=1 3:x=1 4:y=1 5:z=1")
}

func txn(pid int64, seq int32) record.BuilderOptions {
	o := record.NewOptions()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence, o.Transactional = pid, 0, seq, true
	return o
}

func mark(t *testing.T, l *commitlog.Log, pid int64, kind record.MarkerType) {
	t.Helper()
	data, err := record.AppendMarker(nil, pid, 0, now.UnixMilli(), record.Marker{Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAsLeader(data, 0, commitlog.AppendOptions{Origin: commitlog.OriginCoordinator, Now: now.UnixMilli()}); err != nil {
		t.Fatal(err)
	}
}

func TestAbortedGoAndMarkersFollow(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	l := b.log("t")
	cfg := l.Config()
	cfg.DeleteRetentionMs = 1000
	l.Configure(cfg)
	put(t, l, record.NewOptions(), kv{"a", "kept"})
	put(t, l, txn(9, 0), kv{"a", "aborted"}) // 1
	roll(t, l)                               // the transaction spans segments
	put(t, l, txn(9, 1), kv{"b", "aborted"}) // 2
	mark(t, l, 9, record.Abort)              // 3
	put(t, l, txn(9, 2), kv{"c", "1"})       // 4
	mark(t, l, 9, record.Commit)             // 5
	roll(t, l)
	put(t, l, txn(9, 3), kv{"open", "1"}) // 6: newest batch of the producer
	roll(t, l)
	if n := b.cleanAt(now); n != 1 {
		t.Fatalf("%d cleanings", n)
	}
	check(t, l, "0:a=kept 3:marker 4:c=1 5:marker 6:open=1")
	if l.CleanedOffset() != 6 {
		t.Errorf("cleaned to %d, past the last stable offset", l.CleanedOffset())
	}
	if list, _ := l.AbortedTransactions(0, 6); len(list) != 1 || list[0].FirstOffset != 1 || list[0].LastOffset != 3 {
		t.Errorf("aborted %v", list)
	}
	mark(t, l, 9, record.Commit) // 7
	roll(t, l)
	b.cleanAt(now.Add(time.Minute)) // nothing is left of the aborted one: its marker gets a horizon
	check(t, l, "0:a=kept 3:marker 4:c=1 5:marker 6:open=1 7:marker")
	put(t, l, record.NewOptions(), kv{"c", "2"}) // 8
	roll(t, l)
	b.cleanAt(now.Add(time.Hour))
	check(t, l, "0:a=kept 5:marker 6:open=1 7:marker 8:c=2")
	put(t, l, record.NewOptions(), kv{"d", "1"}) // 9
	roll(t, l)
	b.cleanAt(now.Add(2 * time.Hour)) // the first commit marker is alone now
	put(t, l, record.NewOptions(), kv{"e", "1"})
	roll(t, l)
	b.cleanAt(now.Add(3 * time.Hour))
	check(t, l, "0:a=kept 6:open=1 7:marker 8:c=2 9:d=1 10:e=1")
	if list, _ := l.AbortedTransactions(0, 11); len(list) != 0 {
		t.Errorf("aborted %v", list)
	}
}

func TestSequenceOutlivesRecords(t *testing.T) {
	fsys := vfs.NewMem()
	b := newBed(t, fsys, "/d", compacted())
	l := b.log("t")
	o := record.NewOptions()
	o.ProducerID, o.ProducerEpoch, o.BaseSequence = 5, 0, 0
	put(t, l, o, kv{"a", "1"}, kv{"b", "1"})
	put(t, l, record.NewOptions(), kv{"a", "2"}, kv{"b", "2"})
	roll(t, l)
	b.cleanAt(now)
	check(t, l, "2:a=2 3:b=2")
	if first := batches(t, l)[0]; first.Count() != 0 || first.LastSequence() != 1 || first.ProducerID() != 5 {
		t.Errorf("the producer's batch is gone")
	}
}

func TestMapTooSmallForOneBatch(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	b.set.DedupeBufferBytes = 1
	l := b.log("t")
	var records []kv
	want := ""
	for i := range 7 {
		records = append(records, kv{fmt.Sprint("k", i), "1"})
	}
	for i := range 7 {
		records = append(records, kv{fmt.Sprint("k", i), "2"})
		want += fmt.Sprintf("%d:k%d=2 ", i+7, i)
	}
	put(t, l, record.NewOptions(), records...)
	roll(t, l)
	if n := b.cleanAt(now); n != 1 {
		t.Errorf("%d runs", n)
	}
	check(t, l, want[:len(want)-1])
}

// A dirty section without any key must not be looked at again and again
// (KAFKA-8764).
func TestSectionWithoutKeysEnds(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	l := b.log("t")
	put(t, l, txn(9, 0), kv{"a", "1"})
	roll(t, l)
	mark(t, l, 9, record.Abort)
	roll(t, l)
	if n := b.cleanAt(now); n != 1 || l.CleanedOffset() != 2 {
		t.Errorf("%d cleanings, up to %d", n, l.CleanedOffset())
	}
}

func TestOffsetsBeyond31Bits(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	l := b.log("t")
	for i, offset := range []int64{0, 10, 1 << 31, 1<<31 + 10, 1 << 33} {
		o := record.NewOptions()
		o.BaseOffset = offset
		var w record.Builder
		w.Reset(o)
		w.Append(now.UnixMilli(), fmt.Appendf(nil, "k%d", i%2), []byte("v"))
		data, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendAsFollower(data); err != nil {
			t.Fatal(err)
		}
		roll(t, l)
	}
	b.cleanAt(now)
	check(t, l, "2147483658:k1=v 8589934592:k0=v")
	for _, g := range groups(mustSegments(t, l), l.EndOffset(), l.Config()) {
		if g.to-1-g.from > math.MaxInt32 && g.size > 0 {
			t.Errorf("group %+v", g)
		}
	}
}

func mustSegments(t testing.TB, l *commitlog.Log) []commitlog.SegmentInfo {
	t.Helper()
	list, err := l.Segments()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestDamageStopsOnePartitionOnly(t *testing.T) {
	dir := t.TempDir()
	b := newBed(t, vfs.OS{}, dir, compacted())
	bad, good := b.log("bad"), b.log("good")
	for _, l := range []*commitlog.Log{bad, good} {
		put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"a", "2"})
		roll(t, l)
	}
	f, err := os.OpenFile(filepath.Join(bad.Path(), "00000000000000000000.log"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xff}, 70); err != nil {
		t.Fatal(err)
	}
	f.Close()
	b.cleanAt(now)
	check(t, good, "1:a=2")
	if err := b.c.Uncleanable(bad.Partition()); !errors.Is(err, commitlog.ErrCorruptBatch) {
		t.Errorf("uncleanable: %v", err)
	}
	if n := gauge(t, b.reg, "kafka_log_logcleanermanager_uncleanable_partitions_count"); n != 1 {
		t.Errorf("metric says %v", n)
	}
	if _, err := os.Stat(filepath.Join(bad.Path(), "00000000000000000000.log.cleaned")); err == nil {
		t.Error("an unfinished file stays")
	}
	if err := b.m.Close(1); err != nil {
		t.Fatal(err)
	}
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return math.NaN()
}

func TestLags(t *testing.T) {
	b := newBed(t, vfs.NewMem(), "/d", compacted())
	l := b.log("t")
	cfg := l.Config()
	cfg.MinCompactionLagMs, cfg.MinCleanableDirtyRatio = 5000, 1
	l.Configure(cfg)
	put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"a", "2"})
	if b.cleanAt(now.Add(time.Hour)) != 0 {
		t.Error("cleaned below the dirty ratio")
	}
	cfg.MaxCompactionLagMs = 10_000
	l.Configure(cfg)
	if b.cleanAt(now.Add(4*time.Second)) != 0 || b.cleanAt(now.Add(9*time.Second)) != 0 {
		t.Error("cleaned too early")
	}
	b.cleanAt(now.Add(11 * time.Second)) // seals the active segment, too
	check(t, l, "1:a=2")
}

func TestPolicyRemovedInMidRun(t *testing.T) {
	fsys := vfs.NewMem()
	b := newBed(t, fsys, "/d", compacted())
	l := b.log("t")
	put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"a", "2"})
	roll(t, l)
	fsys.Observe(func(c vfs.Call) {
		if filepath.Ext(c.Name) == ".cleaned" {
			cfg := l.Config()
			cfg.Compact, cfg.Delete = false, true
			l.Configure(cfg)
		}
	})
	b.cleanAt(now)
	fsys.Observe(nil)
	check(t, l, "0:a=1 1:a=2")
	if err := b.c.Uncleanable(l.Partition()); err != nil || l.CleanedOffset() >= 0 {
		t.Error(err, l.CleanedOffset())
	}
}

func TestTruncationInMidRun(t *testing.T) {
	fsys := vfs.NewMem()
	b := newBed(t, fsys, "/d", compacted())
	l := b.log("t")
	put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"a", "2"})
	roll(t, l)
	put(t, l, record.NewOptions(), kv{"a", "3"})
	roll(t, l)
	once := false
	fsys.Observe(func(c vfs.Call) {
		if filepath.Ext(c.Name) == ".cleaned" && !once {
			once = true
			if err := l.TruncateTo(2); err != nil {
				t.Error(err)
			}
		}
	})
	b.c.Step(t.Context(), now)
	fsys.Observe(nil)
	if err := b.c.Uncleanable(l.Partition()); err != nil {
		t.Error(err)
	}
	check(t, l, "0:a=1 1:a=2")
}

// Whatever point a deletion of the log reaches the cleaner at, folder and all,
// the directory stays on line.
func TestDeletionInMidRun(t *testing.T) {
	for calls := 0; ; calls++ {
		fsys := vfs.NewMem()
		cfg := compacted()
		cfg.FileDeleteDelayMs = 0
		b := newBed(t, fsys, "/d", cfg)
		l := b.log("t")
		l.Configure(cfg)
		b.set.IOBufferBytes = 1
		for range 3 {
			put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"b", string(bytes.Repeat([]byte("v"), 6000))})
			roll(t, l)
		}
		n, inside, deleted := 0, false, make(chan error, 1)
		remove := func() {
			deleted <- errors.Join(b.m.Delete(l.Partition()), fsys.RemoveAll(l.Path()))
		}
		fsys.Observe(func(c vfs.Call) {
			if inside || !c.Op.Mutates() {
				return
			}
			if n++; n != calls+1 {
				return
			}
			inside = true
			if filepath.Ext(c.Name) == ".cleaned" && c.Op != vfs.OpRename {
				remove()
			} else {
				go remove() // what is under way goes first
			}
		})
		b.c.Step(t.Context(), now)
		fsys.Observe(nil)
		if n <= calls {
			if calls < 20 {
				t.Errorf("only %d calls", calls)
			}
			return
		}
		if err := <-deleted; err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
		if err := b.m.Dirs()[0].Err; err != nil {
			t.Fatalf("call %d: %v", calls, err)
		}
		if err := b.c.Uncleanable(l.Partition()); err != nil {
			t.Errorf("call %d: %v", calls, err)
		}
	}
}

// More threads start and surplus ones end while the cleaner runs.
func TestThreadsFollowSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var threads atomic.Int64
		threads.Store(1)
		c, err := NewCleaner(Config{
			Settings:      func() Settings { s := DefaultSettings(); s.Threads = int(threads.Load()); return s },
			Logs:          func() []*commitlog.Log { return nil },
			HighWatermark: func(*commitlog.Log) (int64, bool) { return 0, false },
		}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		for _, want := range []int{1, 4, 2, 0} {
			threads.Store(int64(want))
			time.Sleep(20 * time.Second)
			synctest.Wait()
			c.mu.Lock()
			if have := c.workers; have != max(1, want) {
				t.Errorf("%d threads, want %d", have, want)
			}
			c.mu.Unlock()
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// Under compact,delete old segments go as a whole and the rest is compacted.
func TestCompactAndDelete(t *testing.T) {
	cfg := compacted()
	cfg.Delete, cfg.RetentionMs = true, 60_000
	b := newBed(t, vfs.NewMem(), "/d", cfg)
	l := b.log("t")
	l.Configure(cfg)
	put(t, l, record.NewOptions(), kv{"a", "1"}, kv{"b", "1"}, kv{"b", "2"})
	roll(t, l)
	b.cleanAt(now)
	check(t, l, "0:a=1 2:b=2")
	var w record.Builder
	w.Reset(record.NewOptions())
	w.Append(now.UnixMilli()+50_000, []byte("c"), []byte("1"))
	w.Append(now.UnixMilli()+50_000, []byte("c"), []byte("2"))
	data, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAsLeader(data, 0, commitlog.AppendOptions{Now: now.UnixMilli()}); err != nil {
		t.Fatal(err)
	}
	roll(t, l)
	r := Retention{HighWatermark: func(l *commitlog.Log) (int64, bool) { return l.EndOffset(), true }}
	if n, err := r.Apply(l, now.Add(61*time.Second)); n != 1 || err != nil {
		t.Errorf("%d segments deleted, %v", n, err)
	}
	b.cleanAt(now)
	check(t, l, "4:c=2")
}

func TestThrottle(t *testing.T) {
	var th throttle
	if d := th.delay(100, 100, now); d != 0 {
		t.Errorf("the first second's worth waits %v", d)
	}
	if d := th.delay(50, 100, now); d != 500*time.Millisecond {
		t.Errorf("waits %v", d)
	}
	if d := th.delay(50, 100, now.Add(time.Second)); d != 0 {
		t.Errorf("waits %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := th.wait(ctx, 1<<40, 1); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestKeyMap(t *testing.T) {
	const base = 1 << 50
	at := func(key string, offset int64) seen {
		hash, check := digest([]byte(key))
		return seen{hash, check, offset}
	}
	for _, budget := range []int64{1, 100, 24 * 1000, 24 * 300_000} {
		m := newKeyMap(budget, base, 1<<40, 1)
		n := int64(0)
		for full := false; !full; n++ {
			before, ok := m.put(at(fmt.Sprint("key ", n), base+n))
			if full = !ok; before != -1 {
				t.Fatalf("key %d is at %d already", n, before)
			}
		}
		n--
		if n < 1 || n < budget/24-1 {
			t.Errorf("%d keys in %d bytes: more than 24 B per key", n, budget)
		}
		for i := range n {
			if got := m.last(fmt.Append(nil, "key ", i)); got != base+i {
				t.Fatalf("key %d at %d", i, got)
			}
		}
		if m.last([]byte("other")) != -1 || m.fill() != 1 {
			t.Errorf("other is at %d, fill is %v", m.last([]byte("other")), m.fill())
		}
		if before, ok := m.put(at("key 0", base+n)); before != base || !ok || m.last([]byte("key 0")) != base+n {
			t.Error("a full map does not look up or update")
		}
		if _, ok := m.put(at("key 0", base+1<<40)); ok {
			t.Error("an offset too far off is taken")
		}
	}
}

func TestSuperseded(t *testing.T) {
	s := newSuperseded(16, 100, 1000)
	for _, offset := range []int64{99, 100, 163, 164, 227, 228, 999} {
		s.mark(offset)
	}
	for offset := int64(98); offset < 230; offset++ {
		if covered := offset >= 100 && offset < 228; s.covers(offset) != covered {
			t.Errorf("%d covered: %v", offset, !covered)
		} else if covered && s.has(offset) != (offset == 100 || offset == 163 || offset == 164 || offset == 227) {
			t.Errorf("%d is marked: %v", offset, s.has(offset))
		}
	}
	if none := newSuperseded(7, 100, 1000); none.covers(100) || none.size() != 0 {
		t.Error("no memory covers something")
	}
	if few := newSuperseded(1<<20, 100, 110); few.size() != 8 {
		t.Errorf("10 offsets take %d bytes", few.size())
	}
}

// More keys than a small map holds, and more than a large one begins with: the
// last record of each key stays and no other, whether the memory reaches for one
// pass or for many, for marks of all dirty records, of a few, or of none.
func TestManyKeys(t *testing.T) {
	for _, tt := range []struct {
		budget        int64
		keys, records int
	}{{128 << 20, 60_000, 100_000}, {256 << 10, 60_000, 100_000}, {200, 120, 200}} {
		b := newBed(t, vfs.NewMem(), "/d", compacted())
		b.set.DedupeBufferBytes = tt.budget
		l := b.log("t")
		last := make([]int64, tt.keys)
		for round := range 2 { // the second meets records that were compacted before
			for n := 0; n < tt.records; {
				var some []kv
				for range 100 {
					i := (n*7919 + round) % tt.keys
					last[i] = l.EndOffset() + int64(len(some))
					some = append(some, kv{fmt.Sprint("key ", i), "v"})
					n++
				}
				put(t, l, record.NewOptions(), some...)
			}
			roll(t, l)
			for b.c.Step(t.Context(), now) {
			}
			kept := 0
			for _, batch := range batches(t, l) {
				var it record.Iterator
				_ = it.Reset(batch, 0)
				for ; it.Next(); kept++ {
					var i int
					if _, err := fmt.Sscanf(string(it.Record.Key), "key %d", &i); err != nil || last[i] != it.Record.Offset {
						t.Fatalf("budget %d: %s at %d, last at %d (%v)", tt.budget, it.Record.Key, it.Record.Offset, last[i], err)
					}
				}
				it.Close()
			}
			if kept != tt.keys {
				t.Errorf("budget %d: %d records of %d keys", tt.budget, kept, tt.keys)
			}
		}
		if err := b.m.Close(1); err != nil {
			t.Fatal(err)
		}
	}
}

// Readers, appends and compaction at once on the real disk; every reader sees
// each key's last value.
func TestReadersThroughCleanedSegments(t *testing.T) {
	cfg := compacted()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 8<<10, 64
	b := newBed(t, vfs.OS{}, t.TempDir(), cfg)
	l := b.log("t")
	l.Configure(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		for ctx.Err() == nil {
			b.c.Step(ctx, now)
		}
	})
	for range 2 {
		group.Go(func() {
			for ctx.Err() == nil {
				last := int64(-1)
				for _, batch := range batches(t, l) {
					if batch.BaseOffset() <= last || batch.CheckCRC() != nil {
						t.Errorf("batch %d after %d", batch.BaseOffset(), last)
						return
					}
					last = batch.LastOffset()
				}
				if _, _, err := l.OffsetForTimestamp(now.UnixMilli(), l.EndOffset()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	want := map[string]string{}
	for i := range 3000 {
		r := kv{fmt.Sprint("k", i%50), fmt.Sprintf("%0*d", i%90, i)}
		want[r.key] = r.value
		put(t, l, record.NewOptions(), r)
	}
	cancel()
	group.Wait()
	got := map[string]string{}
	for _, batch := range batches(t, l) {
		var it record.Iterator
		_ = it.Reset(batch, 0)
		for it.Next() {
			got[string(it.Record.Key)] = string(it.Record.Value)
		}
		it.Close()
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is %q, want %q", k, got[k], v)
		}
	}
	if err := b.m.Close(1); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkCompact cleans uncompressed records of 130 bytes: a few keys, whose
// map fits the cache of a processor, and a million, whose map does not. The
// figures are per byte of the dirty log and per record.
func BenchmarkCompact(b *testing.B) {
	for _, shape := range []struct{ records, keys int }{{200_000, 20_000}, {3_000_000, 1_000_000}} {
		b.Run(fmt.Sprintf("keys=%d", shape.keys), func(b *testing.B) { benchmarkCompact(b, shape.records, shape.keys) })
	}
}

func benchmarkCompact(b *testing.B, records, keys int) {
	value := bytes.Repeat([]byte("v"), 106)
	cfg := compacted()
	cfg.SegmentBytes = 64 << 20
	var size int64
	b.ReportAllocs()
	for range b.N {
		b.StopTimer()
		bed := newBed(b, vfs.OS{}, b.TempDir(), cfg)
		l := bed.log("t")
		l.Configure(cfg)
		var w record.Builder
		for i := 0; i < records; i += 100 {
			w.Reset(record.NewOptions())
			for j := range 100 {
				w.Append(now.UnixMilli(), fmt.Appendf(nil, "key-%012d", (i+j)*7919%keys), value)
			}
			data, err := w.Build(nil)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := l.AppendAsLeader(data, 0, commitlog.AppendOptions{Now: now.UnixMilli()}); err != nil {
				b.Fatal(err)
			}
		}
		roll(b, l)
		size = l.Size()
		b.StartTimer()
		if !bed.c.Step(b.Context(), now) {
			b.Fatal("nothing was cleaned")
		}
		b.StopTimer()
		if err := bed.m.Close(1); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.SetBytes(size)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(records), "ns/record")
}
