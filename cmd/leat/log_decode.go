package main

import (
	"encoding/binary"
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// recordDecoder turns the key and value of a record of an internal topic into
// texts; ok is false for what it does not know. A nil value stays null.
type recordDecoder func(key, value []byte) (k string, v *string, ok bool)

// recordDecoders are the values of "leat log dump --decode".
func recordDecoders() map[string]recordDecoder {
	return map[string]recordDecoder{"offsets": decodeOffsetRecord, "transactions": decodeTransactionRecord}
}

// wireMessage is what kmsg has for the records of internal topics.
type wireMessage interface{ ReadFrom([]byte) error }

// versionOf is the number that keys and values begin with, -1 without one.
func versionOf(b []byte) int16 {
	if len(b) < 2 {
		return -1
	}
	return int16(binary.BigEndian.Uint16(b))
}

// decodePair reads key and value into the given messages and writes what show
// makes of each. A value newer than newest is not known.
func decodePair(key, value []byte, k, v wireMessage, newest int16, show func() (k, v any)) (string, *string, bool) {
	if k.ReadFrom(key) != nil {
		return "", nil, false
	}
	if value != nil && (versionOf(value) < 0 || versionOf(value) > newest || v.ReadFrom(value) != nil) {
		return "", nil, false
	}
	keyRow, valueRow := show()
	keyText, err := json.Marshal(keyRow)
	if err != nil || value == nil {
		return string(keyText), nil, err == nil
	}
	valueText, err := json.Marshal(valueRow)
	text := string(valueText)
	return string(keyText), &text, err == nil
}

// offsetKey and groupKey are the keys of __consumer_offsets.
type offsetKey struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

type groupKey struct {
	Group string `json:"group"`
}

type offsetValue struct {
	Version     int16  `json:"version"`
	Offset      int64  `json:"offset"`
	LeaderEpoch int32  `json:"leader_epoch"`
	Metadata    string `json:"metadata"`
	CommitMS    int64  `json:"commit_ms"`
}

type groupValue struct {
	Version      int16         `json:"version"`
	ProtocolType string        `json:"protocol_type"`
	Generation   int32         `json:"generation"`
	Protocol     *string       `json:"protocol"`
	Leader       *string       `json:"leader"`
	Members      []groupMember `json:"members"`
}

type groupMember struct {
	MemberID   string  `json:"member_id"`
	InstanceID *string `json:"instance_id"`
	ClientID   string  `json:"client_id"`
	ClientHost string  `json:"client_host"`
	SessionMS  int32   `json:"session_timeout_ms"`
}

// decodeOffsetRecord knows committed offsets and classic groups.
func decodeOffsetRecord(key, value []byte) (string, *string, bool) {
	switch versionOf(key) {
	case 0, 1:
		k, v := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
		return decodePair(key, value, &k, &v, 4, func() (any, any) {
			return offsetKey{k.Group, k.Topic, k.Partition}, offsetValue{v.Version, v.Offset, v.LeaderEpoch, v.Metadata, v.CommitTimestamp}
		})
	case 2:
		k, v := kmsg.NewGroupMetadataKey(), kmsg.NewGroupMetadataValue()
		return decodePair(key, value, &k, &v, 4, func() (any, any) { return groupKey{k.Group}, groupRow(&v) })
	}
	return "", nil, false
}

func groupRow(v *kmsg.GroupMetadataValue) groupValue {
	row := groupValue{v.Version, v.ProtocolType, v.Generation, v.Protocol, v.Leader, []groupMember{}}
	for _, m := range v.Members {
		row.Members = append(row.Members, groupMember{m.MemberID, m.InstanceID, m.ClientID, m.ClientHost, m.SessionTimeoutMillis})
	}
	return row
}

// transactionKey and transactionValue are the records of __transaction_state.
type transactionKey struct {
	TransactionalID string `json:"transactional_id"`
}

type transactionValue struct {
	Version       int16              `json:"version"`
	ProducerID    int64              `json:"producer_id"`
	ProducerEpoch int16              `json:"producer_epoch"`
	TimeoutMS     int32              `json:"timeout_ms"`
	State         string             `json:"state"`
	Partitions    map[string][]int32 `json:"partitions"`
	UpdatedMS     int64              `json:"updated_ms"`
	StartedMS     int64              `json:"started_ms"`
}

func decodeTransactionRecord(key, value []byte) (string, *string, bool) {
	if versionOf(key) != 0 {
		return "", nil, false
	}
	k, v := kmsg.NewTxnMetadataKey(), kmsg.NewTxnMetadataValue()
	return decodePair(key, value, &k, &v, 1, func() (any, any) {
		partitions := make(map[string][]int32, len(v.Topics))
		for _, t := range v.Topics {
			partitions[t.Topic] = t.Partitions
		}
		return transactionKey{k.TransactionalID}, transactionValue{
			v.Version, v.ProducerID, v.ProducerEpoch, v.TimeoutMillis, v.State.String(), partitions, v.LastUpdateTimestamp, v.StartTimestamp,
		}
	})
}

// decoded replaces key and value of a row by what a decoder makes of them; what
// it does not know stays as it is.
func (r *recordRow) decoded(decode recordDecoder, key, value []byte) {
	k, v, ok := decode(key, value)
	if !ok {
		return
	}
	r.Key, r.KeyBase64, r.KeyText = &k, "", k
	r.Value, r.ValueBase64, r.ValueText = v, "", ""
	if v != nil {
		r.ValueText = *v
	}
}
