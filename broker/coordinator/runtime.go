package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/replica"
)

// Log is the runtime's way to the partitions of its topic. ReplicaLog is the
// real one.
type Log interface {
	// Append writes records as one batch, if this broker leads the partition
	// in epoch, and calls done once, perhaps before it returns: with nil when
	// the records are committed, with an error when they are not in the log
	// and never will be. done is not called when leadership is lost first.
	Append(partition, epoch int32, records []Record, done func(error))
	// Load calls replay for every record of the partition, in order and up to
	// the log's end. The record's bytes are the callee's to keep.
	Load(ctx context.Context, partition, epoch int32, replay func(offset int64, rec Record)) error
}

// Config holds the settings of a Runtime.
type Config[R Request] struct {
	// New makes the empty shard of a partition.
	New func(partition int32) Shard[R]
	// CommitTimeout is when a write becomes overdue. Default 5 s.
	CommitTimeout time.Duration
	// QueueLimit bounds the requests that wait for one shard; what comes on top
	// is refused. Default 10,000.
	QueueLimit int
}

// Runtime owns the shards of one topic. All methods may be called from any
// goroutine.
type Runtime[R Request] struct {
	cfg    Config[R]
	log    Log
	logger *slog.Logger

	mu     sync.RWMutex
	actors map[int32]*actor[R]
	closed bool
	// loads is the queue of shards to load; loadReady has a token when it is
	// not empty.
	loads     []*actor[R]
	loadReady chan struct{}

	timerMu sync.Mutex
	// wakeAt is the time for which the timer goroutine sleeps, zero for none;
	// rearm has a token when it must look again.
	wakeAt time.Time
	due    map[*actor[R]]time.Time
	rearm  chan struct{}
}

// NewRuntime builds a runtime without partitions; Leadership brings them.
func NewRuntime[R Request](cfg Config[R], log Log, logger *slog.Logger) *Runtime[R] {
	if cfg.CommitTimeout <= 0 {
		cfg.CommitTimeout = 5 * time.Second
	}
	if cfg.QueueLimit <= 0 {
		cfg.QueueLimit = 10_000
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Runtime[R]{
		cfg: cfg, log: log, logger: logger,
		actors:    make(map[int32]*actor[R]),
		due:       make(map[*actor[R]]time.Time),
		loadReady: make(chan struct{}, 1),
		rearm:     make(chan struct{}, 1),
	}
}

// Run loads shards and wakes them at their deadlines until ctx ends, then
// unloads them all.
func (rt *Runtime[R]) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { rt.runLoads(ctx) })
	wg.Go(func() { rt.runTimers(ctx) })
	<-ctx.Done()
	wg.Wait()
	rt.mu.Lock()
	rt.closed = true
	actors := rt.actors
	rt.actors = make(map[int32]*actor[R])
	rt.mu.Unlock()
	for _, a := range actors {
		a.unload()
	}
	return ctx.Err()
}

// Leadership takes over and gives up partitions; it is a watcher of the replica
// manager and does not block.
func (rt *Runtime[R]) Leadership(changes []replica.LeadershipChange) {
	var gone []*actor[R]
	rt.mu.Lock()
	for _, c := range changes {
		p := c.TP.Partition
		old := rt.actors[p]
		if rt.closed || old != nil && c.LeaderEpoch < old.epoch || old != nil && c.Leader && c.LeaderEpoch == old.epoch {
			continue
		}
		if old != nil {
			gone = append(gone, old)
			delete(rt.actors, p)
		}
		if c.Leader {
			a := &actor[R]{rt: rt, partition: p, epoch: c.LeaderEpoch, shard: rt.cfg.New(p)}
			rt.actors[p] = a
			rt.loads = append(rt.loads, a)
		}
	}
	rt.mu.Unlock()
	signal(rt.loadReady)
	for _, a := range gone {
		a.unload()
	}
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// Do gives req to the partition's shard, on the caller's goroutine if the shard
// is idle. It refuses the request when there is no such shard, or not yet.
func (rt *Runtime[R]) Do(partition int32, req R) {
	rt.mu.RLock()
	a := rt.actors[partition]
	rt.mu.RUnlock()
	if a == nil {
		req.Refuse(ErrNotCoordinator)
		return
	}
	if err := a.request(req); err != nil {
		req.Refuse(err)
	}
}

// Status tells what the partition's shard is ready for: nil, ErrNotCoordinator,
// ErrLoadInProgress or ErrNotAvailable.
func (rt *Runtime[R]) Status(partition int32) error {
	rt.mu.RLock()
	a := rt.actors[partition]
	rt.mu.RUnlock()
	if a == nil {
		return ErrNotCoordinator
	}
	return a.status()
}

// Partitions lists the partitions that have a shard, loaded or not.
func (rt *Runtime[R]) Partitions() []int32 {
	rt.mu.RLock()
	defer rt.mu.RUnlock()
	ps := make([]int32, 0, len(rt.actors))
	for p := range rt.actors {
		ps = append(ps, p)
	}
	return ps
}

func (rt *Runtime[R]) runLoads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-rt.loadReady:
		}
		for ctx.Err() == nil {
			rt.mu.Lock()
			if len(rt.loads) == 0 {
				rt.mu.Unlock()
				break
			}
			a := rt.loads[0]
			rt.loads = rt.loads[1:]
			rt.mu.Unlock()
			rt.load(ctx, a)
		}
	}
}

var errUnloaded = errors.New("coordinator: leadership was lost during the load")

// load replays the partition into the shard, which nobody else touches before
// it is active.
func (rt *Runtime[R]) load(ctx context.Context, a *actor[R]) {
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if !a.beginLoad(func() { cancel(errUnloaded) }) {
		return
	}
	var count, skipped int
	err := rt.log.Load(ctx, a.partition, a.epoch, func(offset int64, rec Record) {
		count++
		if err := a.shard.Replay(offset, rec); err != nil {
			skipped++
			rt.logger.Warn("record skipped while loading", "partition", a.partition, "offset", offset, "err", err)
		}
	})
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, errUnloaded) && !errors.Is(err, context.Canceled) {
		rt.logger.Error("cannot load coordinator partition", "partition", a.partition, "epoch", a.epoch, "err", err)
	}
	a.endLoad(err)
	if err == nil {
		rt.logger.Debug("coordinator partition loaded", "partition", a.partition, "epoch", a.epoch,
			"records", count, "skipped", skipped, "took", time.Since(start))
	}
}

// schedule makes sure that a is ticked at or soon after t; zero is never.
func (rt *Runtime[R]) schedule(a *actor[R], t time.Time) {
	rt.timerMu.Lock()
	defer rt.timerMu.Unlock()
	if t.IsZero() {
		delete(rt.due, a)
		return
	}
	rt.due[a] = t
	if rt.wakeAt.IsZero() || t.Before(rt.wakeAt) {
		rt.wakeAt = t
		signal(rt.rearm)
	}
}

func (rt *Runtime[R]) runTimers(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-rt.rearm:
		}
		for _, a := range rt.takeDue(time.Now()) {
			a.tick()
		}
		timer.Reset(rt.untilNext(time.Now()))
	}
}

// takeDue removes and returns the shards whose time has come.
func (rt *Runtime[R]) takeDue(now time.Time) (as []*actor[R]) {
	rt.timerMu.Lock()
	defer rt.timerMu.Unlock()
	for a, t := range rt.due {
		if !t.After(now) {
			as = append(as, a)
			delete(rt.due, a)
		}
	}
	return as
}

// untilNext is how long the timer goroutine may sleep. It records the time of
// its waking, so that schedule knows when to disturb it.
func (rt *Runtime[R]) untilNext(now time.Time) time.Duration {
	rt.timerMu.Lock()
	defer rt.timerMu.Unlock()
	rt.wakeAt = time.Time{}
	for _, t := range rt.due {
		if rt.wakeAt.IsZero() || t.Before(rt.wakeAt) {
			rt.wakeAt = t
		}
	}
	if rt.wakeAt.IsZero() {
		return time.Hour
	}
	return max(rt.wakeAt.Sub(now), 0)
}

// String names the actor in messages.
func (a *actor[R]) String() string {
	return fmt.Sprintf("partition %d, epoch %d", a.partition, a.epoch)
}
