package runtime

import "math"

// lane is one task as the aligner sees it.
type lane struct {
	sub int
	// ready tells that the task would process a record now, one of time head.
	ready bool
	head  int64
	// behind tells of a task which is not ready that its input has, or may
	// have, records which have not been fetched.
	behind bool
	// reached is the highest time the task has processed.
	reached int64
	// since is when a sibling began to wait for the task, in wall-clock
	// milliseconds; -1 = none does. The aligner's.
	since int64
}

// aligner decides which task of a thread goes next. It keeps the tasks of one
// sub-topology together in event time, as they write to the same topics and
// whoever reads those has one clock for all of them.
//
// A task goes if its head is at most slack ahead of each sibling: of the head
// of one that is ready, of the time reached by one that is behind. The others
// of the sub-topology wait, for one that is behind no longer than maxWait; it
// is not waited for again before it was ready or caught up. Sub-topologies
// have their turns one after the other.
//
// It is pure: next depends on the lanes, the time and the turns before only.
type aligner struct {
	slack, maxWait int64  // milliseconds
	lanes          []lane // by sub
	turn           int    // lanes[turn:] have their turn first
}

// step is what a task may do next.
type step struct {
	lane int
	// limit is the highest time of a record it may process.
	limit int64
}

// next chooses a task. If ok is false, none may go: before deadline unless the
// lanes change; a deadline of math.MaxInt64 says that none is ready.
func (a *aligner) next(now int64) (s step, deadline int64, ok bool) {
	deadline = math.MaxInt64
	from := a.start()
	for seen := 0; seen < len(a.lanes); {
		to := a.end(from)
		best, limit, until := a.choose(a.lanes[from:to], now)
		if best >= 0 {
			a.turn = to
			return step{from + best, limit}, 0, true
		}
		deadline = min(deadline, until)
		seen += to - from
		from = to % len(a.lanes)
	}
	return s, deadline, false
}

// start is the first lane of the sub-topology whose turn it is: the lanes may
// have changed since the last turn.
func (a *aligner) start() int {
	if a.turn >= len(a.lanes) {
		return 0
	}
	from := a.turn
	for from > 0 && a.lanes[from-1].sub == a.lanes[from].sub {
		from--
	}
	return from
}

// end is the lane after the last one of the sub-topology that begins at from.
func (a *aligner) end(from int) int {
	to := from + 1
	for to < len(a.lanes) && a.lanes[to].sub == a.lanes[from].sub {
		to++
	}
	return to
}

// choose picks the task with the lowest head among siblings; -1 if it has to
// wait until the deadline, or there is none.
func (a *aligner) choose(lanes []lane, now int64) (best int, limit, deadline int64) {
	best, limit = -1, math.MaxInt64
	for i := range lanes {
		l := &lanes[i]
		switch {
		case !l.ready:
		case best < 0 || l.head < lanes[best].head:
			if best >= 0 {
				limit = lanes[best].head
			}
			best = i
		default:
			limit = min(limit, l.head)
		}
		if l.ready || !l.behind {
			l.since = -1
		}
	}
	if best < 0 {
		return -1, 0, math.MaxInt64
	}
	limit = later(limit, a.slack)
	for i := range lanes {
		l := &lanes[i]
		if l.ready || !l.behind {
			continue
		}
		reach := later(l.reached, a.slack)
		if lanes[best].head > reach && l.since < 0 {
			l.since = now
		}
		switch {
		case l.since >= 0 && now-l.since >= a.maxWait: // waited for long enough
		case lanes[best].head > reach:
			deadline = max(deadline, l.since+a.maxWait)
		default:
			limit = min(limit, reach)
		}
	}
	if deadline > 0 {
		return -1, 0, deadline
	}
	return best, limit, 0
}

// later is at+d, or the greatest time there is.
func later(at, d int64) int64 {
	if at > math.MaxInt64-d {
		return math.MaxInt64
	}
	return at + d
}
