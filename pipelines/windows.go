package pipelines

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/window"
)

// windowOf reads window: {tumbling: 1m, grace: 10s}.
func (p *program) windowOf(st *stepSpec, n node, in stage) (window.Spec, bool) {
	f := n.fields("window", "tumbling", "grace")
	if f["tumbling"].absent() {
		p.c.r.errorf(n.at(), "missing-key", "add window: {tumbling: 1m, grace: 10s}", "step %s has no window", st.id)
		return window.Spec{}, false
	}
	w := window.Tumbling(f["tumbling"].duration("tumbling")).Grace(f["grace"].duration("grace"))
	w = w.CloseWhenIdle(in.idle.after).MaxDelay(in.idle.maxDelay)
	if err := w.Validate(); err != nil {
		p.c.r.errorf(n.at(), "window", "", "step %s: %v", st.id, err)
		return w, false
	}
	if f["grace"].absent() {
		p.c.r.warnf(n.at(), "window", "add grace: 10s", "step %s: without grace, every record out of order by more than its window is late", st.id)
	}
	return w, true
}

// aggregate folds the records of each key and window into fields.
func (p *program) aggregate(st *stepSpec, in stage) (stage, transform) {
	f := st.body.fields("aggregate", "window", "emit", "late", "fields")
	if st.onError.action == "to" {
		p.c.r.errorf(st.onError.at.at(), "on-error", "write fail, drop or dead_letter", "an aggregate's errors cannot go to a sink")
	}
	w, ok := p.windowOf(st, f["window"], in)
	out := in
	out.typ, out.windowed, out.window = Type{Kind: KindObject}, true, w
	out.onClose = f["emit"].choice("emit", "every", "on_close") == "on_close"
	var fields []aggregateField
	for _, field := range f["fields"].mapping("fields") {
		a, fine := p.c.aggregateCall(field.name, field.value, in.scope(p.spec.params))
		ok = ok && fine
		fields = append(fields, a)
		out.typ = out.typ.with(a.name, a.typ)
	}
	if len(fields) == 0 {
		p.c.r.errorf(st.body.at(), "missing-key", "add fields: {n: count()}", "step %s computes nothing", st.id)
		return out, nil
	}
	late := p.lateTopic(st, f["late"])
	if !ok {
		return out, nil
	}
	p.fields[st.id] = fields
	return out, func(s stream) stream {
		table := streams.Aggregate(s.GroupByKey(st.id).Window(w), st.id, totalsSerde{fields},
			func() totals { return newTotals(fields) },
			func(t totals, r record) (totals, error) {
				err := t.add(fields, &r)
				return t, st.onError.class(wrapStep(st, err))
			})
		if out.onClose {
			table = table.EmitOnClose()
		}
		if late != "" {
			table = table.Late(late)
		}
		return streams.Map(table.ToStream(st.id+"-results"), st.id+"-rows", storeKeySerde, out.serde(),
			func(_ ctx, r streams.Rec[streams.Windowed[Key], totals]) (record, error) {
				key := Key{Text: r.Key.Key.Text, Start: r.Key.Start, End: r.Key.End}
				return processor.With(r, key, any(r.Value.row(fields))), nil
			})
	}
}

// lateTopic is the topic of late: {to: SINK}.
func (p *program) lateTopic(st *stepSpec, n node) string {
	if n.absent() {
		return ""
	}
	to := n.fields("late", "to")["to"]
	name := to.text("to")
	k := p.spec.sink(name)
	if k == nil {
		p.c.r.errorf(to.at(), "unknown-sink", didYouMean(name, p.spec.sinkNames()), "late records of step %s go to %s, which is no sink", st.id, name)
		return ""
	}
	p.late[name] = true
	return k.topic
}

// top keeps the n greatest results of each window, by a number, and ranks them
// when the window has closed.
func (p *program) top(st *stepSpec, in stage) (stage, transform) {
	f := st.body.fields("top", "n", "by", "within", "grace")
	out := in
	out.typ = Type{Kind: KindObject, Fields: []Field{{"rank", Type{Kind: KindInt}}, {"key", Type{Kind: KindString}}}}
	for _, field := range in.typ.Fields {
		out.typ = out.typ.with(field.Name, field.Type)
	}
	if !in.windowed || !in.onClose {
		p.c.r.errorf(st.body.at(), "top", "put an aggregate with emit: on_close before it", "step %s ranks results that are not final", st.id)
		return out, nil
	}
	n := 10
	if !f["n"].absent() {
		n = f["n"].integer("n", 1)
	}
	if n > maxTop {
		p.c.r.errorf(f["n"].at(), "top", "", "step %s: n is at most %d", st.id, maxTop)
	}
	by := p.c.compile(f["by"], "by", in.scope(p.spec.params), KindFloat)
	if f["by"].absent() {
		p.c.r.errorf(st.body.at(), "missing-key", "add by: value.…", "step %s has nothing to rank by", st.id)
	}
	within := p.c.compile(f["within"], "within", in.scope(p.spec.params), KindAny)
	w := window.Tumbling(in.window.Size()).Grace(in.window.Size())
	if !f["grace"].absent() {
		w = w.Grace(f["grace"].duration("grace"))
	}
	w = w.CloseWhenIdle(in.idle.after).MaxDelay(in.idle.maxDelay)
	out.window = w
	if by == nil || (within == nil && !f["within"].absent()) {
		return out, nil
	}
	return out, (&ranking{st: st, n: n, by: by, within: within, window: w, rows: in.serde(), out: out.serde()}).build
}

// maxTop bounds the entries a ranking keeps.
const maxTop = 1000

// ranking is a top step.
type ranking struct {
	st         *stepSpec
	n          int
	by, within *expression // within may be nil
	window     window.Spec
	rows, out  serde.Serde[any]
}

// entry is one result in a ranking.
type entry struct {
	score float64
	key   string
	row   []byte // encoded by the input's serde
}

func (k *ranking) build(s stream) stream {
	id := k.st.id
	scored := streams.MapValues(s, id+"-score", entrySerde, func(_ context.Context, r record) (entry, error) {
		e, err := k.entry(&r)
		return e, k.st.onError.class(wrapStep(k.st, err))
	})
	grouped := streams.TrySelectKey(scored, id+"-group", storeKeySerde, func(_ ctx, r streams.Rec[Key, entry]) (Key, error) {
		return Key{Text: r.Value.group(), Start: r.Key.Start, End: r.Key.End}, nil
	})
	table := streams.Aggregate(grouped.GroupByKey(id).Window(k.window), id, entriesSerde,
		func() []entry { return nil },
		func(list []entry, r streams.Rec[Key, entry]) ([]entry, error) { return k.insert(list, r.Value), nil }).EmitOnClose()
	return streams.FlatMap(table.ToStream(id+"-results"), id+"-ranks", storeKeySerde, k.out, k.ranks)
}

// entry scores a result. Its row carries the group in front, so that one
// repartitioning does for both.
func (k *ranking) entry(r *record) (entry, error) {
	v, err := k.by.eval(r)
	if err != nil {
		return entry{}, err
	}
	score, ok := toFloat(normal(v))
	if !ok {
		return entry{}, fmt.Errorf("%s: %v is not a number", k.by.source, v)
	}
	group := ""
	if k.within != nil {
		if group, err = k.within.text(r); err != nil {
			return entry{}, err
		}
	}
	row := binary.AppendUvarint(nil, uint64(len(group)))
	row = append(row, group...)
	row, err = k.rows.Append(row, r.Value)
	return entry{score: score, key: r.Key.Text, row: row}, err
}

func (e entry) group() string {
	n, rest, err := uvarint(e.row)
	if err != nil || n > uint64(len(rest)) {
		return ""
	}
	return string(rest[:n])
}

func (e entry) value() []byte {
	n, rest, err := uvarint(e.row)
	if err != nil || n > uint64(len(rest)) {
		return nil
	}
	return rest[n:]
}

// insert keeps the list sorted by score, greatest first, then by key, with one
// entry per key.
func (k *ranking) insert(list []entry, e entry) []entry {
	list = slices.DeleteFunc(list, func(old entry) bool { return old.key == e.key })
	i, _ := slices.BinarySearchFunc(list, e, func(a, b entry) int {
		if c := cmpOrdered(b.score, a.score); c != 0 {
			return c
		}
		return cmpOrdered(a.key, b.key)
	})
	list = slices.Insert(list, i, e)
	return list[:min(len(list), k.n)]
}

// ranks makes one record of each entry of a closed window.
func (k *ranking) ranks(_ ctx, r streams.Rec[streams.Windowed[Key], []entry]) ([]record, error) {
	out := make([]record, 0, len(r.Value))
	for i, e := range r.Value {
		v, err := k.rows.Decode(e.value())
		if err != nil {
			return nil, processor.Fail(err)
		}
		row := cloneRow(v, 2)
		row["rank"], row["key"] = i+1, e.key
		out = append(out, processor.With(r, Key{Text: r.Key.Key.Text, Start: r.Key.Start, End: r.Key.End}, any(row)))
	}
	return out, nil
}

var entrySerde = serde.Func(appendEntry, func(data []byte) (entry, error) {
	e, rest, err := decodeEntry(data)
	if err == nil && len(rest) > 0 {
		err = errState
	}
	return e, err
})

var entriesSerde = serde.Func(
	func(dst []byte, list []entry) ([]byte, error) {
		for _, e := range list {
			dst, _ = appendEntry(dst, e) // never fails
		}
		return dst, nil
	},
	func(data []byte) (list []entry, err error) {
		for len(data) > 0 {
			var e entry
			if e, data, err = decodeEntry(data); err != nil {
				return nil, err
			}
			list = append(list, e)
		}
		return list, nil
	})

func appendEntry(dst []byte, e entry) ([]byte, error) {
	return appendScalar(appendScalar(appendScalar(dst, e.score), e.key), string(e.row)), nil
}

func decodeEntry(data []byte) (entry, []byte, error) {
	score, data, err := decodeScalar(data)
	if err != nil {
		return entry{}, nil, err
	}
	key, data, err := decodeScalar(data)
	if err != nil {
		return entry{}, nil, err
	}
	row, data, err := decodeScalar(data)
	if err != nil {
		return entry{}, nil, err
	}
	s, ok1 := score.(float64)
	k, ok2 := key.(string)
	v, ok3 := row.(string)
	if !ok1 || !ok2 || !ok3 {
		return entry{}, nil, errState
	}
	return entry{score: s, key: k, row: bytes.Clone([]byte(v))}, data, nil
}
