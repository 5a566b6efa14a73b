package replica

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// Replica is one hosted partition: the replication core, the log, and one mutex
// over both. What is parked on the partition hangs here too.
//
// Lock order: a Replica's mutex is a leaf together with those of Pending
// requests, which are taken under it; nothing is called back while it is held.
type Replica struct {
	tp record.TopicPartition
	// current is the log. It is replaced under mu, when a copy of it in another
	// log directory takes its place, and appends and truncations happen under
	// mu, so that both have the same records then. Whoever reads without mu may
	// find that the log is closed: see log and replaced.
	current atomic.Pointer[commitlog.Log]

	// view and hw are what readers need, so that a fetch takes no lock. Both
	// are written under mu.
	view atomic.Pointer[view]
	hw   atomic.Int64
	// cfg is the topic's configuration.
	cfg atomic.Pointer[TopicConfig]

	line line // of appends; whoever leads it takes mu

	mu   sync.Mutex
	core *Partition
	// visible counts the bytes that have come below the high watermark since
	// the replica was opened; marks holds what was appended above it.
	visible  int64
	appended int64
	marks    []mark
	// fetches are the parked fetches; appends the parked AcksAll appends in
	// order of their offsets; flushes the appends with acks=1 that wait for a
	// sync; deletes the parked DeleteRecords.
	fetches waiterList
	watches *Watch // list of those who are told of changes
	appends []*appendWaiter
	flushes []*appendWaiter
	deletes []*deleteWaiter

	turns   *sync.Pool   // of *turn
	unsaved *atomic.Bool // the manager's
	flusher *flusher
	// flushing: a goroutine syncs the log; flushTo is how far it must.
	flushing bool
	flushTo  int64
}

// view is an immutable snapshot of the replica's part in the partition.
type view struct {
	topicID        TopicID
	role           Role
	leader         int32
	leaderEpoch    int32
	partitionEpoch int32
	epochStart     int64
	isr, replicas  []int32
	// offline is why the replica cannot serve, nil when it can.
	offline error
}

// mark says that cum bytes had been appended when the log ended at end.
type mark struct{ end, cum int64 }

// woken gathers what a change has released, to be called without locks.
type woken struct {
	fetches []*parkedFetch
	calls   []func()
}

func (w *woken) run() {
	for _, p := range w.fetches {
		p.wake()
	}
	for _, f := range w.calls {
		f()
	}
}

func newReplica(tp record.TopicPartition, log *commitlog.Log, core *Partition, id TopicID, cfg TopicConfig) *Replica {
	r := &Replica{tp: tp, core: core, unsaved: new(atomic.Bool)}
	r.current.Store(log)
	r.cfg.Store(&cfg)
	r.hw.Store(core.HighWatermark())
	r.publish(id, nil)
	return r
}

// log is the partition's log. What belongs together is read from one log: the
// next call may give another.
func (r *Replica) log() *commitlog.Log { return r.current.Load() }

// replaced tells whether an operation on l failed only because another log has
// taken its place, so that it is to be done there. Not to be called under mu.
func (r *Replica) replaced(l *commitlog.Log, err error) bool {
	if !errors.Is(err, commitlog.ErrClosed) {
		return false
	}
	r.mu.Lock() // an exchange under way ends first
	defer r.mu.Unlock()
	return r.log() != l
}

// sync makes everything below upTo durable.
func (r *Replica) sync(upTo int64) error {
	for {
		l := r.log()
		if err := l.Sync(upTo); !r.replaced(l, err) {
			return err
		}
	}
}

// configure applies a configuration of the topic.
func (r *Replica) configure(cfg *TopicConfig) {
	r.mu.Lock() // an exchange under way would copy the old one
	defer r.mu.Unlock()
	r.cfg.Store(cfg)
	r.log().Configure(cfg.Log)
}

// publish makes the core's state visible to readers. Called under mu, or before
// the replica is shared.
func (r *Replica) publish(id TopicID, offline error) {
	r.view.Store(&view{
		topicID: id, role: r.core.Role(), leader: r.core.Leader(), leaderEpoch: r.core.LeaderEpoch(),
		partitionEpoch: r.core.PartitionEpoch(), epochStart: r.core.EpochStart(),
		isr: slices.Clone(r.core.ISR()), replicas: slices.Clone(r.core.Replicas()), offline: offline,
	})
}

// leading checks that this broker leads the partition and that the request's
// idea of the epoch, -1 for none, is right.
func (v *view) leading(epoch int32) error {
	switch {
	case v.offline != nil:
		return v.offline
	case epoch >= 0 && epoch < v.leaderEpoch:
		return ErrFencedEpoch
	case epoch >= 0 && epoch > v.leaderEpoch:
		return ErrUnknownEpoch
	case v.role != RoleLeader:
		return ErrNotLeader
	}
	return nil
}

// become applies a state of the controller.
func (r *Replica) become(st State, self int32, id TopicID, now time.Time) (Effects, error) {
	var w woken
	r.mu.Lock()
	eff, err := r.becomeLocked(st, self, id, now, &w)
	r.mu.Unlock()
	w.run()
	return eff, err
}

func (r *Replica) becomeLocked(st State, self int32, id TopicID, now time.Time, w *woken) (eff Effects, err error) {
	if err := r.core.CheckState(st); err != nil {
		return eff, err
	}
	newTerm := st.LeaderEpoch != r.core.LeaderEpoch() || (st.Leader == self) != (r.core.Role() == RoleLeader)
	if st.Leader == self {
		if newTerm {
			if err := r.syncStrict(); err != nil {
				return eff, err
			}
			// The epoch must be in the log's epoch cache before the first
			// append, and also when no append ever follows: a later leader
			// is asked where this epoch ended.
			if err := r.log().StartEpoch(st.LeaderEpoch, r.log().EndOffset()); err != nil {
				return eff, err
			}
		}
		_, eff = r.core.BecomeLeader(st, now)
	} else {
		r.core.BecomeFollower(st, now)
	}
	r.publish(id, nil)
	if newTerm {
		r.failWaiters(ErrNotLeader, w)
	}
	r.apply(eff, w)
	return eff, nil
}

// stop takes the replica out of service for reason.
func (r *Replica) stop(reason error) {
	var w woken
	r.mu.Lock()
	r.core.Stop()
	r.publish(r.view.Load().topicID, reason)
	r.failWaiters(reason, &w)
	r.mu.Unlock()
	w.run()
}

// failWaiters ends what is parked: the term in which it was accepted is over.
// Parked fetches look again by themselves and find the error.
func (r *Replica) failWaiters(err error, w *woken) {
	for _, list := range [][]*appendWaiter{r.appends, r.flushes} {
		for _, a := range list {
			w.add(a.settle(err))
		}
	}
	for _, d := range r.deletes {
		w.add(d.settle(err, -1))
	}
	r.appends, r.flushes, r.deletes = nil, nil, nil
	r.fetches.wakeAll(w)
	r.tellWatches(w)
}

func (w *woken) add(f func()) {
	if f != nil {
		w.calls = append(w.calls, f)
	}
}

// apply publishes a new high watermark and releases what waited for it. Called
// under mu.
func (r *Replica) apply(eff Effects, w *woken) {
	if !eff.HighWatermarkMoved {
		return
	}
	hw := r.core.HighWatermark()
	r.hw.Store(hw)
	if !r.unsaved.Load() { // else all partitions would write to one place all the time
		r.unsaved.Store(true)
	}
	n := 0
	for n < len(r.marks) && r.marks[n].end <= hw {
		r.visible = r.marks[n].cum
		n++
	}
	r.marks = r.marks[:copy(r.marks, r.marks[n:])]
	if len(r.appends) > 0 {
		r.releaseAppends(hw, w)
	}
	r.fetches.advance(r.visible, w)
	r.tellWatches(w)
}

func (r *Replica) releaseAppends(hw int64, w *woken) {
	var err error
	if r.core.InSync() < r.minISR() {
		err = ErrNotEnoughReplicasAfterAppend
	}
	n := 0
	for n < len(r.appends) && r.appends[n].required <= hw {
		w.add(r.appends[n].settle(err))
		n++
	}
	r.appends = slices.Delete(r.appends, 0, n)
}

// minISR is how many replicas must be in sync for acks=all: never more than
// there are, so that min.insync.replicas does not close a topic for good.
func (r *Replica) minISR() int {
	return min(r.cfg.Load().MinISR, len(r.core.Replicas()))
}

// epoch is the epoch check of the entry in leading's terms.
func (e *AppendEntry) epoch() int32 {
	if e.LeaderEpoch > 0 || e.VerifyEpoch {
		return e.LeaderEpoch
	}
	return -1
}

// remove unlinks a waiter whose request ended without it.
func (r *Replica) removeAppend(a *appendWaiter) {
	r.mu.Lock()
	same := func(o *appendWaiter) bool { return o == a }
	r.appends, r.flushes = slices.DeleteFunc(r.appends, same), slices.DeleteFunc(r.flushes, same)
	r.mu.Unlock()
}

func (r *Replica) removeDelete(d *deleteWaiter) {
	r.mu.Lock()
	r.deletes = slices.DeleteFunc(r.deletes, func(o *deleteWaiter) bool { return o == d })
	r.mu.Unlock()
}

// bounds are what a reader may see of a log.
type bounds struct {
	log            *commitlog.Log
	limit, hw, lso int64 // limit is exclusive
}

// bounds gives the log and what a reader may see of it. The high watermark is
// read first: the log that is found then has all that lies below, and the
// transactions in it.
func (r *Replica) bounds(replicaID int32, iso Isolation) bounds {
	b := bounds{hw: r.hw.Load()}
	b.log = r.log()
	b.lso = b.log.LastStableOffset(b.hw)
	switch {
	case replicaID >= 0:
		b.limit = b.log.EndOffset()
	case iso == ReadCommitted:
		b.limit = b.lso
	default:
		b.limit = b.hw
	}
	return b
}

// fetched records a follower's progress.
func (r *Replica) fetched(id int32, offset, logStart int64, now time.Time) (Effects, error) {
	var w woken
	r.mu.Lock()
	eff, err := r.core.Fetched(id, offset, logStart, now)
	r.apply(eff, &w)
	r.releaseDeletes(&w)
	r.mu.Unlock()
	w.run()
	return eff, err
}

// tick runs the core's timed work.
func (r *Replica) tick(now time.Time) Effects {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.core.Tick(now)
}

// answered gives the core the controller's answer to a proposal.
func (r *Replica) answered(a ISRAnswer) {
	var w woken
	r.mu.Lock()
	eff := r.core.ISRAnswered(a)
	v := r.view.Load()
	r.publish(v.topicID, v.offline)
	r.apply(eff, &w)
	r.releaseDeletes(&w)
	r.mu.Unlock()
	w.run()
}

// deleteRecords moves the log start up to offset and parks d until all replicas
// have followed; done is true, with the low watermark, when they have already.
func (r *Replica) deleteRecords(offset int64, d *deleteWaiter) (low int64, done bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.view.Load().leading(-1); err != nil {
		return -1, true, err
	}
	hw := r.core.HighWatermark()
	if offset == -1 {
		offset = hw
	}
	if offset < 0 || offset > hw {
		return -1, true, commitlog.ErrOffsetOutOfRange
	}
	if err := r.log().AdvanceStart(offset); err != nil {
		return -1, true, err
	}
	r.tellWatches(nil)
	if low = r.core.LowWatermark(r.log().StartOffset()); low >= offset {
		return low, true, nil
	}
	d.replica, d.required = r, offset
	r.deletes = append(r.deletes, d)
	return low, false, nil
}

func (r *Replica) releaseDeletes(w *woken) {
	if len(r.deletes) == 0 {
		return
	}
	low := r.core.LowWatermark(r.log().StartOffset())
	r.deletes = slices.DeleteFunc(r.deletes, func(d *deleteWaiter) bool {
		if d.required > low {
			return false
		}
		w.add(d.settle(nil, low))
		return true
	})
}

// endOfEpoch answers where epoch ended in log: the largest epoch at or below it,
// and its end. An epoch before the log's first ends where the log starts; of an
// epoch after the last nothing is known.
func endOfEpoch(log *commitlog.Log, epoch int32) (found int32, end int64, ok bool) {
	if epoch == -1 {
		return -1, -1, false
	}
	if found, end = log.EpochEndOffset(epoch); found >= 0 && end >= 0 {
		return found, end, true
	}
	latest, any := log.LatestEpoch()
	if any && epoch < latest {
		return epoch, log.StartOffset(), true
	}
	return -1, -1, false
}

// logEpochs adapts a log to EpochEnds.
type logEpochs struct{ log *commitlog.Log }

// EndOffset implements EpochEnds.
func (l logEpochs) EndOffset(epoch int32) (int32, int64, bool) { return endOfEpoch(l.log, epoch) }
