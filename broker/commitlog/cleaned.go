package commitlog

import (
	"fmt"

	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
)

// notCleaned is the cleaned offset of a log that was never compacted.
const notCleaned = -1

// CleanedOffset is the offset below which the log has been compacted, -1 if it
// never was. It survives restarts and moves down when the log is truncated.
func (l *Log) CleanedOffset() int64 { return l.cleaned.Load() }

// Truncations is how often the log has been cut so far.
func (l *Log) Truncations() int64 { return l.cuts.Load() }

// SetCleanedOffset stores how far the log has been compacted. Truncations is
// what it was when that began: records that came in the place of others since
// are not compacted, so that another number now gives ErrSegmentsChanged.
func (l *Log) SetCleanedOffset(offset, truncations int64) error {
	l.mu.Lock()
	if l.cuts.Load() != truncations {
		l.mu.Unlock()
		return fmt.Errorf("%w: %v", ErrSegmentsChanged, l.tp)
	}
	l.cleaned.Store(min(offset, l.EndOffset()))
	l.mu.Unlock()
	if l.hooks.cleaned == nil {
		return nil
	}
	return l.hooks.cleaned(l)
}

// ProducerTail is the newest that a log holds of an active producer.
type ProducerTail struct {
	Epoch      int16
	LastOffset int64 // of its last batch with records; -1: only markers are known
}

// ProducerTails gives the newest batch of each active producer, from which its
// sequence number is read after a restart.
func (l *Log) ProducerTails() map[int64]ProducerTail {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[int64]ProducerTail, l.producers.Len())
	for _, p := range l.producers.Entries() {
		out[p.ProducerID] = ProducerTail{Epoch: p.Epoch, LastOffset: p.LastOffset}
	}
	return out
}

// FirstTimestamp is the largest timestamp of the first batch at or after the
// start of the segment that begins at base; record.NoTimestamp if there is none.
func (l *Log) FirstTimestamp(base int64) (int64, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	list := *l.segments.Load()
	s := list[floorSegment(list, base)]
	if s.base != base || s.size.Load() == 0 {
		return record.NoTimestamp, nil
	}
	h, err := s.file.Acquire()
	if err != nil {
		return 0, l.readError(base, err)
	}
	defer h.Release()
	sc := scan.New(h.File, 0, s.size.Load(), record.HeaderSize)
	defer sc.Free()
	b, _, err := sc.Header()
	if err != nil {
		return 0, l.readError(base, err)
	}
	return b.MaxTimestamp(), nil
}
