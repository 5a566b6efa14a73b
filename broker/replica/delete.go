package replica

import (
	"time"
)

// deletePending is a DeleteRecords request that waits for followers.
type deletePending struct {
	pending
	results []DeleteRecordsResult
	waiters []*deleteWaiter
}

// DeleteRecords moves log start offsets up and calls done once, when all
// replicas have followed or the timeout has passed.
func (m *Manager) DeleteRecords(entries []DeleteRecordsEntry, timeout time.Duration, done func([]DeleteRecordsResult)) {
	p := &deletePending{pending: pending{left: 1}, results: make([]DeleteRecordsResult, len(entries))}
	p.done = func() { done(p.results) }
	for i := range entries {
		p.begin(m, &entries[i], &p.results[i])
	}
	p.arm(timeout, p.overdue)
}

// begin starts the deletion on one partition.
func (p *deletePending) begin(m *Manager, e *DeleteRecordsEntry, out *DeleteRecordsResult) {
	r, err := m.deletable(e)
	if err != nil {
		*out = DeleteRecordsResult{Err: err, LowWatermark: -1}
		return
	}
	d := &deleteWaiter{part: part{p: &p.pending}, result: out}
	p.mu.Lock()
	p.left++
	p.mu.Unlock()
	low, ready, err := r.deleteRecords(e.Offset, d)
	if ready {
		d.settle(err, low) // cannot be the last part: the request is not armed
		return
	}
	p.waiters = append(p.waiters, d)
}

func (m *Manager) deletable(e *DeleteRecordsEntry) (*Replica, error) {
	r, err := m.find(e.TP, TopicID{})
	if err != nil {
		return nil, err
	}
	switch cfg := r.cfg.Load(); {
	case cfg.Internal:
		return nil, ErrInvalidTopic
	case !cfg.Delete:
		return nil, ErrPolicyViolation
	}
	return r, nil
}

// overdue ends the wait at the deadline.
func (p *deletePending) overdue() {
	for _, d := range p.waiters {
		done := d.settle(ErrTimedOut, -1)
		d.replica.removeDelete(d)
		if done != nil {
			done()
		}
	}
}
