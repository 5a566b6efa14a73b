package streamstest

import (
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
)

// Input writes typed records to a topic.
type Input[K, V any] struct {
	d     *Driver
	topic string
	ks    serde.Serde[K]
	vs    serde.Serde[V]
}

// In opens a topic for typed records.
func In[K, V any](d *Driver, topic string, ks serde.Serde[K], vs serde.Serde[V]) Input[K, V] {
	return Input[K, V]{d, topic, ks, vs}
}

// Pipe writes a record with the given time in milliseconds and processes
// everything to the end.
func (in Input[K, V]) Pipe(k K, v V, at int64) {
	in.d.t.Helper()
	in.d.Pipe(in.record(k, v, at))
}

// Append writes a record without processing it.
func (in Input[K, V]) Append(k K, v V, at int64) {
	in.d.t.Helper()
	in.d.Append(in.record(k, v, at))
}

func (in Input[K, V]) record(k K, v V, at int64) Record {
	in.d.t.Helper()
	r := Record{Topic: in.topic, Partition: -1, Time: at}
	var err error
	if !serde.IsNull(in.ks, k) {
		r.Key, err = in.ks.Append([]byte{}, k)
		in.d.check(err)
	}
	if !serde.IsNull(in.vs, v) {
		r.Value, err = in.vs.Append([]byte{}, v)
		in.d.check(err)
	}
	return r
}

// Output reads typed records from a topic.
type Output[K, V any] struct {
	d     *Driver
	topic string
	dec   processor.Decoder
}

// Out opens a topic for reading.
func Out[K, V any](d *Driver, topic string, ks serde.Serde[K], vs serde.Serde[V]) Output[K, V] {
	return Output[K, V]{d, topic, processor.DecoderOf(ks, vs)()}
}

// Drain returns what has been written since the last Drain of the topic, by
// partition, then offset.
func (o Output[K, V]) Drain() []processor.Record[K, V] {
	o.d.t.Helper()
	var out []processor.Record[K, V]
	for _, r := range o.d.Drain(o.topic) {
		meta := processor.Meta{Time: r.Time, Headers: r.Headers, Source: processor.Source{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}}
		m, err := o.dec.Decode(r.Key, r.Value, meta)
		o.d.check(err)
		out = append(out, *m.(*processor.Record[K, V]))
	}
	return out
}
