package scrub

import (
	"container/heap"
	"hash/fnv"
	"strconv"
	"time"

	"github.com/leatstream/leat/broker/record"
)

// key names a segment.
type key struct {
	record.TopicPartition
	base int64
}

// schedule says which segment is to be read next. It is not safe for concurrent use.
//
// A segment is due at the moments that have its phase within the period. The
// phase depends on its name alone. One whose moment passes while others are read
// keeps its place in the queue.
type schedule struct {
	period time.Duration
	queue  queue
	known  map[key]*turn
	round  int // of see
}

// turn is the next reading of a segment.
type turn struct {
	key
	due   time.Time
	at    int // place in the queue
	round int // of see in which it was there
}

func newSchedule(period time.Duration) *schedule {
	return &schedule{period: period, known: map[key]*turn{}}
}

// setPeriod changes the period; every segment gets a new moment within it.
func (s *schedule) setPeriod(period time.Duration, now time.Time) {
	if period == s.period {
		return
	}
	s.period = period
	for _, t := range s.queue {
		t.due = s.after(t.key, now)
	}
	heap.Init(&s.queue)
}

// see takes over which segments there are. New ones get their first moment,
// those that are gone lose theirs.
func (s *schedule) see(now time.Time, segments func(yield func(key) bool)) {
	s.round++
	for k := range segments {
		t := s.known[k]
		if t == nil {
			t = &turn{key: k, due: s.after(k, now)}
			s.known[k] = t
			heap.Push(&s.queue, t)
		}
		t.round = s.round
	}
	for k, t := range s.known {
		if t.round != s.round {
			heap.Remove(&s.queue, t.at)
			delete(s.known, k)
		}
	}
}

// next gives the segment whose turn is first, and how long it is until then.
func (s *schedule) next(now time.Time) (k key, wait time.Duration, ok bool) {
	if len(s.queue) == 0 {
		return key{}, 0, false
	}
	t := s.queue[0]
	return t.key, max(0, t.due.Sub(now)), true
}

// done gives a segment its next moment; it was read now.
func (s *schedule) done(k key, now time.Time) {
	if t := s.known[k]; t != nil {
		t.due = s.after(k, now)
		heap.Fix(&s.queue, t.at)
	}
}

// behind is how long the first in the queue has waited.
func (s *schedule) behind(now time.Time) time.Duration {
	if len(s.queue) == 0 {
		return 0
	}
	return max(0, now.Sub(s.queue[0].due))
}

// after is the first moment of a segment later than now.
func (s *schedule) after(k key, now time.Time) time.Time {
	period := max(1, s.period.Milliseconds())
	ms := now.UnixMilli()
	return time.UnixMilli(ms - mod(ms-phase(k, period), period) + period)
}

// mod is the remainder that is never negative.
func mod(a, b int64) int64 { return (a%b + b) % b }

// phase spreads segments evenly over a period, in ms.
func phase(k key, period int64) int64 {
	h := fnv.New64a()
	h.Write(strconv.AppendInt([]byte(k.TopicPartition.String()+" "), k.base, 10)) // never fails
	x := h.Sum64()
	x = (x ^ x>>32) * 0x9e3779b97f4a7c15 // names that differ little differ in the low bits only
	return int64((x ^ x>>29) % uint64(period))
}

// queue is a heap of turns, the earliest first.
type queue []*turn

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push implements heap.Interface.
func (q *queue) Push(x any) {
	t := x.(*turn)
	t.at = len(*q)
	*q = append(*q, t)
}

// Pop implements heap.Interface.
func (q *queue) Pop() any {
	last := len(*q) - 1
	t := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return t
}
