package replica

import (
	"math"
	"sync"
	"time"
)

// maxFlushes bounds how many logs are synced at the same time: each takes a
// thread of the system while the disk works.
const maxFlushes = 32

// forever is the deadline of an append with acks=1 that waits for a sync: its
// timeout is that of replication only.
const forever = time.Duration(math.MaxInt64)

// flusher syncs the logs whose topics want it after a number of records
// (flush.messages), one goroutine for each log that is owed a sync. Appends that
// come while one is under way share the next.
type flusher struct {
	slots   chan struct{}
	running sync.WaitGroup
}

func newFlusher() *flusher { return &flusher{slots: make(chan struct{}, maxFlushes)} }

// strict tells whether nothing may be acknowledged or replicated, nor come below
// the high watermark, before it is synced.
func (c *TopicConfig) strict() bool { return c.Log.FlushMessages == 1 }

// syncStrict syncs what the log holds before a strict topic's leader counts it:
// a log that was recovered holds what was never synced. Called under mu.
func (r *Replica) syncStrict() error {
	if !r.cfg.Load().strict() {
		return nil
	}
	return r.log().Sync(r.log().EndOffset())
}

// flush has the log synced up to offset. Called under mu, of a replica that is
// in service.
func (r *Replica) flush(offset int64) {
	r.flushTo = max(r.flushTo, offset)
	if !r.flushing {
		r.flushing = true
		r.flusher.running.Go(r.runFlush)
	}
}

// runFlush syncs until no more is asked for.
func (r *Replica) runFlush() {
	for again := true; again; {
		r.flusher.slots <- struct{}{}
		err := r.sync(r.log().EndOffset())
		<-r.flusher.slots
		var w woken
		r.mu.Lock()
		again = r.flushed(err, &w)
		r.mu.Unlock()
		w.run()
	}
}

// flushed counts what was synced and releases who waited for it; it tells
// whether more was asked for meanwhile. A failed sync has taken the directory
// off line, and nobody who waits will get a better answer. Called under mu.
func (r *Replica) flushed(err error, w *woken) (again bool) {
	if err != nil {
		r.flushing = false
		r.failWaiters(logError(err), w)
		return false
	}
	synced := r.log().FlushedOffset()
	counted := synced
	if !r.cfg.Load().strict() {
		counted = r.log().EndOffset() // between two syncs all records count at once
	}
	r.apply(r.core.Synced(counted), w)
	kept := r.flushes[:0]
	for _, a := range r.flushes {
		if a.required <= synced {
			w.add(a.settle(nil))
		} else {
			kept = append(kept, a)
		}
	}
	clear(r.flushes[len(kept):])
	r.flushes = kept
	r.flushing = r.flushTo > synced
	return r.flushing
}

// flushAll has everything synced that a strict topic must not leave unsynced.
func (r *Replica) flushAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view.Load().offline == nil && r.log().FlushedOffset() < r.log().EndOffset() {
		r.flush(r.log().EndOffset())
	}
}
