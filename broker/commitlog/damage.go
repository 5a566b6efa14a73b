package commitlog

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/leatstream/leat/broker/commitlog/damage"
	"github.com/leatstream/leat/broker/commitlog/scan"
)

// damaged are the marks of a segment, nil as long as there is none.
func (s *segment) damaged() damage.List {
	if p := s.damage.Load(); p != nil {
		return *p
	}
	return nil
}

func (s *segment) setDamage(d damage.List) {
	if len(d) == 0 {
		s.damage.Store(nil)
		return
	}
	s.damage.Store(&d)
}

// badPlace is an error about bytes of a segment that were met on the way to
// something else; whoever meets it has them examined.
type badPlace struct {
	s   *segment
	pos int64 // a batch should begin here
	err error
}

func (b *badPlace) Error() string {
	return fmt.Sprintf("segment %d, position %d: %v", b.s.base, b.pos, b.err)
}
func (b *badPlace) Unwrap() error { return b.err }

// bad wraps an error of a scanner if it is about the bytes at its position.
func (s *segment) bad(sc *scan.Scanner, err error) error {
	if !scan.BadBytes(err) {
		return err
	}
	return &badPlace{s, sc.Pos, err}
}

// Who found damage, as the metric says it.
const (
	foundByScrub   = "scrub"
	foundByRead    = "read"    // fetch, look-up by time, conversion, compaction
	foundByOpening = "opening" // was marked when the log was open before
	// foundByRecovery is what an unordered stop left at the end of a log. It is
	// cut off, so that there is nothing to mark.
	foundByRecovery = "recovery"
)

// examine has the bytes looked at that an error is about, and marks them if
// they are bad. It gives the error to return.
func (l *Log) examine(err error) error {
	var bad *badPlace
	if !errors.As(err, &bad) {
		return err
	}
	from := bad.pos
	if bad.s.loaded.Load() {
		from = bad.s.boundaryBefore(from)
	}
	if d := l.checkRange(bad.s, from, bad.pos+1, foundByRead); d != nil {
		return d
	}
	return err
}

// checkRange checks the batches of a segment that begin in [from, to), where
// from is the beginning of a batch, and marks what is bad. It gives the first damage.
func (l *Log) checkRange(s *segment, from, to int64, finder string) *damage.Range {
	c, err := l.check(s, finder)
	if err != nil {
		return nil
	}
	defer c.Close()
	c.file.StartAt(from)
	for c.file.Pos < to && !c.file.Done() {
		if _, err := c.batch(); err != nil {
			return nil // nothing is known
		}
	}
	if len(c.found) == 0 {
		return nil
	}
	return &c.found[0]
}

// mark adds a damage to a segment unless the segment has changed since cuts was
// read.
func (l *Log) mark(s *segment, cuts int64, d damage.Range, finder string) error {
	l.mu.Lock()
	if err := l.unchanged(s, cuts); err != nil {
		l.mu.Unlock()
		return err
	}
	known, ok := s.damaged().At(d.Position)
	news := !ok || known.End < d.End
	if news {
		s.setDamage(s.damaged().With(d))
	}
	l.mu.Unlock()
	if !news {
		return nil
	}
	l.logger.Error("damaged records", "partition", l.tp, "dir", l.Dir(), "segment", d.Segment, "position", d.Position, "bytes", d.End-d.Position,
		"first", d.First, "last", d.Next-1, "found by", finder, "err", d.Err)
	if l.hooks.damaged != nil {
		l.hooks.damaged(l, finder)
	}
	return nil
}

// unchanged tells whether a segment is part of the log and was not cut since
// cuts was read. The caller holds mu.
func (l *Log) unchanged(s *segment, cuts int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if l.cuts.Load() != cuts || s.replaced.Load() || !slices.Contains(*l.segments.Load(), s) {
		return fmt.Errorf("%w: %v", ErrSegmentsChanged, l.tp)
	}
	return nil
}

// Damage lists what of the log is known to be damaged, by position.
func (l *Log) Damage() []damage.Range {
	var out []damage.Range
	for _, s := range *l.segments.Load() {
		out = append(out, s.damaged()...)
	}
	return out
}

// recheck looks again at a place that was damaged when the log was open before.
func (l *Log) recheck(base, pos int64) {
	list := *l.segments.Load()
	s := list[floorSegment(list, base)]
	if s.base != base || pos >= s.size.Load() {
		return
	}
	_ = s.load(l.cfg.Load().IndexIntervalBytes) // without indexes the check begins at the start
	l.checkRange(s, s.boundaryBefore(pos), pos+1, foundByOpening)
}

// boundaryBefore gives the beginning of a batch below pos, or 0: from there on a
// check knows what offsets to expect at pos.
func (s *segment) boundaryBefore(pos int64) int64 {
	from := int64(0)
	if s.loaded.Load() {
		for _, e := range s.offsets.Known() {
			if int64(e.Pos) < pos {
				from = int64(e.Pos)
			}
		}
	}
	return from
}

// Suspect has bytes of the segment checked that a reader could make no sense of.
func (s *segment) Suspect(pos, size int64) {
	if l := s.dir.log; l != nil {
		l.checkRange(s, pos, pos+size, foundByRead)
	}
}

// damagedBytes sums up the damage of a log without building a list.
func (l *Log) damagedBytes() (ranges int, bytes int64) {
	for _, s := range *l.segments.Load() {
		for _, d := range s.damaged() {
			ranges++
			bytes += d.End - d.Position
		}
	}
	return ranges, bytes
}

// damageCount counts damage by who found it.
type damageCount struct {
	mu sync.Mutex
	n  map[string]int64
}

func (c *damageCount) count(finder string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[finder]++
}

func (c *damageCount) all() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := map[string]int64{foundByScrub: 0, foundByRead: 0, foundByOpening: 0, foundByRecovery: 0}
	maps.Copy(out, c.n)
	return out
}
