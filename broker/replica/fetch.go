package replica

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
)

// Fetch reads and calls done once: before it returns when there is enough to
// read, an error to tell, or no time to wait; else later, on the goroutine that
// made enough available or on the deadline's.
//
// The manager keeps req until then.
func (m *Manager) Fetch(req *FetchRequest, done func(FetchResult)) {
	rd := reader{m: m, req: req}
	parts, ready := rd.read(true)
	if ready || req.MaxWait <= 0 {
		done(FetchResult{Partitions: parts})
		return
	}
	p := &parkedFetch{reader: rd, done: done}
	p.need.Store(int64(req.MinBytes) - rd.bytes)
	p.park(parts)
}

// reader reads the partitions of one fetch request, as often as it takes.
type reader struct {
	m   *Manager
	req *FetchRequest
	// bytes is what the last read found.
	bytes int64
}

// seen tells a parked fetch whether a partition has changed since it was read:
// limit is the offset up to which the last read could look.
type seen struct {
	replica *Replica
	view    *view
	limit   int64
}

// read fills the request's results. ready is true when they should be sent
// without waiting. first is the read in which followers report their position.
func (rd *reader) read(first bool) (parts []FetchPartition, ready bool) {
	req := rd.req
	if cap(req.Partitions) < len(req.Entries) {
		req.Partitions = make([]FetchPartition, len(req.Entries))
	}
	if cap(req.seen) < len(req.Entries) {
		req.seen = make([]seen, len(req.Entries))
	}
	parts, req.seen = req.Partitions[:len(req.Entries)], req.seen[:len(req.Entries)]
	rd.bytes = 0
	left, minOne := int(req.MaxBytes), !req.HardMaxBytes
	ready = len(req.Entries) == 0 && req.Interest == nil
	for i := range req.Entries {
		fp := &parts[i]
		size := rd.readOne(i, fp, min(int(req.Entries[i].MaxBytes), left), minOne, first)
		if size > 0 {
			minOne = false
			left = max(0, left-size)
		}
		rd.bytes += int64(size)
		ready = ready || fp.Err != nil || fp.DivergingEpoch >= 0 || fp.DivergingEndOffset >= 0
	}
	return parts, ready || rd.bytes >= int64(req.MinBytes) || !first && req.Interest.any()
}

func (rd *reader) readOne(i int, fp *FetchPartition, maxBytes int, minOne, first bool) int {
	e := &rd.req.Entries[i]
	*fp = noPartition
	rd.req.seen[i] = seen{}
	r, err := rd.m.find(e.TP, e.TopicID)
	if err != nil {
		fp.Err = err
		return 0
	}
	v := r.view.Load()
	rd.req.seen[i] = seen{replica: r, view: v}
	if err := v.leading(e.CurrentLeaderEpoch); err != nil {
		fp.refuse(v, err)
		return 0
	}
	if e.LastFetchedEpoch >= 0 && !r.checkDivergence(e, fp) {
		return 0
	}
	if rd.req.ReplicaID >= 0 && first {
		eff, err := r.fetched(rd.req.ReplicaID, e.FetchOffset, e.LogStartOffset, time.Now())
		if err != nil {
			fp.refuse(v, err)
			return 0
		}
		rd.m.propose(r, eff)
	}
	rd.req.seen[i].limit = r.readInto(fp, e, rd.req.ReplicaID, rd.req.Isolation, maxBytes, minOne)
	return fp.Records.Size()
}

// noPartition is an answer without records.
var noPartition = FetchPartition{
	HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1,
	DivergingEpoch: -1, DivergingEndOffset: -1, LeaderID: -1, LeaderEpoch: -1,
}

func (fp *FetchPartition) refuse(v *view, err error) {
	fp.Err = err
	if errors.Is(err, ErrNotLeader) || errors.Is(err, ErrFencedEpoch) {
		fp.LeaderID, fp.LeaderEpoch = v.leader, v.leaderEpoch
	}
}

// checkDivergence compares the reader's last epoch with the log. It returns
// false when the answer is complete: the reader has to truncate, or the log
// cannot tell.
func (r *Replica) checkDivergence(e *FetchEntry, fp *FetchPartition) bool {
	b := r.bounds(ConsumerReplicaID, ReadUncommitted)
	epoch, end, diverged, known := Divergence(logEpochs{b.log}, e.FetchOffset, e.LastFetchedEpoch)
	switch {
	case !known:
		fp.Err = commitlog.ErrOffsetOutOfRange
		return false
	case diverged:
		fp.HighWatermark, fp.LastStableOffset, fp.LogStartOffset = b.hw, b.lso, b.log.StartOffset()
		fp.DivergingEpoch, fp.DivergingEndOffset = epoch, end
		return false
	}
	return true
}

// readInto reads up to maxBytes and returns the bound up to which it looked.
func (r *Replica) readInto(fp *FetchPartition, e *FetchEntry, replicaID int32, iso Isolation, maxBytes int, minOne bool) int64 {
	for {
		b := r.bounds(replicaID, iso)
		err := b.readInto(fp, e, replicaID < 0 && iso == ReadCommitted, maxBytes, minOne)
		if err == nil {
			return b.limit
		}
		if !r.replaced(b.log, err) {
			fp.Err = logError(err)
			return b.limit
		}
	}
}

// readInto reads up to maxBytes, with the aborted transactions if they are
// wanted. An error leaves fp as it was.
func (b bounds) readInto(fp *FetchPartition, e *FetchEntry, aborted bool, maxBytes int, minOne bool) error {
	s, err := b.log.Read(e.FetchOffset, maxBytes, minOne, b.limit)
	if err != nil {
		return err
	}
	if aborted && s.Size() > 0 {
		txns, err := b.log.AbortedTransactions(e.FetchOffset, min(s.UpperOffset(), b.lso))
		if err != nil {
			s.Release()
			return err
		}
		fp.Aborted = txns
	}
	fp.HighWatermark, fp.LastStableOffset, fp.LogStartOffset = b.hw, b.lso, b.log.StartOffset()
	fp.Records = s
	return nil
}

// parkedFetch is a fetch that waits for data. It completes exactly once, by
// wake or by its deadline.
type parkedFetch struct {
	reader
	done func(FetchResult)
	// need is how many more bytes must become readable; a wake below or at zero
	// reads again.
	need atomic.Int64
	// waking is set by the change that will call wake, so that one append to
	// many partitions wakes a fetch once.
	waking atomic.Bool

	mu       sync.Mutex
	finished bool
	timer    *time.Timer
	waiters  []fetchWaiter
}

// fetchWaiter links a parked fetch into one replica's list.
type fetchWaiter struct {
	fetch      *parkedFetch
	replica    *Replica
	prev, next *fetchWaiter
	linked     bool
	// from is the replica's count of visible bytes when it was linked or last
	// counted.
	from int64
	// follower readers see what is appended, not only what is replicated.
	follower bool
}

// park links the fetch into its partitions and starts the deadline. A change
// between the read and the link is found by comparing what the read saw.
func (p *parkedFetch) park(parts []FetchPartition) {
	release(parts)
	p.mu.Lock()
	p.waiters = make([]fetchWaiter, len(p.req.Entries))
	p.timer = time.AfterFunc(p.req.MaxWait, p.expire)
	changed := p.link()
	changed = p.req.Interest.park(p) || changed
	p.mu.Unlock()
	if changed && p.waking.CompareAndSwap(false, true) {
		p.wake()
	}
}

// link puts the fetch into the lists; called under p.mu. It returns true when a
// partition is no longer as the last read saw it.
func (p *parkedFetch) link() (changed bool) {
	for i := range p.waiters {
		s := p.req.seen[i]
		if s.replica == nil {
			continue
		}
		w := &p.waiters[i]
		if w.linked && w.replica != s.replica { // the topic was made anew meanwhile
			w.replica.unwatch(w)
		}
		w.fetch, w.replica, w.follower = p, s.replica, p.req.ReplicaID >= 0
		if s.replica.watch(w, s, p.req) {
			changed = true
		}
	}
	return changed
}

// watch links w and reports whether the replica has changed since s.
func (r *Replica) watch(w *fetchWaiter, s seen, req *FetchRequest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !w.linked {
		r.fetches.push(w)
	}
	w.from = r.visible
	return r.view.Load() != s.view || r.bounds(req.ReplicaID, req.Isolation).limit != s.limit
}

// unlink takes the fetch out of all lists; called under p.mu.
func (p *parkedFetch) unlink() {
	for i := range p.waiters {
		if w := &p.waiters[i]; w.replica != nil {
			w.replica.unwatch(w)
		}
	}
}

func (r *Replica) unwatch(w *fetchWaiter) {
	r.mu.Lock()
	r.fetches.remove(w)
	r.mu.Unlock()
}

// wake reads again and answers when there is enough, else goes on waiting.
func (p *parkedFetch) wake() {
	p.mu.Lock()
	for {
		p.waking.Store(false)
		if p.finished {
			p.mu.Unlock()
			return
		}
		parts, ready := p.read(false)
		if ready {
			p.finish(parts)
			return
		}
		p.need.Store(int64(p.req.MinBytes) - p.bytes)
		release(parts)
		if !p.link() {
			p.mu.Unlock()
			return
		}
	}
}

// expire answers with what there is at the deadline.
func (p *parkedFetch) expire() {
	p.mu.Lock()
	if p.finished {
		p.mu.Unlock()
		return
	}
	parts, _ := p.read(false)
	p.finish(parts)
}

// finish answers; called under p.mu, which it releases.
func (p *parkedFetch) finish(parts []FetchPartition) {
	p.finished = true
	p.timer.Stop()
	p.unlink()
	p.req.Interest.unpark(p)
	p.mu.Unlock()
	p.done(FetchResult{Partitions: parts})
}

func release(parts []FetchPartition) {
	for i := range parts {
		parts[i].Records.Release()
		parts[i].Records = commitlog.Slice{}
	}
}

// waiterList is an intrusive list of parked fetches, under the replica's mutex.
type waiterList struct{ head *fetchWaiter }

func (l *waiterList) push(w *fetchWaiter) {
	w.linked, w.prev, w.next = true, nil, l.head
	if l.head != nil {
		l.head.prev = w
	}
	l.head = w
}

func (l *waiterList) remove(w *fetchWaiter) {
	if !w.linked {
		return
	}
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		l.head = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.linked, w.prev, w.next = false, nil, nil
}

// advance takes the bytes that became visible off what the waiting fetches need
// and collects those that need no more. They stay linked.
func (l *waiterList) advance(visible int64, out *woken) {
	for w := l.head; w != nil; w = w.next {
		delta := visible - w.from
		w.from = visible
		if w.fetch.need.Add(-delta) <= 0 {
			out.wake(w.fetch)
		}
	}
}

// advanceFollowers wakes the followers: they read what is not replicated yet.
func (l *waiterList) advanceFollowers(out *woken) {
	for w := l.head; w != nil; w = w.next {
		if w.follower {
			out.wake(w.fetch)
		}
	}
}

func (l *waiterList) wakeAll(out *woken) {
	for w := l.head; w != nil; w = w.next {
		out.wake(w.fetch)
	}
}

func (w *woken) wake(p *parkedFetch) {
	if p.waking.CompareAndSwap(false, true) {
		w.fetches = append(w.fetches, p)
	}
}
