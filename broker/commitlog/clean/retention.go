package clean

import (
	"time"

	"github.com/leatstream/leat/broker/commitlog"
)

// Retention deletes old segments. Its Apply is a commitlog.ManagerConfig.Retain.
type Retention struct {
	// HighWatermark gives a log's high watermark; ok is false while it is
	// unknown, and then nothing is deleted.
	HighWatermark func(l *commitlog.Log) (offset int64, ok bool)
}

// Apply deletes the segments of one log that its configuration does not keep:
// those before the start offset always, those too old or in excess of the size
// under cleanup.policy=delete.
func (r Retention) Apply(l *commitlog.Log, now time.Time) (segments int, err error) {
	highWatermark, ok := r.HighWatermark(l)
	if !ok {
		return 0, nil
	}
	list, err := l.Segments()
	if err != nil {
		return 0, err
	}
	p := plan{list: list, start: l.StartOffset(), highWatermark: highWatermark, now: now.UnixMilli(), config: l.Config(), written: l.LastWritten, short: l.ShortOfSpace()}
	n := p.count()
	if n == 0 {
		return 0, nil
	}
	if list[n-1].Active {
		if err := l.Roll(now); err != nil {
			return 0, err
		}
	}
	return l.DeleteSegments(list[n-1].NextOffset)
}

// plan is the input of a decision.
type plan struct {
	list          []commitlog.SegmentInfo
	start         int64
	highWatermark int64
	now           int64 // ms
	config        commitlog.Config
	short         bool // of space: records below the start go also with the active segment
	// written gives the time, in ms, at which a segment was last written.
	written func(base int64) (ms int64, ok bool)
}

// count is how many segments from the start of the log may go.
func (p plan) count() int {
	n := p.beforeStart()
	if p.config.Delete {
		n = max(n, p.tooOld(), p.tooMuch())
	}
	return n
}

// deletable tells whether a segment may go at all: every record is below the
// high watermark, and it is not the empty end of the log.
func (p plan) deletable(s commitlog.SegmentInfo) bool {
	return s.NextOffset <= p.highWatermark && !(s.Active && s.Size == 0)
}

// beforeStart counts the segments that end at or below the start offset.
func (p plan) beforeStart() int {
	n := 0
	for n < len(p.list) && (p.short || !p.list[n].Active) && p.list[n].NextOffset <= p.start && p.deletable(p.list[n]) {
		n++
	}
	return n
}

// tooOld counts the segments whose newest record is older than retention.ms.
func (p plan) tooOld() int {
	if p.config.RetentionMs < 0 {
		return 0
	}
	n := 0
	for n < len(p.list) && p.deletable(p.list[n]) && p.age(p.list[n]) > p.config.RetentionMs {
		n++
	}
	return n
}

// age is how many ms ago a segment's newest record was made. A timestamp of the
// future does not tell; the last write to the segment does, so that one wrong
// clock does not keep a log for ever.
func (p plan) age(s commitlog.SegmentInfo) int64 {
	if s.Largest > p.now {
		if ms, ok := p.written(s.BaseOffset); ok {
			return p.now - ms
		}
	}
	return p.now - s.Largest
}

// tooMuch counts the segments without which the log still has retention.bytes.
func (p plan) tooMuch() int {
	if p.config.RetentionBytes < 0 {
		return 0
	}
	excess := -p.config.RetentionBytes
	for _, s := range p.list {
		excess += s.Size
	}
	n := 0
	for n < len(p.list) && p.deletable(p.list[n]) && excess-p.list[n].Size >= 0 {
		excess -= p.list[n].Size
		n++
	}
	return n
}
