package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leatstream/leat/broker/coordination"
)

// topic reads one topic and rewrites it for the broker. A topic that vanishes
// meanwhile, or never was whole, is nil.
func (r *reading) topic(ctx context.Context, name string) (*Topic, error) {
	data, _, err := r.src.Get(ctx, coordination.TopicPath(name))
	if errors.Is(err, coordination.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	assignment, err := coordination.DecodeTopicAssignment(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", coordination.TopicPath(name), err)
	}
	t := &Topic{Name: name, ID: assignment.ID, Partitions: make([]Partition, 0, len(assignment.Partitions))}
	assignment.AddingReplicas, assignment.RemovingReplicas = nil, nil
	var states []Node
	for _, id := range assignment.PartitionIDs() {
		p := Partition{ID: id, Replicas: assignment.Partitions[id]}
		state, err := r.state(ctx, name, id)
		if err != nil {
			return nil, err
		}
		if state != nil {
			p.ISR = state.ISR
		}
		p.Fate = r.fate(p, state)
		if p.Fate == Taken {
			assignment.Partitions[id] = []int32{r.opts.Broker}
		}
		if state != nil {
			states = append(states,
				Node{coordination.PartitionPath(name, id), nil},
				Node{coordination.PartitionStatePath(name, id), r.rewrite(*state, p.Fate).Encode()})
		}
		t.Partitions = append(t.Partitions, p)
	}
	t.nodes = append(t.nodes, Node{coordination.TopicPath(name), assignment.Encode()})
	if len(states) > 0 {
		t.nodes = append(append(t.nodes, Node{coordination.PartitionsPath(name), nil}), states...)
	}
	return t, nil
}

// state is nil for a partition that no controller has seen yet.
func (r *reading) state(ctx context.Context, topic string, partition int32) (*coordination.PartitionState, error) {
	path := coordination.PartitionStatePath(topic, partition)
	data, _, err := r.src.Get(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	state, err := coordination.DecodePartitionState(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &state, nil
}

// fate decides. A partition without a state has no records, so nobody lags.
func (r *reading) fate(p Partition, state *coordination.PartitionState) Fate {
	switch {
	case !slices.Contains(p.Replicas, r.opts.Broker):
		return Elsewhere
	case state == nil || r.opts.Unclean || slices.Contains(state.ISR, r.opts.Broker):
		return Taken
	default:
		return OutOfSync
	}
}

// rewrite is the state of a partition in the tree of one broker. The epoch of a
// leader that stays is kept, so that its log and its clients see no change; any
// other step is a new epoch.
func (r *reading) rewrite(s coordination.PartitionState, fate Fate) *coordination.PartitionState {
	leader := coordination.PartitionState{ControllerEpoch: s.ControllerEpoch, Leader: -1, LeaderEpoch: s.LeaderEpoch, ISR: s.ISR}
	if fate == Taken {
		leader.Leader, leader.ISR = r.opts.Broker, []int32{r.opts.Broker}
	}
	if leader.Leader != s.Leader {
		leader.LeaderEpoch++
	}
	if fate == Taken {
		leader.RecoveryState = s.RecoveryState
	}
	return &leader
}
