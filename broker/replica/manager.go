package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// Config holds the settings of a Manager.
type Config struct {
	BrokerID int32
	// LagTimeMax is replica.lag.time.max.ms: a follower that has not caught up
	// for this long leaves the ISR. Default 30 s.
	LagTimeMax time.Duration
	// CheckpointInterval is replica.high.watermark.checkpoint.interval.ms.
	// Default 5 s.
	CheckpointInterval time.Duration
	// TopicConfig resolves a topic's settings. It must not block and may be
	// called from any goroutine.
	TopicConfig func(topic string) TopicConfig
	// ProposeISR carries an ISR change to the controller. It may be nil on a
	// broker without peers. It must not block; the answer comes back by
	// Manager.ISRAnswered.
	ProposeISR func(tp record.TopicPartition, p ISRProposal)
	// MoveThreads is num.replica.alter.log.dirs.threads: how many logs move
	// between log directories at the same time. Default: as many as there are
	// directories.
	MoveThreads int
	// MoveRate is replica.alter.log.dirs.io.max.bytes.per.second, of all moves
	// together. It is asked again and again and must not block; nil: no bound.
	MoveRate func() int64
}

// TopicConfig is what the manager must know of a topic's configuration.
type TopicConfig struct {
	MinISR int
	// Internal topics are closed to client writes.
	Internal bool
	// Delete and Compact are the parts of cleanup.policy.
	Delete, Compact bool
	// UncleanLeaderElection is unclean.leader.election.enable.
	UncleanLeaderElection bool
	// Log is handed to the topic's logs.
	Log commitlog.Config
}

// Manager holds the replicas of this broker. All methods may be called from any
// goroutine.
//
// Lock order: stateMu, then mu, then a parked fetch's mutex, then a Replica's.
type Manager struct {
	cfg     Config
	logs    *commitlog.Manager
	logger  *slog.Logger
	metrics *metrics
	// calls and turns pool the scratch space of appends.
	calls, turns sync.Pool
	flusher      *flusher
	mover        *mover

	// mu guards the tables, which only ApplyLeaderAndISR, ApplyStopReplica and
	// Close change.
	mu     sync.RWMutex
	topics map[string]*topic
	byID   map[TopicID]*topic

	// stateMu makes changes of leadership one at a time, so that watchers see
	// them in order.
	stateMu         sync.Mutex
	controllerEpoch int32
	watchers        map[string][]func([]LeadershipChange)
	// unsaved: a high watermark, or where it is to be written, has changed since
	// the last Checkpoint began.
	unsaved atomic.Bool
	// checkpoint holds the high watermarks found on disk, for logs not hosted
	// yet.
	checkpoint map[record.TopicPartition]int64
	closed     bool
}

// topic holds the hosted partitions of one topic by number; unhosted ones are
// nil.
type topic struct {
	name       string
	id         TopicID
	partitions []*Replica
}

// NewManager builds a manager over the opened logs.
func NewManager(cfg Config, logs *commitlog.Manager, logger *slog.Logger, reg prometheus.Registerer) (*Manager, error) {
	if cfg.TopicConfig == nil {
		return nil, errors.New("replica: Config.TopicConfig is required")
	}
	if cfg.LagTimeMax <= 0 {
		cfg.LagTimeMax = 30 * time.Second
	}
	if cfg.CheckpointInterval <= 0 {
		cfg.CheckpointInterval = 5 * time.Second
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	checkpoint, err := logs.ReadHighWatermarks()
	if err != nil {
		return nil, fmt.Errorf("replica: high-watermark checkpoint: %w", err)
	}
	if checkpoint == nil {
		checkpoint = make(map[record.TopicPartition]int64)
	}
	m := &Manager{
		cfg: cfg, logs: logs, logger: logger, checkpoint: checkpoint, controllerEpoch: -1,
		topics: make(map[string]*topic), byID: make(map[TopicID]*topic),
		watchers: make(map[string][]func([]LeadershipChange)),
		flusher:  newFlusher(),
		calls:    sync.Pool{New: func() any { return newAppendCall() }},
		turns:    sync.Pool{New: func() any { return new(turn) }},
	}
	m.unsaved.Store(true)
	m.mover = newMover(m)
	if m.cfg.MoveThreads <= 0 {
		m.cfg.MoveThreads = len(logs.Dirs())
	}
	if m.metrics, err = newMetrics(m, reg); err != nil {
		return nil, err
	}
	return m, nil
}

// Run does the timed work (checkpoints, ISR upkeep) and moves logs between log
// directories until ctx ends, then takes all replicas out of service, which ends
// what is parked, and writes the last checkpoint. The logs must be open until it
// returns.
func (m *Manager) Run(ctx context.Context) error {
	var moves sync.WaitGroup
	moves.Go(func() { m.mover.run(ctx, m.cfg.MoveThreads) })
	checkpoint := time.NewTicker(m.cfg.CheckpointInterval)
	defer checkpoint.Stop()
	isr := time.NewTicker(m.cfg.LagTimeMax / 2)
	defer isr.Stop()
	for {
		select {
		case <-ctx.Done():
			moves.Wait()
			err := m.Checkpoint()
			m.close()
			return err
		case <-checkpoint.C:
			if err := m.Checkpoint(); err != nil {
				m.logger.Warn("high-watermark checkpoint failed", "err", err)
			}
		case now := <-isr.C:
			m.each(func(r *Replica) { m.propose(r, r.tick(now)) })
		}
	}
}

func (m *Manager) close() {
	m.stateMu.Lock()
	m.closed = true
	m.each(func(r *Replica) { r.stop(ErrClosed) })
	m.stateMu.Unlock()
	m.flusher.running.Wait() // no replica starts one any more
}

// Checkpoint writes the high watermarks of all hosted partitions, and keeps
// those of logs that the controller has not spoken about yet. Without a change it
// does nothing.
func (m *Manager) Checkpoint() error {
	if !m.unsaved.Swap(false) {
		return nil
	}
	err := m.writeHighWatermarks()
	if err != nil {
		m.unsaved.Store(true)
	}
	return err
}

func (m *Manager) writeHighWatermarks() error {
	m.stateMu.Lock()
	hw := maps.Clone(m.checkpoint)
	m.stateMu.Unlock()
	m.each(func(r *Replica) { hw[r.tp] = r.hw.Load() })
	if len(hw) == 0 {
		return nil
	}
	return m.logs.WriteHighWatermarks(hw)
}

// each calls f for every hosted replica, without holding the tables' lock.
func (m *Manager) each(f func(*Replica)) {
	m.mu.RLock()
	all := make([]*Replica, 0, len(m.topics))
	for _, t := range m.topics {
		for _, r := range t.partitions {
			if r != nil {
				all = append(all, r)
			}
		}
	}
	m.mu.RUnlock()
	for _, r := range all {
		f(r)
	}
}

// find looks a replica up by name, by id, or by both, which must agree.
func (m *Manager) find(tp record.TopicPartition, id TopicID) (*Replica, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var t *topic
	switch {
	case tp.Topic == "":
		if t = m.byID[id]; t == nil {
			return nil, ErrUnknownTopicID
		}
	default:
		if t = m.topics[tp.Topic]; t == nil {
			return nil, ErrUnknownPartition
		}
		if id != (TopicID{}) && t.id != (TopicID{}) && id != t.id {
			return nil, ErrInconsistentTopicID
		}
	}
	if tp.Partition < 0 || int(tp.Partition) >= len(t.partitions) || t.partitions[tp.Partition] == nil {
		return nil, ErrUnknownPartition
	}
	return t.partitions[tp.Partition], nil
}

// maxPartitions bounds the partition numbers that a request may make room for.
const maxPartitions = 1 << 20

// insert adds r to the tables.
func (m *Manager) insert(r *Replica, id TopicID) {
	m.unsaved.Store(true)
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.topics[r.tp.Topic]
	if t == nil {
		t = &topic{name: r.tp.Topic, id: id}
		m.topics[r.tp.Topic] = t
	}
	m.setIDLocked(t, id)
	for int(r.tp.Partition) >= len(t.partitions) {
		t.partitions = append(t.partitions, nil)
	}
	t.partitions[r.tp.Partition] = r
}

func (m *Manager) setIDLocked(t *topic, id TopicID) {
	if id != (TopicID{}) {
		t.id = id
		m.byID[id] = t
	}
}

// take removes a replica from the tables.
func (m *Manager) take(tp record.TopicPartition) *Replica {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.topics[tp.Topic]
	if t == nil || tp.Partition < 0 || int(tp.Partition) >= len(t.partitions) {
		return nil
	}
	r := t.partitions[tp.Partition]
	t.partitions[tp.Partition] = nil
	m.unsaved.Store(true)
	for _, other := range t.partitions {
		if other != nil {
			return r
		}
	}
	delete(m.topics, tp.Topic)
	if m.byID[t.id] == t {
		delete(m.byID, t.id)
	}
	return r
}

// propose passes a core's proposal on.
func (m *Manager) propose(r *Replica, eff Effects) {
	if eff.Propose == nil {
		return
	}
	m.metrics.proposed(len(r.view.Load().isr), len(eff.Propose.ISR))
	if m.cfg.ProposeISR != nil {
		m.cfg.ProposeISR(r.tp, *eff.Propose)
		return
	}
	// Without a controller to ask nothing was written for certain.
	r.answered(ISRAnswer{Outcome: ISRRejected, LeaderEpoch: eff.Propose.LeaderEpoch, ProposedAt: eff.Propose.PartitionEpoch})
}

// ISRAnswered gives the controller's answer to an ISR proposal.
func (m *Manager) ISRAnswered(tp record.TopicPartition, a ISRAnswer) {
	if r, err := m.find(tp, TopicID{}); err == nil {
		r.answered(a)
	}
}

// ConfigChanged tells that topic's configuration changed: its logs are
// reconfigured.
func (m *Manager) ConfigChanged(name string) {
	cfg := m.cfg.TopicConfig(name)
	m.logs.Configure(name, cfg.Log)
	var hosted []*Replica
	m.mu.RLock()
	if t := m.topics[name]; t != nil {
		hosted = slices.Clone(t.partitions)
	}
	m.mu.RUnlock()
	for _, r := range hosted {
		if r != nil {
			r.configure(&cfg)
			if cfg.strict() {
				r.flushAll()
			}
		}
	}
}

// DirFailed takes the replicas of a failed log directory out of service and ends
// the moves of logs from and to it.
func (m *Manager) DirFailed(dir string, cause error) {
	m.stateMu.Lock()
	defer m.stateMu.Unlock()
	var changes []LeadershipChange
	m.each(func(r *Replica) {
		if !r.liesIn(dir) {
			return
		}
		if change := r.fail(fmt.Errorf("%w: %s: %w", ErrStorage, dir, cause)); change != nil {
			changes = append(changes, *change)
		}
	})
	m.mover.dirFailed(dir)
	m.logger.Error("log directory is offline", "dir", dir, "err", cause)
	m.notify(changes)
}

// Watch calls fn for each change of leadership of topic's partitions, in order,
// and at once for those already led. fn must not block nor call the manager's
// methods that change leadership.
func (m *Manager) Watch(name string, fn func([]LeadershipChange)) {
	m.stateMu.Lock()
	defer m.stateMu.Unlock()
	m.watchers[name] = append(m.watchers[name], fn)
	var led []LeadershipChange
	m.each(func(r *Replica) {
		if v := r.view.Load(); r.tp.Topic == name && v.role == RoleLeader && v.offline == nil {
			led = append(led, LeadershipChange{TP: r.tp, Leader: true, LeaderEpoch: v.leaderEpoch})
		}
	})
	if len(led) > 0 {
		fn(led)
	}
}

// notify tells the watchers; called under stateMu.
func (m *Manager) notify(changes []LeadershipChange) {
	byTopic := make(map[string][]LeadershipChange)
	for _, c := range changes {
		if len(m.watchers[c.TP.Topic]) > 0 {
			byTopic[c.TP.Topic] = append(byTopic[c.TP.Topic], c)
		}
	}
	for name, cs := range byTopic {
		for _, fn := range m.watchers[name] {
			fn(cs)
		}
	}
}
