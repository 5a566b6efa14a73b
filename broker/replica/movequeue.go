package replica

import (
	"slices"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// moveQueue holds the logs that move between log directories and decides whose
// turn it is. It is pure: the time is passed in. The owner calls it from one
// goroutine at a time.
//
// Each worker takes one move at a time and gives it back after a bounded amount
// of work, at the end of the queue: a log that grows faster than it is copied
// holds up no other.
type moveQueue struct {
	order []*moving // the next one first
}

// moving is one log that moves.
type moving struct {
	move *commitlog.Move
	busy bool      // a worker has it
	due  time.Time // not before this time
}

// verdict is what becomes of a move after a worker had it.
type verdict uint8

const (
	moveGoesOn verdict = iota
	moveWaits          // nothing can be done now, such as on a full volume
	moveEnded
)

// fullWait is how long such a move waits.
const fullWait = 10 * time.Second

// put adds a move. It takes the place of another move of the same partition.
func (q *moveQueue) put(v *commitlog.Move) {
	i := q.find(v.Partition())
	switch {
	case i < 0:
		q.order = append(q.order, &moving{move: v})
	case q.order[i].move != v:
		q.order[i] = &moving{move: v}
	}
}

// drop takes a partition's move out and returns it, nil if there is none.
func (q *moveQueue) drop(tp record.TopicPartition) *commitlog.Move {
	i := q.find(tp)
	if i < 0 {
		return nil
	}
	v := q.order[i].move
	q.order = slices.Delete(q.order, i, i+1)
	return v
}

func (q *moveQueue) find(tp record.TopicPartition) int {
	return slices.IndexFunc(q.order, func(x *moving) bool { return x.move.Partition() == tp })
}

// take gives the next move to work on. If there is none, wait is the time until
// one is due, negative if only a change can bring one.
func (q *moveQueue) take(now time.Time) (x *moving, wait time.Duration) {
	wait = -1
	for _, x := range q.order {
		if x.busy {
			continue
		}
		d := x.due.Sub(now)
		if d <= 0 {
			x.busy = true
			return x, 0
		}
		if wait < 0 || d < wait {
			wait = d
		}
	}
	return nil, wait
}

// giveBack returns what was taken. A move that was dropped or replaced meanwhile
// is forgotten.
func (q *moveQueue) giveBack(x *moving, v verdict, now time.Time) {
	i := slices.Index(q.order, x)
	if i < 0 {
		return
	}
	q.order = slices.Delete(q.order, i, i+1)
	if v == moveEnded {
		return
	}
	x.busy = false
	if v == moveWaits {
		x.due = now.Add(fullWait)
	}
	q.order = append(q.order, x)
}

// budget spreads the bytes that moves copy over time. It is pure; the owner
// calls it from one goroutine at a time.
type budget struct {
	owed float64 // bytes copied and not yet paid for by waiting
	last time.Time
}

// longestWait bounds a wait, so that a changed rate is soon heeded.
const longestWait = time.Second

// spend notes n copied bytes.
func (b *budget) spend(n int) { b.owed += float64(n) }

// wait tells how long to wait before more is copied at rate bytes per second,
// at most longestWait; then it is to be asked again. 0: go on.
func (b *budget) wait(rate int64, now time.Time) time.Duration {
	r := float64(max(1, rate))
	if !b.last.IsZero() {
		b.owed = max(0, b.owed-now.Sub(b.last).Seconds()*r)
	}
	b.last = now
	if b.owed < 1 {
		return 0
	}
	if seconds := b.owed / r; seconds < longestWait.Seconds() {
		return max(time.Duration(seconds*float64(time.Second)), time.Microsecond)
	}
	return longestWait
}
