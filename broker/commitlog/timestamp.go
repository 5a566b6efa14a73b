package commitlog

import (
	"io"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
)

// TimestampOffset is the answer to a look-up by time.
type TimestampOffset struct {
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

// OffsetForTimestamp finds the first record whose timestamp is at or after ts
// and whose offset is below limit. found is false when there is none.
func (l *Log) OffsetForTimestamp(ts, limit int64) (t TimestampOffset, found bool, err error) {
	if err := l.usable(); err != nil {
		return t, false, err
	}
	start, end := l.StartOffset(), l.EndOffset()
	limit = min(limit, end)
	list := *l.segments.Load()
	interval := l.cfg.Load().IndexIntervalBytes
	for i := floorSegment(list, start); i < len(list) && list[i].base < limit; i++ {
		s := list[i]
		err := s.load(interval)
		if err == nil && s.maxTS.Load() < ts {
			continue
		}
		if err == nil {
			t, found, err = s.findTimestamp(ts, start, limit)
		}
		if s.replaced.Load() {
			return l.OffsetForTimestamp(ts, limit)
		}
		if err != nil {
			return t, false, l.readError(start, err)
		}
		if found {
			return t, true, nil
		}
	}
	return t, false, nil
}

// MaxTimestamp finds the record with the largest timestamp (ListOffsets -3).
func (l *Log) MaxTimestamp() (t TimestampOffset, found bool, err error) {
	if err := l.usable(); err != nil {
		return t, false, err
	}
	interval := l.cfg.Load().IndexIntervalBytes
	var best *segment
	for _, s := range *l.segments.Load() {
		if err := s.load(interval); err != nil {
			if s.replaced.Load() {
				return l.MaxTimestamp()
			}
			return t, false, l.readError(s.base, err)
		}
		if s.size.Load() > 0 && s.maxTS.Load() >= 0 && (best == nil || s.maxTS.Load() > best.maxTS.Load()) {
			best = s
		}
	}
	if best == nil {
		return t, false, nil
	}
	t, found, err = best.findTimestamp(best.maxTS.Load(), l.StartOffset(), l.EndOffset())
	if best.replaced.Load() {
		return l.MaxTimestamp()
	}
	if err != nil {
		return t, false, l.readError(best.base, err)
	}
	return t, found, nil
}

// findTimestamp looks for the first record in [start, limit) at or after ts.
func (s *segment) findTimestamp(ts, start, limit int64) (t TimestampOffset, found bool, err error) {
	h, err := s.file.Acquire()
	if err != nil {
		return t, false, err
	}
	defer h.Release()
	from, err := s.positionBefore(ts)
	if err != nil {
		return t, false, err
	}
	sc := scan.New(h.File, from, s.size.Load(), scan.HeaderChunk)
	defer sc.Free()
	marks := s.damaged()
	for {
		if d, ok := marks.At(sc.Pos); ok {
			sc.Pos = d.End
			continue
		}
		b, size, err := sc.Header()
		if err == io.EOF {
			return t, false, nil
		}
		if err != nil {
			return t, false, s.bad(sc, err)
		}
		if b.BaseOffset() >= limit {
			return t, false, nil
		}
		if b.MaxTimestamp() >= ts && b.LastOffset() >= start {
			whole, err := sc.Batch()
			if err != nil {
				return t, false, s.bad(sc, err)
			}
			if t, found, err = firstRecordAt(whole, ts, start, limit); found || err != nil {
				return t, found, s.bad(sc, err)
			}
		}
		sc.Skip(size)
	}
}

// positionBefore gives a batch boundary before which no record is at or after ts.
func (s *segment) positionBefore(ts int64) (int64, error) {
	e, ok, err := s.times.Floor(s, format.TimeIndexSuffix, ts-1)
	if err != nil || !ok {
		return 0, err
	}
	at, ok, err := s.offsets.Floor(s, format.IndexSuffix, int64(e.Rel))
	if err != nil || !ok {
		return 0, err
	}
	return int64(at.Pos), nil
}

// firstRecordAt finds the first record of a batch in [start, limit) at or after ts.
func firstRecordAt(b record.Batch, ts, start, limit int64) (t TimestampOffset, found bool, err error) {
	var it record.Iterator
	defer it.Close()
	if err := it.Reset(b, 0); err != nil {
		return t, false, err
	}
	for it.Next() {
		r := &it.Record
		if r.Timestamp >= ts && r.Offset >= start && r.Offset < limit {
			return TimestampOffset{Timestamp: r.Timestamp, Offset: r.Offset, LeaderEpoch: b.LeaderEpoch()}, true, nil
		}
	}
	return t, false, it.Err()
}
