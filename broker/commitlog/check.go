package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// ErrDamagedIndex says that an index file does not fit its log file.
var ErrDamagedIndex = fmt.Errorf("%w: index does not fit the log", format.ErrCorruptFile)

const (
	checkBuffer = 256 << 10 // bytes of the log file in memory at a time
	unreadable  = 4 << 10   // bytes that are given up where the disk reads none
	magicAt     = 16        // of the format byte in a batch
	crcFrom     = 21        // first byte that the checksum covers
)

// SealedSegment is a segment that takes no more appends.
type SealedSegment struct{ BaseOffset, Size int64 }

// SealedSegments lists the sealed segments in order, without touching a file.
func (l *Log) SealedSegments() []SealedSegment {
	list := *l.segments.Load()
	out := make([]SealedSegment, 0, len(list)-1)
	for _, s := range list[:len(list)-1] {
		out = append(out, SealedSegment{s.base, s.size.Load()})
	}
	return out
}

// SegmentCheck reads a segment from its first byte to its last: framing, offsets,
// leader epochs and checksum of every batch, then the indexes against them. What
// is bad is marked in the log at once, so that fetches that reach it are refused.
//
// It holds little of the segment in memory, disturbs no reader or writer, and
// ends with ErrSegmentsChanged when the segment goes or changes meanwhile. It is
// not safe for concurrent use and must be closed.
type SegmentCheck struct {
	log    *Log
	s      *segment
	h      *handle
	cuts   int64
	finder string

	pos, end int64
	expected int64 // offsets from here on may come
	limit    int64 // offsets end below
	sure     bool  // the batch before was intact, so that expected is exact
	found    damages
	read     int64 // bytes since Step began
	buf      []byte
	at       int64 // position of buf

	idx *indexCheck // nil: only the log file
}

// CheckSegment begins to check the sealed segment at base.
func (l *Log) CheckSegment(base int64) (*SegmentCheck, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	list := *l.segments.Load()
	i := floorSegment(list, base)
	if list[i].base != base || i == len(list)-1 {
		return nil, fmt.Errorf("%w: %v has no sealed segment %d", ErrSegmentsChanged, l.tp, base)
	}
	c, err := l.check(list[i], foundByScrub)
	if err != nil {
		return nil, err
	}
	if c.idx, err = readIndexCheck(l.dir.fs, c.s); err != nil {
		c.Close()
		return nil, c.gone(err)
	}
	return c, nil
}

// check readies a check of the log file only.
func (l *Log) check(s *segment, finder string) (*SegmentCheck, error) {
	c := &SegmentCheck{log: l, s: s, finder: finder, expected: s.base, limit: unknownEnd, sure: true}
	l.mu.Lock() // no truncation is under way
	c.cuts, c.end = l.cuts.Load(), s.size.Load()
	list := *l.segments.Load()
	l.mu.Unlock()
	if i := floorSegment(list, s.base); i+1 < len(list) {
		c.limit = list[i+1].base
	}
	var err error
	if c.h, err = s.acquire(); err != nil {
		return nil, c.gone(err)
	}
	c.buf = make([]byte, 0, checkBuffer)
	return c, nil
}

// gone sorts out errors that come from a segment that went away.
func (c *SegmentCheck) gone(err error) error {
	c.log.mu.Lock()
	cerr := c.log.unchanged(c.s, c.cuts)
	c.log.mu.Unlock()
	if cerr != nil {
		return cerr
	}
	if errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %v", ErrSegmentsChanged, c.log.tp)
	}
	return err
}

// Close ends the check.
func (c *SegmentCheck) Close() {
	if c.h != nil {
		_ = c.h.release() // the file was only read
		c.h = nil
	}
}

// Damage is what has been found bad in the log file so far.
func (c *SegmentCheck) Damage() []Damage { return c.found }

// Step reads on for about n bytes and tells how many it took. At the end, done,
// the marks of the segment are those of this check: what was bad before and is
// read well now may be fetched again. Problems are those of the segment's other
// files; an index that does not fit is made anew.
func (c *SegmentCheck) Step(n int64) (read int64, problems []Problem, done bool, err error) {
	c.read = 0
	for c.pos < c.end && c.read < n {
		b, err := c.batch()
		if err != nil {
			return c.read, nil, false, c.gone(err)
		}
		if b != nil && c.idx != nil {
			c.idx.batch(c.pos-int64(b.Size()), b, c.found)
		}
	}
	if c.pos < c.end {
		return c.read, nil, false, nil
	}
	problems, err = c.finish()
	return c.read, problems, err == nil, err
}

// finish takes over the marks and deals with the side files.
func (c *SegmentCheck) finish() ([]Problem, error) {
	l := c.log
	l.mu.Lock()
	err := l.unchanged(c.s, c.cuts)
	healed := err == nil && len(c.found) < len(c.s.damaged())
	if err == nil {
		c.s.setDamage(c.found)
	}
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if healed {
		l.logger.Info("records that were damaged are read well now", "partition", l.tp, "segment", c.s.base)
		if l.hooks.damaged != nil {
			l.hooks.damaged(l, "")
		}
	}
	problems := c.idx.finish(c.found)
	if c.idx.wrong {
		if err := l.remakeIndexes(c.s, c.cuts); err != nil {
			return problems, err
		}
	}
	for i := range problems {
		problems[i].TopicPartition = l.tp
	}
	return problems, nil
}

// batch checks the batch at pos and moves on behind it, or behind the damage
// that begins there; then it gives nil. The view is valid until the next call.
func (c *SegmentCheck) batch() (record.Batch, error) {
	b, err := c.intact(c.pos, c.expected)
	if err == nil {
		c.pos += int64(b.Size())
		c.expected, c.sure = b.LastOffset()+1, true
		return b, nil
	}
	d := Damage{Segment: c.s.base, Position: c.pos, First: c.expected, Err: err}
	d.End, d.Next = c.resync(c.pos)
	if err := c.log.mark(c.s, c.cuts, d, c.finder); err != nil {
		return nil, err
	}
	c.found = c.found.with(d)
	c.pos, c.expected, c.sure = d.End, d.Next, false
	return nil, nil
}

// intact checks the batch at pos, whose offsets may not lie below expected. An
// error says what is wrong with it.
func (c *SegmentCheck) intact(pos, expected int64) (record.Batch, error) {
	b, err := c.header(pos)
	if err != nil {
		return nil, err
	}
	if err := c.fits(b, expected); err != nil {
		return nil, err
	}
	if c.sure && b.BaseOffset() > expected {
		// A gap, as compaction leaves it, or a base offset that is none: it is
		// outside the checksum, but what follows tells.
		if next, err := c.header(pos + int64(b.Size())); err == nil && next.BaseOffset() >= expected && next.BaseOffset() <= b.LastOffset() {
			return nil, fmt.Errorf("%w: offset %d before %d", ErrCorruptBatch, b.LastOffset(), next.BaseOffset())
		}
	}
	if known := c.log.epochs.At(b.BaseOffset()); known >= 0 && b.LeaderEpoch() >= 0 && b.LeaderEpoch() != known {
		return nil, fmt.Errorf("%w: leader epoch %d at offset %d, which is of epoch %d", ErrCorruptBatch, b.LeaderEpoch(), b.BaseOffset(), known)
	}
	return b, c.checksum(b, pos)
}

// fits checks the offsets of a batch against those around it.
func (c *SegmentCheck) fits(b record.Batch, expected int64) error {
	if first, last := b.BaseOffset(), b.LastOffset(); first < expected || last < first || last >= c.limit {
		return fmt.Errorf("%w: offsets %d to %d, expected %d to %d", ErrCorruptBatch, first, last, expected, c.limit-1)
	}
	return nil
}

// header reads the header of the batch at pos, into memory of its own, and
// checks that the batch ends within the segment.
func (c *SegmentCheck) header(pos int64) (record.Batch, error) {
	if c.end-pos < record.HeaderSize {
		return nil, record.ErrTruncated
	}
	raw, err := c.bytes(pos, record.HeaderSize)
	if err != nil {
		return nil, err
	}
	size, err := record.BatchSize(raw)
	if err != nil {
		return nil, err
	}
	if int64(size) > c.end-pos {
		return nil, record.ErrTruncated
	}
	return append(record.Batch(nil), raw[:record.HeaderSize]...), nil
}

// checksum computes the checksum of a batch piece by piece.
func (c *SegmentCheck) checksum(b record.Batch, pos int64) error {
	sum := uint32(0)
	table := crc32.MakeTable(crc32.Castagnoli)
	for at, end := pos+crcFrom, pos+int64(b.Size()); at < end; {
		p, err := c.bytes(at, 1)
		if err != nil {
			return err
		}
		p = p[:min(int64(len(p)), end-at)]
		sum = crc32.Update(sum, table, p)
		at += int64(len(p))
	}
	if sum != b.CRC() {
		return fmt.Errorf("%w: checksum %08x, computed %08x", ErrCorruptBatch, b.CRC(), sum)
	}
	return nil
}

// bytes gives at least n bytes at pos, which must lie within the segment, and
// whatever else is in memory.
func (c *SegmentCheck) bytes(pos int64, n int) ([]byte, error) {
	if lo := pos - c.at; lo >= 0 && lo+int64(n) <= int64(len(c.buf)) {
		return c.buf[lo:], nil
	}
	want := min(checkBuffer, c.end-pos)
	c.buf, c.at = c.buf[:want], pos
	got, err := c.h.f.ReadAt(c.buf, pos)
	c.buf = c.buf[:got]
	c.read += int64(got)
	if got >= n {
		return c.buf, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, record.ErrTruncated
	}
	return nil, err
}

// resync finds the next intact batch after damage at pos: where the damaged
// batch says that it ends, else at the first byte where one begins. It gives the
// place and the batch's offset, or the end of the segment.
func (c *SegmentCheck) resync(pos int64) (end, next int64) {
	sure := c.sure
	c.sure = false
	defer func() { c.sure = sure }()
	if b, err := c.header(pos); err == nil {
		after := pos + int64(b.Size())
		if after == c.end {
			return c.end, c.after()
		}
		if n, err := c.intact(after, c.expected); err == nil {
			return after, n.BaseOffset()
		}
	}
	for at := pos + 1; c.end-at >= record.HeaderSize; {
		p, err := c.bytes(at, record.HeaderSize)
		if err != nil {
			c.read += unreadable
			at += unreadable
			continue
		}
		i, ok := c.candidate(p)
		at += int64(i)
		if !ok {
			continue
		}
		if b, err := c.intact(at, c.expected); err == nil {
			return at, b.BaseOffset()
		}
		at++
	}
	return c.end, c.after()
}

// after is the offset at which the next segment begins.
func (c *SegmentCheck) after() int64 {
	if c.limit == unknownEnd {
		return c.log.EndOffset()
	}
	return c.limit
}

// candidate finds the first place in p at which the header of a batch of this
// segment could begin; without one, how far p was searched.
func (c *SegmentCheck) candidate(p []byte) (int, bool) {
	last := len(p) - record.HeaderSize
	for i := 0; i <= last; i++ {
		if p[i+magicAt] != record.Magic {
			continue
		}
		if base := int64(binary.BigEndian.Uint64(p[i:])); base >= c.expected && base < c.limit {
			return i, true
		}
	}
	return last + 1, false
}

// indexCheck compares the side files of a segment with its batches as they come.
type indexCheck struct {
	s        *segment
	offsets  []index.AbsoluteOffset
	times    []index.AbsoluteTime
	i, j, k  int // next offset entry by position and by offset; next time entry
	newest   int64
	wrong    bool
	problems []Problem
}

// readIndexCheck reads a segment's indexes; those that are missing are made when
// they are needed, and are no problem.
func readIndexCheck(fsys vfs.FS, s *segment) (*indexCheck, error) {
	x := &indexCheck{s: s, newest: math.MinInt64}
	v := verifier{fs: fsys, report: func(p Problem) { x.problems = append(x.problems, p) }}
	offsets, err := v.read(s.path(format.IndexSuffix))
	if err != nil {
		return nil, err
	}
	times, err := v.read(s.path(format.TimeIndexSuffix))
	if err != nil {
		return nil, err
	}
	var bad error
	if x.offsets, bad = index.DecodeOffsets(offsets, s.base); bad != nil {
		x.problem(format.IndexSuffix, len(x.offsets)*8, bad)
	}
	if x.times, bad = index.DecodeTimes(times, s.base); bad != nil {
		x.problem(format.TimeIndexSuffix, len(x.times)*12, bad)
	}
	for _, suffix := range [...]string{format.TxnIndexSuffix, format.SnapshotSuffix} {
		if err := v.small(s.path(suffix)); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// problem notes what is wrong with an index; one note per file is enough.
func (x *indexCheck) problem(suffix string, pos int, err error) {
	name := format.FileName(x.s.base, suffix)
	x.wrong = true
	for _, p := range x.problems {
		if p.File == name {
			return
		}
	}
	x.problems = append(x.problems, Problem{File: name, Position: int64(pos), Err: err})
}

// batch compares the entries that concern an intact batch.
func (x *indexCheck) batch(pos int64, b record.Batch, lost damages) {
	first, last := b.BaseOffset(), b.LastOffset()
	for ; x.i < len(x.offsets) && x.offsets[x.i].Position <= pos; x.i++ {
		e := x.offsets[x.i]
		if _, known := lost.at(e.Position); known {
			continue
		}
		if e.Position < pos || e.Offset < first {
			x.problem(format.IndexSuffix, x.i*8, fmt.Errorf("%w: no batch with offset %d at position %d", ErrDamagedIndex, e.Offset, e.Position))
		}
	}
	for ; x.j < len(x.offsets) && x.offsets[x.j].Offset <= last; x.j++ {
		if o := x.offsets[x.j].Offset; o != last && !lost.lost(o) {
			x.problem(format.IndexSuffix, x.j*8, fmt.Errorf("%w: no batch ends with offset %d", ErrDamagedIndex, o))
		}
	}
	before := x.newest
	x.newest = max(x.newest, b.MaxTimestamp())
	for ; x.k < len(x.times) && x.times[x.k].Offset <= last; x.k++ {
		e := x.times[x.k]
		if lost.lost(e.Offset) {
			continue
		}
		if e.Offset < first || e.Timestamp != b.MaxTimestamp() || e.Timestamp < before {
			x.problem(format.TimeIndexSuffix, x.k*12, fmt.Errorf("%w: %d is not the largest timestamp up to offset %d", ErrDamagedIndex, e.Timestamp, e.Offset))
		}
	}
}

// finish looks at what is left when all batches have come.
func (x *indexCheck) finish(lost damages) []Problem {
	if x.i < len(x.offsets) || x.j < len(x.offsets) {
		if at := min(x.i, x.j); len(lost) == 0 {
			x.problem(format.IndexSuffix, at*8, fmt.Errorf("%w: entry beyond the end", ErrDamagedIndex))
		}
	}
	if len(lost) == 0 && x.k < len(x.times) {
		x.problem(format.TimeIndexSuffix, x.k*12, fmt.Errorf("%w: entry beyond the end", ErrDamagedIndex))
	}
	if n := len(x.times); len(lost) == 0 && n > 0 && x.times[n-1].Timestamp != x.newest {
		x.problem(format.TimeIndexSuffix, (n-1)*12, fmt.Errorf("%w: the largest timestamp is %d, not %d", ErrDamagedIndex, x.newest, x.times[n-1].Timestamp))
	}
	return x.problems
}

// remakeIndexes makes the indexes of a sealed segment anew and puts them in the
// place of those that do not fit, without a moment in which there are none.
func (l *Log) remakeIndexes(s *segment, cuts int64) error {
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer h.release()
	fresh := newSegment(l.dir, s.base)
	fresh.size.Store(s.size.Load())
	fresh.setDamage(s.damaged())
	if err := fresh.rescan(h.f, l.cfg.Load().IndexIntervalBytes); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.unchanged(s, cuts); err != nil {
		return err
	}
	s.openMu.Lock()
	defer s.openMu.Unlock()
	offsets, times := fresh.offsets.Known(), fresh.times.Known()
	if s.loaded.Load() {
		s.offsets.Set(offsets, len(offsets))
		s.times.Set(times, len(times))
		s.maxTS.Store(fresh.maxTS.Load())
		s.maxAt.Store(fresh.maxAt.Load())
	}
	err = l.health.replaceFile(l.dir.fs, s.path(format.IndexSuffix), index.Encode(offsets))
	if err == nil {
		err = l.health.replaceFile(l.dir.fs, s.path(format.TimeIndexSuffix), index.Encode(times))
	}
	if err != nil {
		return l.health.failUnlessFull("make index anew", err)
	}
	if s.loaded.Load() {
		s.offsets.Seal()
		s.times.Seal()
	}
	return nil
}
