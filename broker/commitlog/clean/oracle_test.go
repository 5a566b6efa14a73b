package clean

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this one seed of the oracle test")
	seedsFlag = flag.Int("seeds", 8, "number of seeds of the oracle test")
)

// TestOracle appends plain, idempotent and transactional records, compacts under
// changing configurations while more is appended, crashes at operations of the
// disk, and compares what a reader sees with a map of last values. A failing
// seed is printed and replays with -seed.
func TestOracle(t *testing.T) {
	first, n := uint64(1), *seedsFlag
	if *seedFlag != 0 {
		first, n = *seedFlag, 1
	}
	var dropped, cleanings, crashes int
	for seed := first; seed < first+uint64(n); seed++ {
		w := newWorld(t, seed)
		for range 50 {
			w.step()
			if t.Failed() {
				t.Fatalf("replay with: go test ./broker/commitlog/clean -run TestOracle -seed %d", seed)
			}
		}
		dropped, cleanings, crashes = dropped+w.dropped, cleanings+w.cleanings, crashes+w.crashes
	}
	if dropped < 40*n || cleanings < 2*n || crashes < 50*n {
		t.Errorf("%d seeds: %d records dropped in %d compactions, %d crashes: the test tests nothing", n, dropped, cleanings, crashes)
	}
}

// entry is a record or marker as it was appended.
type entry struct {
	offset, ts int64
	key, value []byte
	pid        int64 // -1: none
	seq        int32
	txn        bool
	marker     bool
	commit     bool
	appended   int64 // ms
}

// history is all that was appended, by offset.
type history []entry

// outcome tells of each record whether it is effective (plain or committed) and
// whether that is decided; the last stable offset follows.
func (h history) outcome() (effective, decided []bool, stable int64) {
	effective, decided = make([]bool, len(h)), make([]bool, len(h))
	open := map[int64][]int{}
	for i, e := range h {
		switch {
		case e.marker:
			for _, j := range open[e.pid] {
				effective[j], decided[j] = e.commit, true
			}
			delete(open, e.pid)
		case e.txn:
			open[e.pid] = append(open[e.pid], i)
		default:
			effective[i], decided[i] = true, true
		}
	}
	stable = int64(len(h))
	for _, list := range open {
		stable = min(stable, int64(list[0]))
	}
	return effective, decided, stable
}

type world struct {
	t        *testing.T
	seed     uint64
	rng      *rand.Rand
	fs       *vfs.Mem
	cfg      commitlog.Config
	m        *commitlog.Manager
	log      *commitlog.Log
	h        history
	start    int64
	hw       int64
	now      int64 // ms
	shortest int64 // smallest delete.retention.ms so far
	seqs     map[int64]int32
	trace    []string

	dropped, cleanings, crashes int
}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 3))
	cfg := commitlog.DefaultConfig()
	cfg.Compact, cfg.Delete = true, false
	cfg.FlushMessages = 1
	cfg.TimestampAfterMaxMs = 1 << 60
	w := &world{t: t, seed: seed, rng: rng, fs: vfs.NewMem(), cfg: cfg, now: now.UnixMilli(), shortest: 1 << 60, seqs: map[int64]int32{}}
	w.reconfigure()
	w.m, w.log = w.open(w.fs)
	return w
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: %s\n%v", w.seed, fmt.Sprintf(format, args...), w.trace[max(0, len(w.trace)-12):])
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...)+"\n")
}

func (w *world) reconfigure() {
	w.cfg.SegmentBytes = int32(1000 + w.rng.IntN(4000))
	w.cfg.IndexIntervalBytes = int32(w.rng.IntN(600))
	w.cfg.DeleteRetentionMs = int64(w.rng.IntN(4) * 1000)
	w.cfg.MinCompactionLagMs = int64(w.rng.IntN(3) * w.rng.IntN(2) * 1000)
	w.cfg.MinCleanableDirtyRatio = []float64{0, 0.3, 0.6}[w.rng.IntN(3)]
	w.cfg.MaxCompactionLagMs = []int64{1 << 62, 5000}[w.rng.IntN(2)]
	w.cfg.MaxCompactionLagMs = max(w.cfg.MaxCompactionLagMs, w.cfg.MinCompactionLagMs)
	w.cfg.Compact = w.rng.IntN(8) > 0
	w.shortest = min(w.shortest, w.cfg.DeleteRetentionMs)
	if w.log != nil {
		w.log.Configure(w.cfg)
	}
	w.note("configure %+v", w.cfg)
}

func (w *world) open(fsys *vfs.Mem) (*commitlog.Manager, *commitlog.Log) {
	w.t.Helper()
	m, err := commitlog.OpenManager(w.t.Context(), commitlog.ManagerConfig{
		Dirs: []string{"/d"}, FS: fsys, Defaults: w.cfg, ProducerIDExpiration: 1 << 62,
	}, nil, nil)
	if err != nil {
		w.t.Fatalf("seed %d: open: %v\n%v", w.seed, err, w.trace)
	}
	l, err := m.GetOrCreate(record.TopicPartition{Topic: "t"}, [16]byte{1}, w.cfg)
	if err != nil {
		w.t.Fatalf("seed %d: %v", w.seed, err)
	}
	return m, l
}

func (w *world) step() {
	w.now += int64(w.rng.IntN(800))
	switch n := w.rng.IntN(100); {
	case n < 50:
		for range 1 + w.rng.IntN(12) {
			w.append()
		}
	case n < 80:
		w.clean()
	case n < 85:
		w.reconfigure()
	case n < 90:
		w.now += 3000
	case n < 94:
		w.advance()
	default:
		w.note("close and open")
		if err := w.m.Close(1); err != nil {
			w.failf("close: %v", err)
		}
		w.m, w.log = w.open(w.fs)
	}
	w.check(w.log, w.h)
}

func (w *world) advance() {
	w.start += w.rng.Int64N(max(1, (w.hw-w.start)/4+1))
	w.note("start %d", w.start)
	if err := w.log.AdvanceStart(w.start); err != nil {
		w.failf("advance: %v", err)
	}
}

// append adds one batch of a random kind.
func (w *world) append() {
	opts := record.NewOptions()
	opts.Compression = record.Compression(w.rng.IntN(5) * w.rng.IntN(2))
	kind := w.rng.IntN(10)
	pid := int64(-1)
	if kind >= 4 {
		pid = int64(100 + w.rng.IntN(3))
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = pid, 0, w.seqs[pid]
		opts.Transactional = pid > 100
	}
	if kind == 9 && opts.Transactional {
		w.mark(pid)
		return
	}
	var b record.Builder
	b.Reset(opts)
	var fresh history
	for i := range 1 + w.rng.IntN(5) {
		e := entry{
			offset: int64(len(w.h) + i), ts: w.now + int64(w.rng.IntN(200)-100), key: fmt.Appendf(nil, "key%d", w.rng.IntN(12)),
			value: bytes.Repeat([]byte{byte(w.rng.IntN(256))}, w.rng.IntN(120)), pid: pid, txn: opts.Transactional, appended: w.now,
		}
		if w.rng.IntN(5) == 0 {
			e.value = nil
		}
		if pid >= 0 {
			e.seq = w.seqs[pid]
			w.seqs[pid]++
		}
		b.Append(e.ts, e.key, e.value, record.Header{Key: []byte("h"), Value: e.key})
		fresh = append(fresh, e)
	}
	data, err := b.Build(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(data, fresh)
}

func (w *world) mark(pid int64) {
	kind := record.MarkerType(w.rng.IntN(2))
	data, err := record.AppendMarker(nil, pid, 0, w.now, record.Marker{Type: kind})
	if err != nil {
		w.t.Fatal(err)
	}
	w.put(data, history{{offset: int64(len(w.h)), pid: pid, marker: true, commit: kind == record.Commit}})
}

func (w *world) put(data []byte, fresh history) {
	info, err := w.log.AppendAsLeader(data, 0, commitlog.AppendOptions{Origin: commitlog.OriginCoordinator, Now: w.now})
	if err != nil || info.FirstOffset != int64(len(w.h)) {
		w.failf("append at %d: %v", info.FirstOffset, err)
	}
	w.note("append %d+%d pid %d txn %v marker %v commit %v", info.FirstOffset, len(fresh), fresh[0].pid, fresh[0].txn, fresh[0].marker, fresh[0].commit)
	w.h = append(w.h, fresh...)
	if w.rng.IntN(4) > 0 {
		w.hw = int64(len(w.h))
	}
}

// clean lets the cleaner do one log, appending and crashing in between.
func (w *world) clean() {
	settings := DefaultSettings()
	settings.DedupeBufferBytes = []int64{1, 100, 1 << 20}[w.rng.IntN(3)]
	settings.IOBufferBytes = w.rng.IntN(20000)
	c, err := NewCleaner(Config{
		Settings:      func() Settings { return settings },
		Logs:          func() []*commitlog.Log { return []*commitlog.Log{w.log} },
		HighWatermark: func(*commitlog.Log) (int64, bool) { return w.hw, true },
	}, nil, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.rng.IntN(2) == 0 { // so that recovery trusts what lies below
		if err := w.m.Checkpoint(); err != nil {
			w.failf("checkpoint: %v", err)
		}
	}
	var clones []*vfs.Mem
	var ends []int
	every, calls, inside := 1+w.rng.IntN(3), 0, false
	w.fs.Observe(func(call vfs.Call) {
		if !call.Op.Mutates() || inside {
			return
		}
		if calls++; calls%every == 0 && len(clones) < 40 {
			clones, ends = append(clones, w.fs.Crash(w.rng)), append(ends, len(w.h))
		}
		if strings.Contains(call.Name, ".cleaned") || strings.Contains(call.Name, ".swap") {
			inside = true
			if w.rng.IntN(4) == 0 {
				w.append()
			}
			if w.rng.IntN(200) == 0 {
				w.reconfigure()
			}
			inside = false
		}
	})
	before, appended := w.count(), len(w.h)
	worked := c.Step(context.Background(), time.UnixMilli(w.now))
	w.fs.Observe(nil)
	w.note("compacted %v below %d", worked, w.log.CleanedOffset())
	if err := c.Uncleanable(w.log.Partition()); err != nil {
		w.failf("%v", err)
	}
	if worked {
		w.cleanings++
		w.dropped += before + len(w.h) - appended - w.count()
		if w.cfg.Compact {
			w.checkCompact()
		}
	}
	clones, ends = append(clones, w.fs.Crash(w.rng)), append(ends, len(w.h))
	for i, clone := range clones {
		w.crashes++
		if w.rng.IntN(4) == 0 { // so that producers are known from batches only
			w.removeSnapshots(clone)
		}
		m, l := w.open(clone)
		if l.EndOffset() < int64(ends[i]) || l.EndOffset() > int64(len(w.h)) {
			w.failf("after a crash the log ends at %d, acknowledged %d", l.EndOffset(), ends[i])
			return
		}
		w.check(l, w.h[:l.EndOffset()])
		if w.t.Failed() {
			return
		}
		if i == len(clones)-1 && w.rng.IntN(3) == 0 {
			w.note("go on from a crash")
			w.fs, w.m, w.log = clone, m, l
		}
	}
}

func (w *world) removeSnapshots(fsys *vfs.Mem) {
	dir := w.log.Path()
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		w.failf("%v", err)
	}
	for _, e := range entries {
		if name := filepath.Join(dir, e.Name()); filepath.Ext(name) == ".snapshot" {
			if err := fsys.Remove(name); err != nil {
				w.failf("%v", err)
			}
		}
	}
}

// count is the number of records that a reader finds.
func (w *world) count() int {
	n := 0
	w.walk(w.log, func(b record.Batch) { n += int(b.Count()) })
	return n
}

// walk reads the whole log in random pieces.
func (w *world) walk(l *commitlog.Log, use func(record.Batch)) {
	w.t.Helper()
	offset, end := l.StartOffset(), l.EndOffset()
	for offset < end {
		slice, err := l.Read(offset, 1+w.rng.IntN(3000), true, end)
		if err != nil || slice.Size() == 0 {
			w.failf("read at %d of [%d, %d): %d bytes, %v", offset, l.StartOffset(), end, slice.Size(), err)
			return
		}
		data, err := slice.Bytes(nil)
		slice.Release()
		if err != nil {
			w.failf("read: %v", err)
			return
		}
		for len(data) > 0 {
			b, rest, err := record.Next(data)
			if err != nil {
				break // cut at the end of the piece
			}
			if err := b.CheckCRC(); err != nil || b.LastOffset() < offset {
				w.failf("read at %d gives [%d, %d], %v", offset, b.BaseOffset(), b.LastOffset(), err)
				return
			}
			use(b)
			offset, data = b.LastOffset()+1, rest
		}
	}
}

// check compares what readers see with the history that the log should hold.
func (w *world) check(l *commitlog.Log, h history) {
	w.t.Helper()
	if l.EndOffset() != int64(len(h)) {
		w.failf("log ends at %d, want %d", l.EndOffset(), len(h))
		return
	}
	effective, decided, stable := h.outcome()
	if got := l.LastStableOffset(l.EndOffset()); got != max(stable, l.StartOffset()) && got != stable {
		w.failf("last stable offset %d, want %d", got, stable)
	}
	present := make([]bool, len(h))
	w.walk(l, func(b record.Batch) {
		var it record.Iterator
		defer it.Close()
		if err := it.Reset(b, 0); err != nil {
			w.failf("%v", err)
		}
		for it.Next() {
			r := &it.Record
			e := &h[r.Offset]
			present[r.Offset] = true
			if e.marker != b.IsControl() || !e.marker && (!bytes.Equal(e.key, r.Key) || !bytes.Equal(e.value, r.Value) ||
				(e.value == nil) != (r.Value == nil) || e.ts != r.Timestamp || r.HeaderCount != 1) || e.pid != b.ProducerID() {
				w.failf("record %d is %d %q=%q of %d, want %+v", r.Offset, r.Timestamp, r.Key, r.Value, b.ProducerID(), *e)
			}
		}
		if it.Err() != nil {
			w.failf("%v", it.Err())
		}
	})
	w.checkPresent(l, h, present, effective, decided)
	w.checkCommitted(l, h, effective, stable)
	w.checkProducers(l, h)
}

// checkPresent looks for records that had to stay.
func (w *world) checkPresent(l *commitlog.Log, h history, present, effective, decided []bool) {
	superseded := map[string]bool{}
	for i := len(h) - 1; i >= int(l.StartOffset()); i-- {
		e := &h[i]
		if e.marker || decided[i] && !effective[i] {
			continue
		}
		old := superseded[string(e.key)] || e.value == nil && w.now >= e.appended+w.shortest
		if !present[i] && (!old || !decided[i]) {
			w.failf("record %d (%s) is gone", i, e.key)
			return
		}
		if decided[i] {
			superseded[string(e.key)] = true
		}
	}
}

// checkCommitted reads as a consumer with isolation.level=read_committed does,
// and compares the last value of each key.
func (w *world) checkCommitted(l *commitlog.Log, h history, effective []bool, stable int64) {
	want, got := map[string]string{}, map[string]string{}
	for i := int(l.StartOffset()); i < int(stable); i++ {
		if e := &h[i]; !e.marker && effective[i] {
			set(want, e.key, e.value)
		}
	}
	aborted, err := l.AbortedTransactions(l.StartOffset(), l.EndOffset())
	if err != nil {
		w.failf("aborted: %v", err)
	}
	slices.SortFunc(aborted, func(a, b commitlog.AbortedTxn) int { return int(a.FirstOffset - b.FirstOffset) })
	skip := map[int64]bool{}
	w.walk(l, func(b record.Batch) {
		for len(aborted) > 0 && aborted[0].FirstOffset <= b.LastOffset() {
			skip[aborted[0].ProducerID] = true
			aborted = aborted[1:]
		}
		if b.IsControl() {
			if m, _, ok, err := b.ReadMarker(); err != nil || ok && m.Type == record.Abort {
				delete(skip, b.ProducerID())
			}
			return
		}
		if b.LastOffset() >= stable || b.IsTransactional() && skip[b.ProducerID()] {
			return
		}
		var it record.Iterator
		defer it.Close()
		_ = it.Reset(b, 0)
		for it.Next() {
			if it.Record.Offset >= l.StartOffset() {
				set(got, it.Record.Key, it.Record.Value)
			}
		}
	})
	for k := range want {
		if got[k] != want[k] {
			w.failf("%s has value %x, want %x", k, got[k], want[k])
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			w.failf("%s has value %x and should have none", k, got[k])
		}
	}
}

func set(m map[string]string, key, value []byte) {
	if value == nil {
		delete(m, string(key))
	} else {
		m[string(key)] = string(value)
	}
}

// checkProducers compares the sequence numbers that the log remembers.
func (w *world) checkProducers(l *commitlog.Log, h history) {
	last := map[int64]int32{}
	for _, e := range h {
		if e.pid >= 0 && !e.marker {
			last[e.pid] = e.seq
		}
	}
	for _, p := range l.Producers() {
		if want, ok := last[p.ProducerID]; ok && p.LastSequence != want {
			w.failf("producer %d has sequence %d, want %d", p.ProducerID, p.LastSequence, want)
		}
		delete(last, p.ProducerID)
	}
	if len(last) > 0 {
		w.failf("producers %v are forgotten", last)
	}
}

// checkCompact looks for what compaction should have removed below the cleaned
// offset.
func (w *world) checkCompact() {
	effective, _, _ := w.h.outcome()
	seen := map[string]int64{}
	w.walk(w.log, func(b record.Batch) {
		if b.IsControl() || b.LastOffset() >= w.log.CleanedOffset() {
			return
		}
		var it record.Iterator
		defer it.Close()
		_ = it.Reset(b, 0)
		for it.Next() {
			r := &it.Record
			if !effective[r.Offset] {
				w.failf("aborted record %d is still there", r.Offset)
			}
			if r.Offset < w.log.StartOffset() { // in the batch that contains the start; nobody sees it
				continue
			}
			if at, ok := seen[string(r.Key)]; ok {
				w.failf("key %s is at %d and at %d", r.Key, at, r.Offset)
			}
			seen[string(r.Key)] = r.Offset
		}
	})
}
