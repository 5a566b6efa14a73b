package pipelines

import (
	"errors"
	"slices"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/topology"
)

// Plan is what a document comes to: topics, connectors and a topology. Making
// one touches nothing outside.
type Plan struct {
	Name string
	// Topics are those the pipeline reads and writes, without the internal
	// ones of its topology.
	Topics []Topic
	// Connectors are the properties of the connectors it needs.
	Connectors []map[string]string
	// Topology is nil if the document only connects sources with Parquet
	// sinks: then there is nothing to compute.
	Topology *topology.Topology
	// Handler and DeadLetter say what becomes of failed records.
	Handler    processor.Handler
	DeadLetter string
	// Stores are the window stores of aggregates by step.
	Stores []Store
}

// Role says what a pipeline does with a topic.
type Role string

// The roles of topics.
const (
	RoleSource     Role = "source"
	RoleSink       Role = "sink"
	RoleDeadLetter Role = "dead_letter"
)

// Topic is a topic of a pipeline.
type Topic struct {
	Name       string `json:"name"`
	Role       Role   `json:"role"`
	ID         string `json:"id"`         // of the source or sink
	Partitions int    `json:"partitions"` // 0: the broker's default
}

// Store is the window store of an aggregate. Read decodes one of its values.
type Store struct {
	Name string
	Read func(value []byte) (map[string]any, error)
}

// Lint checks a document and returns every problem.
func Lint(name string, data []byte, opts Options) Problems {
	_, problems := Load(name, data, opts)
	return problems
}

// Load checks a document and plans it. The plan is nil if a problem is an
// error.
func Load(name string, data []byte, opts Options) (*Plan, Problems) {
	_, plan, problems := load(name, data, opts)
	return plan, problems
}

func load(name string, data []byte, opts Options) (*Spec, *Plan, Problems) {
	spec, problems := Parse(name, data, opts)
	if spec == nil {
		return nil, nil, problems
	}
	plan, more := spec.plan(problems.Err() == nil)
	problems = append(problems, more...)
	problems.sort()
	return spec, plan, problems
}

// plan compiles, to find the problems, and builds if the document is sound so
// far. The plan is nil if anything is wrong.
func (s *Spec) plan(sound bool) (*Plan, Problems) {
	r := &report{file: s.File}
	prog := compile(s, r)
	s.checkTests(r)
	if !sound || r.list.Err() != nil {
		return nil, r.list
	}
	p := &Plan{Name: s.Name, DeadLetter: s.errors.topic, Handler: s.handler(), Topics: prog.topics(), Connectors: prog.connectors()}
	for i := range s.steps {
		if fields := prog.fields[s.steps[i].id]; fields != nil {
			p.Stores = append(p.Stores, storeOf(s.steps[i].id, fields))
		}
	}
	if prog.computes() {
		topo, err := prog.build()
		if err != nil {
			r.errorf(pos{1, 1}, "topology", "", "%v", err)
			return nil, r.list
		}
		p.Topology = topo
	}
	return p, r.list
}

func storeOf(name string, fields []aggregateField) Store {
	serde := totalsSerde{fields}
	return Store{Name: name, Read: func(value []byte) (map[string]any, error) {
		t, err := serde.Decode(value)
		if err != nil {
			return nil, err
		}
		return t.row(fields), nil
	}}
}

// computes tells whether the document needs a topology at all.
func (p *program) computes() bool {
	return len(p.spec.steps) > 0 || slices.ContainsFunc(p.sinks, func(o output) bool { return !o.direct })
}

func (p *program) build() (*topology.Topology, error) {
	return p.builder().Build()
}

// handler goes by the class of the error; bytes that do not decode have none.
func (s *Spec) handler() processor.Handler {
	action := s.errors.deserialize
	return func(f processor.Failure) (processor.Class, time.Duration) {
		if f.Phase == processor.PhaseDeserialize {
			f.Err = action.class(f.Err)
		}
		return processor.DefaultHandler(f)
	}
}

// topics are the topics of the document in its order.
func (p *program) topics() []Topic {
	var out []Topic
	for _, src := range p.spec.sources {
		for _, t := range src.topics {
			out = append(out, Topic{Name: t, Role: RoleSource, ID: src.name})
		}
	}
	for _, k := range p.sinks {
		if !k.direct {
			out = append(out, Topic{Name: k.topic, Role: RoleSink, ID: k.spec.name, Partitions: k.spec.partitions})
		}
	}
	if p.spec.errors.topic != "" {
		out = append(out, Topic{Name: p.spec.errors.topic, Role: RoleDeadLetter})
	}
	return out
}

// ErrTests is wrapped by the error of a document whose tests fail.
var ErrTests = errors.New("tests failed")
