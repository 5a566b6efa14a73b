package replica

import (
	"sync"
	"time"
)

// pending is a request that waits for several partitions. It completes exactly
// once: when all parts are settled, or at its deadline, which settles the rest.
type pending struct {
	mu    sync.Mutex
	left  int // parts not settled, plus one until the request is armed
	timer *time.Timer
	// done answers the request; called once, without locks.
	done func()
}

// part is one unsettled partition of a pending request.
type part struct {
	p       *pending
	settled bool // under p.mu
}

// finish settles the part by set, unless it was settled before, and returns
// what completes the request when it was the last.
func (x *part) finish(set func()) func() {
	x.p.mu.Lock()
	defer x.p.mu.Unlock()
	if x.settled {
		return nil
	}
	x.settled = true
	set()
	return x.p.countDown()
}

// countDown is called under mu.
func (p *pending) countDown() func() {
	if p.left--; p.left > 0 {
		return nil
	}
	if p.timer != nil {
		p.timer.Stop()
	}
	return p.done
}

// arm starts the deadline once all parts are queued; overdue is run then. Parts
// may have been settled before.
func (p *pending) arm(timeout time.Duration, overdue func()) {
	p.mu.Lock()
	if p.left > 1 {
		p.timer = time.AfterFunc(timeout, overdue)
	}
	done := p.countDown()
	p.mu.Unlock()
	if done != nil {
		done()
	}
}

// appendWaiter is one partition of an append that waits.
type appendWaiter struct {
	part
	replica *Replica
	// required is the high watermark, or the synced offset, that satisfies it.
	required int64
	info     AppendInfo
	result   *AppendResult
}

// settle gives the partition's outcome.
func (a *appendWaiter) settle(err error) func() {
	return a.finish(func() { *a.result = AppendResult{Err: err, Info: a.info} })
}

// deleteWaiter is one partition of a DeleteRecords.
type deleteWaiter struct {
	part
	replica  *Replica
	required int64
	result   *DeleteRecordsResult
}

func (d *deleteWaiter) settle(err error, low int64) func() {
	return d.finish(func() { *d.result = DeleteRecordsResult{Err: err, LowWatermark: low} })
}
