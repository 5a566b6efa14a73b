package streams_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
)

type out = processor.Out[key, value]

// proc is a processor of §2.6: what it does with a record, and with a
// punctuation.
type proc struct {
	store   *state.KeyValue[string, value]
	clock   processor.Clock
	every   time.Duration
	times   int64
	process func(p *proc, r *Rec) error
	tick    func(p *proc, at int64) error

	out    *out
	kv     *state.KV[string, value]
	n      int64 // records so far
	cancel func()
}

func (p *proc) Init(o *out) (err error) {
	p.out = o
	if p.store != nil {
		if p.kv, err = p.store.Open(o); err != nil {
			return err
		}
	}
	if p.every > 0 {
		p.cancel = o.Schedule(p.every, p.clock, func(at int64) error { return p.tick(p, at) })
	}
	return nil
}

func (p *proc) Close() error         { return nil }
func (p *proc) Process(r *Rec) error { return p.process(p, r) }

func (p *program) process(n node, s streams.Stream[key, value]) error {
	proto := proc{every: ms(n.Every), times: n.Times}
	if n.Clock == "wall" {
		proto.clock = processor.WallClock
	}
	isLong := p.long[n.In]
	if !behaviour(&proto, n, &isLong) {
		return unsupported("processor %s", n.Fn)
	}
	var stores []string
	if n.Store != "" {
		var vs serde.Serde[value] = valueSerde{isLong || n.Op == "process_values"}
		proto.store = state.NewKeyValue(n.Store, serde.String, vs)
		p.b.AddStore(proto.store.Spec())
		stores = []string{n.Store}
	}
	supply := func() processor.Typed[key, value, key, value] {
		c := proto
		return &c
	}
	var vs serde.Serde[value] = valueSerde{isLong}
	if n.Op == "process_values" {
		p.nodes[n.Name] = streams.ProcessValues(s, n.As, vs, supply, stores...)
	} else {
		p.nodes[n.Name] = streams.Process(s, n.As, keySerde, vs, supply, stores...)
	}
	p.long[n.Name] = isLong
	return nil
}

// behaviour sets what the processor of a node does.
func behaviour(p *proc, n node, isLong *bool) bool {
	switch n.Op {
	case "ticker":
		*isLong = true
		p.process = func(p *proc, _ *Rec) error { p.n++; return nil }
		ticks := int64(0)
		p.tick = func(p *proc, at int64) error {
			if ticks++; p.times > 0 && ticks == p.times {
				p.cancel()
			}
			return p.out.Emit(Rec{Key: keyOf("tick"), Value: long(p.n), Meta: processor.Meta{Time: at}})
		}
		return true
	case "process_values":
		*isLong = true
		p.process = func(p *proc, r *Rec) error {
			old, _, err := p.kv.Get(keyText(r.Key))
			if err != nil {
				return err
			}
			next := long(old.n + 1)
			if err := p.kv.Put(keyText(r.Key), next, r.Time); err != nil {
				return err
			}
			return p.out.Emit(processor.WithValue(*r, next))
		}
		return true
	}
	fn, arg, _ := strings.Cut(n.Fn, ":")
	each := func(f func(p *proc, r Rec) value) {
		p.process = func(p *proc, r *Rec) error { return p.out.Emit(processor.WithValue(*r, f(p, *r))) }
	}
	switch fn {
	case "dedup":
		p.process = dedup
	case "total":
		p.process = total
	case "flush":
		p.process = func(p *proc, r *Rec) error {
			if r.Key == nil {
				return nil
			}
			return p.kv.Put(*r.Key, r.Value, r.Time)
		}
		p.tick = flush
	case "stream_time":
		*isLong = true
		each(func(p *proc, _ Rec) value { return long(p.out.StreamTime()) })
	case "wall_time":
		*isLong = true
		each(func(p *proc, _ Rec) value { return long(p.out.WallTime()) })
	case "meta":
		*isLong = false
		each(func(p *proc, r Rec) value {
			return str(fmt.Sprintf("%s:%d:%d", r.Source.Topic, r.Source.Partition, r.Source.Offset))
		})
	case "shift", "twice":
		d := number(arg)
		p.process = func(p *proc, r *Rec) error {
			if fn == "twice" {
				if err := p.out.Emit(*r); err != nil {
					return err
				}
			}
			moved := *r
			moved.Time += d
			return p.out.Emit(moved)
		}
	case "header_add":
		k, v, _ := strings.Cut(arg, "=")
		p.process = func(p *proc, r *Rec) error {
			with := *r
			with.Headers = append(with.Headers[:len(with.Headers):len(with.Headers)], processor.Header{Key: k, Value: []byte(v)})
			return p.out.Emit(with)
		}
	case "header_get":
		*isLong = false
		each(func(_ *proc, r Rec) value {
			got := "none"
			for _, h := range r.Headers {
				if h.Key == arg {
					got = string(h.Value)
				}
			}
			return str(got)
		})
	default:
		return false
	}
	return true
}

func dedup(p *proc, r *Rec) error {
	if r.Key == nil {
		return nil
	}
	old, ok, err := p.kv.Get(*r.Key)
	if err != nil {
		return err
	}
	if err := p.kv.Put(*r.Key, r.Value, r.Time); err != nil {
		return err
	}
	if r.Value.null || !ok || old != r.Value {
		return p.out.Emit(*r)
	}
	return nil
}

func total(p *proc, r *Rec) error {
	if r.Key == nil {
		return nil
	}
	old, _, err := p.kv.Get(*r.Key)
	if err != nil {
		return err
	}
	sum := long(old.n + r.Value.n*one(!r.Value.null))
	if err := p.kv.Put(*r.Key, sum, r.Time); err != nil {
		return err
	}
	return p.out.Emit(processor.WithValue(*r, sum))
}

func flush(p *proc, at int64) error {
	var all []Rec
	err := p.kv.All(func(k string, v value, _ int64) (bool, error) {
		all = append(all, Rec{Key: keyOf(k), Value: v, Meta: processor.Meta{Time: at}})
		return true, nil
	})
	if err != nil {
		return err
	}
	for _, r := range all {
		if err := p.out.Emit(r); err != nil {
			return err
		}
		if err := p.kv.Delete(*r.Key, at); err != nil {
			return err
		}
	}
	return nil
}
