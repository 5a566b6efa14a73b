package controller

import (
	"slices"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
)

// maxStatesPerWrite bounds the partitions of one multi.
const maxStatesPerWrite = 500

// writeElections asks for one multi with the partitions of a topic that need a
// state or another leader. What does not fit follows when that is done.
func (c *Controller) writeElections(t *topic) {
	var ops []coordination.Op
	var states []partitionWrite
	hasParent := t.hasPartitions
	for _, index := range t.sortedPartitions() {
		if len(states) >= maxStatesPerWrite {
			break
		}
		p := t.partitions[index]
		next, ok := c.elect(t, index, p)
		if !ok {
			continue
		}
		path := coordination.PartitionStatePath(t.name, index)
		switch {
		case p.state != nil:
			ops = append(ops, coordination.Set(path, next.Encode(), p.version))
		default:
			if !hasParent {
				ops = append(ops, coordination.Create(coordination.PartitionsPath(t.name), nil, coordination.Persistent))
				hasParent = true
			}
			if !p.hasNode {
				ops = append(ops, coordination.Create(coordination.PartitionPath(t.name, index), nil, coordination.Persistent))
			}
			ops = append(ops, coordination.Create(path, next.Encode(), coordination.Persistent))
		}
		// The multi begins with the check of the epoch, so the index is one higher.
		states = append(states, partitionWrite{partition: index, state: next, op: len(ops)})
	}
	if len(states) > 0 {
		c.write(t, writeStates, states, ops...)
	}
}

func (t *topic) sortedPartitions() []int32 { return sortedIDs(t.partitions) }

func sortedIDs[V any](m map[int32]V) []int32 {
	ids := make([]int32, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// elect says which state a partition should have, if it is another than it has.
//
//   - No state yet: the first live replica leads, all live replicas are in sync.
//     Without one the partition waits.
//   - Replicas that are not live leave the ISR; the last ones stay, so that it is
//     known who holds the data.
//   - A leader that is not live is followed by the first replica of the
//     assignment that is live and in sync; without one nobody leads, unless the
//     topic allows an unclean election.
func (c *Controller) elect(t *topic, index int32, p *partition) (coordination.PartitionState, bool) {
	tp := topicPartition{t.name, index}
	isLive := func(id int32) bool { return c.replicaLive(id, tp) }
	if p.state == nil {
		isr := keep(p.replicas, isLive)
		if len(isr) == 0 {
			return coordination.PartitionState{}, false
		}
		return coordination.PartitionState{ControllerEpoch: c.epoch, Leader: isr[0], LeaderEpoch: p.minEpoch, ISR: isr}, true
	}
	next := coordination.PartitionState{
		ControllerEpoch: c.epoch,
		Leader:          p.state.Leader,
		LeaderEpoch:     p.state.LeaderEpoch + 1,
		ISR:             keep(p.state.ISR, isLive),
		RecoveryState:   p.state.RecoveryState,
	}
	if len(next.ISR) == 0 {
		next.ISR = p.state.ISR
	}
	if next.Leader < 0 || !isLive(next.Leader) {
		next.Leader = c.nextLeader(t, p, &next, isLive)
	}
	same := next.Leader == p.state.Leader && slices.Equal(next.ISR, p.state.ISR)
	return next, !same
}

func (c *Controller) nextLeader(t *topic, p *partition, next *coordination.PartitionState, isLive func(int32) bool) int32 {
	for _, id := range p.replicas {
		if isLive(id) && slices.Contains(next.ISR, id) {
			return id
		}
	}
	if t.unclean {
		for _, id := range p.replicas {
			if isLive(id) {
				next.ISR, next.RecoveryState = []int32{id}, 1
				return id
			}
		}
	}
	return metadata.NoLeader
}

// replicaLive tells whether a broker is there and its log of the partition works.
func (c *Controller) replicaLive(id int32, tp topicPartition) bool {
	m := c.live[id]
	if m == nil {
		return false
	}
	_, failed := m.offline[tp]
	return !failed
}

func keep(ids []int32, ok func(int32) bool) []int32 {
	var out []int32
	for _, id := range ids {
		if ok(id) {
			out = append(out, id)
		}
	}
	return out
}
