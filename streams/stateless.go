package streams

import (
	"context"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/topology"
)

// Filter keeps the records for which keep holds.
func (s Stream[K, V]) Filter(name string, keep func(Rec[K, V]) bool) Stream[K, V] {
	return s.TryFilter(name, func(_ context.Context, r Rec[K, V]) (bool, error) { return keep(r), nil })
}

// TryFilter is Filter with a function that may fail.
func (s Stream[K, V]) TryFilter(name string, keep func(context.Context, Rec[K, V]) (bool, error)) Stream[K, V] {
	s.node = s.pass(name, "KSTREAM-FILTER-", func(ctx context.Context, r *Rec[K, V], out *processor.Out[K, V]) error {
		ok, err := keep(ctx, *r)
		if err != nil || !ok {
			return err
		}
		return out.Forward(r)
	})
	return s
}

// Peek calls fn for every record and passes it on.
func (s Stream[K, V]) Peek(name string, fn func(Rec[K, V])) Stream[K, V] {
	s.node = s.pass(name, "KSTREAM-PEEK-", func(_ context.Context, r *Rec[K, V], out *processor.Out[K, V]) error {
		fn(*r)
		return out.Forward(r)
	})
	return s
}

// ForEach calls fn for every record; the data ends here.
func (s Stream[K, V]) ForEach(name string, fn func(context.Context, Rec[K, V]) error) {
	s.pass(name, "KSTREAM-FOREACH-", func(ctx context.Context, r *Rec[K, V], _ *processor.Out[K, V]) error {
		return fn(ctx, *r)
	})
}

// Merge joins two streams of the same types into one. Records of one input
// keep their order.
func (s Stream[K, V]) Merge(name string, other Stream[K, V]) Stream[K, V] {
	if s.b != other.b {
		s.b.graph.Invalid("merge %s: the streams belong to different builders", name)
		return s
	}
	node := s.b.name(name, "KSTREAM-MERGE-")
	s.b.graph.AddProcessor(node, forwarder[K, V](), s.node, other.node)
	s.node, s.rekeyed = node, s.rekeyed || other.rekeyed
	return s
}

func forwarder[K, V any]() processor.Supplier {
	return processor.Of(func() processor.Typed[K, V, K, V] {
		return &step[K, V, K, V]{run: func(_ context.Context, r *Rec[K, V], out *processor.Out[K, V]) error {
			return out.Forward(r)
		}}
	})
}

// pass adds a step which forwards records of the same types.
func (s Stream[K, V]) pass(name, prefix string, run func(context.Context, *Rec[K, V], *processor.Out[K, V]) error) string {
	node := s.b.name(name, prefix)
	addStep(s.b, node, s.node, run)
	return node
}

// Case is one way out of [Stream.Branch].
type Case[K, V any] struct {
	Name string
	When func(Rec[K, V]) bool
}

// Branch sends each record to the first case that holds; a nil When always
// does. Records for which none holds are left out. The streams come in the
// order of the cases.
func (s Stream[K, V]) Branch(name string, cases ...Case[K, V]) []Stream[K, V] {
	node := s.b.name(name, "KSTREAM-BRANCH-")
	names := make([]string, len(cases))
	addStep(s.b, node, s.node, func(_ context.Context, r *Rec[K, V], out *processor.Out[K, V]) error {
		for i, c := range cases {
			if c.When == nil || c.When(*r) {
				return out.ForwardTo(names[i], r)
			}
		}
		return nil
	})
	ways := make([]Stream[K, V], len(cases))
	for i, c := range cases {
		s.b.graph.NextName("KSTREAM-BRANCHCHILD-") // its number
		names[i] = node + "-" + c.Name
		s.b.graph.AddProcessor(names[i], forwarder[K, V](), node)
		ways[i] = s
		ways[i].node = names[i]
	}
	return ways
}

// Map makes one record of each. Time, headers and source of the result are
// those of the record unless fn sets others; start from [processor.With].
func Map[K, V, L, W any](s Stream[K, V], name string, ks serde.Serde[L], vs serde.Serde[W],
	fn func(context.Context, Rec[K, V]) (Rec[L, W], error)) Stream[L, W] {
	node := s.b.name(name, "KSTREAM-MAP-")
	addStep(s.b, node, s.node, func(ctx context.Context, r *Rec[K, V], out *processor.Out[L, W]) error {
		to, err := fn(ctx, *r)
		if err != nil {
			return err
		}
		return out.Emit(to)
	})
	return Stream[L, W]{b: s.b, node: node, ks: ks, vs: vs, rekeyed: true}
}

// MapValues makes another value of each record; the key stays, so no
// repartitioning follows. fn is called for null values, too: r.ValueNull.
func MapValues[K, V, W any](s Stream[K, V], name string, vs serde.Serde[W],
	fn func(context.Context, Rec[K, V]) (W, error)) Stream[K, W] {
	node := s.b.name(name, "KSTREAM-MAPVALUES-")
	addStep(s.b, node, s.node, func(ctx context.Context, r *Rec[K, V], out *processor.Out[K, W]) error {
		v, err := fn(ctx, *r)
		if err != nil {
			return err
		}
		return out.Emit(processor.WithValue(*r, v))
	})
	return Stream[K, W]{b: s.b, node: node, ks: s.ks, vs: vs, rekeyed: s.rekeyed}
}

// FlatMap makes any number of records of each.
func FlatMap[K, V, L, W any](s Stream[K, V], name string, ks serde.Serde[L], vs serde.Serde[W],
	fn func(context.Context, Rec[K, V]) ([]Rec[L, W], error)) Stream[L, W] {
	node := s.b.name(name, "KSTREAM-FLATMAP-")
	addStep(s.b, node, s.node, emitAll(fn))
	return Stream[L, W]{b: s.b, node: node, ks: ks, vs: vs, rekeyed: true}
}

func emitAll[K, V, L, W any](fn func(context.Context, Rec[K, V]) ([]Rec[L, W], error)) func(context.Context, *Rec[K, V], *processor.Out[L, W]) error {
	return func(ctx context.Context, r *Rec[K, V], out *processor.Out[L, W]) error {
		all, err := fn(ctx, *r)
		if err != nil {
			return err
		}
		for _, to := range all {
			if err := out.Emit(to); err != nil {
				return err
			}
		}
		return nil
	}
}

// FlatMapValues makes any number of values of each record; the key stays.
func FlatMapValues[K, V, W any](s Stream[K, V], name string, vs serde.Serde[W],
	fn func(context.Context, Rec[K, V]) ([]W, error)) Stream[K, W] {
	node := s.b.name(name, "KSTREAM-FLATMAPVALUES-")
	addStep(s.b, node, s.node, emitAll(func(ctx context.Context, r Rec[K, V]) ([]Rec[K, W], error) {
		values, err := fn(ctx, r)
		out := make([]Rec[K, W], len(values))
		for i, v := range values {
			out[i] = processor.WithValue(r, v)
		}
		return out, err
	}))
	return Stream[K, W]{b: s.b, node: node, ks: s.ks, vs: vs, rekeyed: s.rekeyed}
}

// SelectKey gives each record another key. A grouping below goes through a
// repartition topic.
func SelectKey[K, V, L any](s Stream[K, V], name string, ks serde.Serde[L], fn func(Rec[K, V]) L) Stream[L, V] {
	return TrySelectKey(s, name, ks, func(_ context.Context, r Rec[K, V]) (L, error) { return fn(r), nil })
}

// TrySelectKey is SelectKey with a function that may fail.
func TrySelectKey[K, V, L any](s Stream[K, V], name string, ks serde.Serde[L],
	fn func(context.Context, Rec[K, V]) (L, error)) Stream[L, V] {
	return rekey(s, s.b.name(name, "KSTREAM-KEY-SELECT-"), ks, fn)
}

func rekey[K, V, L any](s Stream[K, V], node string, ks serde.Serde[L], fn func(context.Context, Rec[K, V]) (L, error)) Stream[L, V] {
	addStep(s.b, node, s.node, func(ctx context.Context, r *Rec[K, V], out *processor.Out[L, V]) error {
		key, err := fn(ctx, *r)
		if err != nil {
			return err
		}
		return out.Emit(processor.WithKey(*r, key))
	})
	return Stream[L, V]{b: s.b, node: node, ks: ks, vs: s.vs, rekeyed: true}
}

// SinkOption refines [Stream.To].
type SinkOption func(*topology.Sink)

// SinkNamed names the sink's node.
func SinkNamed(name string) SinkOption { return func(s *topology.Sink) { s.Name = name } }

// Partitioner chooses the partition of each record among n.
func Partitioner[K, V any](fn func(r Rec[K, V], n int32) int32) SinkOption {
	return func(s *topology.Sink) {
		s.Partition = func(m processor.Message, n int32) int32 {
			r, ok := m.(*Rec[K, V])
			if !ok {
				return -1
			}
			return fn(*r, n)
		}
	}
}

// To writes the stream to a topic.
func (s Stream[K, V]) To(topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...SinkOption) {
	s.sink(topology.Sink{Topic: topic, Encode: processor.EncoderOf(ks, vs)}, opts)
}

// ToTopics writes each record to the topic fn names; name stands for that
// choice in descriptions.
func (s Stream[K, V]) ToTopics(name string, fn func(Rec[K, V]) string, ks serde.Serde[K], vs serde.Serde[V], opts ...SinkOption) {
	choose := func(m processor.Message) string {
		if r, ok := m.(*Rec[K, V]); ok {
			return fn(*r)
		}
		return ""
	}
	s.sink(topology.Sink{Topic: name, TopicOf: choose, Encode: processor.EncoderOf(ks, vs)}, opts)
}

func (s Stream[K, V]) sink(sink topology.Sink, opts []SinkOption) {
	for _, o := range opts {
		o(&sink)
	}
	sink.Name = s.b.name(sink.Name, "KSTREAM-SINK-")
	s.b.graph.AddSink(sink, s.node)
}

// Repartition sends the stream through an internal topic, so that records of a
// key meet in one task. Records with a null key are left out.
func (s Stream[K, V]) Repartition(name string) Stream[K, V] {
	if name == "" {
		name = s.b.graph.NextName("KSTREAM-REPARTITION-")
	}
	return s.through(name)
}

// through adds the repartition topic of that name, or uses the one there is.
func (s Stream[K, V]) through(base string) Stream[K, V] {
	g := s.b.graph
	if s.vs == nil || s.ks == nil {
		g.Invalid("%s: repartitioning needs the serdes of key and value; give them to the step before", base)
		return s
	}
	if r, ok := s.b.repartitions[base]; ok {
		if r.parent != s.node {
			g.Invalid("%s names the repartition topics of two different streams", base)
		}
		return Stream[K, V]{b: s.b, node: r.source, ks: s.ks, vs: s.vs}
	}
	topic := base + "-repartition"
	sink, filter, source := g.NextName("KSTREAM-SINK-"), g.NextName("KSTREAM-FILTER-"), g.NextName("KSTREAM-SOURCE-")
	if !topology.Generated(base) {
		sink, filter, source = topic+"-sink", topic+"-filter", topic+"-source"
	}
	ks := s.ks
	addStep(s.b, filter, s.node, func(_ context.Context, r *Rec[K, V], out *processor.Out[K, V]) error {
		if keyNull(ks, r) {
			return nil
		}
		return out.Forward(r)
	})
	g.AddSink(topology.Sink{Name: sink, Topic: topic, Repartition: true, Encode: processor.EncoderOf(s.ks, s.vs)}, filter)
	g.AddSource(topology.Source{Name: source, Topics: []string{topic}, Repartition: true, Decode: processor.DecoderOf(s.ks, s.vs)})
	s.b.repartitions[base] = repartition{parent: s.node, source: source}
	return Stream[K, V]{b: s.b, node: source, ks: s.ks, vs: s.vs}
}

// Process adds a processor of one's own below the stream, with access to the
// named stores, which must be declared with [Builder.AddStore] first.
func Process[K, V, L, W any](s Stream[K, V], name string, ks serde.Serde[L], vs serde.Serde[W],
	supply func() processor.Typed[K, V, L, W], stores ...string) Stream[L, W] {
	node := name
	if node == "" {
		node = s.b.graph.NextName("KSTREAM-PROCESSOR-")
	}
	s.b.graph.AddProcessor(node, processor.Of(supply), s.node)
	for _, st := range stores {
		s.b.graph.Connect(st, node)
	}
	return Stream[L, W]{b: s.b, node: node, ks: ks, vs: vs, rekeyed: true}
}

// ProcessValues is Process for a processor that keeps the key: no
// repartitioning follows. A processor that changes it nevertheless breaks the
// partitioning of what comes after.
func ProcessValues[K, V, W any](s Stream[K, V], name string, vs serde.Serde[W],
	supply func() processor.Typed[K, V, K, W], stores ...string) Stream[K, W] {
	node := name
	if node == "" {
		node = s.b.graph.NextName("KSTREAM-PROCESSVALUES-")
	}
	s.b.graph.AddProcessor(node, processor.Of(supply), s.node)
	for _, st := range stores {
		s.b.graph.Connect(st, node)
	}
	return Stream[K, W]{b: s.b, node: node, ks: s.ks, vs: vs, rekeyed: s.rekeyed}
}

// AddStore declares a store for [Process]; pass the Spec of a handle.
func (b *Builder) AddStore(spec processor.StoreSpec) {
	b.graph.AddStore(spec)
}
