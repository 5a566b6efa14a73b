package state

import (
	"encoding/binary"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
)

// Window is the handle of a window store: one value per key and window start,
// with the value's time.
type Window[K, V any] struct {
	spec processor.StoreSpec
	ks   serde.Serde[K]
	vs   serde.Serde[V]
}

// Retention is how long a window store keeps windows beyond what the results
// need, counted from the window's start.
func Retention(d time.Duration) Option { return func(s *processor.StoreSpec) { s.Retention = d } }

// Grace is how long after its end a window of a window store may change.
func Grace(d time.Duration) Option { return func(s *processor.StoreSpec) { s.Grace = d } }

// NewWindow describes a window store for windows of the given size. Its
// retention is size plus grace unless an option asks for more.
func NewWindow[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], size time.Duration, opts ...Option) *Window[K, V] {
	h := &Window[K, V]{
		spec: processor.StoreSpec{Name: name, Kind: processor.WindowStore, Timestamped: true, WindowSize: size},
		ks:   ks, vs: vs,
	}
	for _, o := range opts {
		o(&h.spec)
	}
	h.spec.Retention = max(h.spec.Retention, size+h.spec.Grace)
	return h
}

// Spec declares the store to the topology.
func (h *Window[K, V]) Spec() processor.StoreSpec { return h.spec }

// Open gives a processor access to the store; call it in Init.
func (h *Window[K, V]) Open(ctx processor.Context) (*Win[K, V], error) {
	s, err := open(ctx, h.spec)
	if err != nil {
		return nil, err
	}
	return &Win[K, V]{s: s, ks: h.ks, vs: h.vs}, nil
}

// Win is an open window store.
type Win[K, V any] struct {
	s        *Store
	ks       serde.Serde[K]
	vs       serde.Serde[V]
	key, val []byte
}

// Get returns the value of a key's window and its time.
func (w *Win[K, V]) Get(k K, start int64) (v V, time int64, ok bool, err error) {
	if err = w.setKey(k, start); err != nil {
		return v, 0, false, err
	}
	data, err := w.s.get(w.key)
	if err != nil || data == nil {
		return v, 0, false, err
	}
	return decodeValue(w.vs, true, data)
}

// Put sets the value of a key's window as of the given time.
func (w *Win[K, V]) Put(k K, start int64, v V, time int64) (err error) {
	if err = w.setKey(k, start); err != nil {
		return err
	}
	if w.val, err = encodeValue(w.val[:0], w.vs, true, v, time); err != nil {
		return err
	}
	return w.s.putWindow(w.key, w.val, time)
}

// Delete removes a key's window.
func (w *Win[K, V]) Delete(k K, start, time int64) error {
	if err := w.setKey(k, start); err != nil {
		return err
	}
	return w.s.putWindow(w.key, nil, time)
}

// Windows calls fn for the windows with from <= start <= to in order of start,
// then key bytes, until it returns false. fn must not write to the store.
func (w *Win[K, V]) Windows(from, to int64, fn func(k K, start int64, v V, time int64) (bool, error)) error {
	return w.s.scanWindows(from, to, func(key []byte, start int64, data []byte) (bool, error) {
		k, err := w.ks.Decode(key)
		if err != nil {
			return false, err
		}
		v, time, _, err := decodeValue(w.vs, true, data)
		if err != nil {
			return false, err
		}
		return fn(k, start, v, time)
	})
}

// Clock is the operator's clock: see [Store.Clock].
func (w *Win[K, V]) Clock() int64 { return w.s.Clock() }

// Emitted is the progress of final results: see [Store.Emitted].
func (w *Win[K, V]) Emitted() int64 { return w.s.Emitted() }

// SetClock moves both: see [Store.SetClock].
func (w *Win[K, V]) SetClock(clock, emitted int64) { w.s.SetClock(clock, emitted) }

func (w *Win[K, V]) setKey(k K, start int64) (err error) {
	if w.key, err = w.ks.Append(w.key[:0], k); err != nil {
		return err
	}
	w.key = binary.BigEndian.AppendUint64(w.key, uint64(start))
	return nil
}
