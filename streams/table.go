package streams

import (
	"context"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
)

// Table is a keyed collection under change: each record replaces the one
// before with the same key. Along its edges flow [processor.Change]s.
type Table[K, V any] struct {
	b    *Builder
	node string
	ks   serde.Serde[K]
	vs   serde.Serde[V]
	agg  *aggregation // of a windowed aggregation, else nil
}

// Node is the name of the graph's node the table comes from.
func (t Table[K, V]) Node() string { return t.node }

// aggregation is what can still be said about an aggregation after it has been
// added: its node reads it when a task starts.
type aggregation struct {
	windowed bool
	onClose  bool
	late     func(topic string) string // adds the sink of late records
	lateNode string
}

// EmitOnClose lets a windowed table emit each window's result once, when the
// window has closed, instead of every update.
func (t Table[K, V]) EmitOnClose() Table[K, V] {
	if t.agg == nil || !t.agg.windowed {
		t.b.graph.Invalid("%s: EmitOnClose needs a windowed aggregation", t.node)
		return t
	}
	t.agg.onClose = true
	return t
}

// Late writes the records which came too late for their windows to a topic, as
// they are, instead of only counting them.
func (t Table[K, V]) Late(topic string) Table[K, V] {
	if t.agg == nil || !t.agg.windowed {
		t.b.graph.Invalid("%s: Late needs a windowed aggregation", t.node)
		return t
	}
	if t.agg.lateNode != "" {
		t.b.graph.Invalid("%s has a topic for late records already", t.node)
		return t
	}
	t.agg.lateNode = t.agg.late(topic)
	return t
}

// ToStream is the stream of the table's changes: its new values, null where a
// key was deleted.
func (t Table[K, V]) ToStream(name ...string) Stream[K, V] {
	n := ""
	if len(name) > 0 {
		n = name[0]
	}
	node := t.b.name(n, "KTABLE-TOSTREAM-")
	addStep(t.b, node, t.node, func(_ context.Context, r *Rec[K, processor.Change[V]], out *processor.Out[K, V]) error {
		to := Rec[K, V]{Key: r.Key, Value: r.Value.New, Meta: r.Meta}
		to.ValueNull = r.Value.NewNull
		return out.Emit(to)
	})
	return Stream[K, V]{b: t.b, node: node, ks: t.ks, vs: t.vs}
}

// To writes the table's changes to a topic.
func (t Table[K, V]) To(topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...SinkOption) {
	t.ToStream().To(topic, ks, vs, opts...)
}

// StoreOption refines the store of an aggregation.
type StoreOption func(*storeConfig)

type storeConfig struct {
	name string
	opts []state.Option
}

// StoreName names the store apart from the step.
func StoreName(name string) StoreOption { return func(c *storeConfig) { c.name = name } }

// Store passes options of package state on: where the store is kept, for how
// long, and the settings of its changelog topic.
func Store(opts ...state.Option) StoreOption {
	return func(c *storeConfig) { c.opts = append(c.opts, opts...) }
}

// Count counts the records of each group.
func Count[KOut, K, V any](g Groups[KOut, K, V], name string, opts ...StoreOption) Table[KOut, int64] {
	return aggregate(g, name, "KSTREAM-AGGREGATE-", opts, rules[K, V, int64]{
		vs: serde.Int64, init: func() int64 { return 0 }, hasInit: true,
		add: func(n int64, _ *Rec[K, V]) (int64, error) { return n + 1, nil },
	})
}

// Aggregate folds the records of each group into a value. init gives the value
// of a group without records; add must not change its argument in place unless
// the serde's Decode makes a new one each time. A result the serde regards as
// null deletes the group's value.
func Aggregate[KOut, K, V, A any](g Groups[KOut, K, V], name string, vs serde.Serde[A],
	init func() A, add func(A, Rec[K, V]) (A, error), opts ...StoreOption) Table[KOut, A] {
	return aggregate(g, name, "KSTREAM-AGGREGATE-", opts, rules[K, V, A]{
		vs: vs, init: init, hasInit: true,
		add: func(a A, r *Rec[K, V]) (A, error) { return add(a, *r) },
	})
}

// Reduce combines the values of each group; the first one stands for itself.
func Reduce[KOut, K, V any](g Groups[KOut, K, V], name string, fn func(old V, r Rec[K, V]) (V, error), opts ...StoreOption) Table[KOut, V] {
	vs := g.groups().stream.vs
	if vs == nil {
		g.groups().stream.b.graph.Invalid("%s: Reduce needs the serde of the value; give it to the step before", name)
	}
	return aggregate(g, name, "KSTREAM-REDUCE-", opts, rules[K, V, V]{
		vs:    vs,
		add:   func(old V, r *Rec[K, V]) (V, error) { return fn(old, *r) },
		first: func(r *Rec[K, V]) V { return r.Value },
	})
}

// rules are what an aggregation computes.
type rules[K, V, A any] struct {
	vs      serde.Serde[A]
	init    func() A
	hasInit bool // false: the first record's value is the first result
	add     func(A, *Rec[K, V]) (A, error)
	first   func(*Rec[K, V]) A
}

// aggregate adds the nodes and the store of an aggregation, and a repartition
// topic before it if the key may have changed.
func aggregate[KOut, K, V, A any](groups Groups[KOut, K, V], name, prefix string, opts []StoreOption, r rules[K, V, A]) Table[KOut, A] {
	g := groups.groups()
	b := g.stream.b
	var c storeConfig
	for _, o := range opts {
		o(&c)
	}
	if c.name == "" {
		c.name = name
	}
	if c.name == "" {
		c.name = b.graph.NextName(prefix + "STATE-STORE-")
	}
	node := b.name(name, prefix)
	in := g.stream
	if in.rekeyed {
		base := c.name
		if g.name != "" {
			base = g.name
		}
		in = in.through(base)
	}
	agg := &aggregation{windowed: g.window != nil}
	var supplier processor.Supplier
	var spec processor.StoreSpec
	if g.window == nil {
		supplier, spec = newFold(g, in, c, r)
	} else {
		supplier, spec = newWindowFold(g, in, c, r, agg)
		if err := g.window.Validate(); err != nil {
			b.graph.Invalid("%s: %v", node, err)
		}
	}
	b.graph.AddProcessor(node, supplier, in.node)
	b.graph.AddStore(spec, node)
	agg.late = func(topic string) string { return lateSink(b, node, topic, in) }
	return Table[KOut, A]{b: b, node: node, ks: g.outKey, vs: r.vs, agg: agg}
}

func lateSink[K, V any](b *Builder, node, topic string, in Stream[K, V]) string {
	name := node + "-late"
	if in.vs == nil || in.ks == nil {
		b.graph.Invalid("%s: late records need the serdes of key and value; give them to the step before", node)
		return name
	}
	b.graph.AddSink(topology.Sink{Name: name, Topic: topic, Side: true, Encode: processor.EncoderOf(in.ks, in.vs)}, node)
	return name
}
