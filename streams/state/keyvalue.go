package state

import (
	"encoding/binary"
	"fmt"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
)

// Option changes a store's description.
type Option func(*processor.StoreSpec)

// InMemory keeps the store in memory only.
func InMemory() Option { return func(s *processor.StoreSpec) { s.InMemory = true } }

// NoChangelog gives the store no changelog topic: its content is lost when the
// task moves.
func NoChangelog() Option { return func(s *processor.StoreSpec) { s.NoChangelog = true } }

// TopicConfig overrides a setting of the changelog topic.
func TopicConfig(key, value string) Option {
	return func(s *processor.StoreSpec) {
		if s.TopicConfig == nil {
			s.TopicConfig = map[string]string{}
		}
		s.TopicConfig[key] = value
	}
}

// KeyValue is the handle of a key-value store: it declares the store to the
// topology and opens it in a processor.
type KeyValue[K, V any] struct {
	spec processor.StoreSpec
	ks   serde.Serde[K]
	vs   serde.Serde[V]
}

// NewKeyValue describes a key-value store.
func NewKeyValue[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...Option) *KeyValue[K, V] {
	h := &KeyValue[K, V]{spec: processor.StoreSpec{Name: name, Kind: processor.KeyValueStore}, ks: ks, vs: vs}
	for _, o := range opts {
		o(&h.spec)
	}
	return h
}

// Timestamped makes the store keep each value's time.
func Timestamped() Option { return func(s *processor.StoreSpec) { s.Timestamped = true } }

// Spec declares the store to [topology.Builder.AddStore].
func (h *KeyValue[K, V]) Spec() processor.StoreSpec { return h.spec }

// Open gives a processor access to the store; call it in Init.
func (h *KeyValue[K, V]) Open(ctx processor.Context) (*KV[K, V], error) {
	s, err := open(ctx, h.spec)
	if err != nil {
		return nil, err
	}
	return &KV[K, V]{s: s, ks: h.ks, vs: h.vs}, nil
}

func open(ctx processor.Context, spec processor.StoreSpec) (*Store, error) {
	any, err := ctx.Store(spec.Name)
	if err != nil {
		return nil, err
	}
	s, ok := any.(*Store)
	if !ok || s.spec.Kind != spec.Kind || s.spec.Timestamped != spec.Timestamped {
		return nil, fmt.Errorf("state: store %s is not the %s store it is opened as: %w", spec.Name, spec.Kind, ErrNoStore)
	}
	return s, nil
}

// KV is an open key-value store.
type KV[K, V any] struct {
	s        *Store
	ks       serde.Serde[K]
	vs       serde.Serde[V]
	key, val []byte
}

// Get returns the value of k; ok is false if there is none.
func (s *KV[K, V]) Get(k K) (v V, ok bool, err error) {
	v, _, ok, err = s.GetAt(k)
	return v, ok, err
}

// GetAt is Get with the time of the value, -1 if the store keeps none.
func (s *KV[K, V]) GetAt(k K) (v V, time int64, ok bool, err error) {
	if s.key, err = s.ks.Append(s.key[:0], k); err != nil {
		return v, 0, false, err
	}
	data, err := s.s.get(s.key)
	if err != nil || data == nil {
		return v, 0, false, err
	}
	return decodeValue(s.vs, s.s.spec.Timestamped, data)
}

// Put sets the value of k as of the given time. A value which the serde
// regards as null deletes.
func (s *KV[K, V]) Put(k K, v V, time int64) (err error) {
	if serde.IsNull(s.vs, v) {
		return s.Delete(k, time)
	}
	if s.key, err = s.ks.Append(s.key[:0], k); err != nil {
		return err
	}
	if s.val, err = encodeValue(s.val[:0], s.vs, s.s.spec.Timestamped, v, time); err != nil {
		return err
	}
	return s.s.put(s.key, s.val, time)
}

// Delete removes k.
func (s *KV[K, V]) Delete(k K, time int64) (err error) {
	if s.key, err = s.ks.Append(s.key[:0], k); err != nil {
		return err
	}
	return s.s.put(s.key, nil, time)
}

// All calls fn for every entry in order of the key's bytes until it returns
// false. fn must not write to the store.
func (s *KV[K, V]) All(fn func(k K, v V, time int64) (bool, error)) error {
	return s.s.scan(nil, nil, s.visit(fn))
}

// Range is All for the keys from <= k < to in order of their bytes.
func (s *KV[K, V]) Range(from, to K, fn func(k K, v V, time int64) (bool, error)) error {
	lower, err := s.ks.Append(nil, from)
	if err != nil {
		return err
	}
	upper, err := s.ks.Append([]byte{}, to)
	if err != nil {
		return err
	}
	return s.s.scan(lower, upper, s.visit(fn))
}

func (s *KV[K, V]) visit(fn func(k K, v V, time int64) (bool, error)) func(key, data []byte) (bool, error) {
	return func(key, data []byte) (bool, error) {
		k, err := s.ks.Decode(key)
		if err != nil {
			return false, err
		}
		v, time, _, err := decodeValue(s.vs, s.s.spec.Timestamped, data)
		if err != nil {
			return false, err
		}
		return fn(k, v, time)
	}
}

func encodeValue[V any](dst []byte, vs serde.Serde[V], timestamped bool, v V, time int64) ([]byte, error) {
	if timestamped {
		dst = binary.BigEndian.AppendUint64(dst, uint64(time))
	}
	return vs.Append(dst, v)
}

func decodeValue[V any](vs serde.Serde[V], timestamped bool, data []byte) (v V, time int64, ok bool, err error) {
	time = processor.NoTime
	if timestamped {
		if len(data) < 8 {
			return v, time, false, fmt.Errorf("state: a value of %d bytes has no time: %w", len(data), serde.ErrMalformed)
		}
		time = int64(binary.BigEndian.Uint64(data))
		data = data[8:]
	}
	v, err = vs.Decode(data)
	return v, time, err == nil, err
}
