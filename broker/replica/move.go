package replica

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

const (
	// moveChunk is how many bytes are copied at a time.
	moveChunk = 1 << 20
	// moveTurn is how many chunks a worker copies before the next move has its
	// turn.
	moveTurn = 64
	// moveTail is how many bytes may be left when appends are held up for the
	// exchange, at most what may be copied in a second.
	moveTail = 4 << 20
)

// mover copies logs into other log directories and puts the copies in their
// place. Manager.Run runs its workers.
type mover struct {
	m *Manager
	// resume tells where logs were moving when this broker, or their replica
	// here, stopped; under Manager.stateMu.
	resume map[record.TopicPartition]string

	// mu guards the rest. It is a leaf.
	mu      sync.Mutex
	queue   moveQueue
	budget  budget
	changed chan struct{} // closed and replaced when the queue changes
}

func newMover(m *Manager) *mover {
	resume := make(map[record.TopicPartition]string)
	maps.Copy(resume, m.logs.Interrupted())
	return &mover{m: m, resume: resume, changed: make(chan struct{})}
}

// MoveLog begins to move a partition's log into another log directory, or, when
// it is there or on its way there, sees to it that it stays so: a move
// elsewhere is cancelled. For a replica that is not here yet, but that exists
// according to the caller, the directory is remembered, and the answer is
// ErrReplicaNotAvailable.
func (m *Manager) MoveLog(tp record.TopicPartition, dir string, exists bool) error {
	m.stateMu.Lock()
	defer m.stateMu.Unlock()
	if err := m.logs.CheckDir(dir); err != nil {
		return err
	}
	r, err := m.find(tp, TopicID{})
	if err != nil || tp.Topic == "" {
		if !exists {
			return ErrUnknownPartition
		}
		if err := m.later(tp, dir); err != nil {
			return err
		}
		return ErrReplicaNotAvailable
	}
	if err := r.view.Load().offline; err != nil {
		return err
	}
	return m.mover.begin(tp, dir)
}

// later notes where the log of a replica that is not here is to lie; called under
// stateMu.
func (m *Manager) later(tp record.TopicPartition, dir string) error {
	if _, ok := m.logs.Log(tp); ok {
		m.mover.resume[tp] = dir
		return nil
	}
	return m.logs.Wish(tp, dir)
}

// begin begins a move; called under stateMu.
func (x *mover) begin(tp record.TopicPartition, dir string) error {
	v, err := x.m.logs.BeginMove(tp, dir)
	if err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if v == nil {
		x.queue.drop(tp)
		return nil
	}
	x.queue.put(v)
	close(x.changed)
	x.changed = make(chan struct{})
	return nil
}

// hosted takes up the move of a replica that has come; called under stateMu.
func (x *mover) hosted(tp record.TopicPartition) {
	dir, ok := x.resume[tp]
	if !ok {
		return
	}
	delete(x.resume, tp)
	if err := x.begin(tp, dir); err != nil {
		x.m.logger.Warn("a move between log directories is not taken up again", "partition", tp.String(), "to", dir, "err", err)
	}
}

// unhosted ends the move of a replica that goes, until it comes again; called
// under stateMu.
func (x *mover) unhosted(tp record.TopicPartition, deleted bool) {
	x.mu.Lock()
	v := x.queue.drop(tp)
	x.mu.Unlock()
	if deleted {
		delete(x.resume, tp)
		return // the log goes, and the copy with it
	}
	if v != nil {
		x.resume[tp] = v.Future().Dir()
		x.cancel(v, "the replica is stopped", nil)
	}
}

// dirFailed ends the moves from and to a directory. What is copied from it
// stays where it is: it may be all that is left.
func (x *mover) dirFailed(dir string) {
	var lost []*commitlog.Move
	x.mu.Lock()
	for _, item := range append([]*moving(nil), x.queue.order...) {
		switch dir {
		case item.move.Future().Dir():
			lost = append(lost, x.queue.drop(item.move.Partition()))
		case item.move.Source().Dir():
			x.queue.drop(item.move.Partition())
		}
	}
	x.mu.Unlock()
	for _, v := range lost {
		x.cancel(v, "its target is off line", nil)
	}
}

func (x *mover) cancel(v *commitlog.Move, why string, cause error) {
	x.m.logger.Warn("a move between log directories is cancelled", "partition", v.Partition().String(),
		"from", v.Source().Dir(), "to", v.Future().Dir(), "reason", why, "err", cause)
	if err := v.Cancel(); err != nil {
		x.m.logger.Warn("the copy of a log cannot be removed", "partition", v.Partition().String(), "dir", v.Future().Dir(), "err", err)
	}
}

// run works on the queue with a number of workers until ctx ends.
func (x *mover) run(ctx context.Context, workers int) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() { x.work(ctx) })
	}
	group.Wait()
}

func (x *mover) work(ctx context.Context) {
	for ctx.Err() == nil {
		x.mu.Lock()
		item, wait := x.queue.take(time.Now())
		changed := x.changed
		x.mu.Unlock()
		if item == nil {
			pause(ctx, wait, changed)
			continue
		}
		v := x.turn(ctx, item.move)
		x.mu.Lock()
		x.queue.giveBack(item, v, time.Now())
		x.mu.Unlock()
	}
}

// pause waits for d, for ever if it is negative, or until ctx ends or changed is
// closed.
func pause(ctx context.Context, d time.Duration, changed <-chan struct{}) {
	var due <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-ctx.Done():
	case <-changed:
	case <-due:
	}
}

// turn does a bounded part of a move.
func (x *mover) turn(ctx context.Context, v *commitlog.Move) verdict {
	for range moveTurn {
		rate, ok := x.pay(ctx)
		if !ok {
			return moveGoesOn
		}
		n, _, err := v.Copy(int(min(moveChunk, rate)))
		x.spend(n)
		if err != nil {
			return x.failed(v, err)
		}
		if tail := min(moveTail, rate); behind(v) <= tail {
			return x.exchange(v, tail)
		}
	}
	return moveGoesOn
}

func (x *mover) spend(n int) {
	x.mu.Lock()
	x.budget.spend(n)
	x.mu.Unlock()
}

// behind estimates how many bytes a copy lacks.
func behind(v *commitlog.Move) int64 {
	l := v.Source()
	end := l.EndOffset()
	lag := max(0, end-v.Future().EndOffset())
	if records := end - l.StartOffset(); lag < records {
		return int64(float64(lag) / float64(records) * float64(l.Size()))
	}
	return l.Size()
}

// pay waits until more may be copied and tells how much in a second; false: ctx
// has ended.
func (x *mover) pay(ctx context.Context) (rate int64, ok bool) {
	for ctx.Err() == nil {
		rate = x.rate()
		x.mu.Lock()
		d := x.budget.wait(rate, time.Now())
		x.mu.Unlock()
		if d == 0 {
			return rate, true
		}
		pause(ctx, d, nil)
	}
	return 0, false
}

func (x *mover) rate() int64 {
	if x.m.cfg.MoveRate == nil {
		return math.MaxInt64
	}
	return max(1, x.m.cfg.MoveRate())
}

// exchange puts a copy that has caught up in the place of its log. What is long
// is done before appends are held up.
func (x *mover) exchange(v *commitlog.Move, tail int64) verdict {
	r, err := x.m.find(v.Partition(), TopicID{})
	if err != nil {
		return moveGoesOn // it is being stopped, and unhosted comes next
	}
	if err := v.Future().Sync(v.Future().EndOffset()); err != nil {
		return x.failed(v, err)
	}
	n, done, err := r.exchange(v, tail)
	x.spend(n)
	switch {
	case done:
		x.m.logger.Info("a log has moved", "partition", r.tp.String(), "from", v.Source().Dir(), "to", v.Future().Dir())
		if err = errors.Join(err, x.m.Checkpoint()); err != nil {
			x.m.logger.Warn("after the move of a log", "partition", r.tp.String(), "err", err)
		}
		return moveEnded
	case errors.Is(err, commitlog.ErrMoveTorn):
		x.m.torn(r, v, err)
		return moveEnded
	case err != nil:
		return x.failed(v, err)
	case n == 0:
		return moveWaits // nothing to copy and yet not complete: no reason to spin
	default:
		return moveGoesOn // it has grown meanwhile
	}
}

// failed decides about a move after an error.
func (x *mover) failed(v *commitlog.Move, err error) verdict {
	switch {
	case errors.Is(err, commitlog.ErrClosed):
		return moveEnded // cancelled, or the log is deleted
	case v.Future().OffLine() == nil && errors.Is(err, commitlog.ErrNoSpace):
		x.m.logger.Warn("a move between log directories waits for room", "partition", v.Partition().String(), "to", v.Future().Dir(), "err", err)
		return moveWaits
	case v.Source().OffLine() != nil:
		return moveEnded // see dirFailed
	}
	x.cancel(v, "copying failed", err)
	return moveEnded
}

// exchange copies what the log has got meanwhile, while nothing is appended, and
// lets the copy take its place. It is not done when that is more than tail bytes.
func (r *Replica) exchange(v *commitlog.Move, tail int64) (copied int, done bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.log() != v.Source() {
		return 0, false, commitlog.ErrClosed
	}
	for int64(copied) <= tail {
		n, complete, err := v.Copy(moveChunk)
		if copied += n; err != nil {
			return copied, false, err
		}
		if !complete {
			if n == 0 {
				return copied, false, nil
			}
			continue
		}
		l, err := v.Commit()
		if l != nil {
			r.current.Store(l)
			r.unsaved.Store(true) // in another directory now
		}
		return copied, l != nil, err
	}
	return copied, false, nil
}

// torn takes a replica out of service whose logs are closed both.
func (m *Manager) torn(r *Replica, v *commitlog.Move, cause error) {
	m.stateMu.Lock()
	defer m.stateMu.Unlock()
	m.logger.Error("the move of a log was broken off by an error; the next start decides which copy counts",
		"partition", r.tp.String(), "from", v.Source().Dir(), "to", v.Future().Dir(), "err", cause)
	if change := r.fail(fmt.Errorf("%w: %w", ErrStorage, cause)); change != nil {
		m.notify([]LeadershipChange{*change})
	}
}

// fail takes the replica out of service and returns the end of its leadership,
// nil if it did not lead.
func (r *Replica) fail(reason error) *LeadershipChange {
	v := r.view.Load()
	r.stop(reason)
	if v.role != RoleLeader {
		return nil
	}
	return &LeadershipChange{TP: r.tp, LeaderEpoch: v.leaderEpoch}
}

// liesIn tells whether the log is in a directory, after an exchange under way.
func (r *Replica) liesIn(dir string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log().Dir() == dir
}

// adoptID stores the topic's id with the log, unless it has it.
func (r *Replica) adoptID(id TopicID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log().SetTopicID(id)
}
