package commitlog

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/leatstream/leat/broker/commitlog/damage"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/vfs"
)

// Slice is a run of bytes of one segment file, found by Log.Read.
type Slice = logfile.Slice

// Read finds the batches from the one that contains offset on, at most maxBytes
// of them, none at or above the exclusive bound limit (high watermark, last
// stable offset or log end offset). With minOne the first batch is given whole
// even if it is larger; without it a larger first batch gives an empty slice.
// The last batch may be cut at maxBytes. An offset at the end, or at or above
// limit, gives an empty slice; outside [StartOffset, EndOffset]
// ErrOffsetOutOfRange. It never waits. The caller must Release a non-empty slice.
func (l *Log) Read(offset int64, maxBytes int, minOne bool, limit int64) (Slice, error) {
	empty := logfile.Empty(offset)
	if err := l.usable(); err != nil {
		return empty, err
	}
	end := l.EndOffset() // before the list, which then reaches at least this far
	list := *l.segments.Load()
	if start := l.StartOffset(); offset < start || offset > end {
		return empty, fmt.Errorf("%w: %d is not in [%d, %d]", ErrOffsetOutOfRange, offset, start, end)
	}
	limit = min(limit, end)
	if offset >= limit {
		return empty, nil
	}
	for i := floorSegment(list, offset); i < len(list) && list[i].base < limit; i++ {
		q := query{offset: offset, maxBytes: maxBytes, minOne: minOne, limit: limit, next: end, interval: l.cfg.Load().IndexIntervalBytes}
		if i+1 < len(list) {
			q.next = list[i+1].base
			q.sealed = true
		}
		slice, found, err := list[i].read(q)
		if list[i].replaced.Load() { // its names may be those of other files
			slice.Release()
			return l.Read(offset, maxBytes, minOne, limit)
		}
		if err != nil {
			return empty, l.readError(offset, err)
		}
		if found {
			return slice, nil
		}
	}
	return empty, nil
}

// readError sorts out a failed read: the segment may have been removed since
// its place was looked up.
func (l *Log) readError(offset int64, err error) error {
	if errors.Is(err, ErrClosed) || errors.Is(err, fs.ErrNotExist) {
		if uerr := l.usable(); uerr != nil {
			return uerr
		}
		if offset < l.StartOffset() || offset > l.EndOffset() {
			return fmt.Errorf("%w: %d was removed", ErrOffsetOutOfRange, offset)
		}
	}
	if scan.BadBytes(err) {
		err = l.examine(err)
		return fmt.Errorf("%w: %v: %w", ErrCorruptBatch, l.tp, err)
	}
	return fmt.Errorf("%w: %v: read: %w", ErrStorage, l.tp, err)
}

// query is a read within one segment.
type query struct {
	offset   int64
	maxBytes int
	minOne   bool
	limit    int64 // exclusive
	next     int64 // where the next segment begins, or the log's end
	sealed   bool  // there is a next segment
	interval int32
}

// read finds the bytes for q. found is false when the segment has no batch at
// or after the offset, so that the next segment is to be asked; a batch that
// may not be given ends the search with an empty slice.
func (s *segment) read(q query) (out Slice, found bool, err error) {
	size := s.size.Load()
	if size == 0 {
		return out, false, nil
	}
	h, err := s.file.Acquire()
	if err != nil {
		return out, false, err
	}
	defer func() {
		if out.Size() == 0 {
			h.Release()
		}
	}()
	empty := logfile.Empty(q.offset)
	at, ok, err := s.locate(h.File, q.offset, size, q.interval)
	if err != nil || !ok {
		return empty, false, err
	}
	end, err := s.bound(h.File, q, size)
	if err != nil || end <= at.pos {
		return empty, true, err
	}
	if marks := s.damaged(); marks != nil {
		if d, ok := marks.At(at.pos); ok {
			return empty, false, d
		}
		end = at.pos + marks.Clip(at.pos, end-at.pos)
	}
	n := end - at.pos
	if n > int64(q.maxBytes) {
		if at.size == 0 {
			if at.size, err = batchSizeAt(h.File, at.pos, size); err != nil {
				return empty, false, err
			}
		}
		switch {
		case at.size <= q.maxBytes:
			n = int64(q.maxBytes)
		case q.minOne:
			n = int64(at.size)
		default:
			return empty, true, nil
		}
	}
	return logfile.NewSlice(h, s, at.pos, int(n), at.base, s.upper(q, at.pos+n, end)), true, nil
}

// bound is the position at which bytes at or above the limit begin.
func (s *segment) bound(f vfs.File, q query, size int64) (int64, error) {
	if q.sealed && q.limit >= q.next {
		return size, nil
	}
	// Near the end the limit is a remembered boundary; that also keeps out what
	// was appended since the limit was read.
	if t := s.tail.Load(); t != nil && s.holds(q.limit) {
		if e, ok := t.Floor(s.rel(q.limit)); ok && e.Rel == s.rel(q.limit) && int64(e.Pos) <= size {
			return int64(e.Pos), nil
		}
	}
	at, ok, err := s.locate(f, q.limit, size, q.interval)
	var d *damage.Range
	if errors.As(err, &d) {
		return d.Position, nil
	}
	if err != nil || !ok {
		return size, err
	}
	return at.pos, nil
}

// upper bounds the offsets below position pos: the first indexed offset beyond
// it, or the end of what may be read.
func (s *segment) upper(q query, pos, bound int64) int64 {
	limit := min(q.limit, q.next)
	if pos >= bound || !s.loaded.Load() {
		return limit
	}
	entries := s.offsets.Known()
	lo, hi := 0, len(entries)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if int64(entries[mid].Pos) >= pos {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == len(entries) {
		return limit
	}
	return min(limit, s.base+int64(entries[lo].Rel)+1)
}
