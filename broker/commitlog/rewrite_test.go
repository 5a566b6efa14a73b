package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// segmented gives a log of n sealed segments with three batches each, an aborted
// transaction among them, and a batch in the active segment.
func segmented(t testing.TB, fsys vfs.FS, n int) (*Manager, *Log) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.IndexIntervalBytes, cfg.Compact = 50, true
	m, l := openTest(t, fsys, cfg)
	for i := range n {
		opts := record.NewOptions()
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = 7, 0, int32(i*2), true
		mustAppend(t, l, makeBatch(t, opts, testNow.UnixMilli()+int64(i), "x", strings.Repeat("y", 30*i)), OriginCoordinator)
		marker, err := record.AppendMarker(nil, 7, 0, testNow.UnixMilli(), record.Marker{Type: record.MarkerType(i % 2)})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, marker, OriginCoordinator)
		mustAppend(t, l, plain(t, fmt.Sprint(i)), OriginCoordinator)
		if err := l.Roll(testNow); err != nil {
			t.Fatal(err)
		}
	}
	mustAppend(t, l, plain(t, "active"), OriginCoordinator)
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	return m, l
}

// everything gives all bytes of a log and its aborted transactions.
func everything(t testing.TB, l *Log) string {
	t.Helper()
	var out bytes.Buffer
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
			out.Write(b)
			offset, data = b.LastOffset()+1, rest
		}
	}
	aborted, err := l.AbortedTransactions(0, l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(&out, aborted)
	return out.String()
}

// copyAll rewrites the segments in [from, to) with the same batches.
func copyAll(t testing.TB, l *Log, from, to, limit int64) error {
	t.Helper()
	w, err := l.BeginRewrite(from, to, 64)
	if err != nil {
		return err
	}
	defer w.Abandon()
	w.limit = limit
	aborted, err := l.AbortedTransactions(0, l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	for {
		b, err := w.Next()
		if err == io.EOF {
			return w.Commit()
		}
		if err != nil {
			return err
		}
		if err := w.Append(b); err != nil {
			return err
		}
		for _, a := range aborted {
			if a.LastOffset == b.LastOffset() {
				w.Aborted(a)
			}
		}
	}
}

// A rewrite that changes nothing changes nothing, wherever it is cut off; with
// a small limit the result takes several segments, as when compression gets
// worse (KAFKA-20036).
func TestRewriteCrash(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fsys := vfs.NewMem()
		m, l := segmented(t, fsys, 5)
		if seed%2 == 0 {
			if err := m.Checkpoint(); err != nil {
				t.Fatal(err)
			}
		}
		want := everything(t, l)
		var clones []*vfs.Mem
		fsys.Observe(func(c vfs.Call) {
			if c.Op.Mutates() {
				clones = append(clones, fsys.Crash(rng))
			}
		})
		limit := []int64{1 << 30, 200, 500}[seed%3]
		if err := copyAll(t, l, 4, 16, limit); err != nil {
			t.Fatal(err)
		}
		fsys.Observe(nil)
		clones = append(clones, fsys.Crash(rng))
		if got := everything(t, l); got != want {
			t.Fatal("contents changed")
		}
		if n := len(*l.segments.Load()); limit == 1<<30 && n != 4 || limit < 1<<30 && n <= 4 {
			t.Errorf("%d segments with limit %d", n, limit)
		}
		for i, c := range clones {
			m, l := openTest(t, c, l.Config())
			if got := everything(t, l); got != want {
				t.Fatalf("seed %d, crash %d of %d: contents changed", seed, i, len(clones))
			}
			w := &world{t: t, fs: c, cfg: l.Config()}
			w.checkIndexes(l)
			checkTidy(t, c, l)
			if err := m.Close(1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkTidy looks for files of unfinished work.
func checkTidy(t *testing.T, fsys vfs.FS, l *Log) {
	t.Helper()
	entries, err := fsys.ReadDir(l.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), format.CleanedSuffix) || strings.HasSuffix(e.Name(), format.SwapSuffix) {
			t.Errorf("%s is left over", e.Name())
		}
	}
}

func TestRewriteDiskErrors(t *testing.T) {
	for _, rule := range []vfs.Rule{
		{Op: vfs.OpWrite, Glob: "*.cleaned", Err: syscall.ENOSPC},
		{Op: vfs.OpWrite, Glob: "*.log.cleaned", Err: syscall.EIO},
		{Op: vfs.OpSync, Glob: "*.cleaned", Err: syscall.EIO},
		{Op: vfs.OpOpen, Glob: "*.cleaned", Err: syscall.ENOSPC},
		{Op: vfs.OpRename, Glob: "*.swap", Err: syscall.EIO},
		{Op: vfs.OpRename, Glob: "*.deleted", Skip: 2, Err: syscall.EIO},
		{Op: vfs.OpRename, Glob: "*.timeindex", Err: syscall.EIO},
		{Op: vfs.OpRead, Glob: "*.log", Skip: 1, Err: syscall.EIO},
	} {
		fsys := vfs.NewMem()
		_, l := segmented(t, fsys, 3)
		want := everything(t, l)
		fsys.Inject(&rule)
		err := copyAll(t, l, 0, 12, 1<<30)
		fsys.Heal()
		if !errors.Is(err, ErrStorage) {
			t.Errorf("%+v gives %v", rule, err)
		}
		if full := errors.Is(rule.Err, syscall.ENOSPC); full && (l.usable() != nil || everything(t, l) != want) {
			t.Errorf("%+v: a full volume disturbs the log", rule)
		}
		_, again := openTest(t, fsys.Crash(rand.New(rand.NewPCG(1, 1))), l.Config())
		if everything(t, again) != want {
			t.Errorf("%+v: contents changed", rule)
		}
	}
}

func TestRewriteOfChangedSegments(t *testing.T) {
	fsys := vfs.NewMem()
	_, l := segmented(t, fsys, 4)
	w, err := l.BeginRewrite(0, 8, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.DeleteSegments(4); err != nil {
		t.Fatal(err)
	}
	want := everything(t, l)
	if err := w.Commit(); !errors.Is(err, ErrSegmentsChanged) {
		t.Errorf("commit: %v", err)
	}
	w.Abandon()
	if everything(t, l) != want {
		t.Error("contents changed")
	}
	checkTidy(t, fsys, l)
}

// A segment that lacks its last offsets is followed by the next one where
// compaction may have taken them; anywhere else the log ends there.
func TestHolesOfCompaction(t *testing.T) {
	for _, c := range []struct {
		compact bool
		cleaned int64
		end     int64
	}{{true, -1, 9}, {false, 8, 9}, {false, 3, 3}, {false, -1, 3}} {
		fsys := vfs.NewMem()
		_, l := segmented(t, fsys, 2)
		w, err := l.BeginRewrite(0, 4, 100)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // all but the last batch
			b, err := w.Next()
			if err == nil {
				err = w.Append(b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(); err != nil {
			t.Fatal(err)
		}
		if c.cleaned >= 0 {
			if err := l.SetCleanedOffset(c.cleaned, l.Truncations()); err != nil {
				t.Fatal(err)
			}
		}
		if err := fsys.Remove("/data/" + format.RecoveryPointFile); err != nil {
			t.Fatal(err)
		}
		cfg := l.Config()
		cfg.Compact = c.compact
		_, l = openTest(t, fsys.Crash(rand.New(rand.NewPCG(1, 1))), cfg)
		if l.EndOffset() != c.end {
			t.Errorf("%+v: log ends at %d", c, l.EndOffset())
		}
	}
}

// A copy that jumps over offsets has no hole between segments.
func TestFollowerOfCompactedLog(t *testing.T) {
	fsys := vfs.NewMem()
	cfg := DefaultConfig()
	cfg.SegmentBytes = 100
	_, l := openTest(t, fsys, cfg)
	for _, offset := range []int64{3, 10, 20, 1 << 40} {
		o := record.NewOptions()
		o.BaseOffset = offset
		if _, err := l.AppendAsFollower(makeBatch(t, o, testNow.UnixMilli(), strings.Repeat("v", 80))); err != nil {
			t.Fatal(err)
		}
	}
	var bases []int64
	for _, s := range *l.segments.Load() {
		bases = append(bases, s.base)
	}
	if fmt.Sprint(bases) != fmt.Sprint([]int64{0, 4, 11, 1 << 40}) {
		t.Errorf("segments begin at %d", bases)
	}
}

func TestCleanedOffsetSurvives(t *testing.T) {
	fsys := vfs.NewMem()
	m, l := segmented(t, fsys, 3)
	if l.CleanedOffset() != -1 {
		t.Errorf("new log is cleaned to %d", l.CleanedOffset())
	}
	if err := l.SetCleanedOffset(8, 0); err != nil {
		t.Fatal(err)
	}
	data, err := vfs.ReadFile(fsys, "/data/"+format.CleanerOffsetFile, 1000)
	if err != nil || string(data) != "0\n1\nt 0 8\n" {
		t.Errorf("checkpoint %q, %v", data, err)
	}
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
	_, l = openTest(t, fsys, l.Config())
	if l.CleanedOffset() != 8 {
		t.Errorf("cleaned to %d after opening", l.CleanedOffset())
	}
	cuts := l.Truncations()
	if err := l.TruncateTo(5); err != nil {
		t.Fatal(err)
	}
	if err := l.SetCleanedOffset(8, cuts); !errors.Is(err, ErrSegmentsChanged) {
		t.Errorf("cleaned over a truncation: %v", err)
	}
	_, l = openTest(t, fsys.Crash(rand.New(rand.NewPCG(1, 1))), l.Config())
	if l.CleanedOffset() > 5 {
		t.Errorf("cleaned to %d of %d", l.CleanedOffset(), l.EndOffset())
	}
}

// A record without key is refused by name on a compacted topic, whatever
// record.validation says, and compressed or not.
func TestCompactedTopicsNeedKeys(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Compact, cfg.TimestampAfterMaxMs = true, 1<<60
	_, l := openTest(t, vfs.NewMem(), cfg)
	for _, c := range []record.Compression{record.None, record.Zstd} {
		opts := record.NewOptions()
		opts.Compression = c
		var b record.Builder
		b.Reset(opts)
		b.Append(1, []byte("k"), []byte("v"))
		b.Append(1, nil, []byte("v"))
		b.Append(1, []byte{}, []byte("v"))
		data, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.AppendAsLeader(data, 0, AppendOptions{Now: testNow.UnixMilli()})
		var invalid *record.InvalidError
		if !errors.As(err, &invalid) || len(invalid.Records) != 1 || invalid.Records[0].Index != 1 || !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// Every operation of a rewrite fails once, on a bad disk and on a full one. The
// log holds the same afterwards, and after a restart; where the directory is
// still on line, the next rewrite succeeds.
func TestRewriteErrorAtEveryOperation(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for _, limit := range []int64{1 << 30, 200} {
			failures := 0
			for skip := 0; ; skip++ {
				fsys := vfs.NewMem()
				m, l := segmented(t, fsys, 4)
				want := everything(t, l)
				if err := m.Checkpoint(); err != nil { // recovery will trust the index files
					t.Fatal(err)
				}
				rule := &vfs.Rule{Skip: skip, Times: 1, Err: cause}
				fsys.Inject(rule)
				err := copyAll(t, l, 4, 12, limit)
				fsys.Heal()
				if err != nil {
					failures++
				} else if failures > 0 && skip > 250 {
					break // an error at the end, of what may fail
				}
				if l.OffLine() == nil {
					if everything(t, l) != want {
						t.Fatalf("%v at operation %d: contents changed", cause, skip)
					}
					if err := copyAll(t, l, 4, 12, limit); err != nil {
						t.Errorf("%v at operation %d: the next rewrite gives %v", cause, skip, err)
					}
				}
				_, again := openTest(t, fsys.Crash(rand.New(rand.NewPCG(uint64(skip), 1))), l.Config())
				if everything(t, again) != want {
					t.Fatalf("%v at operation %d, limit %d: contents changed after a restart", cause, skip, limit)
				}
			}
			if failures < 20 {
				t.Errorf("only %d failures", failures)
			}
		}
	}
}
