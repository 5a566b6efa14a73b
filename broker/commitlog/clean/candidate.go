package clean

import (
	"math"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
)

// candidate is a log that could be compacted.
type candidate struct {
	log      *commitlog.Log
	segments []commitlog.SegmentInfo
	dirty    int64   // first offset that was not compacted
	end      int64   // compaction may go up to here; a segment begins there
	clean    int64   // bytes below dirty
	todo     int64   // bytes of the segments in [dirty, end)
	ratio    float64 // todo / (clean + todo)
	overdue  bool    // a record in [dirty, end) has waited for max.compaction.lag.ms
	waited   int64   // ms that the oldest such record has waited beyond that
}

// due tells whether the log is to be compacted now.
func (c *candidate) due() bool {
	return c.todo > 0 && (c.overdue || c.ratio > c.log.Config().MinCleanableDirtyRatio)
}

// examine finds out what of a compacted log may be compacted: whole sealed
// segments below limit, which is at most the last stable offset and the high
// watermark, whose records are older than min.compaction.lag.ms.
func examine(l *commitlog.Log, limit int64, now time.Time) (candidate, error) {
	c := candidate{log: l}
	cfg := l.Config()
	if err := rollOverdue(l, cfg, limit, now); err != nil {
		return c, err
	}
	var err error
	if c.segments, err = l.Segments(); err != nil {
		return c, err
	}
	c.dirty = max(l.CleanedOffset(), l.StartOffset())
	c.end = c.segments[0].BaseOffset
	oldest := int64(math.MaxInt64)
	for _, s := range c.segments {
		wet := s.NextOffset > c.dirty
		if s.Active || s.NextOffset > limit || wet && cfg.MinCompactionLagMs > 0 && s.Largest > now.UnixMilli()-cfg.MinCompactionLagMs {
			break
		}
		c.end = s.NextOffset
		if !wet {
			c.clean += s.Size
			continue
		}
		c.todo += s.Size
		if cfg.MaxCompactionLagMs < math.MaxInt64 {
			first, err := l.FirstTimestamp(s.BaseOffset)
			if err != nil {
				return c, err
			}
			if first >= 0 {
				oldest = min(oldest, first)
			}
		}
	}
	if c.todo > 0 {
		c.ratio = float64(c.todo) / float64(c.clean+c.todo)
	}
	if oldest < math.MaxInt64 {
		c.waited = max(0, now.UnixMilli()-oldest-cfg.MaxCompactionLagMs)
		c.overdue = c.waited > 0
	}
	return c, nil
}

// rollOverdue seals the active segment when its first record has waited longer
// than max.compaction.lag.ms, since the active segment is never compacted.
func rollOverdue(l *commitlog.Log, cfg commitlog.Config, limit int64, now time.Time) error {
	if cfg.MaxCompactionLagMs == math.MaxInt64 || l.EndOffset() > limit {
		return nil
	}
	list, err := l.Segments()
	if err != nil {
		return err
	}
	active := list[len(list)-1]
	if active.Size == 0 {
		return nil
	}
	first, err := l.FirstTimestamp(active.BaseOffset)
	if err != nil || first < 0 || now.UnixMilli()-first <= cfg.MaxCompactionLagMs {
		return err
	}
	return l.Roll(now)
}

// group is a run of segments that become one.
type group struct{ from, to, size int64 } // offsets [from, to), bytes

// groups joins adjacent segments below end as long as the result is no larger
// than segment.bytes, its index no larger than segment.index.bytes, and its
// offsets fit 31 bits.
func groups(segments []commitlog.SegmentInfo, end int64, cfg commitlog.Config) []group {
	var out []group
	// A time index has as many entries as an offset index, of 12 bytes.
	most := min(int64(cfg.SegmentBytes), int64(cfg.SegmentIndexBytes)/12*max(1, int64(cfg.IndexIntervalBytes)))
	for _, s := range segments {
		if s.Active || s.BaseOffset >= end {
			break
		}
		if n := len(out); n > 0 && out[n-1].size+s.Size <= most && s.NextOffset-1-out[n-1].from <= math.MaxInt32 {
			out[n-1].to = s.NextOffset
			out[n-1].size += s.Size
			continue
		}
		out = append(out, group{s.BaseOffset, s.NextOffset, s.Size})
	}
	return out
}
