package replica

import (
	"errors"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
)

// AppendInfo is what the log says about an append.
type AppendInfo = commitlog.AppendInfo

// Append appends and calls done once: before it returns, or, for AcksAll with
// several replicas and where flush.messages asks for a sync first, later on
// another goroutine. The results are valid until done returns.
//
// Batches are checked outside the partition's lock, then numbered and written
// under it with one write per partition; small appends that wait for a busy
// partition share a write. Readers that the append has satisfied
// are answered after done, so that the producer does not wait for them.
func (m *Manager) Append(req *AppendRequest, done func([]AppendResult)) {
	results := req.Results[:0]
	if cap(results) < len(req.Entries) {
		results = make([]AppendResult, 0, len(req.Entries))
	}
	results = results[:len(req.Entries)]
	var w woken
	var wait *appendPending
	for i := range req.Entries {
		results[i] = AppendResult{}
		info, parked, err := m.appendOne(req, i, &wait, &w)
		if !parked {
			results[i] = AppendResult{Err: err, Info: info}
		}
	}
	if wait == nil {
		done(results)
		w.run()
		return
	}
	for i := range results {
		if !wait.parked[i] {
			wait.results[i] = results[i]
		}
	}
	parked := wait // a variable that is never set again costs no allocation to capture
	wait.done = func() { done(parked.results) }
	timeout := req.Timeout
	if req.Acks != AcksAll {
		timeout = forever
	}
	wait.arm(timeout, wait.overdue)
	w.run()
}

// appendPending is an append that waits for followers or for a sync.
type appendPending struct {
	pending
	results []AppendResult
	parked  []bool
	waiters []*appendWaiter
}

// overdue ends the wait at the deadline.
func (p *appendPending) overdue() {
	for _, a := range p.waiters {
		done := a.settle(ErrTimedOut)
		a.replica.removeAppend(a)
		if done != nil {
			done()
		}
	}
}

func (m *Manager) appendOne(req *AppendRequest, i int, wait **appendPending, w *woken) (info AppendInfo, parked bool, err error) {
	if req.Acks < AcksAll || req.Acks > 1 {
		return info, false, ErrInvalidRequiredAcks
	}
	e := &req.Entries[i]
	r, err := m.find(e.TP, e.TopicID)
	if err != nil {
		return info, false, err
	}
	if req.Origin == OriginClient && !req.AllowInternal && r.cfg.Load().Internal {
		return info, false, ErrInvalidTopic
	}
	if err := r.view.Load().leading(e.epoch()); err != nil {
		return info, false, err
	}
	c := m.calls.Get().(*appendCall)
	defer m.calls.Put(c)
	opts := commitlog.AppendOptions{Origin: req.Origin.log(), Now: time.Now().UnixMilli(), DeferFlush: true}
	if err := r.log().Prepare(&c.Prepared, e.Batches, opts); err != nil {
		return info, false, logError(err)
	}
	c.req, c.i, c.pending, c.parked = req, i, *wait, false
	r.appendInLine(c, w)
	*wait = c.pending
	c.req, c.pending = nil, nil
	return c.Info, c.parked, logError(c.Err)
}

// logError names what a closed log means to a client: the partition has gone.
func logError(err error) error {
	if errors.Is(err, commitlog.ErrClosed) {
		return ErrNotLeader
	}
	return err
}

func (o Origin) log() commitlog.Origin {
	switch o {
	case OriginCoordinator:
		return commitlog.OriginCoordinator
	case OriginReplication:
		return commitlog.OriginReplication
	default:
		return commitlog.OriginClient
	}
}

// newWaiter adds a part to the request that c belongs to, which will be answered
// later.
func (c *appendCall) newWaiter() *appendWaiter {
	n := len(c.req.Entries)
	if c.pending == nil {
		c.pending = &appendPending{pending: pending{left: 1}, results: make([]AppendResult, n), parked: make([]bool, n)}
	}
	p := c.pending
	p.mu.Lock() // an earlier part may be settled at the same time
	p.left++
	p.mu.Unlock()
	a := &appendWaiter{part: part{p: &p.pending}, result: &p.results[c.i]}
	p.parked[c.i] = true
	p.waiters = append(p.waiters, a)
	c.parked = true
	return a
}
