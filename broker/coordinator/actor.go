package coordinator

import (
	"sync"
	"time"
)

// phase is where a shard is in its life.
type phase uint8

const (
	phaseQueued  phase = iota // waits for the loader
	phaseLoading              // the loader replays into it
	phaseActive
	phaseFailed // could not be loaded
	phaseEnded  // leadership is lost
)

// actor serialises the events of one shard. Whoever posts an event to an idle
// actor runs it, and everything posted meanwhile, before returning.
type actor[R Request] struct {
	rt        *Runtime[R]
	partition int32
	epoch     int32

	mu    sync.Mutex
	phase phase
	// cancel ends the load under way.
	cancel  func()
	queue   []event[R]
	running bool

	// The rest belongs to the goroutine that runs the actor, or loads it.
	shard Shard[R]
	// writes are in flight, in the order of the log; their outcomes are given
	// to the shard in this order.
	writes  []*write
	replies []func()
	// scheduled is the time last given to the runtime's timers.
	scheduled time.Time
	// last is the time last given to the shard: it never goes back.
	last time.Time
}

type eventKind uint8

const (
	eventRequest eventKind = iota
	eventOutcome
	eventTick
	eventLoaded
	eventUnload
)

type event[R Request] struct {
	kind  eventKind
	req   R
	write *write
	err   error
}

// write is a Write in flight.
type write struct {
	Write
	overdueAt time.Time
	settled   bool
	err       error
}

// replyBatch bounds how many replies are held back while events keep coming.
const replyBatch = 64

func (a *actor[R]) status() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase.err()
}

func (p phase) err() error {
	switch p {
	case phaseActive:
		return nil
	case phaseQueued, phaseLoading:
		return ErrLoadInProgress
	case phaseFailed:
		return ErrNotAvailable
	default:
		return ErrNotCoordinator
	}
}

// request posts req, or says why not.
func (a *actor[R]) request(req R) error {
	a.mu.Lock()
	if err := a.phase.err(); err != nil {
		a.mu.Unlock()
		return err
	}
	if len(a.queue) >= a.rt.cfg.QueueLimit {
		a.mu.Unlock()
		return ErrNotAvailable
	}
	a.postLocked(event[R]{kind: eventRequest, req: req})
	return nil
}

func (a *actor[R]) post(e event[R]) {
	a.mu.Lock()
	a.postLocked(e)
}

// postLocked queues e and, if nobody runs the actor, runs it. It releases mu.
func (a *actor[R]) postLocked(e event[R]) {
	a.queue = append(a.queue, e)
	if a.running {
		a.mu.Unlock()
		return
	}
	a.running = true
	a.mu.Unlock()
	a.run()
}

// run works the queue off. Replies go out when the shard is idle, so that a
// slow one holds nobody up but its goroutine.
func (a *actor[R]) run() {
	var batch []event[R]
	for {
		a.mu.Lock()
		if len(a.queue) == 0 {
			a.reschedule()
			replies := a.replies
			a.replies = nil
			a.running = false
			a.mu.Unlock()
			runAll(replies)
			return
		}
		batch, a.queue = a.queue, batch[:0]
		a.mu.Unlock()
		for i := range batch {
			a.handle(&batch[i])
			batch[i] = event[R]{}
		}
		if len(a.replies) >= replyBatch {
			replies := a.replies
			a.replies = nil
			runAll(replies)
		}
	}
}

func runAll(fs []func()) {
	for _, f := range fs {
		f()
	}
}

func (a *actor[R]) handle(e *event[R]) {
	if now := time.Now(); now.After(a.last) {
		a.last = now
	}
	if a.shard == nil { // unloaded
		if e.kind == eventRequest {
			req := e.req
			a.replies = append(a.replies, func() { req.Refuse(ErrNotCoordinator) })
		}
		return
	}
	switch e.kind {
	case eventRequest:
		a.apply(a.shard.Handle(e.req, a.last))
	case eventOutcome:
		e.write.settled, e.write.err = true, e.err
		a.settle()
	case eventTick:
		a.scheduled = time.Time{}
		a.overdue()
		a.apply(a.shard.Tick(a.last))
	case eventLoaded:
		a.apply(a.shard.Loaded(a.last))
	case eventUnload:
		a.apply(a.shard.Unload(ErrNotCoordinator))
		a.shard, a.writes = nil, nil
	}
}

// apply appends the writes and keeps the replies. An append that completes at
// once posts its outcome, which run finds in the queue.
func (a *actor[R]) apply(eff Effects) {
	a.replies = append(a.replies, eff.Replies...)
	for _, wr := range eff.Writes {
		w := &write{Write: wr, overdueAt: a.last.Add(a.rt.cfg.CommitTimeout)}
		a.writes = append(a.writes, w)
		a.rt.log.Append(a.partition, a.epoch, wr.Records, func(err error) {
			a.post(event[R]{kind: eventOutcome, write: w, err: err})
		})
	}
}

// settle hands out the outcomes that are known, as far as all earlier ones are.
func (a *actor[R]) settle() {
	for len(a.writes) > 0 && a.writes[0].settled {
		w := a.writes[0]
		a.writes = a.writes[1:]
		if w.Done != nil {
			a.apply(w.Done(w.err, a.last))
		}
	}
}

// overdue tells the shard, once, about each write that takes too long.
func (a *actor[R]) overdue() {
	for _, w := range a.writes {
		if w.overdueAt.After(a.last) {
			return
		}
		if f := w.Overdue; f != nil {
			w.Overdue = nil
			a.apply(f(a.last))
		}
	}
}

// reschedule tells the runtime's timers when the shard next needs a tick. Called
// under mu by the running goroutine.
func (a *actor[R]) reschedule() {
	var next time.Time
	if a.shard != nil {
		next = a.shard.Deadline()
		for _, w := range a.writes {
			if w.Overdue != nil {
				if next.IsZero() || w.overdueAt.Before(next) {
					next = w.overdueAt
				}
				break
			}
		}
	}
	if !next.Equal(a.scheduled) {
		a.scheduled = next
		a.rt.schedule(a, next)
	}
}

func (a *actor[R]) tick() { a.post(event[R]{kind: eventTick}) }

// beginLoad gives the shard to the loader; false when it is no longer wanted.
func (a *actor[R]) beginLoad(cancel func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.phase != phaseQueued {
		return false
	}
	a.phase, a.cancel = phaseLoading, cancel
	return true
}

// endLoad opens the shard for requests.
func (a *actor[R]) endLoad(err error) {
	a.mu.Lock()
	a.cancel = nil
	if a.phase != phaseLoading {
		a.mu.Unlock()
		return
	}
	if err != nil {
		a.phase = phaseFailed
		a.mu.Unlock()
		return
	}
	a.phase = phaseActive
	a.postLocked(event[R]{kind: eventLoaded})
}

// unload ends the shard: what is parked in it is answered, what comes later is
// refused.
func (a *actor[R]) unload() {
	a.mu.Lock()
	was := a.phase
	a.phase = phaseEnded
	if was == phaseLoading && a.cancel != nil {
		a.cancel()
	}
	if was != phaseActive {
		a.mu.Unlock()
		return
	}
	a.postLocked(event[R]{kind: eventUnload})
}
