package runtime

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/leatstream/leat/streams/topology"
)

// maxTurn bounds the records that a thread processes between two polls.
const maxTurn = 8192

// maxRun bounds the records a task processes before its siblings may have
// their turn.
const maxRun = 64

// slack is how far, in event time, one task of a thread may run ahead of
// another of its sub-topology.
const slack = 100 * time.Millisecond

// process lets the tasks work off what they have, in the order of the aligner,
// and decides when to go on if no record comes.
func (t *thread) process() error {
	if err := t.line(time.Now().UnixMilli()); err != nil {
		return err
	}
	t.resume = time.Time{}
	left := maxTurn
	for left > 0 {
		now := time.Now().UnixMilli()
		s, deadline, ok := t.order.next(now)
		if !ok {
			if deadline < math.MaxInt64 {
				t.resume = time.UnixMilli(deadline)
			}
			break
		}
		n, err := t.runTask(t.inLine[s.lane], now, s.limit, min(maxRun, left))
		if err != nil {
			return err
		}
		left -= max(n, 1)
		if err := t.look(s.lane, now); err != nil {
			return err
		}
	}
	if left <= 0 {
		t.resume = time.Now()
	}
	for _, r := range t.inLine {
		if r.active.Load() {
			t.throttle(r)
		}
	}
	return nil
}

// line sets up the lanes of the aligner, if the tasks have changed, and fills
// them.
func (t *thread) line(now int64) error {
	gone := func(r *running) bool { return t.tasks[r.id] != r }
	if len(t.inLine) != len(t.tasks) || slices.ContainsFunc(t.inLine, gone) {
		t.inLine = slices.SortedFunc(maps.Values(t.tasks), func(a, b *running) int {
			return cmp.Or(a.id.Sub-b.id.Sub, compareTasks(a.id, b.id))
		})
		t.order.lanes = make([]lane, len(t.inLine))
		for i, r := range t.inLine {
			t.order.lanes[i] = lane{sub: r.id.Sub, since: -1}
		}
	}
	for i := range t.inLine {
		if err := t.look(i, now); err != nil {
			return err
		}
	}
	return nil
}

// look fills one lane. Only tasks that write repartition topics are waited for.
func (t *thread) look(i int, now int64) (err error) {
	r, l := t.inLine[i], &t.order.lanes[i]
	l.ready = false
	if r.active.Load() {
		if l.head, l.ready, err = r.task.NextTime(now); err != nil {
			return err
		}
	}
	l.reached = r.task.StreamTime()
	l.behind = !l.ready && t.feeds[r.id.Sub] && !r.read()
	return nil
}

// read tells whether the task has taken in all its input there is known to be.
func (r *running) read() bool {
	if r.task.Queued() > 0 {
		return false
	}
	for _, in := range r.inputs {
		if in.end < 0 || !in.caughtUp() {
			return false
		}
	}
	return true
}

// runTask processes up to n records with times up to limit. What comes of them
// is produced before another task goes: the order in the topics is that of the
// processing.
func (t *thread) runTask(r *running, now, limit int64, n int) (done int, err error) {
	for done < n {
		ok, err := r.task.ProcessUntil(now, limit)
		if err != nil {
			return done, err
		}
		if !ok {
			break
		}
		done++
	}
	return done, t.send(r)
}

// feeders are the sub-topologies that write repartition topics.
func feeders(topo *topology.Topology) map[int]bool {
	out := map[int]bool{}
	for _, n := range topo.Nodes() {
		if n.Kind == topology.KindSink && n.Sink.Repartition {
			out[n.Sub] = true
		}
	}
	return out
}
