package group

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
)

// Key versions in OffsetsTopic. Each key begins with its version as an int16,
// which also says what kind of record it is; others belong to newer kinds of
// groups.
const (
	keyOffsetMax   int16 = 1 // 0 and 1: a committed offset
	keyGroup       int16 = 2 // a group's metadata
	valueOffsetMax int16 = 4
	valueGroupMax  int16 = 4
)

var (
	errUnknownKey   = errors.New("group: unknown record key version")
	errUnknownValue = errors.New("group: unknown record value version")
)

// entry is a decoded record: exactly one of offset and group keys is set.
type entry struct {
	group    string
	isOffset bool
	tp       record.TopicPartition // isOffset
	offset   *committed            // isOffset; nil for a tombstone
	meta     *kmsg.GroupMetadataValue
}

// committed is one committed offset, immutable.
type committed struct {
	offset      int64
	leaderEpoch int32 // -1 when not given
	metadata    string
	commitMs    int64 // when it was committed
	expireMs    int64 // explicit end of life, -1 for the group's retention
}

func version(b []byte) (int16, bool) {
	if len(b) < 2 {
		return 0, false
	}
	return int16(binary.BigEndian.Uint16(b)), true
}

// decode reads a record of OffsetsTopic.
func decode(rec coordinator.Record) (e entry, err error) {
	v, ok := version(rec.Key)
	switch {
	case !ok || v < 0 || v > keyGroup:
		return e, fmt.Errorf("%w: %d", errUnknownKey, v)
	case v <= keyOffsetMax:
		var k kmsg.OffsetCommitKey
		if err := k.ReadFrom(rec.Key); err != nil {
			return e, fmt.Errorf("group: offset key: %w", err)
		}
		e = entry{group: k.Group, isOffset: true, tp: record.TopicPartition{Topic: k.Topic, Partition: k.Partition}}
		e.offset, err = decodeOffset(rec.Value)
		return e, err
	default:
		var k kmsg.GroupMetadataKey
		if err := k.ReadFrom(rec.Key); err != nil {
			return e, fmt.Errorf("group: group key: %w", err)
		}
		e = entry{group: k.Group}
		e.meta, err = decodeGroup(rec.Value)
		return e, err
	}
}

func decodeOffset(b []byte) (*committed, error) {
	if b == nil {
		return nil, nil
	}
	ver, ok := version(b)
	if !ok || ver < 0 || ver > valueOffsetMax {
		return nil, fmt.Errorf("%w: offset %d", errUnknownValue, ver)
	}
	v := kmsg.NewOffsetCommitValue()
	if err := v.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("group: offset value: %w", err)
	}
	c := &committed{offset: v.Offset, leaderEpoch: -1, metadata: v.Metadata, commitMs: v.CommitTimestamp, expireMs: -1}
	if ver >= 3 {
		c.leaderEpoch = v.LeaderEpoch
	}
	if ver == 1 {
		c.expireMs = v.ExpireTimestamp
	}
	return c, nil
}

// minMemberSize is the least that one member takes in any version of a group
// value: its four strings and byte strings may be empty, one byte each.
const minMemberSize = 8

func decodeGroup(b []byte) (*kmsg.GroupMetadataValue, error) {
	if b == nil {
		return nil, nil
	}
	ver, ok := version(b)
	if !ok || ver < 0 || ver > valueGroupMax {
		return nil, fmt.Errorf("%w: group %d", errUnknownValue, ver)
	}
	v := kmsg.GroupMetadataValue{}
	if err := v.ReadFrom(b); err != nil {
		return nil, fmt.Errorf("group: group value: %w", err)
	}
	if len(v.Members) > len(b)/minMemberSize {
		return nil, fmt.Errorf("group: group value: %d members in %d bytes", len(v.Members), len(b))
	}
	return &v, nil
}

func offsetKey(group string, tp record.TopicPartition) []byte {
	k := kmsg.OffsetCommitKey{Version: keyOffsetMax, Group: group, Topic: tp.Topic, Partition: tp.Partition}
	return k.AppendTo(make([]byte, 0, 10+len(group)+len(tp.Topic)))
}

func groupKey(group string) []byte {
	k := kmsg.GroupMetadataKey{Version: keyGroup, Group: group}
	return k.AppendTo(make([]byte, 0, 4+len(group)))
}

// offsetRecord writes a committed offset: version 3, or 1 when the client gave
// an explicit retention, which only that version can hold.
func offsetRecord(group string, tp record.TopicPartition, c *committed) coordinator.Record {
	v := kmsg.OffsetCommitValue{
		Version: 3, Offset: c.offset, LeaderEpoch: c.leaderEpoch, Metadata: c.metadata,
		CommitTimestamp: c.commitMs, ExpireTimestamp: c.expireMs,
	}
	if c.expireMs >= 0 {
		v.Version = 1
	}
	return coordinator.Record{Key: offsetKey(group, tp), Value: v.AppendTo(make([]byte, 0, 34+len(c.metadata)))}
}

func offsetTombstone(group string, tp record.TopicPartition) coordinator.Record {
	return coordinator.Record{Key: offsetKey(group, tp)}
}

func groupTombstone(group string) coordinator.Record {
	return coordinator.Record{Key: groupKey(group)}
}

// groupRecord writes a group's metadata in version 3. assignment, by member id,
// replaces the members' present assignments; nil keeps them.
func groupRecord(g *group, assignment map[string][]byte) coordinator.Record {
	v := kmsg.GroupMetadataValue{
		Version: 3, ProtocolType: g.protocolType, Generation: g.generation,
		CurrentStateTimestamp: -1,
	}
	if !g.stateSince.IsZero() {
		v.CurrentStateTimestamp = g.stateSince.UnixMilli()
	}
	if g.hasProtocol {
		v.Protocol = &g.protocol
	}
	if g.leader != "" {
		v.Leader = &g.leader
	}
	for _, m := range g.members {
		a := m.assignment
		if assignment != nil {
			a = assignment[m.id]
		}
		v.Members = append(v.Members, kmsg.GroupMetadataValueMember{
			MemberID: m.id, InstanceID: m.instanceID, ClientID: m.client.ID, ClientHost: m.client.Host,
			RebalanceTimeoutMillis: int32(m.rebalanceTimeout.Milliseconds()),
			SessionTimeoutMillis:   int32(m.sessionTimeout.Milliseconds()),
			Subscription:           nonNil(m.metadata(g.protocol)), Assignment: nonNil(a),
		})
	}
	return coordinator.Record{Key: groupKey(g.id), Value: v.AppendTo(nil)}
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// subscription reads the topics that a member of type "consumer" subscribes to.
//
// known is false when the metadata ends early or is of a negative version:
// existing clients send such metadata, for instance an empty one, and their
// groups work; only their topics stay unknown. err is set when a length in it
// points outside, which no client that means it sends.
func subscription(b []byte) (topics []string, known bool, err error) {
	ver, ok := version(b)
	if !ok || ver < 0 || len(b) < 6 {
		return nil, false, nil
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	if n < 0 || int(n) > len(b) {
		return nil, false, fmt.Errorf("group: subscription of %d topics in %d bytes", n, len(b))
	}
	for range n {
		if len(b) < 2 {
			return nil, false, nil
		}
		l := int(int16(binary.BigEndian.Uint16(b)))
		b = b[2:]
		if l < 0 || l > len(b) {
			return nil, false, fmt.Errorf("group: topic name of %d bytes in %d", l, len(b))
		}
		topics = append(topics, string(b[:l]))
		b = b[l:]
	}
	if len(b) < 4 {
		return nil, false, nil
	}
	if l := int32(binary.BigEndian.Uint32(b)); int(l) > len(b)-4 {
		return nil, false, fmt.Errorf("group: user data of %d bytes in %d", l, len(b)-4)
	}
	return topics, true, nil
}
