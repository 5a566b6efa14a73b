package streams

import (
	"context"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
)

// Rec is one record.
type Rec[K, V any] = processor.Record[K, V]

// Windowed is a key together with its window.
type Windowed[K any] = window.Windowed[K]

// The classes of errors a step may return: see package processor.
var (
	Skip       = processor.Skip
	Fail       = processor.Fail
	DeadLetter = processor.DeadLetter
	Retry      = processor.Retry
)

// Builder collects the steps of one program. It is not safe for concurrent use.
type Builder struct {
	app   string
	graph *topology.Builder
	// repartitions are the repartition topics by their names' base.
	repartitions map[string]repartition
}

// repartition is the node before and the source after a repartition topic.
type repartition struct{ parent, source string }

// New starts a program. The id names its consumer group and is the prefix of
// its internal topics: programs with the same id share the work.
func New(appID string) *Builder {
	b := &Builder{app: appID, graph: topology.NewBuilder(), repartitions: map[string]repartition{}}
	if appID == "" {
		b.graph.Invalid("the application id is empty")
	}
	return b
}

// App is the application id.
func (b *Builder) App() string { return b.app }

// Graph is the builder of the underlying graph, for steps the DSL lacks.
func (b *Builder) Graph() *topology.Builder { return b.graph }

// Build checks the program and freezes it.
func (b *Builder) Build() (*topology.Topology, error) {
	return b.graph.Build()
}

// Stream is an unbounded sequence of records which do not replace each other.
type Stream[K, V any] struct {
	b       *Builder
	node    string
	ks      serde.Serde[K]
	vs      serde.Serde[V] // nil when a step gave none
	rekeyed bool           // the key may have changed since the last topic
}

// Node is the name of the graph's node the stream comes from.
func (s Stream[K, V]) Node() string { return s.node }

// SourceOption refines [From].
type SourceOption func(*topology.Source)

// Named names the source's node.
func Named(name string) SourceOption { return func(s *topology.Source) { s.Name = name } }

// Topics adds topics to the source; they must hold the same kind of records.
func Topics(more ...string) SourceOption {
	return func(s *topology.Source) { s.Topics = append(s.Topics, more...) }
}

// EventTime takes the time of records, in milliseconds since the epoch, from
// their content. A record with a negative time is dropped and counted.
func EventTime[K, V any](fn func(r Rec[K, V]) int64) SourceOption {
	return func(s *topology.Source) {
		s.Time = func(m processor.Message, _ int64) int64 {
			r, ok := m.(*Rec[K, V])
			if !ok {
				return processor.NoTime
			}
			return fn(*r)
		}
	}
}

// PartitionTime is an [EventTime] for records without a time of their own:
// they get the highest time of their partition so far.
func PartitionTime() SourceOption {
	return func(s *topology.Source) {
		s.Time = func(_ processor.Message, partitionTime int64) int64 { return partitionTime }
	}
}

// MaxFuture lets no record's time be more than ms milliseconds ahead of the
// wall clock, so that one wrong clock does not close every window.
func MaxFuture(ms int64) SourceOption { return func(s *topology.Source) { s.MaxFuture = ms } }

// From reads a topic.
func From[K, V any](b *Builder, topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceOption) Stream[K, V] {
	src := topology.Source{Topics: []string{topic}, Decode: processor.DecoderOf(ks, vs)}
	for _, o := range opts {
		o(&src)
	}
	src.Name = b.name(src.Name, "KSTREAM-SOURCE-")
	b.graph.AddSource(src)
	return Stream[K, V]{b: b, node: src.Name, ks: ks, vs: vs}
}

// name gives a step its name; every step takes a number, named or not, so that
// naming one step does not rename others.
func (b *Builder) name(name, prefix string) string {
	generated := b.graph.NextName(prefix)
	if name == "" {
		return generated
	}
	return name
}

// step is the processor of a stateless step.
type step[K, V, KO, VO any] struct {
	out *processor.Out[KO, VO]
	run func(ctx context.Context, r *Rec[K, V], out *processor.Out[KO, VO]) error
}

func (s *step[K, V, KO, VO]) Init(out *processor.Out[KO, VO]) error { s.out = out; return nil }
func (s *step[K, V, KO, VO]) Close() error                          { return nil }
func (s *step[K, V, KO, VO]) Process(r *Rec[K, V]) error {
	return s.run(s.out.Ctx(), r, s.out)
}

func addStep[K, V, KO, VO any](b *Builder, name string, parent string,
	run func(ctx context.Context, r *Rec[K, V], out *processor.Out[KO, VO]) error) {
	b.graph.AddProcessor(name, processor.Of(func() processor.Typed[K, V, KO, VO] {
		return &step[K, V, KO, VO]{run: run}
	}), parent)
}
