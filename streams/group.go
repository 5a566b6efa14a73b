package streams

import (
	"context"

	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/window"
)

// Groups is a grouped stream, windowed or not: what Count, Aggregate and
// Reduce take. KOut is the key of their results: K itself or Windowed[K].
// Grouped and WindowedGroups implement it.
type Groups[KOut, K, V any] interface {
	groups() grouping[KOut, K, V]
}

// grouping is what the two kinds of groups have in common.
type grouping[KOut, K, V any] struct {
	stream Stream[K, V]
	name   string
	window *window.Spec // nil without
	// outKey is the serde of the results' keys.
	outKey serde.Serde[KOut]
	// of makes the result's key.
	of func(K, window.Window) KOut
}

// Grouped is a stream grouped by key.
type Grouped[K, V any] struct {
	stream Stream[K, V]
	name   string
}

// GroupByKey groups the records by their key. If the key may have changed since
// the last topic, they go through a repartition topic first, named after the
// grouping or, without a name, after the store.
func (s Stream[K, V]) GroupByKey(name ...string) Grouped[K, V] {
	g := Grouped[K, V]{stream: s}
	if len(name) > 0 {
		g.name = name[0]
	}
	return g
}

// GroupBy groups the records by another key: SelectKey and GroupByKey in one.
func GroupBy[K, V, L any](s Stream[K, V], name string, ks serde.Serde[L], fn func(Rec[K, V]) L) Grouped[L, V] {
	keyed := rekey(s, s.b.name(name, "KSTREAM-KEY-SELECT-"), ks,
		func(_ context.Context, r Rec[K, V]) (L, error) { return fn(r), nil })
	return Grouped[L, V]{stream: keyed, name: name}
}

// Window cuts the groups into windows of time.
func (g Grouped[K, V]) Window(spec window.Spec) WindowedGroups[K, V] {
	return WindowedGroups[K, V]{of: g, spec: spec}
}

func (g Grouped[K, V]) groups() grouping[K, K, V] {
	return grouping[K, K, V]{
		stream: g.stream, name: g.name, outKey: g.stream.ks,
		of: func(k K, _ window.Window) K { return k },
	}
}

// WindowedGroups is a grouped stream cut into windows.
type WindowedGroups[K, V any] struct {
	of   Grouped[K, V]
	spec window.Spec
}

func (g WindowedGroups[K, V]) groups() grouping[Windowed[K], K, V] {
	return grouping[Windowed[K], K, V]{
		stream: g.of.stream, name: g.of.name, window: &g.spec,
		outKey: nil, // not needed: windowed results are not regrouped by their window
		of:     func(k K, w window.Window) Windowed[K] { return Windowed[K]{Key: k, Start: w.Start, End: w.End} },
	}
}

// keyNull tells whether a record has no key.
func keyNull[K, V any](ks serde.Serde[K], r *Rec[K, V]) bool {
	return r.KeyNull || serde.IsNull(ks, r.Key)
}

func valueNull[K, V any](vs serde.Serde[V], r *Rec[K, V]) bool {
	return r.ValueNull || (vs != nil && serde.IsNull(vs, r.Value))
}

var _ Groups[string, string, int] = Grouped[string, int]{}
var _ Groups[Windowed[string], string, int] = WindowedGroups[string, int]{}
