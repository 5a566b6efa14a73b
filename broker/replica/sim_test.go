package replica

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// The simulation runs three Partitions in one goroutine over an event heap: one
// seed is one run. Messages are lost and delayed, nodes crash and come back with
// an old high-watermark checkpoint, leaders live on as zombies. The controller
// is one linearizable state. Logs keep every append over a crash.

const (
	simNodes   = 3
	simFaults  = 4 * time.Second // faults are injected this long
	simHealing = 3 * time.Second // then everything must come right
)

// mutation breaks one rule of the protocol.
type mutation struct {
	name  string
	rules rules
	// truncateToHW: a new follower cuts its log at its high watermark and
	// nobody compares epochs, as before KIP-101.
	truncateToHW bool
	// from is a seed shortly before one that shows the damage: the search
	// starts there, to be quick.
	from uint64
}

type simEntry struct {
	epoch int32
	value int
}

type simLog struct{ entries []simEntry }

func (l *simLog) end() int64 { return int64(len(l.entries)) }

func (l *simLog) lastEpoch() int32 {
	if len(l.entries) == 0 {
		return -1
	}
	return l.entries[len(l.entries)-1].epoch
}

func (l *simLog) EndOffset(epoch int32) (int32, int64, bool) {
	for i := len(l.entries) - 1; i >= 0; i-- {
		if l.entries[i].epoch <= epoch {
			return l.entries[i].epoch, int64(i + 1), true
		}
	}
	// Nothing at or below: the logs agree on the empty prefix.
	return epoch, 0, len(l.entries) == 0 || l.entries[0].epoch > epoch
}

type simNode struct {
	id         int32
	up         bool
	life       int // counts restarts; messages to an earlier life are dropped
	log        simLog
	checkpoint int64
	part       *Partition
	fetchID    int // the fetch in flight; answers to others are stale
	waiting    []simAck
}

type simAck struct {
	offset int64
	value  int
	epoch  int32
}

type simEvent struct {
	at  time.Duration
	seq int
	run func()
}

type simHeap []simEvent

func (h simHeap) Len() int { return len(h) }
func (h simHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h simHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *simHeap) Push(x any)   { *h = append(*h, x.(simEvent)) }
func (h *simHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	*h = old[:len(old)-1]
	return e
}

type world struct {
	rng    *rand.Rand
	mut    mutation
	now    time.Duration
	seq    int
	events simHeap
	nodes  [simNodes]*simNode
	ctl    State
	alive  [simNodes]bool // as the controller believes
	acked  map[int64]int
	next   int
	err    error
}

func newWorld(seed uint64, mut mutation) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), mut: mut, acked: map[int64]int{}}
	w.ctl = State{Leader: 0, ISR: []int32{0, 1, 2}, Replicas: []int32{0, 1, 2}}
	for i := range w.nodes {
		w.nodes[i] = &simNode{id: int32(i)}
		w.alive[i] = true
		w.start(w.nodes[i])
	}
	w.every(20*time.Millisecond, w.broadcast)
	w.every(3*time.Millisecond, w.produce)
	w.every(60*time.Millisecond, w.chaos)
	return w
}

func (w *world) time() time.Time { return time.Unix(0, 0).Add(w.now) }
func (w *world) faulty() bool    { return w.now < simFaults }

func (w *world) after(d time.Duration, run func()) {
	w.seq++
	heap.Push(&w.events, simEvent{at: w.now + d, seq: w.seq, run: run})
}

func (w *world) every(d time.Duration, run func()) {
	w.after(d, func() { run(); w.every(d, run) })
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("at %v: %s", w.now, fmt.Sprintf(format, args...))
	}
}

// send delivers run to the node's present life, late or never.
func (w *world) send(to *simNode, run func()) {
	if w.faulty() && w.rng.IntN(100) < 4 {
		return
	}
	delay := time.Duration(1+w.rng.IntN(4)) * time.Millisecond
	if w.faulty() && w.rng.IntN(30) == 0 {
		delay += time.Duration(w.rng.IntN(150)) * time.Millisecond
	}
	life := to.life
	w.after(delay, func() {
		if to.up && to.life == life {
			run()
		}
	})
}

func (w *world) start(n *simNode) {
	n.up = true
	n.life++
	n.fetchID++
	n.part = NewPartition(n.id, 100*time.Millisecond, n.log.end(), n.checkpoint)
	n.part.rules = w.mut.rules
	life := n.life
	var loop func()
	loop = func() {
		if !n.up || n.life != life {
			return
		}
		w.tick(n)
		w.after(time.Duration(3+w.rng.IntN(5))*time.Millisecond, loop)
	}
	w.after(time.Millisecond, loop)
}

func (w *world) tick(n *simNode) {
	w.apply(n, n.part.Tick(w.time()))
	if w.rng.IntN(20) == 0 {
		n.checkpoint = n.part.HighWatermark()
	}
	if n.part.Role() == RoleFollower && n.part.Leader() >= 0 {
		w.fetch(n)
	}
}

func (w *world) chaos() {
	if !w.faulty() {
		for _, n := range w.nodes {
			if !n.up {
				w.restart(n)
			}
		}
		return
	}
	n := w.nodes[w.rng.IntN(simNodes)]
	switch {
	case n.up && w.rng.IntN(4) == 0:
		w.crash(n)
	case !n.up && w.rng.IntN(2) == 0:
		w.restart(n)
	case n.up && w.rng.IntN(8) == 0: // its session expires although it lives
		w.gone(n.id)
		w.after(100*time.Millisecond, func() {
			if n.up {
				w.back(n.id)
			}
		})
	case w.rng.IntN(2) == 0:
		w.move()
	}
}

// move hands leadership to another member of the ISR, which stays as it is: the
// new leader's high watermark may be behind what the old one acknowledged.
func (w *world) move() {
	to := w.ctl.ISR[w.rng.IntN(len(w.ctl.ISR))]
	if w.ctl.Leader >= 0 && w.alive[to] && to != w.ctl.Leader {
		w.ctl.Leader = to
		w.ctl.LeaderEpoch++
		w.ctl.PartitionEpoch++
		w.broadcast()
		if w.rng.IntN(2) == 0 { // and the new leader does not last
			w.after(time.Duration(5+w.rng.IntN(15))*time.Millisecond, func() { w.crash(w.nodes[to]) })
		}
	}
}

func (w *world) crash(n *simNode) {
	if !n.up {
		return
	}
	n.up = false
	n.waiting = nil
	life := n.life
	w.after(time.Duration(10+w.rng.IntN(40))*time.Millisecond, func() {
		if n.life == life {
			w.gone(n.id)
		}
	})
}

func (w *world) restart(n *simNode) {
	w.start(n)
	if w.alive[n.id] { // a bounce faster than its session: seen as gone first
		w.gone(n.id)
	}
	w.back(n.id)
}

// gone and back are what the controller does when a broker leaves or appears.
func (w *world) gone(id int32) {
	w.alive[id] = false
	if w.ctl.Leader == id || slices.Contains(w.ctl.ISR, id) {
		isr := slices.DeleteFunc(slices.Clone(w.ctl.ISR), func(r int32) bool { return r == id })
		if len(isr) == 0 {
			isr = []int32{id}
		}
		w.elect(isr)
	}
}

func (w *world) back(id int32) {
	w.alive[id] = true
	if w.ctl.Leader < 0 {
		w.elect(w.ctl.ISR)
	}
}

func (w *world) elect(isr []int32) {
	leader := w.ctl.Leader
	if leader < 0 || !w.alive[leader] || !slices.Contains(isr, leader) {
		leader = -1
		for _, id := range w.rng.Perm(simNodes) {
			if w.alive[id] && slices.Contains(isr, int32(id)) {
				leader = int32(id)
				break
			}
		}
	}
	w.ctl.ISR, w.ctl.Leader = isr, leader
	w.ctl.LeaderEpoch++
	w.ctl.PartitionEpoch++
	w.broadcast()
}

func (w *world) broadcast() {
	for _, n := range w.nodes {
		st := w.ctl
		st.ISR = slices.Clone(st.ISR)
		if w.alive[n.id] {
			w.send(n, func() { w.leaderAndISR(n, st) })
		}
	}
}

func (w *world) leaderAndISR(n *simNode, st State) {
	if n.part.CheckState(st) != nil {
		return
	}
	if st.LeaderEpoch == n.part.LeaderEpoch() && st.PartitionEpoch == n.part.PartitionEpoch() {
		return
	}
	newEpoch := st.LeaderEpoch != n.part.LeaderEpoch()
	if newEpoch {
		n.waiting = nil
		n.fetchID++
	}
	if st.Leader == n.id {
		_, eff := n.part.BecomeLeader(st, w.time())
		w.apply(n, eff)
		return
	}
	n.part.BecomeFollower(st, w.time())
	if newEpoch && w.mut.truncateToHW {
		w.truncate(n, n.part.HighWatermark())
	}
}

func (w *world) truncate(n *simNode, to int64) {
	n.log.entries = n.log.entries[:to]
	n.part.Truncated(to)
}

func (w *world) produce() {
	if w.now > simFaults+simHealing/2 {
		return
	}
	n := w.nodes[w.rng.IntN(simNodes)]
	if !n.up || n.part.Role() != RoleLeader {
		return
	}
	w.next++
	n.log.entries = append(n.log.entries, simEntry{n.part.LeaderEpoch(), w.next})
	n.waiting = append(n.waiting, simAck{n.log.end() - 1, w.next, n.part.LeaderEpoch()})
	w.apply(n, n.part.Appended(n.log.end()))
}

func (w *world) apply(n *simNode, eff Effects) {
	if eff.HighWatermarkMoved {
		w.committed(n)
	}
	if p := eff.Propose; p != nil {
		w.propose(n, *p)
	}
}

// committed acknowledges what the high watermark has passed and checks that
// nobody ever saw another value there.
func (w *world) committed(n *simNode) {
	hw := n.part.HighWatermark()
	if hw > n.log.end() {
		w.fail("node %d: high watermark %d above log end %d", n.id, hw, n.log.end())
		return
	}
	for len(n.waiting) > 0 && n.waiting[0].offset < hw {
		a := n.waiting[0]
		n.waiting = n.waiting[1:]
		if v, ok := w.acked[a.offset]; ok && v != a.value {
			w.fail("offset %d acknowledged as %d and as %d", a.offset, v, a.value)
		}
		w.acked[a.offset] = a.value
	}
	for o, v := range w.acked {
		if o < hw && n.log.entries[o].value != v {
			w.fail("node %d: offset %d below its high watermark %d is %d, acknowledged was %d",
				n.id, o, hw, n.log.entries[o].value, v)
		}
	}
}

func (w *world) propose(n *simNode, p ISRProposal) {
	answered := false
	answer := func(a ISRAnswer) {
		if !answered {
			answered = true
			a.LeaderEpoch, a.ProposedAt = p.LeaderEpoch, p.PartitionEpoch
			w.apply(n, n.part.ISRAnswered(a))
		}
	}
	life := n.life
	w.after(60*time.Millisecond, func() {
		if n.up && n.life == life {
			answer(ISRAnswer{Outcome: ISRUnknown})
		}
	})
	if w.faulty() && w.rng.IntN(20) == 0 {
		return // lost on the way there
	}
	w.after(time.Duration(1+w.rng.IntN(30))*time.Millisecond, func() {
		a := w.alterPartition(n.id, p)
		w.send(n, func() { answer(a) })
	})
}

func (w *world) alterPartition(from int32, p ISRProposal) ISRAnswer {
	if w.ctl.Leader != from || w.ctl.LeaderEpoch != p.LeaderEpoch || w.ctl.PartitionEpoch != p.PartitionEpoch {
		return ISRAnswer{Outcome: ISRFenced}
	}
	for _, id := range p.ISR {
		if !w.alive[id] {
			return ISRAnswer{Outcome: ISRRejected}
		}
	}
	w.ctl.ISR = slices.Clone(p.ISR)
	w.ctl.PartitionEpoch++
	return ISRAnswer{Outcome: ISRAccepted, PartitionEpoch: w.ctl.PartitionEpoch, ISR: slices.Clone(p.ISR)}
}

type fetchReply struct {
	diverged bool
	epoch    int32
	end      int64
	entries  []simEntry
	hw       int64
}

func (w *world) fetch(n *simNode) {
	n.fetchID++
	id, epoch := n.fetchID, n.part.LeaderEpoch()
	offset, last := n.log.end(), n.log.lastEpoch()
	leader := w.nodes[n.part.Leader()]
	w.send(leader, func() {
		r, ok := w.serveFetch(leader, n.id, epoch, offset, last)
		if ok {
			w.send(n, func() {
				// Only the answer to the newest fetch of this epoch counts.
				if n.fetchID == id && n.part.LeaderEpoch() == epoch && n.part.Role() == RoleFollower {
					w.fetched(n, r)
				}
			})
		}
	})
}

func (w *world) serveFetch(n *simNode, from, epoch int32, offset int64, last int32) (r fetchReply, ok bool) {
	if n.part.Role() != RoleLeader || n.part.LeaderEpoch() != epoch {
		return r, false
	}
	if !w.mut.truncateToHW && last >= 0 {
		var known bool
		if r.epoch, r.end, r.diverged, known = Divergence(&n.log, offset, last); !known {
			w.fail("leader %d does not know epoch %d", n.id, last)
		}
		if r.diverged {
			return r, true
		}
	}
	if offset > n.log.end() {
		return fetchReply{diverged: true, epoch: -1, end: n.log.end()}, true
	}
	eff, err := n.part.Fetched(from, offset, 0, w.time())
	if err != nil {
		w.fail("fetch of %d refused by leader %d: %v", from, n.id, err)
	}
	w.apply(n, eff)
	upTo := min(n.log.end(), offset+5)
	r.entries = slices.Clone(n.log.entries[offset:upTo])
	r.hw = n.part.HighWatermark()
	return r, true
}

func (w *world) fetched(n *simNode, r fetchReply) {
	if r.diverged {
		to := TruncationOffset(&n.log, n.log.end(), n.part.HighWatermark(), r.epoch, r.end)
		w.truncate(n, to)
		return
	}
	n.log.entries = append(n.log.entries, r.entries...)
	w.apply(n, n.part.FollowedTo(n.log.end(), r.hw))
	w.fetch(n)
}

// run simulates to the end and returns the first violation.
func (w *world) run() error {
	for w.err == nil && w.now < simFaults+simHealing {
		e := heap.Pop(&w.events).(simEvent)
		w.now = e.at
		e.run()
	}
	if w.err == nil {
		w.final()
	}
	return w.err
}

func (w *world) final() {
	want := w.nodes[0].log.entries
	for _, n := range w.nodes {
		if !slices.Equal(n.log.entries, want) {
			w.fail("log of node %d differs from node 0 after healing", n.id)
		}
		if n.part.HighWatermark() != n.log.end() {
			w.fail("node %d: high watermark %d, log end %d after healing", n.id, n.part.HighWatermark(), n.log.end())
		}
	}
	for o, v := range w.acked {
		if o >= int64(len(want)) || want[o].value != v {
			w.fail("acknowledged value %d at offset %d is lost", v, o)
		}
	}
	if len(w.ctl.ISR) != simNodes {
		w.fail("ISR is %v after healing", w.ctl.ISR)
	}
	if len(w.acked) == 0 {
		w.fail("nothing was acknowledged: the run proves nothing")
	}
}

// TestSimulation: nothing acknowledged is lost and no logs diverge, whatever the
// seed.
func TestSimulation(t *testing.T) {
	seeds := uint64(250)
	if testing.Short() {
		seeds = 40
	}
	for seed := range seeds {
		if err := newWorld(seed, mutation{}).run(); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestSimulationSeesBrokenRules: each broken rule must be noticed, else the
// checks above are blind.
func TestSimulationSeesBrokenRules(t *testing.T) {
	muts := []mutation{
		{name: "truncate to the high watermark", truncateToHW: true},
		{name: "join the ISR at the high watermark", rules: rules{joinAtHighWatermark: true}, from: 470},
		{name: "high watermark over the committed ISR only", rules: rules{committedISROnly: true}},
	}
	for _, m := range muts {
		t.Run(m.name, func(t *testing.T) {
			for i := range uint64(4000) {
				seed := m.from + i
				if err := newWorld(seed, m).run(); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("no seed noticed the broken rule")
		})
	}
}
