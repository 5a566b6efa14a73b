package commitlog

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "run this one seed of the metamorphic test")
	seedsFlag = flag.Int("seeds", 40, "number of seeds of the metamorphic test")
)

// TestMetamorphic runs random operations under random options against a log on
// a crashing disk and compares it with a model after each. A failing seed is
// printed and replays with -seed.
func TestMetamorphic(t *testing.T) {
	first, n := uint64(1), *seedsFlag
	if *seedFlag != 0 {
		first, n = *seedFlag, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		w := newWorld(t, seed)
		for range 60 {
			w.step()
			if t.Failed() {
				t.Fatalf("replay with: go test ./broker/commitlog -run TestMetamorphic -seed %d", seed)
			}
		}
	}
}

var world0 = record.TopicPartition{Topic: "t", Partition: 0}

// stored is one batch as the log must hold it.
type stored struct {
	base, last int64
	data       []byte
}

func (s *stored) String() string {
	if s == nil {
		return "none"
	}
	return fmt.Sprintf("[%d,%d]", s.base, s.last)
}

// model is what the log must contain.
type model struct {
	batches []stored
	start   int64
	end     int64
	flushed int64 // acknowledged as durable

	restarted bool // by the operation under way
}

func (m model) clone() model {
	m.batches = slices.Clone(m.batches)
	return m
}

func (m *model) truncate(offset int64) {
	for n := len(m.batches); n > 0 && m.batches[n-1].last >= offset; n-- {
		offset = min(offset, m.batches[n-1].base)
		m.batches = m.batches[:n-1]
	}
	m.end, m.flushed, m.start = min(m.end, offset), min(m.flushed, offset), min(m.start, offset)
}

// from is the first batch that ends at or after offset.
func (m model) from(offset int64) *stored {
	for i := range m.batches {
		if offset <= m.batches[i].last {
			return &m.batches[i]
		}
	}
	return nil
}

// hasIn tells whether a batch begins below end and ends at or after offset.
func (m model) hasIn(offset, end int64) bool {
	b := m.from(offset)
	return b != nil && b.base < end
}

type world struct {
	t     *testing.T
	seed  uint64
	rng   *rand.Rand
	fs    *vfs.Mem
	cfg   Config
	m     *Manager
	log   *Log
	model model
	epoch int32
	trace []string

	moving *Move // nil: none
}

func newWorld(t *testing.T, seed uint64) *world {
	rng := rand.New(rand.NewPCG(seed, 7))
	cfg := DefaultConfig()
	cfg.SegmentBytes = int32(400 + rng.IntN(4000))
	cfg.IndexIntervalBytes = int32(rng.IntN(500))
	cfg.SegmentIndexBytes = []int32{10 << 20, 64}[rng.IntN(2)]
	cfg.FlushMessages = []int64{1, 5, math.MaxInt64}[rng.IntN(3)]
	cfg.Preallocate = rng.IntN(2) == 0
	cfg.TimestampAfterMaxMs = math.MaxInt64
	w := &world{t: t, seed: seed, rng: rng, fs: vfs.NewMem(), cfg: cfg}
	w.m, w.log = w.open(w.fs)
	return w
}

func (w *world) failf(format string, args ...any) {
	w.t.Helper()
	w.t.Errorf("seed %d: %s\n%v", w.seed, fmt.Sprintf(format, args...), w.trace[max(0, len(w.trace)-15):])
}

func (w *world) open(fs *vfs.Mem) (*Manager, *Log) {
	w.t.Helper()
	m, err := OpenManager(w.t.Context(), ManagerConfig{
		Dirs: w.dirs(), FS: fs, BrokerID: 1, ClusterID: "c", Defaults: w.cfg, ProducerIDExpiration: 1 << 62,
		FileLimit: 2 * int(w.seed%3), // unknown, one file or two kept open
	}, nil, nil)
	if err != nil {
		w.t.Fatalf("seed %d: open: %v\n%v", w.seed, err, w.trace)
	}
	l, err := m.GetOrCreate(world0, [16]byte{1}, w.cfg)
	if err != nil {
		w.t.Fatalf("seed %d: create: %v", w.seed, err)
	}
	return m, l
}

// step does one operation, checks the log, and checks what crashes at some of
// its disk operations would have left; sometimes it goes on from such a crash.
func (w *world) step() {
	w.model.restarted = false
	if w.rng.IntN(30) == 0 {
		w.fail()
		return
	}
	before := w.model.clone()
	clones := w.crashes()
	w.operate()
	w.fs.Observe(nil)
	*clones = append(*clones, w.crash())
	w.check(w.log, w.model)
	for i, c := range *clones {
		m, l := w.open(c)
		w.checkCrash(l, before, w.model)
		if w.t.Failed() {
			return
		}
		if i == len(*clones)-1 && w.rng.IntN(6) == 0 {
			w.note("go on from a crash: end %d of %d, durable %d", l.EndOffset(), w.model.end, min(before.flushed, w.model.flushed))
			w.adopt(c, m, l, before)
		}
	}
}

// crashes collects what crashes at some of the disk operations to come would
// leave. Which ones follows from their files, not from their order: directories
// are opened and closed side by side.
func (w *world) crashes() *[]*vfs.Mem {
	var mu sync.Mutex
	out, seen, draw := new([]*vfs.Mem), map[string]uint64{}, w.rng.Uint64()
	every := 1 + draw%4
	w.fs.Observe(func(c vfs.Call) {
		if !c.Op.Mutates() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		h := fnv.New64a()
		name := filepath.Base(c.Name)
		name = name[strings.LastIndexByte(name, '-')+1:] // folders have random parts
		fmt.Fprint(h, draw, c.Op, name, seen[name])
		seen[name]++
		if h.Sum64()%every == 0 && len(*out) < 8 {
			*out = append(*out, w.fs.Crash(rand.New(rand.NewPCG(draw, h.Sum64()))))
		}
	})
	return out
}

// crash gives what a power cut now would leave.
func (w *world) crash() *vfs.Mem {
	return w.fs.Crash(rand.New(rand.NewPCG(w.rng.Uint64(), 1)))
}

// adopt goes on with a disk that a crash left.
func (w *world) adopt(fs *vfs.Mem, m *Manager, l *Log, before model) {
	for w.model.end < l.EndOffset() { // the crash was before a truncation
		w.model = before.clone()
		break
	}
	w.model.truncate(l.EndOffset())
	w.model.start = l.StartOffset()
	w.model.end, w.model.flushed = l.EndOffset(), min(w.model.flushed, l.EndOffset())
	w.fs, w.m, w.log, w.moving = fs, m, l, nil
	w.check(w.log, w.model)
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...)+"\n")
}

func (w *world) operate() {
	if w.more() {
		return
	}
	switch n := w.rng.IntN(100); {
	case n < 60:
		w.append()
	case n < 66:
		w.note("sync")
		if err := w.log.Sync(w.log.EndOffset()); err != nil {
			w.failf("sync: %v", err)
		}
		w.model.flushed = w.model.end
	case n < 72:
		w.truncate()
	case n < 76:
		w.note("checkpoint")
		if err := w.m.Checkpoint(); err != nil {
			w.failf("checkpoint: %v", err)
		}
	case n < 82:
		w.advance()
	case n < 86:
		w.deleteSegments()
	case n < 88:
		w.rewrite()
	case n < 91:
		w.note("background work")
		for _, d := range w.m.dirs {
			d.step(testNow)
		}
		w.model.flushed = max(w.model.flushed, w.log.FlushedOffset())
	case n < 95:
		w.note("close and open")
		if err := w.m.Close(3); err != nil {
			w.failf("close: %v", err)
		}
		w.m, w.log = w.open(w.fs)
		w.moving = nil
		w.model.reopened()
	default:
		w.epoch++
		w.note("epoch %d", w.epoch)
		if err := w.log.StartEpoch(w.epoch, w.log.EndOffset()); err != nil {
			w.failf("epoch: %v", err)
		}
	}
}

// batch makes a random batch: plain, idempotent, transactional or a marker,
// with the sequence that the model says comes next.
func (w *world) batch() []byte {
	opts := record.NewOptions()
	opts.Compression = record.Compression(w.rng.IntN(5) * w.rng.IntN(2))
	kind := w.rng.IntN(10)
	pid := int64(w.rng.IntN(3) + 100)
	state := entryOf(replayModel(w.model.batches), pid)
	if kind >= 9 && state != nil {
		b, err := record.AppendMarker(nil, pid, 0, testNow.UnixMilli(), record.Marker{Type: record.MarkerType(w.rng.IntN(2))})
		if err != nil {
			w.t.Fatal(err)
		}
		return b
	}
	if kind >= 3 {
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = pid, 0, 0
		if state != nil {
			opts.BaseSequence = record.AddSequence(state.LastSequence, 1)
		}
		opts.Transactional = pid == 101 || pid == 102
	}
	var b record.Builder
	b.Reset(opts)
	for range 1 + w.rng.IntN(4) {
		b.Append(testNow.UnixMilli()+int64(w.rng.IntN(5000)), nil, bytes.Repeat([]byte{byte(w.rng.IntN(256))}, w.rng.IntN(200)))
	}
	out, err := b.Build(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// append appends up to three batches one after the other, or a group of some.
func (w *world) append() {
	if w.rng.IntN(4) == 0 {
		w.appendGroup(2 + w.rng.IntN(5))
		return
	}
	n := 1 + w.rng.IntN(3)*w.rng.IntN(2)
	for range n {
		data := w.batch()
		if len(w.asStored(data)) > int(w.cfg.SegmentBytes) {
			continue
		}
		info, err := w.log.AppendAsLeader(data, w.epoch, AppendOptions{Origin: OriginCoordinator, Now: testNow.UnixMilli()})
		if err != nil {
			w.failf("append: %v", err)
			return
		}
		w.appended(info, w.asStored(data))
		if w.cfg.FlushMessages == 1 && w.log.FlushedOffset() != w.model.end {
			w.failf("flush.messages=1 and flushed %d of %d", w.log.FlushedOffset(), w.model.end)
		}
		w.model.flushed = max(w.model.flushed, w.log.FlushedOffset())
	}
}

// appended takes a batch into the model.
func (w *world) appended(info AppendInfo, data []byte) {
	w.note("append [%d,%d] %d bytes", info.FirstOffset, info.LastOffset, info.Size)
	if info.FirstOffset != w.model.end {
		w.failf("append at %d, want %d", info.FirstOffset, w.model.end)
	}
	w.model.add(data, info.FirstOffset)
}

// appendGroup appends n batches as a group, and has a due flush done.
func (w *world) appendGroup(n int) {
	w.note("group of %d", n)
	before, due := w.model.clone(), false
	var g Group
	var all [][]byte
	for range n {
		data := w.batch()
		if len(w.asStored(data)) > int(w.cfg.SegmentBytes) {
			continue
		}
		a := new(GroupAppend)
		if err := w.log.Prepare(&a.Prepared, data, AppendOptions{Origin: OriginCoordinator, Now: testNow.UnixMilli()}); err != nil {
			w.failf("prepare: %v", err)
			return
		}
		g.Add(a)
		all = append(all, data)
		w.model.add(w.asStored(data), w.model.end) // the next batch continues its sequence
	}
	w.log.AppendGroup(&g, w.epoch)
	w.model = before
	for i, a := range g.appends {
		if a.Err != nil {
			w.failf("append: %v", a.Err)
			return
		}
		w.appended(a.Info, w.asStored(all[i]))
		due = due || a.Info.FlushDue
	}
	if !due && w.cfg.FlushMessages == 1 && len(g.appends) > 0 {
		w.failf("flush.messages=1 and no flush is due")
	}
	if due {
		if err := w.log.Sync(w.log.EndOffset()); err != nil {
			w.failf("sync: %v", err)
		}
	}
	w.model.flushed = max(w.model.flushed, w.log.FlushedOffset())
}

func (w *world) truncate() {
	offset := w.model.end - w.rng.Int64N(max(1, min(30, w.model.end-w.model.start)))
	full := w.rng.IntN(10) == 0
	w.note("truncate to %d full %v", offset, full)
	var err error
	if full {
		err = w.log.TruncateFullyAndStartAt(offset)
		w.model = model{start: offset, end: offset, flushed: offset, restarted: true}
	} else {
		err = w.log.TruncateTo(offset)
		w.model.truncate(offset)
	}
	if err != nil {
		w.failf("truncate: %v", err)
	}
}

func (w *world) advance() {
	offset := w.model.start + w.rng.Int64N(w.model.end-w.model.start+1)
	w.note("advance start to %d", offset)
	if err := w.log.AdvanceStart(offset); err != nil {
		w.failf("advance: %v", err)
	}
	w.model.start = max(w.model.start, offset)
}

func (w *world) deleteSegments() {
	upTo := w.model.start + w.rng.Int64N(w.model.end-w.model.start+1)
	n, err := w.log.DeleteSegments(upTo)
	if err != nil {
		w.failf("delete: %v", err)
	}
	w.note("delete below %d: %d segments, start %d", upTo, n, w.log.StartOffset())
	if w.log.StartOffset() > max(upTo, w.model.start) {
		w.failf("start %d moved past %d", w.log.StartOffset(), upTo)
	}
	w.model.start = w.log.StartOffset()
}

// rewrite replaces a run of sealed segments by others with the same batches,
// sometimes cut off in between by an operation that changes the segments.
func (w *world) rewrite() {
	list := *w.log.segments.Load()
	if len(list) < 2 {
		return
	}
	i := w.rng.IntN(len(list) - 1)
	j := i + 1 + w.rng.IntN(len(list)-i-1)
	from, to, limit := list[i].base, list[j].base, int64(100+w.rng.IntN(10000))
	w.note("rewrite [%d,%d), at most %d bytes each", from, to, limit)
	if err := copyAll(w.t, w.log, from, to, limit); err != nil {
		w.failf("rewrite: %v", err)
	}
	w.model.flushed = max(w.model.flushed, w.log.FlushedOffset())
}

// check compares a live log with the model.
func (w *world) check(l *Log, m model) {
	w.t.Helper()
	if l.EndOffset() != m.end || l.StartOffset() != m.start {
		w.failf("log is [%d, %d), want [%d, %d)", l.StartOffset(), l.EndOffset(), m.start, m.end)
		return
	}
	w.checkContents(l, m, m)
	w.checkLimits(l, m)
	w.checkIndexes(l)
	w.checkSound(l)
	w.checkProducers(l, m)
}

// checkSound has the sealed segments checked as the scrubber does: nothing that
// is in order may be taken for damaged.
func (w *world) checkSound(l *Log) {
	w.t.Helper()
	for _, s := range l.SealedSegments() {
		c, err := l.CheckSegment(s.BaseOffset)
		if err != nil {
			w.failf("check of segment %d: %v", s.BaseOffset, err)
			return
		}
		_, problems, done, err := c.Step(math.MaxInt64)
		if err != nil || !done || len(problems) > 0 || len(l.Damage()) > 0 {
			w.failf("check of segment %d: %v, %v, %v, %v", s.BaseOffset, done, err, problems, l.Damage())
		}
		c.Close()
	}
}

// checkCrash compares a log opened after a crash during an operation.
func (w *world) checkCrash(l *Log, before, after model) {
	w.t.Helper()
	durable, most := min(before.lastRecord(before.flushed), after.lastRecord(after.flushed)), max(before.end, after.end)
	if after.restarted { // everything was to go, in several steps
		durable = 0
	}
	if end := l.EndOffset(); end < durable || end > most {
		w.failf("after a crash the log ends at %d, durable %d, written %d", end, durable, most)
		return
	}
	if start := l.StartOffset(); start > max(before.start, after.start) {
		w.failf("after a crash the log starts at %d, was %d, then %d", start, before.start, after.start)
	}
	w.checkContents(l, before, after)
	w.checkIndexes(l)
	have := model{start: l.StartOffset(), end: l.EndOffset(), batches: w.batchesOf(l)}
	w.checkProducers(l, have)
}

// batchesOf reads everything that is on disk.
func (w *world) batchesOf(l *Log) []stored {
	var out []stored
	for _, s := range *l.segments.Load() {
		h, err := s.file.Acquire()
		if err != nil {
			w.failf("segment %d: %v", s.base, err)
			return nil
		}
		sc := scan.New(h.File, 0, s.size.Load(), scan.BatchChunk)
		for {
			b, err := sc.Batch()
			if err != nil {
				break
			}
			out = append(out, stored{b.BaseOffset(), b.LastOffset(), slices.Clone(b)})
			sc.Skip(len(b))
		}
		sc.Free()
		h.Release()
	}
	return out
}

// checkContents reads the log through Read in random pieces; every batch must be
// one that a or b holds.
func (w *world) checkContents(l *Log, a, b model) {
	w.t.Helper()
	offset, end := l.StartOffset(), l.EndOffset()
	for offset < end && (a.hasIn(offset, end) || b.hasIn(offset, end)) { // not only a gap
		slice, err := l.Read(offset, 1+int((uint64(offset)*7919+w.seed)%3000), true, end)
		if err != nil || slice.Size() == 0 {
			w.failf("read at %d of [%d,%d): %d bytes, %v", offset, l.StartOffset(), end, slice.Size(), err)
			return
		}
		data, err := slice.Bytes(nil)
		slice.Release()
		if err != nil {
			w.failf("read at %d: %v", offset, err)
			return
		}
		for {
			batch, rest, err := record.Next(data)
			if errors.Is(err, record.ErrTruncated) || len(batch) == 0 && err == nil {
				break
			}
			if err != nil || batch.LastOffset() < offset {
				w.failf("read at %d gives [%d,%d], %v", offset, batch.BaseOffset(), batch.LastOffset(), err)
				return
			}
			sa, sb := a.from(offset), b.from(offset)
			if !(sa != nil && bytes.Equal(sa.data, batch)) && !(sb != nil && bytes.Equal(sb.data, batch)) {
				w.failf("batch [%d,%d] at offset %d was never appended; want %v or %v", batch.BaseOffset(), batch.LastOffset(), offset, sa, sb)
				return
			}
			offset = batch.LastOffset() + 1
			data = rest
		}
	}
}

// checkIndexes compares every index with one made from the log file.
func (w *world) checkIndexes(l *Log) {
	w.t.Helper()
	for _, s := range *l.segments.Load() {
		if err := s.load(w.cfg.IndexIntervalBytes); err != nil {
			w.failf("load segment %d: %v", s.base, err)
			return
		}
		offsets, times := allEntries(w, &s.offsets, s.path(format.IndexSuffix)), allEntries(w, &s.times, s.path(format.TimeIndexSuffix))
		wantOffsets, wantTimes, allowed := w.naiveIndexes(s)
		if !slices.Equal(offsets, wantOffsets) {
			w.failf("segment %d: offset index %v, want %v", s.base, offsets, wantOffsets)
		}
		// Closing a log adds an entry that an uninterrupted run has not.
		for _, e := range times {
			if !slices.Contains(allowed, e) {
				w.failf("segment %d: time index %v holds %v, which is not true", s.base, times, e)
			}
		}
		for _, e := range wantTimes {
			if !slices.Contains(times, e) {
				w.failf("segment %d: time index %v lacks %v", s.base, times, e)
			}
		}
	}
}

func allEntries[E index.Entry[E]](w *world, x *index.File[E], name string) []E {
	if known := x.Known(); len(known) == x.Len() {
		return known
	}
	out, err := index.Read(w.fs, name, 1<<30, func(*E, E) bool { return true })
	if err != nil {
		w.failf("%v", err)
	}
	return out
}

// naiveIndexes makes the indexes from the batches alone; allowed are all entries
// that a time index may have.
func (w *world) naiveIndexes(s *segment) (offsets []index.Offset, times, allowed []index.Time) {
	h, err := s.file.Acquire()
	if err != nil {
		w.failf("%v", err)
		return
	}
	defer h.Release()
	sc := scan.New(h.File, 0, s.size.Load(), scan.HeaderChunk)
	defer sc.Free()
	last, top, topAt := int64(0), int64(-1), int64(0)
	add := func(list []index.Time) []index.Time {
		if top >= 0 && (len(list) == 0 || top > list[len(list)-1].Timestamp) {
			return append(list, index.Time{Timestamp: top, Rel: s.rel(topAt)})
		}
		return list
	}
	for {
		b, size, err := sc.Header()
		if err != nil {
			return offsets, times, allowed
		}
		if b.MaxTimestamp() > top {
			top, topAt = b.MaxTimestamp(), b.LastOffset()
			allowed = append(allowed, index.Time{Timestamp: top, Rel: s.rel(topAt)})
		}
		if sc.Pos-last > int64(w.cfg.IndexIntervalBytes) {
			offsets = append(offsets, index.Offset{Rel: s.rel(b.LastOffset()), Pos: uint32(sc.Pos)})
			times = add(times)
			last = sc.Pos
		}
		sc.Skip(size)
	}
}

// replayModel is a second, plain implementation of producer state.
func replayModel(batches []stored) []producer.Entry {
	s := producer.New()
	var u producer.Update
	for _, b := range batches {
		if _, err := s.Replay(&u, b.data); err != nil {
			panic(err)
		}
	}
	return s.Entries()
}

// entryOf finds a producer, nil: unknown.
func entryOf(list []producer.Entry, id int64) *producer.Entry {
	for i := range list {
		if list[i].ProducerID == id {
			return &list[i]
		}
	}
	return nil
}

// checkProducers compares producer state and aborted transactions with a replay
// of the batches that remain.
func (w *world) checkProducers(l *Log, m model) {
	w.t.Helper()
	first := (*l.segments.Load())[0].base
	var kept []stored
	for _, b := range m.batches {
		if b.base >= first {
			kept = append(kept, b)
		}
	}
	have := l.producers.Entries()
	for _, want := range replayModel(kept) {
		got := entryOf(have, want.ProducerID)
		if got == nil {
			w.failf("producer %d is forgotten", want.ProducerID)
			continue
		}
		if want.LastOffset < 0 {
			continue
		}
		if got.Epoch != want.Epoch || got.LastSequence != want.LastSequence || (got.TxnFirstOffset < 0) != (want.TxnFirstOffset < 0) {
			w.failf("producer %d is %+v, want %+v", want.ProducerID, *got, want)
		}
	}
	w.checkAborted(l, kept)
}

func (w *world) checkAborted(l *Log, kept []stored) {
	s := producer.New()
	var u producer.Update
	var want []AbortedTxn
	for _, b := range kept {
		txns, err := s.Replay(&u, b.data)
		if err != nil {
			w.failf("%v", err)
		}
		want = append(want, txns...)
	}
	got, err := l.AbortedTransactions(l.StartOffset(), l.EndOffset()+1)
	if err != nil {
		w.failf("aborted: %v", err)
	}
	key := func(list []AbortedTxn) (out [][2]int64) {
		for _, a := range list {
			if a.LastOffset >= l.StartOffset() {
				out = append(out, [2]int64{a.ProducerID, a.LastOffset})
			}
		}
		return out
	}
	// Transactions that began before the first segment are known only from
	// what was recorded at the time.
	for _, k := range key(want) {
		if !slices.Contains(key(got), k) {
			w.failf("aborted %v lacks %v", got, k)
			return
		}
	}
	if len(kept) > 0 && kept[0].base == 0 && !reflect.DeepEqual(got, want) && len(got)+len(want) > 0 && l.StartOffset() == 0 {
		w.failf("aborted %v, want %v", got, want)
	}
}
