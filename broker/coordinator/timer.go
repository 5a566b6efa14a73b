package coordinator

import (
	"container/heap"
	"time"
)

// Timers is a shard's set of deadlines. It is lazy: moving a deadline later, as
// each heartbeat does, only writes a field, and the queue finds out when the old
// deadline comes up. The zero value is ready; not safe for concurrent use.
type Timers struct{ queue timerQueue }

// Timer is one deadline, embedded in what it times. Fire must be set before the
// first Set.
type Timer struct {
	// Fire is called by Timers.Run once the deadline has passed; the timer is
	// off by then and may be set again.
	Fire func(now time.Time)
	// at is the deadline, zero when off.
	at time.Time
	// queued is the time under which the timer stands in the queue, never after
	// at while the timer is on; index is its place, meaningful while queued is
	// not zero.
	queued time.Time
	index  int
}

// Active reports whether the timer is set.
func (t *Timer) Active() bool { return !t.at.IsZero() }

// Set sets or moves t's deadline.
func (ts *Timers) Set(t *Timer, at time.Time) {
	t.at = at
	switch {
	case t.queued.IsZero():
		t.queued = at
		heap.Push(&ts.queue, t)
	case at.Before(t.queued):
		t.queued = at
		heap.Fix(&ts.queue, t.index)
	}
}

// Stop turns t off.
func (ts *Timers) Stop(t *Timer) {
	t.at = time.Time{}
	if !t.queued.IsZero() {
		heap.Remove(&ts.queue, t.index)
	}
}

// Next is the time at which Run may have work: never later than the earliest
// deadline, perhaps earlier. Zero when there is none.
func (ts *Timers) Next() time.Time {
	if len(ts.queue) == 0 {
		return time.Time{}
	}
	return ts.queue[0].queued
}

// Run fires what is due, including what becomes due at now while it runs.
func (ts *Timers) Run(now time.Time) {
	for len(ts.queue) > 0 && !ts.queue[0].queued.After(now) {
		t := ts.queue[0]
		if t.at.After(now) {
			t.queued = t.at
			heap.Fix(&ts.queue, 0)
			continue
		}
		heap.Pop(&ts.queue)
		t.at = time.Time{}
		t.Fire(now)
	}
}

type timerQueue []*Timer

func (q timerQueue) Len() int           { return len(q) }
func (q timerQueue) Less(i, j int) bool { return q[i].queued.Before(q[j].queued) }
func (q timerQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].index, q[j].index = i, j
}
func (q *timerQueue) Push(x any) {
	t := x.(*Timer)
	t.index = len(*q)
	*q = append(*q, t)
}
func (q *timerQueue) Pop() any {
	old := *q
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	t.queued = time.Time{}
	return t
}
