package connect

import (
	"maps"
	"time"

	"github.com/leatstream/leat/connect/data"
)

// AnyPartition as a record's partition leaves the choice to the producer.
const AnyPartition int32 = -1

// TopicPartition names one partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Header is one header of a record. Names may repeat; order is kept.
type Header struct {
	Name   string
	Schema *data.Schema // nil: Value is nil, string or []byte
	Value  any
}

// Record is one record on its way between a connector and a topic.
//
// Who holds the pointer owns the record and may change its fields; the values
// inside (structs, maps, byte slices) are shared with nobody when a task gets
// or returns the record, but must be copied before they are kept beyond Put.
type Record struct {
	Topic     string
	Partition int32 // sources may say AnyPartition
	Offset    int64 // log position; meaningful for sinks only
	// Origin is the partition the record was read from, which transforms do
	// not change; sinks only. Offset counts in it, and Open, Close and
	// PreCommit speak of it.
	Origin TopicPartition

	Key         any
	KeySchema   *data.Schema // nil: no schema
	Value       any          // nil is a tombstone
	ValueSchema *data.Schema // nil: no schema
	Headers     []Header
	Timestamp   time.Time // zero: none (sources: the broker or producer stamps it)
}

// Header finds the last header of that name, as Kafka's lastWithName does.
func (r *Record) Header(name string) (Header, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Name == name {
			return r.Headers[i], true
		}
	}
	return Header{}, false
}

// Clone copies the record and its header list; values are shared.
func (r *Record) Clone() *Record {
	c := *r
	c.Headers = append([]Header(nil), r.Headers...)
	return &c
}

// SourceRecord is a record together with the place in the source right after it.
type SourceRecord struct {
	Record
	// SourcePartition names the part of the source (a file, a table); it must
	// be the same set of keys and values every time. Values are strings,
	// numbers or booleans. The task must not change the maps after Poll.
	SourcePartition map[string]any
	// SourceOffset is the place to go on from once this record is stored.
	SourceOffset map[string]any
}

// CopyOffset copies a source partition or offset.
func CopyOffset(m map[string]any) map[string]any { return maps.Clone(m) }

// OffsetLong reads an integer of a stored offset, whatever number type JSON gave it.
func OffsetLong(m map[string]any, key string) (int64, bool) {
	switch n := m[key].(type) {
	case int64:
		return n, true
	case int:
		return int64(n), true
	case float64:
		return int64(n), float64(int64(n)) == n
	}
	return 0, false
}
