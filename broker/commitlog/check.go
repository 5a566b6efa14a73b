package commitlog

import (
	"errors"
	"fmt"

	"github.com/leatstream/leat/broker/commitlog/damage"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/commitlog/inspect"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/record"
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
	h      *logfile.Handle
	cuts   int64
	finder string // who looks, as the metric says it

	file  *damage.Finder
	found damage.List // and marked

	idx *inspect.Indexes // nil: only the log file
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
	if c.idx, err = inspect.ReadIndexes(l.dir.fs, l.Path(), base); err != nil {
		c.Close()
		return nil, c.gone(err)
	}
	return c, nil
}

// check readies a check of the log file only.
func (l *Log) check(s *segment, finder string) (*SegmentCheck, error) {
	c := &SegmentCheck{log: l, s: s, finder: finder}
	l.mu.Lock() // no truncation is under way
	c.cuts = l.cuts.Load()
	size := s.size.Load()
	list := *l.segments.Load()
	l.mu.Unlock()
	bounds := damage.Bounds{Base: s.base, Limit: damage.UnknownEnd, Size: size, EpochAt: l.epochs.At, LogEnd: l.EndOffset}
	if i := floorSegment(list, s.base); i+1 < len(list) {
		bounds.Limit = list[i+1].base
	}
	var err error
	if c.h, err = s.file.Acquire(); err != nil {
		return nil, c.gone(err)
	}
	c.file = damage.NewFinder(c.h.File, bounds)
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
		_ = c.h.Release() // the file was only read
		c.h = nil
	}
}

// Damage is what has been found bad in the log file so far.
func (c *SegmentCheck) Damage() []damage.Range { return c.found }

// Step reads on for about n bytes and tells how many it took. At the end, done,
// the marks of the segment are those of this check: what was bad before and is
// read well now may be fetched again. Problems are those of the segment's other
// files; an index that does not fit is made anew.
func (c *SegmentCheck) Step(n int64) (read int64, problems []inspect.Problem, done bool, err error) {
	before := c.file.Read
	for !c.file.Done() && c.file.Read-before < n {
		b, err := c.batch()
		if err != nil {
			return c.file.Read - before, nil, false, c.gone(err)
		}
		if b != nil && c.idx != nil {
			c.idx.Batch(c.file.Pos-int64(b.Size()), b, c.found)
		}
	}
	read = c.file.Read - before
	if !c.file.Done() {
		return read, nil, false, nil
	}
	problems, err = c.finish()
	return read, problems, err == nil, err
}

// finish takes over the marks and deals with the side files.
func (c *SegmentCheck) finish() ([]inspect.Problem, error) {
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
	problems, wrong := c.idx.Finish(c.found)
	if wrong {
		if err := l.remakeIndexes(c.s, c.cuts); err != nil {
			return problems, err
		}
	}
	for i := range problems {
		problems[i].TopicPartition = l.tp
	}
	return problems, nil
}

// batch checks the next batch and gives it, or marks the damage that begins there;
// then it gives nil. The view is valid until the next call.
func (c *SegmentCheck) batch() (record.Batch, error) {
	b, d := c.file.Next()
	if d == nil {
		return b, nil
	}
	if err := c.log.mark(c.s, c.cuts, *d, c.finder); err != nil {
		return nil, err
	}
	c.found = c.found.With(*d)
	return nil, nil
}

// remakeIndexes makes the indexes of a sealed segment anew and puts them in the
// place of those that do not fit, without a moment in which there are none.
func (l *Log) remakeIndexes(s *segment, cuts int64) error {
	h, err := s.file.Acquire()
	if err != nil {
		return err
	}
	defer h.Release()
	fresh := newSegment(l.dir, s.base)
	fresh.size.Store(s.size.Load())
	fresh.setDamage(s.damaged())
	if err := fresh.rescan(h.File, l.cfg.Load().IndexIntervalBytes); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.unchanged(s, cuts); err != nil {
		return err
	}
	s.loadMu.Lock()
	defer s.loadMu.Unlock()
	offsets, times := fresh.offsets.Known(), fresh.times.Known()
	if s.loaded.Load() {
		s.offsets.Set(offsets, len(offsets))
		s.times.Set(times, len(times))
		s.maxTS.Store(fresh.maxTS.Load())
		s.maxAt.Store(fresh.maxAt.Load())
	}
	err = l.health.ReplaceFile(l.dir.fs, s.path(format.IndexSuffix), index.Encode(offsets))
	if err == nil {
		err = l.health.ReplaceFile(l.dir.fs, s.path(format.TimeIndexSuffix), index.Encode(times))
	}
	if err != nil {
		return l.health.FailUnlessFull("make index anew", err)
	}
	if s.loaded.Load() {
		s.offsets.Seal()
		s.times.Seal()
	}
	return nil
}
