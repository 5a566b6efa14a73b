package coordination

import (
	"fmt"

	"github.com/leatstream/leat/broker/record"
)

// TopicPartition names a partition in a znode's payload.
type TopicPartition = record.TopicPartition

// EncodePartitions writes the payload of an ISR change notice and of a preferred
// replica election: a list of partitions.
func EncodePartitions(partitions []TopicPartition) []byte {
	list := []byte{'['}
	for i, p := range partitions {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, newObject().str("topic", p.Topic).num("partition", int64(p.Partition)).end()...)
	}
	return newObject().num("version", 1).raw("partitions", append(list, ']')).end()
}

// DecodePartitions reads what EncodePartitions writes.
func DecodePartitions(b []byte) ([]TopicPartition, error) {
	list, err := decodePartitionList(b)
	if err != nil {
		return nil, err
	}
	out := make([]TopicPartition, len(list))
	for i, p := range list {
		out[i] = TopicPartition{Topic: *p.Topic, Partition: *p.Partition}
	}
	return out, nil
}

type partitionJSON struct {
	Topic     *string `json:"topic"`
	Partition *int32  `json:"partition"`
	Replicas  []int32 `json:"replicas"`
}

func decodePartitionList(b []byte) ([]partitionJSON, error) {
	var j struct {
		Partitions []partitionJSON `json:"partitions"`
	}
	if err := decode("partition list", b, &j); err != nil {
		return nil, err
	}
	for _, p := range j.Partitions {
		if p.Topic == nil || p.Partition == nil || *p.Partition < 0 {
			return nil, fmt.Errorf("%w: partition list", ErrBadPayload)
		}
	}
	return j.Partitions, nil
}

// Reassignment is one entry of /admin/reassign_partitions.
type Reassignment struct {
	TopicPartition
	Replicas []int32
}

// EncodeReassignments writes the payload of /admin/reassign_partitions.
func EncodeReassignments(list []Reassignment) []byte {
	b := []byte{'['}
	for i, r := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, newObject().str("topic", r.Topic).num("partition", int64(r.Partition)).ints("replicas", r.Replicas).end()...)
	}
	return newObject().num("version", 1).raw("partitions", append(b, ']')).end()
}

// DecodeReassignments reads the payload of /admin/reassign_partitions.
func DecodeReassignments(b []byte) ([]Reassignment, error) {
	list, err := decodePartitionList(b)
	if err != nil {
		return nil, err
	}
	out := make([]Reassignment, len(list))
	for i, p := range list {
		out[i] = Reassignment{TopicPartition{Topic: *p.Topic, Partition: *p.Partition}, p.Replicas}
	}
	return out, nil
}

// LogDirFailure is the event of a log dir that failed.
const LogDirFailure = 1

// EncodeLogDirEvent writes the payload of a log dir notice.
func EncodeLogDirEvent(broker int32) []byte {
	return newObject().num("version", 1).num("broker", int64(broker)).num("event", LogDirFailure).end()
}

// DecodeLogDirEvent reads the broker whose log dir failed.
func DecodeLogDirEvent(b []byte) (int32, error) {
	var j struct {
		Broker *int32 `json:"broker"`
	}
	if err := decode("log dir event", b, &j); err != nil {
		return 0, err
	}
	if j.Broker == nil {
		return 0, fmt.Errorf("%w: log dir event without broker", ErrBadPayload)
	}
	return *j.Broker, nil
}

// Feature is the payload of /feature: the features the cluster has finalised.
type Feature struct {
	Enabled bool
	Levels  map[string]int16 // max version level
}

// Encode writes version 2.
func (f *Feature) Encode() []byte {
	levels := newObject()
	for _, name := range sortedKeys(f.Levels) {
		levels.raw(name, newObject().num("max_version_level", int64(f.Levels[name])).end())
	}
	status := int64(0)
	if f.Enabled {
		status = 1
	}
	return newObject().num("version", 2).num("status", status).raw("features", levels.end()).end()
}

// DecodeFeature reads versions 1 (with a minimum) and 2.
func DecodeFeature(b []byte) (Feature, error) {
	var j struct {
		Status   *int8 `json:"status"`
		Features map[string]struct {
			Max *int16 `json:"max_version_level"`
		} `json:"features"`
	}
	if err := decode("feature", b, &j); err != nil {
		return Feature{}, err
	}
	if j.Status == nil || *j.Status < 0 || *j.Status > 1 {
		return Feature{}, fmt.Errorf("%w: feature status", ErrBadPayload)
	}
	f := Feature{Enabled: *j.Status == 1, Levels: make(map[string]int16, len(j.Features))}
	for name, level := range j.Features {
		if level.Max == nil {
			return Feature{}, fmt.Errorf("%w: feature %q without level", ErrBadPayload, name)
		}
		f.Levels[name] = *level.Max
	}
	return f, nil
}
