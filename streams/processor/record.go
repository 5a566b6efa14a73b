package processor

import "time"

// NoTime is the timestamp of a record without one.
const NoTime int64 = -1

// Header is one record header. Headers keep their order, keys may repeat.
type Header struct {
	Key   string
	Value []byte
}

// Source says which record of which input topic led to a record. A record made
// by a punctuation has no source: its Topic is empty.
type Source struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Meta is what a record carries besides key and value.
type Meta struct {
	// Time is the event time in milliseconds since the epoch.
	Time    int64
	Headers []Header
	Source  Source
	// KeyNull and ValueNull mark a null key or value as read from Kafka. The
	// field Key or Value then holds the zero value (or the serde's own null).
	KeyNull   bool
	ValueNull bool
}

// Info returns the metadata itself; it makes every *Record a [Message].
func (m *Meta) Info() *Meta { return m }

// Timestamp is Time as a time.Time in UTC.
func (m *Meta) Timestamp() time.Time { return time.UnixMilli(m.Time).UTC() }

// Record is one record with typed key and value.
type Record[K, V any] struct {
	Key   K
	Value V
	Meta
}

// Message is a *Record[K, V] of whatever types.
type Message interface{ Info() *Meta }

// WithValue is r with another value, of the same or another type.
func WithValue[K, V, W any](r Record[K, V], value W) Record[K, W] {
	out := Record[K, W]{Key: r.Key, Value: value, Meta: r.Meta}
	out.ValueNull = false
	return out
}

// WithKey is r with another key, of the same or another type.
func WithKey[K, V, L any](r Record[K, V], key L) Record[L, V] {
	out := Record[L, V]{Key: key, Value: r.Value, Meta: r.Meta}
	out.KeyNull = false
	return out
}

// With is r with another key and value.
func With[K, V, L, W any](r Record[K, V], key L, value W) Record[L, W] {
	out := Record[L, W]{Key: key, Value: value, Meta: r.Meta}
	out.KeyNull, out.ValueNull = false, false
	return out
}

// Change is the value of a record of a table: what the key's value is now and
// what it was before. The old value of a new key of an aggregation is the
// initializer's value, as in Kafka Streams.
type Change[V any] struct {
	New, Old         V
	NewNull, OldNull bool
}
