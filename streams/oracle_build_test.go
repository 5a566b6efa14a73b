package streams_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

// errUnsupported marks cases with operators that package streams lacks.
var errUnsupported = errors.New("not supported")

// node is a node of a case's topology.
type node struct {
	Name, Op, In, Left, Right string
	As, Store, Type, Topic    string
	Topics                    []string
	Time, Pred, Fn            string
	Key, Value                string
	Branches                  []struct{ Name, Pred string }
	Default                   string
	Window                    *struct {
		Type                 string
		Size, Advance, Grace int64
	}
	Emit         string
	Retention    int64
	Clock        string
	Every, Times int64
	Versioned    int64
}

// peeked is a record a peek node saw.
type peeked struct {
	node string
	key  key
	val  value
}

// program is a case's topology under construction.
type program struct {
	b      *streams.Builder
	nodes  map[string]any  // Stream, Grouped or Table of either kind of key
	long   map[string]bool // type of a node's values
	size   map[string]time.Duration
	peeks  []peeked
	topics map[string]topicType
}

// topicType says what an output topic holds.
type topicType struct {
	long, windowed bool
	size           time.Duration
}

// Rec is a record with a plain key.
type Rec = processor.Record[key, value]

func newProgram() *program {
	return &program{
		b: streams.New("oracle"), nodes: map[string]any{}, long: map[string]bool{},
		size: map[string]time.Duration{}, topics: map[string]topicType{},
	}
}

// buildCase adds all nodes and builds the topology.
func buildCase(spec []json.RawMessage) (*program, *topology.Topology, error) {
	p := newProgram()
	for _, raw := range spec {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			return nil, nil, unsupported("%v", err)
		}
		if err := p.add(n); err != nil {
			return nil, nil, err
		}
	}
	topo, err := p.b.Build()
	return p, topo, err
}

func (p *program) add(n node) error {
	switch n.Op {
	case "stream":
		return p.source(n)
	case "group_by_key":
		s, ok := p.nodes[n.In].(streams.Stream[key, value])
		if !ok {
			return unsupported("%s of a windowed stream", n.Op)
		}
		p.nodes[n.Name], p.long[n.Name] = s.GroupByKey(n.As), p.long[n.In]
		return nil
	case "group_by":
		return p.groupBy(n)
	case "count", "reduce", "aggregate":
		return p.aggregate(n)
	case "to_stream":
		return p.toStream(n)
	case "to":
		return p.to(n)
	case "merge":
		l, ok1 := p.nodes[n.Left].(streams.Stream[key, value])
		r, ok2 := p.nodes[n.Right].(streams.Stream[key, value])
		if !ok1 || !ok2 {
			return unsupported("merge of windowed streams")
		}
		p.nodes[n.Name], p.long[n.Name] = l.Merge(n.As, r), p.long[n.Left]
		return nil
	}
	switch s := p.nodes[n.In].(type) {
	case streams.Stream[key, value]:
		return step(p, n, s, keySerde)
	case streams.Stream[streams.Windowed[key], value]:
		return step(p, n, s, windowed.KeyOf(keySerde, p.size[n.In]))
	}
	return unsupported("operator %s", n.Op)
}

func (p *program) source(n node) error {
	var opts []streams.SourceOption
	if n.As != "" {
		opts = append(opts, streams.Named(n.As))
	}
	topics := n.Topics
	if len(topics) == 0 {
		topics = []string{n.Topic}
	}
	opts = append(opts, streams.Topics(topics[1:]...))
	switch n.Time {
	case "value":
		opts = append(opts, streams.EventTime(func(r Rec) int64 {
			if r.Value.null {
				return -1
			}
			return r.Value.n
		}))
	case "partition":
		opts = append(opts, streams.PartitionTime())
	}
	isLong := n.Type == "long"
	var vs serde.Serde[value] = valueSerde{isLong}
	p.nodes[n.Name], p.long[n.Name] = streams.From(p.b, topics[0], keySerde, vs, opts...), isLong
	return nil
}

func (p *program) groupBy(n node) error {
	s, ok := p.nodes[n.In].(streams.Stream[key, value])
	fn, known := keyFunc(n.Key)
	if !ok || !known || n.Value != "" {
		return unsupported("group_by of %s", n.In)
	}
	p.nodes[n.Name] = streams.GroupBy(s, n.As, keySerde, func(r Rec) key { return fn(r.Key, r.Value) })
	p.long[n.Name] = p.long[n.In]
	return nil
}

func (p *program) aggregate(n node) error {
	g, ok := p.nodes[n.In].(streams.Grouped[key, value])
	if !ok {
		return unsupported("%s of a grouped table", n.Op)
	}
	var opts []streams.StoreOption
	if n.Store != "" {
		opts = append(opts, streams.StoreName(n.Store))
	}
	if n.Retention > 0 {
		opts = append(opts, streams.Store(state.Retention(ms(n.Retention))))
	}
	if n.Window == nil {
		return fold(p, n, g, opts)
	}
	var w window.Spec
	switch n.Window.Type {
	case "tumbling":
		w = window.Tumbling(ms(n.Window.Size))
	case "hopping":
		w = window.Hopping(ms(n.Window.Size), ms(n.Window.Advance))
	default:
		return unsupported("%s windows", n.Window.Type)
	}
	p.size[n.Name] = w.Size()
	return fold(p, n, g.Window(w.Grace(ms(n.Window.Grace))), opts)
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func fold[K any](p *program, n node, g streams.Groups[K, key, value], opts []streams.StoreOption) error {
	var t streams.Table[K, value]
	switch n.Op {
	case "reduce":
		fn, ok := reducer(n.Fn)
		if !ok {
			return unsupported("reduce %s", n.Fn)
		}
		p.long[n.Name] = p.long[n.In]
		t = streams.Reduce(g, n.As, func(old value, r Rec) (value, error) { return fn(old, r.Value), nil }, opts...)
	case "count":
		p.long[n.Name] = true
		p.nodes[n.Name] = closing(n, streams.Count(g, n.As, opts...))
		return nil
	default:
		init, add, ok := aggregator(n.Fn)
		if !ok {
			return unsupported("aggregate %s", n.Fn)
		}
		p.long[n.Name] = init.long
		var vs serde.Serde[value] = valueSerde{init.long}
		t = streams.Aggregate(g, n.As, vs, func() value { return init },
			func(a value, r Rec) (value, error) { return add(a, r.Value), nil }, opts...)
	}
	p.nodes[n.Name] = closing(n, t)
	return nil
}

func closing[K, V any](n node, t streams.Table[K, V]) streams.Table[K, V] {
	if n.Emit == "close" {
		return t.EmitOnClose()
	}
	return t
}

// toStream turns tables into streams; counts become values on the way.
func (p *program) toStream(n node) error {
	if p.long[n.Name] = p.long[n.In]; p.nodes[n.In] == nil {
		return unsupported("to_stream of %s", n.In)
	}
	p.size[n.Name] = p.size[n.In]
	s, err := p.stream(n.In, n.As)
	p.nodes[n.Name] = s
	return err
}

func (p *program) stream(name, as string) (any, error) {
	switch t := p.nodes[name].(type) {
	case streams.Table[key, value]:
		return t.ToStream(as), nil
	case streams.Table[streams.Windowed[key], value]:
		return t.ToStream(as), nil
	case streams.Table[key, int64]:
		return t.ToStream(as), nil
	case streams.Table[streams.Windowed[key], int64]:
		return t.ToStream(as), nil
	}
	return nil, unsupported("to_stream of %s", name)
}

func (p *program) to(n node) error {
	in := p.nodes[n.In]
	if s, err := p.stream(n.In, ""); err == nil {
		in = s
	}
	var opts []streams.SinkOption
	if n.As != "" {
		opts = append(opts, streams.SinkNamed(n.As))
	}
	var vs serde.Serde[value] = valueSerde{p.long[n.In]}
	out := topicType{long: p.long[n.In], size: p.size[n.In]}
	switch s := in.(type) {
	case streams.Stream[key, value]:
		s.To(n.Topic, keySerde, vs, opts...)
	case streams.Stream[key, int64]:
		s.To(n.Topic, keySerde, serde.Int64, opts...)
	case streams.Stream[streams.Windowed[key], value]:
		out.windowed = true
		s.To(n.Topic, windowed.Key(keySerde), vs, opts...)
	case streams.Stream[streams.Windowed[key], int64]:
		out.windowed = true
		s.To(n.Topic, windowed.Key(keySerde), serde.Int64, opts...)
	default:
		return unsupported("to of %s", n.In)
	}
	p.topics[n.Topic] = out
	return nil
}

// step adds a stateless operator or a processor.
func step[K any](p *program, n node, s streams.Stream[K, value], ks serde.Serde[K]) error {
	p.long[n.Name], p.size[n.Name] = p.long[n.In], p.size[n.In]
	switch n.Op {
	case "filter", "filter_not":
		pred, ok := predicate(n.Pred)
		if !ok {
			return unsupported("predicate %s", n.Pred)
		}
		keep := n.Op == "filter"
		p.nodes[n.Name] = s.Filter(n.As, func(r streams.Rec[K, value]) bool { return pred(plain(r.Key), r.Value) == keep })
	case "map_values":
		fn, isLong, ok := mapper(n.Fn, p.long[n.In])
		if !ok {
			return unsupported("function %s", n.Fn)
		}
		p.long[n.Name] = isLong
		var vs serde.Serde[value] = valueSerde{isLong}
		p.nodes[n.Name] = streams.MapValues(s, n.As, vs, func(_ context.Context, r streams.Rec[K, value]) (value, error) {
			return fn(plain(r.Key), r.Value), nil
		})
	case "peek":
		p.nodes[n.Name] = s.Peek(n.As, func(r streams.Rec[K, value]) { p.peeks = append(p.peeks, peeked{n.Name, plain(r.Key), r.Value}) })
	case "foreach":
		s.ForEach(n.As, func(_ context.Context, r streams.Rec[K, value]) error {
			p.peeks = append(p.peeks, peeked{n.Name, plain(r.Key), r.Value})
			return nil
		})
	case "select_key":
		return selectKey(p, n, s)
	case "branch":
		return branch(p, n, s)
	default:
		return plainStep(p, n, s)
	}
	return nil
}

func selectKey[K any](p *program, n node, s streams.Stream[K, value]) error {
	if n.Key == "unwindow" {
		p.nodes[n.Name] = streams.SelectKey(s, n.As, keySerde, func(r streams.Rec[K, value]) key {
			w := any(r.Key).(streams.Windowed[key])
			return keyOf(fmt.Sprintf("%s@%d", *w.Key, w.Start))
		})
		return nil
	}
	fn, ok := keyFunc(n.Key)
	if !ok {
		return unsupported("key function %s", n.Key)
	}
	p.nodes[n.Name] = streams.SelectKey(s, n.As, keySerde, func(r streams.Rec[K, value]) key { return fn(plain(r.Key), r.Value) })
	return nil
}

func branch[K any](p *program, n node, s streams.Stream[K, value]) error {
	var cases []streams.Case[K, value]
	for _, b := range n.Branches {
		pred, ok := predicate(b.Pred)
		if !ok {
			return unsupported("predicate %s", b.Pred)
		}
		cases = append(cases, streams.Case[K, value]{Name: b.Name, When: func(r streams.Rec[K, value]) bool { return pred(plain(r.Key), r.Value) }})
	}
	if n.Default != "" {
		cases = append(cases, streams.Case[K, value]{Name: n.Default})
	}
	for i, way := range s.Branch(n.As, cases...) {
		p.nodes[cases[i].Name], p.long[cases[i].Name], p.size[cases[i].Name] = way, p.long[n.In], p.size[n.In]
	}
	return nil
}

// plainStep adds the operators which cases use on plain keys only.
func plainStep[K any](p *program, n node, in streams.Stream[K, value]) error {
	s, ok := any(in).(streams.Stream[key, value])
	if !ok {
		return unsupported("%s on windowed keys", n.Op)
	}
	var strings_ serde.Serde[value] = valueSerde{}
	switch n.Op {
	case "repartition":
		p.nodes[n.Name] = s.Repartition(n.As)
	case "map":
		kf, ok1 := keyFunc(n.Key)
		vf, isLong, ok2 := mapper(n.Value, p.long[n.In])
		if !ok1 || !ok2 {
			return unsupported("map %s %s", n.Key, n.Value)
		}
		p.long[n.Name] = isLong
		var vs serde.Serde[value] = valueSerde{isLong}
		p.nodes[n.Name] = streams.Map(s, n.As, keySerde, vs, func(_ context.Context, r Rec) (Rec, error) {
			return processor.With(r, kf(r.Key, r.Value), vf(r.Key, r.Value)), nil
		})
	case "flat_map_values":
		p.long[n.Name] = false
		p.nodes[n.Name] = streams.FlatMapValues(s, n.As, strings_, func(_ context.Context, r Rec) (out []value, err error) {
			for _, part := range split(r.Value) {
				out = append(out, str(part))
			}
			return out, nil
		})
	case "flat_map":
		p.long[n.Name] = false
		p.nodes[n.Name] = streams.FlatMap(s, n.As, keySerde, strings_, func(_ context.Context, r Rec) (out []Rec, err error) {
			for _, part := range split(r.Value) {
				if k, v, ok := strings.Cut(part, "="); ok {
					out = append(out, processor.With(r, keyOf(k), str(v)))
				} else {
					out = append(out, processor.With(r, key(nil), str(part)))
				}
			}
			return out, nil
		})
	case "to_by":
		fn, ok := keyFunc(n.Key)
		if !ok {
			return unsupported("key function %s", n.Key)
		}
		var vs serde.Serde[value] = valueSerde{p.long[n.In]}
		var opts []streams.SinkOption
		if n.As != "" {
			opts = append(opts, streams.SinkNamed(n.As))
		}
		s.ToTopics("to_by", func(r Rec) string { return "out-" + keyText(fn(r.Key, r.Value)) }, keySerde, vs, opts...)
		for _, t := range n.Topics {
			p.topics[t] = topicType{long: p.long[n.In]}
		}
	case "process", "ticker", "process_values":
		return p.process(n, s)
	default:
		return unsupported("operator %s", n.Op)
	}
	return nil
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("bad number in a case: " + s)
	}
	return n
}
