package commitlog

import (
	"github.com/leatstream/leat/broker/record"
)

const (
	// maxTogether is how many bytes of a group are gathered for one write.
	maxTogether = 64 << 10
	// maxGathered is the largest append that is gathered: the system call is so
	// small a part of the cost of writing more that the copy would cost as much.
	maxGathered = 8 << 10
)

// GroupAppend is one append of a group: what was prepared and, after
// Log.AppendGroup, its outcome.
type GroupAppend struct {
	Prepared
	Info AppendInfo
	Err  error

	queued bool // planned and not written yet
	staged int  // producers in Log.pending up to and with this append's
}

// Group is several appends in their order. The zero value is empty; it may be
// reused. It must not be copied.
type Group struct {
	appends []*GroupAppend
	buf     []byte

	// The appends from first on that are queued follow each other in the active
	// segment and are to be written together.
	first int
	waits ahead
	next  int64 // offset after them
}

// Add puts a prepared append at the end of the group.
func (g *Group) Add(a *GroupAppend) { g.appends = append(g.appends, a) }

// Len is the number of appends.
func (g *Group) Len() int { return len(g.appends) }

// Reset empties the group; its memory is kept.
func (g *Group) Reset() {
	clear(g.appends)
	g.appends = g.appends[:0]
}

// AppendGroup does what AppendPrepared would do with one append after the other,
// with the same files as the outcome, but holds the log's lock once and writes
// small appends together. An append that is refused does not concern the others;
// a write that fails fails those whose bytes it has not written in full.
//
// A due flush is left to the caller as with AppendOptions.DeferFlush.
func (l *Log) AppendGroup(g *Group, leaderEpoch int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g.first, g.waits, g.next = 0, ahead{}, l.EndOffset()
	l.pending.Reset()
	for i, a := range g.appends {
		a.queued = false
		if !l.joins(g, &a.Prepared) {
			l.writeQueued(g, i)
		}
		l.queue(g, a, leaderEpoch)
	}
	l.writeQueued(g, len(g.appends))
}

// joins tells whether p may be decided on, and written, together with what is
// queued: nothing about it may depend on what that changes when it is published.
func (l *Log) joins(g *Group, p *Prepared) bool {
	if g.waits.batches == 0 {
		return true
	}
	size := len(p.batches)
	if p.count != 1 || size > maxGathered || g.waits.bytes+size > maxTogether || p.opts.Origin == OriginReplication {
		return false
	}
	// What is queued may be one large append, one of many batches or one of a
	// transaction.
	if last := g.waits; last.bytes > last.batches*maxGathered || l.pending.Transactional() {
		return false
	}
	b := record.Batch(p.batches)
	if b.IsTransactional() || b.IsControl() || b.HasProducerID() && l.pending.Has(b.ProducerID()) {
		return false
	}
	s, last := l.active(), g.next+p.records-1
	return s.size.Load() > 0 && !l.shouldRoll(s, l.cfg.Load(), g.waits, size, p.maxTime, last, p.opts.Now)
}

// queue plans an append and queues it for writing.
func (l *Log) queue(g *Group, a *GroupAppend, leaderEpoch int32) {
	before := l.pending.Len()
	var ready bool
	if a.Info, ready, a.Err = l.plan(&a.Prepared, leaderEpoch, g.next); !ready {
		l.pending.Cut(before)
		a.Info.FlushDue = a.Err == nil && l.flushDue(a.Info)
		return
	}
	a.queued, a.staged = true, l.pending.Len()
	g.waits.batches += a.count
	g.waits.bytes += len(a.batches)
	g.next = a.Info.LastOffset + 1
}

// writeQueued writes and publishes what is queued before the append at end.
func (l *Log) writeQueued(g *Group, end int) {
	run := g.appends[g.first:end]
	var only *GroupAppend
	n := 0
	for _, a := range run {
		if a.queued {
			only = a
			n++
		}
	}
	switch {
	case n == 1:
		if only.Err = l.write(&only.Prepared, only.Info); only.Err == nil {
			only.Info.FlushDue = l.flushDue(only.Info)
		}
	case n > 1:
		l.writeTogether(g, run)
	}
	g.first, g.waits, g.next = end, ahead{}, l.EndOffset()
	l.pending.Reset()
}

// writeTogether is write and publish for the queued appends of run. Those that a
// failed write has written in full are in the log; the rest is cut off again.
func (l *Log) writeTogether(g *Group, run []*GroupAppend) {
	s, cfg := l.active(), l.cfg.Load()
	g.buf = g.buf[:0]
	for _, a := range run {
		if a.queued {
			g.buf = append(g.buf, a.batches...)
		}
	}
	pos, wrote := s.size.Load(), 0
	s.file.Touch()
	h, err := s.file.Acquire()
	if err != nil {
		err = l.health.FailUnlessFull("open segment", err)
	} else {
		defer h.Release()
		l.preallocate(s, h, cfg, pos+int64(len(g.buf)))
		if wrote, err = h.File.WriteAt(g.buf, pos); err != nil {
			wrote = min(wrote, len(g.buf)-1) // an error is always somebody's
		}
	}
	whole, left := wholeAppends(run, wrote)
	if whole > 0 {
		l.pending.Cut(run[whole-1].staged)
		l.commit()
	}
	for _, a := range run[:whole] {
		if a.queued {
			l.publish(s, &a.Prepared, cfg, a.Info, s.size.Load())
			a.Info.FlushDue = l.flushDue(a.Info)
		}
	}
	if !left {
		return
	}
	if h != nil {
		err = l.undo(s, h, s.size.Load(), err)
	}
	for _, a := range run[whole:] {
		if a.queued {
			a.Err = err
		}
	}
}

// wholeAppends gives the length of the part of run that ends with the last
// queued append that is within the first wrote bytes, and whether queued ones
// are left.
func wholeAppends(run []*GroupAppend, wrote int) (n int, left bool) {
	for i, a := range run {
		if !a.queued {
			continue
		}
		if wrote -= len(a.batches); wrote < 0 {
			return n, true
		}
		n = i + 1
	}
	return n, false
}
