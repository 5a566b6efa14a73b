package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/window"
)

// stream is the stream that all steps work on.
type stream = streams.Stream[Key, any]

// stage is what flows at one point of a pipeline.
type stage struct {
	typ      Type // KindObject, or KindString for text
	windowed bool
	onClose  bool        // windowed results come once, when final
	window   window.Spec // of the aggregate above
	idle     idleSpec
	at       node // where it is declared
}

// serde is the serde of the stage's values.
func (s stage) serde() serde.Serde[any] {
	if s.typ.Kind == KindString {
		return textRows{}
	}
	return jsonRows{s.typ.Fields}
}

func (s stage) scope(params map[string]param) scope {
	sc := scope{value: s.typ, windowed: s.windowed, params: map[string]Type{}}
	for name, p := range params {
		sc.params[name] = p.typ
	}
	return sc
}

// program is a document with all expressions compiled: what a topology is
// built of, and built again for each test.
type program struct {
	spec    *Spec
	c       *compiler
	ports   map[string]stage // of sources and steps, by name or name.case
	order   []operation
	sinks   []output
	late    map[string]bool             // sinks that take the late records of an aggregate
	errorTo map[string]bool             // sinks that take failed records of a step
	read    map[string]bool             // ports that something reads
	fields  map[string][]aggregateField // of aggregates, by step
}

// operation is one source or step: build takes the streams of its inputs,
// merged, and returns those of its ports by port name.
type operation struct {
	id    string
	from  []string
	build func(g *graph, in stream) map[string]stream
}

// output is one sink.
type output struct {
	spec  *sinkSpec
	from  []string
	stage stage
	key   *expression
	topic string // written, or only read if direct
	// direct: a Parquet sink straight from a source reads the source's topic.
	direct bool
}

// graph is a topology under construction.
type graph struct {
	b       *streams.Builder
	streams map[string]stream
}

// compile types and compiles the whole document.
func compile(spec *Spec, r *report) *program {
	p := &program{spec: spec, c: &compiler{r: r, params: map[string]any{}}, ports: map[string]stage{},
		late: map[string]bool{}, errorTo: map[string]bool{}, read: map[string]bool{}, fields: map[string][]aggregateField{}}
	for name, v := range spec.params {
		p.c.params[name] = v.value
	}
	for i := range spec.sources {
		p.source(&spec.sources[i])
	}
	last := ""
	if len(spec.sources) == 1 {
		last = spec.sources[0].name
	}
	for i := range spec.steps {
		st := &spec.steps[i]
		from, in, ok := p.inputs(st.from, st.at, last, "step "+st.id)
		last = st.id
		if _, taken := p.ports[st.id]; taken {
			r.errorf(st.at.at(), "duplicate-id", "", "a source and a step are both named %s", st.id)
		}
		if !ok {
			p.ports[st.id] = stage{typ: Type{Kind: KindAny}, at: st.at} // known, of unknown type
			continue
		}
		p.step(st, from, in)
	}
	for i := range spec.sinks {
		p.sink(&spec.sinks[i], last)
	}
	p.unread()
	p.checkErrors()
	return p
}

// inputs resolves from; several inputs are merged and must be of one type.
func (p *program) inputs(from []node, at node, last, what string) ([]string, stage, bool) {
	r := p.c.r
	if len(from) == 0 {
		if last == "" {
			r.errorf(at.at(), "missing-key", "add from: NAME", "%s has no input: there is more than one source", what)
			return nil, stage{}, false
		}
		p.read[last] = true
		in, ok := p.ports[last]
		return []string{last}, in, ok && in.typ.Kind != KindAny
	}
	var names []string
	var in stage
	ok := true
	for i, n := range from {
		name := n.text("from")
		s, known := p.ports[name]
		if !known {
			r.errorf(n.at(), "unknown-input", didYouMean(name, keys(p.ports)), "%s reads %s, which is no source or step above it", what, name)
			ok = false
			continue
		}
		p.read[name] = true
		names = append(names, name)
		if i == 0 {
			in = s
		} else if s.typ.String() != in.typ.String() {
			r.errorf(n.at(), "merge", "give both the same fields by a map step", "%s merges %s and %s", what, in.typ, s.typ)
			ok = false
		}
		ok = ok && s.typ.Kind != KindAny
	}
	return names, in, ok
}

// unread warns of steps whose results go nowhere.
func (p *program) unread() {
	for i := range p.spec.steps {
		st := &p.spec.steps[i]
		used := p.read[st.id]
		for port := range p.read {
			used = used || strings.HasPrefix(port, st.id+".")
		}
		if !used {
			p.c.r.warnf(st.at.at(), "unread", "read it by a sink, or remove it", "nothing reads step %s", st.id)
		}
	}
}

func (p *program) checkErrors() {
	needs := p.spec.errors.deserialize.action == "dead_letter"
	at := p.spec.errors.at
	for _, st := range p.spec.steps {
		if st.onError.action == "dead_letter" {
			needs, at = true, st.onError.at
		}
	}
	if needs && p.spec.errors.topic == "" {
		p.c.r.errorf(at.at(), "dead-letter", "add errors: {dead_letter: {topic: …}}", "records go to the dead letter topic, but there is none")
	}
}

// source adds a source: its records, without null values, at their own time.
func (p *program) source(src *sourceSpec) {
	st := stage{typ: src.schema, idle: src.idle, at: src.at}
	if src.format == "text" {
		st.typ = Type{Kind: KindString}
	}
	if _, taken := p.ports[src.name]; taken {
		return // reported as a duplicate by YAML
	}
	p.ports[src.name] = st
	at := p.c.compile(src.time, "time", st.scope(p.spec.params), KindTimestamp)
	action := p.spec.errors.deserialize
	p.order = append(p.order, operation{id: src.name, build: func(g *graph, _ stream) map[string]stream {
		opts := []streams.SourceOption{streams.Named(src.name), streams.Topics(src.topics[1:]...)}
		if at != nil {
			opts = append(opts, streams.EventTime(eventTime(at)))
		}
		if src.maxFuture > 0 {
			opts = append(opts, streams.MaxFuture(src.maxFuture.Milliseconds()))
		}
		s := streams.From(g.b, src.topics[0], keySerde, st.serde(), opts...)
		s = s.TryFilter(src.name+"-present", func(_ ctx, r record) (bool, error) {
			if r.ValueNull {
				return false, action.class(fmt.Errorf("source %s: the value is null", src.name))
			}
			return true, nil
		})
		return map[string]stream{src.name: s}
	}})
}

// eventTime gives the time by an expression; a record without one keeps its
// negative time and is dropped and counted.
func eventTime(e *expression) func(record) int64 {
	return func(r record) int64 {
		if r.ValueNull {
			return r.Time // the value is checked next
		}
		v, err := e.eval(&r)
		at, ok := v.(time.Time)
		if err != nil || !ok {
			return processor.NoTime
		}
		return at.UnixMilli()
	}
}

// class gives err the class that the action asks for.
func (a errorAction) class(err error) error {
	switch {
	case err == nil:
		return nil
	case a.action == "drop":
		return processor.Skip(err)
	case a.action == "dead_letter":
		return processor.DeadLetter(err)
	default:
		return processor.Fail(err)
	}
}

// sink adds a sink.
func (p *program) sink(k *sinkSpec, last string) {
	out := output{spec: k, topic: k.topic}
	if p.late[k.name] || p.errorTo[k.name] {
		if k.kind != "kafka" {
			p.c.r.errorf(k.at.at(), "sink", "write kafka: {topic: …}", "sink %s takes late or failed records: it must be a topic", k.name)
		}
		out.from = nil
		p.sinks = append(p.sinks, out)
		return
	}
	var ok bool
	out.from, out.stage, ok = p.inputs(k.from, k.at, last, "sink "+k.name)
	if !ok {
		return
	}
	if k.kind == "kafka" {
		out.key = p.c.compile(k.key, "key", out.stage.scope(p.spec.params), KindAny)
	} else {
		p.parquet(&out)
	}
	p.sinks = append(p.sinks, out)
}

// parquet chooses the topic a Parquet sink reads.
func (p *program) parquet(out *output) {
	if out.stage.typ.Kind != KindObject || len(out.stage.typ.Fields) == 0 {
		p.c.r.errorf(out.spec.at.at(), "sink", "add a parse or map step", "sink %s: Parquet needs declared fields", out.spec.name)
	}
	out.topic = p.spec.Name + "-" + out.spec.name
	for _, src := range p.spec.sources {
		if len(out.from) == 1 && out.from[0] == src.name && len(src.topics) == 1 && src.format == "json" {
			out.topic, out.direct = src.topics[0], true
		}
	}
}

// builder makes the graph of the program with the DSL.
func (p *program) builder() *streams.Builder {
	g := &graph{b: streams.New(p.spec.Name), streams: map[string]stream{}}
	for _, op := range p.order {
		maps.Copy(g.streams, op.build(g, g.merged(op.id, op.from)))
	}
	for _, out := range p.sinks {
		if len(out.from) > 0 && !out.direct {
			out.write(g.merged(out.spec.name, out.from))
		}
	}
	return g.b
}

// merged is the stream of the inputs together.
func (g *graph) merged(id string, from []string) stream {
	var s stream
	for i, name := range from {
		if i == 0 {
			s = g.streams[name]
		} else {
			s = s.Merge(fmt.Sprintf("%s-merge-%d", id, i), g.streams[name])
		}
	}
	return s
}

func (o *output) write(s stream) {
	values := o.stage.serde()
	if o.spec.format == "text" {
		values = textRows{}
	}
	if o.key != nil || o.stage.windowed {
		s = streams.TrySelectKey(s, o.spec.name+"-key", keySerde, func(_ ctx, r record) (Key, error) { return o.sinkKey(r) })
	}
	s.To(o.topic, keySerde, values, streams.SinkNamed("sink-"+o.spec.name))
}

// sinkKey is the key expression, or the key with the start of its window.
func (o *output) sinkKey(r record) (Key, error) {
	if o.key == nil {
		return Key{Text: r.Key.Text + "@" + time.UnixMilli(r.Key.Start).UTC().Format(time.RFC3339)}, nil
	}
	text, err := o.key.text(&r)
	return Key{Text: text}, processor.Fail(err)
}

// sinkNames are the names of all sinks.
func (s *Spec) sinkNames() []string {
	var out []string
	for _, k := range s.sinks {
		out = append(out, k.name)
	}
	slices.Sort(out)
	return out
}

func (s *Spec) sink(name string) *sinkSpec {
	for i := range s.sinks {
		if s.sinks[i].name == name {
			return &s.sinks[i]
		}
	}
	return nil
}
