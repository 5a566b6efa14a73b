package coordination

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// TopicAssignment is the payload of /brokers/topics/<t>: which brokers hold
// which partition.
type TopicAssignment struct {
	ID               UUID // zero in nodes written by tools of Kafka 2.7 and older
	Partitions       map[int32][]int32
	AddingReplicas   map[int32][]int32
	RemovingReplicas map[int32][]int32
}

// Encode writes version 3.
func (t *TopicAssignment) Encode() []byte {
	o := newObject()
	o.raw("partitions", encodeAssignment(t.Partitions))
	if t.ID != (UUID{}) {
		o.str("topic_id", FormatUUID(t.ID))
	}
	o.raw("adding_replicas", encodeAssignment(t.AddingReplicas))
	o.raw("removing_replicas", encodeAssignment(t.RemovingReplicas))
	return o.num("version", 3).end()
}

func encodeAssignment(m map[int32][]int32) []byte {
	byKey := make(map[string][]int32, len(m))
	keys := make([]string, 0, len(m))
	for p, replicas := range m {
		key := itoa(p)
		byKey[key] = replicas
		keys = append(keys, key)
	}
	scalaMapOrder(keys)
	o := newObject()
	for _, key := range keys {
		o.ints(key, byKey[key])
	}
	return o.end()
}

// DecodeTopicAssignment reads every version: 1 has only partitions, 2 adds the
// replicas that a reassignment adds and removes, 3 the topic id.
func DecodeTopicAssignment(b []byte) (TopicAssignment, error) {
	var j struct {
		TopicID    *string            `json:"topic_id"`
		Partitions map[string][]int32 `json:"partitions"`
		Adding     map[string][]int32 `json:"adding_replicas"`
		Removing   map[string][]int32 `json:"removing_replicas"`
	}
	var t TopicAssignment
	if err := decode("topic assignment", b, &j); err != nil {
		return t, err
	}
	if j.TopicID != nil {
		id, err := ParseUUID(*j.TopicID)
		if err != nil {
			return t, err
		}
		t.ID = id
	}
	for _, f := range []struct {
		in  map[string][]int32
		out *map[int32][]int32
	}{{j.Partitions, &t.Partitions}, {j.Adding, &t.AddingReplicas}, {j.Removing, &t.RemovingReplicas}} {
		m, err := decodeAssignment(f.in)
		if err != nil {
			return TopicAssignment{}, err
		}
		*f.out = m
	}
	return t, nil
}

func decodeAssignment(in map[string][]int32) (map[int32][]int32, error) {
	out := make(map[int32][]int32, len(in))
	for key, replicas := range in {
		p, err := ParseID(key)
		if err != nil {
			return nil, err
		}
		if _, twice := out[p]; twice {
			return nil, fmt.Errorf("%w: partition %d twice", ErrBadPayload, p)
		}
		out[p] = slices.Clone(replicas)
	}
	return out, nil
}

// PartitionIDs are the partitions in ascending order.
func (t *TopicAssignment) PartitionIDs() []int32 { return sortedKeys(t.Partitions) }

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// PartitionState is the payload of /brokers/topics/<t>/partitions/<p>/state. The
// node's data version is the partition epoch.
type PartitionState struct {
	ControllerEpoch int32
	Leader          int32 // -1: none
	LeaderEpoch     int32
	ISR             []int32
	RecoveryState   int8 // 1: the leader recovers from an unclean election
}

// Encode writes version 1.
func (s *PartitionState) Encode() []byte {
	o := newObject().num("controller_epoch", int64(s.ControllerEpoch)).num("leader", int64(s.Leader)).num("version", 1)
	if s.RecoveryState != 0 {
		o.num("leader_recovery_state", int64(s.RecoveryState))
	}
	return o.num("leader_epoch", int64(s.LeaderEpoch)).ints("isr", s.ISR).end()
}

// DecodePartitionState reads a partition's state.
func DecodePartitionState(b []byte) (PartitionState, error) {
	var j struct {
		ControllerEpoch *int32  `json:"controller_epoch"`
		Leader          *int32  `json:"leader"`
		LeaderEpoch     *int32  `json:"leader_epoch"`
		ISR             []int32 `json:"isr"`
		Recovery        int8    `json:"leader_recovery_state"`
	}
	if err := decode("partition state", b, &j); err != nil {
		return PartitionState{}, err
	}
	if j.ControllerEpoch == nil || j.Leader == nil || j.LeaderEpoch == nil || j.ISR == nil {
		return PartitionState{}, fmt.Errorf("%w: partition state lacks a field", ErrBadPayload)
	}
	return PartitionState{*j.ControllerEpoch, *j.Leader, *j.LeaderEpoch, j.ISR, j.Recovery}, nil
}
