package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// The error codes of the controller's requests, which this package answers
// itself.
const (
	codeNone                 int16 = 0
	codeUnknownServerError   int16 = -1
	codeUnknownTopic         int16 = 3
	codeStaleControllerEpoch int16 = 11
	codeInvalidRequest       int16 = 42
	codeStorageError         int16 = 56
	codeFencedLeaderEpoch    int16 = 74
	codeInconsistentTopicID  int16 = 103
)

// Leader epochs of StopReplica that stand for no check: the topic is being
// deleted, or the controller is too old to know.
const (
	epochDuringDelete int32 = -2
	epochUnknown      int32 = -1
)

// ApplyLeaderAndISR makes this broker lead or follow what the controller says.
func (m *Manager) ApplyLeaderAndISR(_ context.Context, req *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRResponse {
	resp := req.ResponseKind().(*kmsg.LeaderAndISRResponse)
	m.stateMu.Lock()
	defer m.stateMu.Unlock()
	if !m.acceptController(req.ControllerEpoch) {
		resp.ErrorCode = codeStaleControllerEpoch
		return resp
	}
	m.prepareLogs(req)
	var changes []LeadershipChange
	apply := func(name string, id TopicID, p *kmsg.LeaderAndISRRequestTopicPartition) kmsg.LeaderAndISRResponseTopicPartition {
		out := kmsg.LeaderAndISRResponseTopicPartition{Topic: name, Partition: p.Partition}
		change, err := m.applyState(record.TopicPartition{Topic: name, Partition: p.Partition}, id, p)
		if change != nil {
			changes = append(changes, *change)
		}
		if err != nil {
			out.ErrorCode = stateCode(err)
			m.logger.Warn("cannot apply partition state", "topic", name, "partition", p.Partition, "err", err)
		}
		return out
	}
	for i := range req.PartitionStates {
		p := &req.PartitionStates[i]
		resp.Partitions = append(resp.Partitions, apply(p.Topic, TopicID{}, p))
	}
	for i := range req.TopicStates {
		t := &req.TopicStates[i]
		out := kmsg.LeaderAndISRResponseTopic{TopicID: t.TopicID}
		for j := range t.PartitionStates {
			out.Partitions = append(out.Partitions, apply(t.Topic, t.TopicID, &t.PartitionStates[j]))
		}
		if req.Version < 5 {
			resp.Partitions = append(resp.Partitions, out.Partitions...)
		} else {
			resp.Topics = append(resp.Topics, out)
		}
	}
	m.notify(changes)
	return resp
}

// acceptController refuses a controller that another one has replaced; called
// under stateMu.
func (m *Manager) acceptController(epoch int32) bool {
	if epoch < m.controllerEpoch {
		return false
	}
	m.controllerEpoch = epoch
	return true
}

func stateCode(err error) int16 {
	switch {
	case errors.Is(err, ErrFencedEpoch):
		return codeStaleControllerEpoch
	case errors.Is(err, ErrInconsistentTopicID), errors.Is(err, commitlog.ErrInconsistentTopicID):
		return codeInconsistentTopicID
	case errors.Is(err, ErrUnknownPartition):
		return codeUnknownTopic
	case errors.Is(err, ErrReplicaNotAvailable):
		return codeInvalidRequest
	case errors.Is(err, ErrStorage), errors.Is(err, commitlog.ErrStorage), errors.Is(err, commitlog.ErrClosed):
		return codeStorageError
	default:
		return codeUnknownServerError
	}
}

// applyState applies one partition's state. change is set when this broker
// begins or ends to lead the partition, or leads it in a new epoch.
func (m *Manager) applyState(tp record.TopicPartition, id TopicID, p *kmsg.LeaderAndISRRequestTopicPartition) (change *LeadershipChange, err error) {
	st := State{
		Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.ZKVersion,
		ISR: p.ISR, Replicas: p.Replicas,
	}
	r, err := m.host(tp, id, &st, p.IsNew)
	if err != nil {
		return nil, err
	}
	old := r.view.Load()
	if old.offline != nil {
		return nil, old.offline
	}
	if id == (TopicID{}) {
		id = old.topicID
	}
	eff, err := r.become(st, m.cfg.BrokerID, id, time.Now())
	if err != nil {
		return nil, err
	}
	m.propose(r, eff)
	leads, led := st.Leader == m.cfg.BrokerID, old.role == RoleLeader
	if leads != led || leads && st.LeaderEpoch != old.leaderEpoch {
		return &LeadershipChange{TP: tp, Leader: leads, LeaderEpoch: st.LeaderEpoch}, nil
	}
	return nil, nil
}

// host finds the replica, or opens its log and adds it; called under stateMu.
func (m *Manager) host(tp record.TopicPartition, id TopicID, st *State, isNew bool) (*Replica, error) {
	r, err := m.find(tp, id)
	switch {
	case err == nil:
		return r, m.adoptID(r, id)
	case !errors.Is(err, ErrUnknownPartition):
		return nil, err
	case tp.Partition < 0 || tp.Partition >= maxPartitions || tp.Topic == "":
		return nil, ErrUnknownPartition
	case !slices.Contains(st.Replicas, m.cfg.BrokerID):
		return nil, ErrReplicaNotAvailable
	case m.closed:
		return nil, ErrStorage
	}
	if !m.mayCreate(tp, isNew) {
		return nil, fmt.Errorf("%w: %v may lie on it", ErrStorage, tp)
	}
	cfg := m.cfg.TopicConfig(tp.Topic)
	log, err := m.logs.GetOrCreate(tp, id, cfg.Log)
	if err != nil {
		return nil, err
	}
	if id == (TopicID{}) {
		id = log.TopicID()
	}
	hw := max(m.checkpoint[tp], log.StartOffset())
	delete(m.checkpoint, tp)
	core := NewPartition(m.cfg.BrokerID, m.cfg.LagTimeMax, log.EndOffset(), hw)
	r = newReplica(tp, log, core, id, cfg)
	r.flusher, r.turns, r.unsaved = m.flusher, &m.turns, &m.unsaved
	m.insert(r, id)
	m.mover.hosted(tp)
	return r, nil
}

// mayCreate tells whether a log that is not found may be created: a partition
// that had one before may have it on a directory that is off line, with all its
// records.
func (m *Manager) mayCreate(tp record.TopicPartition, isNew bool) bool {
	if _, found := m.logs.Log(tp); found || isNew {
		return true
	}
	return m.logs.Complete()
}

// adoptID gives a topic that was created without an id the one the controller
// names now.
func (m *Manager) adoptID(r *Replica, id TopicID) error {
	if id == (TopicID{}) || r.view.Load().topicID == id {
		return nil
	}
	if err := r.adoptID(id); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if t := m.topics[r.tp.Topic]; t != nil {
		m.setIDLocked(t, id)
	}
	return nil
}

// ApplyStopReplica stops and, if asked, deletes replicas.
func (m *Manager) ApplyStopReplica(_ context.Context, req *kmsg.StopReplicaRequest) *kmsg.StopReplicaResponse {
	resp := req.ResponseKind().(*kmsg.StopReplicaResponse)
	m.stateMu.Lock()
	defer m.stateMu.Unlock()
	if !m.acceptController(req.ControllerEpoch) {
		resp.ErrorCode = codeStaleControllerEpoch
		return resp
	}
	var changes []LeadershipChange
	eachStop(req, func(tp record.TopicPartition, epoch int32, del bool) {
		out := kmsg.StopReplicaResponsePartition{Topic: tp.Topic, Partition: tp.Partition}
		change, err := m.stopReplica(tp, epoch, del)
		switch {
		case errors.Is(err, ErrFencedEpoch):
			out.ErrorCode = codeFencedLeaderEpoch
		case err != nil:
			out.ErrorCode = stateCode(err)
			m.logger.Warn("cannot stop replica", "partition", tp, "err", err)
		}
		if change != nil {
			changes = append(changes, *change)
		}
		resp.Partitions = append(resp.Partitions, out)
	})
	m.notify(changes)
	return resp
}

// eachStop walks the partitions of a StopReplica request in any of its shapes.
func eachStop(req *kmsg.StopReplicaRequest, f func(tp record.TopicPartition, epoch int32, del bool)) {
	for i := range req.Topics {
		t := &req.Topics[i]
		switch {
		case req.Version == 0:
			f(record.TopicPartition{Topic: t.Topic, Partition: t.Partition}, epochUnknown, req.DeletePartitions)
		case req.Version < 3:
			for _, p := range t.Partitions {
				f(record.TopicPartition{Topic: t.Topic, Partition: p}, epochUnknown, req.DeletePartitions)
			}
		default:
			for _, p := range t.PartitionStates {
				f(record.TopicPartition{Topic: t.Topic, Partition: p.Partition}, p.LeaderEpoch, p.Delete)
			}
		}
	}
}

func (m *Manager) stopReplica(tp record.TopicPartition, epoch int32, del bool) (*LeadershipChange, error) {
	r, err := m.find(tp, TopicID{})
	if err == nil {
		if e := r.view.Load().leaderEpoch; epoch != epochUnknown && epoch != epochDuringDelete && epoch < e {
			return nil, ErrFencedEpoch
		}
	}
	var change *LeadershipChange
	if r != nil {
		v := r.view.Load()
		if v.role == RoleLeader {
			change = &LeadershipChange{TP: tp, LeaderEpoch: v.leaderEpoch}
		}
		if !del {
			m.checkpoint[tp] = r.hw.Load()
		}
		m.take(tp)
		r.stop(ErrNotLeader)
	}
	m.mover.unhosted(tp, del)
	if !del {
		return change, nil
	}
	delete(m.checkpoint, tp)
	if err := m.logs.Delete(tp); err != nil && !errors.Is(err, commitlog.ErrUnknownLog) {
		return change, err
	}
	return change, nil
}
