package replica

import "github.com/leatstream/leat/broker/commitlog"

// maxGroup is how many appends are put into the log in one turn. A turn is also
// how long another use of the partition waits for its lock.
const (
	maxGroup      = 64
	maxGroupBytes = 1 << 20
)

// appendCall is one entry of an AppendRequest on its way into the log. Whoever
// leads the partition's line works on it while its owner waits.
type appendCall struct {
	commitlog.GroupAppend
	place place
	// told wakes the owner: with done its append has an outcome, else it leads.
	told chan struct{}
	done bool

	req     *AppendRequest
	i       int            // of the entry
	pending *appendPending // of the request; nil: nothing waits yet
	parked  bool           // the outcome comes later, through pending
}

func newAppendCall() *appendCall {
	c := &appendCall{told: make(chan struct{}, 1)}
	c.place.call = c
	return c
}

func (c *appendCall) entry() *AppendEntry { return &c.req.Entries[c.i] }

// turn is what a leader needs for more appends than its own.
type turn struct {
	calls []*appendCall
	group commitlog.Group
}

// appendInLine puts the batches of c into the log and moves the high watermark.
// When the partition is free it does so itself, and does it for those who came
// meanwhile, once; then it hands over. When it is busy c waits for its outcome or
// for its turn to lead.
func (r *Replica) appendInLine(c *appendCall, w *woken) {
	if !r.line.enter(&c.place) {
		<-c.told
		if c.done {
			return
		}
	}
	r.appendTurn(c, w)
	if next := r.line.take(); next != nil {
		r.appendTurn(next, w)
		next.tell(true)
	}
	if next := r.line.leave(); next != nil {
		next.tell(false)
	}
}

// tell wakes the owner of c, which must not be touched any more.
func (c *appendCall) tell(done bool) {
	c.done = done
	c.told <- struct{}{}
}

// appendTurn appends c and those who wait in the line, as far as one turn goes.
// All but c are told.
func (r *Replica) appendTurn(c *appendCall, w *woken) {
	r.mu.Lock()
	second := r.line.take()
	if second == nil {
		r.appendAlone(c, w)
		r.mu.Unlock()
		return
	}
	t := r.turns.Get().(*turn)
	t.calls = append(t.calls[:0], c, second)
	size := len(c.entry().Batches) + len(second.entry().Batches)
	for len(t.calls) < maxGroup && size < maxGroupBytes {
		next := r.line.take()
		if next == nil {
			break
		}
		t.calls = append(t.calls, next)
		size += len(next.entry().Batches)
	}
	r.appendGroup(t, w)
	r.mu.Unlock()
	for _, other := range t.calls[1:] {
		other.tell(true)
	}
	clear(t.calls)
	r.turns.Put(t)
}

// appendAlone appends the batches of c alone. Called under mu.
func (r *Replica) appendAlone(c *appendCall, w *woken) {
	if c.Err = r.mayAppend(c); c.Err != nil {
		c.Info = AppendInfo{}
		return
	}
	if c.Info, c.Err = r.log().AppendPrepared(&c.Prepared, r.core.LeaderEpoch()); c.Err != nil {
		return
	}
	if c.Info.FlushDue {
		r.flush(c.Info.LastOffset + 1)
	}
	if !c.Info.Duplicate {
		r.mark(&c.Info)
		r.grown(c.Info.LastOffset+1, w)
	}
	r.park(c)
}

// appendGroup appends the batches of all calls of t; the high watermark moves
// once, or twice when a sync becomes due in between. Called under mu.
func (r *Replica) appendGroup(t *turn, w *woken) {
	for _, c := range t.calls {
		if c.Err = r.mayAppend(c); c.Err == nil {
			t.group.Add(&c.GroupAppend)
		} else {
			c.Info = AppendInfo{}
		}
	}
	r.log().AppendGroup(&t.group, r.core.LeaderEpoch())
	t.group.Reset()
	end := int64(-1) // of what is not counted yet
	for _, c := range t.calls {
		if c.Err != nil {
			continue
		}
		if c.Info.FlushDue {
			if !r.flushing && end >= 0 {
				r.grown(end, w) // what came before counts without the sync
				end = -1
			}
			r.flush(c.Info.LastOffset + 1)
		}
		if !c.Info.Duplicate {
			r.mark(&c.Info)
			end = c.Info.LastOffset + 1
		}
	}
	if end >= 0 {
		r.grown(end, w)
	}
	for _, c := range t.calls {
		if c.Err == nil {
			r.park(c)
		}
	}
}

// mayAppend tells whether this broker may append the batches of c now. Called
// under mu.
func (r *Replica) mayAppend(c *appendCall) error {
	if err := r.view.Load().leading(c.entry().epoch()); err != nil {
		return err
	}
	if c.req.Acks == AcksAll && r.core.InSync() < r.minISR() {
		return ErrNotEnoughReplicas
	}
	return nil
}

// park queues a waiter when the answer to c has to wait: for replication with
// AcksAll, or for a sync that flush.messages asks for. Called under mu.
func (r *Replica) park(c *appendCall) {
	var queue *[]*appendWaiter
	switch {
	case c.req.Acks == AcksAll && r.core.HighWatermark() <= c.Info.LastOffset:
		queue = &r.appends
	case c.req.Acks != 0 && c.Info.FlushDue:
		queue = &r.flushes
	default:
		return
	}
	a := c.newWaiter()
	a.replica, a.required, a.info = r, c.Info.LastOffset+1, c.Info
	*queue = append(*queue, a)
}

// mark notes where an append that has been written ends. Called under mu, and
// followed by grown.
func (r *Replica) mark(info *AppendInfo) {
	r.appended += int64(info.Size)
	r.marks = append(r.marks, mark{end: info.LastOffset + 1, cum: r.appended})
}

// grown tells the core and the readers that the log ends at end. While a sync is
// owed, what is new does not count yet. Called under mu.
func (r *Replica) grown(end int64, w *woken) {
	var eff Effects
	if r.flushing {
		r.core.AppendedUnsynced(end)
	} else {
		eff = r.core.Appended(end)
	}
	r.apply(eff, w)
	if !eff.HighWatermarkMoved {
		r.fetches.advanceFollowers(w)
	}
}
