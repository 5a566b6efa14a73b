package processor

import (
	"fmt"

	"github.com/leatstream/leat/streams/serde"
)

// Decoder makes messages of the bytes of a source topic. It belongs to one
// task and may return the same message each time. A nil key or value is null.
type Decoder interface {
	Decode(key, value []byte, meta Meta) (Message, error)
}

// Encoder makes bytes of messages for a sink. The appended bytes are nil-able:
// isNull tells that the key or value is null and nothing was appended.
type Encoder interface {
	AppendKey(dst []byte, m Message) (out []byte, isNull bool, err error)
	AppendValue(dst []byte, m Message) (out []byte, isNull bool, err error)
}

// DecoderOf supplies decoders to *Record[K, V].
func DecoderOf[K, V any](ks serde.Serde[K], vs serde.Serde[V]) func() Decoder {
	return func() Decoder { return &decoder[K, V]{ks: ks, vs: vs} }
}

type decoder[K, V any] struct {
	ks  serde.Serde[K]
	vs  serde.Serde[V]
	rec Record[K, V]
}

func (d *decoder[K, V]) Decode(key, value []byte, meta Meta) (Message, error) {
	d.rec = Record[K, V]{Meta: meta}
	var err error
	if d.rec.Key, d.rec.KeyNull, err = decode(d.ks, key); err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if d.rec.Value, d.rec.ValueNull, err = decode(d.vs, value); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	return &d.rec, nil
}

func decode[T any](s serde.Serde[T], data []byte) (v T, isNull bool, err error) {
	if data != nil {
		v, err = s.Decode(data)
		return v, false, err
	}
	if n, ok := s.(serde.Nuller[T]); ok {
		v = n.Null()
	}
	return v, true, nil
}

// EncoderOf makes the encoder of *Record[K, V]. It is stateless.
func EncoderOf[K, V any](ks serde.Serde[K], vs serde.Serde[V]) Encoder {
	return encoder[K, V]{ks: ks, vs: vs}
}

type encoder[K, V any] struct {
	ks serde.Serde[K]
	vs serde.Serde[V]
}

func (e encoder[K, V]) AppendKey(dst []byte, m Message) ([]byte, bool, error) {
	r, ok := m.(*Record[K, V])
	if !ok {
		return dst, false, WrongType[K, V](m)
	}
	if r.KeyNull || serde.IsNull(e.ks, r.Key) {
		return dst, true, nil
	}
	out, err := e.ks.Append(dst, r.Key)
	return out, false, err
}

func (e encoder[K, V]) AppendValue(dst []byte, m Message) ([]byte, bool, error) {
	r, ok := m.(*Record[K, V])
	if !ok {
		return dst, false, WrongType[K, V](m)
	}
	if r.ValueNull || serde.IsNull(e.vs, r.Value) {
		return dst, true, nil
	}
	out, err := e.vs.Append(dst, r.Value)
	return out, false, err
}
