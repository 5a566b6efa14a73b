package pipelines

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/leatstream/leat/streams"
)

type ctx = context.Context

// step compiles one step and adds its ports.
func (p *program) step(st *stepSpec, from []string, in stage) {
	p.checkOnError(st)
	compilers := map[string]func(*stepSpec, stage) (stage, transform){
		"filter": p.filter, "map": p.mapStep, "set": p.set, "drop_fields": p.dropFields, "parse": p.parse,
		"key_by": p.keyBy, "aggregate": p.aggregate, "top": p.top,
	}
	if st.op == "branch" {
		p.branch(st, from, in)
		return
	}
	fn, ok := compilers[st.op]
	if !ok {
		p.ports[st.id] = stage{typ: Type{Kind: KindAny}, at: st.at}
		return
	}
	out, build := fn(st, in)
	out.at = st.at
	p.ports[st.id] = out
	if build == nil {
		return
	}
	p.order = append(p.order, operation{id: st.id, from: from, build: func(g *graph, s stream) map[string]stream {
		return map[string]stream{st.id: build(s)}
	}})
}

// transform adds a step's nodes below a stream.
type transform func(in stream) stream

func (p *program) checkOnError(st *stepSpec) {
	a := st.onError
	if a.action != "to" {
		return
	}
	if k := p.spec.sink(a.to); k == nil {
		p.c.r.errorf(a.at.at(), "unknown-sink", didYouMean(a.to, p.spec.sinkNames()), "on_error of step %s names %s, which is no sink", st.id, a.to)
		return
	}
	p.errorTo[a.to] = true
}

// attempt runs fn over each value. A failed record goes where on_error says;
// for a sink it is split off, so that its input goes there as it came.
func (p *program) attempt(s stream, st *stepSpec, in, out stage, fn func(*record) (any, error)) stream {
	if st.onError.action != "to" {
		return streams.MapValues(s, st.id, out.serde(), func(_ ctx, r record) (any, error) {
			v, err := fn(&r)
			return v, st.onError.class(wrapStep(st, err))
		})
	}
	tried := streams.MapValues(s, st.id, out.serde(), func(_ ctx, r record) (any, error) {
		v, err := fn(&r)
		return outcome{input: r.Value, value: v, err: err}, nil
	})
	ways := tried.Branch(st.id+"-outcome",
		streams.Case[Key, any]{Name: "ok", When: func(r record) bool { return r.Value.(outcome).err == nil }},
		streams.Case[Key, any]{Name: "failed"})
	failed := streams.MapValues(ways[1], st.id+"-input", in.serde(), func(_ ctx, r record) (any, error) {
		return r.Value.(outcome).input, nil
	})
	failed.To(p.spec.sink(st.onError.to).topic, keySerde, in.serde(), streams.SinkNamed(st.id+"-to-"+st.onError.to))
	return streams.MapValues(ways[0], st.id+"-value", out.serde(), func(_ ctx, r record) (any, error) {
		return r.Value.(outcome).value, nil
	})
}

// outcome is a value on its way to being told apart.
type outcome struct {
	input, value any
	err          error
}

func wrapStep(st *stepSpec, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("step %s: %w", st.id, err)
}

func (p *program) filter(st *stepSpec, in stage) (stage, transform) {
	e := p.c.compile(st.body, "filter", in.scope(p.spec.params), KindBool)
	if e == nil {
		return in, nil
	}
	if st.onError.action == "to" {
		p.c.r.errorf(st.onError.at.at(), "on-error", "write fail, drop or dead_letter", "a filter's errors cannot go to a sink")
	}
	return in, func(s stream) stream {
		return s.TryFilter(st.id, func(_ ctx, r record) (bool, error) {
			keep, err := e.truth(&r)
			return keep, st.onError.class(wrapStep(st, err))
		})
	}
}

// assignment is one field: expression of a map or set step.
type assignment struct {
	name string
	e    *expression
}

func (p *program) assignments(st *stepSpec, in stage) ([]assignment, bool) {
	var out []assignment
	ok := true
	for _, f := range st.body.mapping(st.op) {
		e := p.c.compile(f.value, "field "+f.name, in.scope(p.spec.params), KindAny)
		ok = ok && e != nil
		out = append(out, assignment{f.name, e})
	}
	if len(out) == 0 {
		p.c.r.errorf(st.body.at(), "missing-key", "write {field: expression, …}", "step %s sets no field", st.id)
		return nil, false
	}
	return out, ok
}

func (e *expression) resultType() Type {
	if e == nil {
		return Type{Kind: KindAny, Nullable: true}
	}
	return e.typ
}

// mapStep makes a value of exactly the named fields.
func (p *program) mapStep(st *stepSpec, in stage) (stage, transform) {
	fields, ok := p.assignments(st, in)
	out := in
	out.typ = Type{Kind: KindObject}
	for _, f := range fields {
		out.typ = out.typ.with(f.name, f.e.resultType())
	}
	if !ok {
		return out, nil
	}
	return out, func(s stream) stream {
		return p.attempt(s, st, in, out, func(r *record) (any, error) {
			return assign(make(map[string]any, len(fields)), fields, r)
		})
	}
}

// assign evaluates all fields over r before it sets the first.
func assign(row map[string]any, fields []assignment, r *record) (any, error) {
	for _, f := range fields {
		v, err := f.e.eval(r)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.name, err)
		}
		row[f.name] = normal(v)
	}
	return row, nil
}

// set adds or replaces fields.
func (p *program) set(st *stepSpec, in stage) (stage, transform) {
	if in.typ.Kind != KindObject {
		p.c.r.errorf(st.at.at(), "text", "put a parse or map step before it", "step %s sets fields of a text", st.id)
		return in, nil
	}
	fields, ok := p.assignments(st, in)
	out := in
	for _, f := range fields {
		out.typ = out.typ.with(f.name, f.e.resultType())
	}
	if !ok {
		return out, nil
	}
	return out, func(s stream) stream {
		return p.attempt(s, st, in, out, func(r *record) (any, error) {
			row := cloneRow(r.Value, len(fields))
			return assign(row, fields, r)
		})
	}
}

// cloneRow copies a value, which is lent, with room for more fields.
func cloneRow(v any, more int) map[string]any {
	old, _ := v.(map[string]any)
	row := make(map[string]any, len(old)+more)
	for name, field := range old {
		row[name] = field
	}
	return row
}

func (p *program) dropFields(st *stepSpec, in stage) (stage, transform) {
	names := st.body.texts("drop_fields")
	out := in
	for i, name := range names {
		if in.typ.without(name).String() == in.typ.String() {
			n := st.body.list()[i]
			p.c.r.errorf(n.at(), "unknown-field", didYouMean(name, in.typ.names()), "step %s drops %s, which is no field", st.id, name)
		}
		out.typ = out.typ.without(name)
	}
	return out, func(s stream) stream {
		return p.attempt(s, st, in, out, func(r *record) (any, error) {
			row := cloneRow(r.Value, 0)
			for _, name := range names {
				delete(row, name)
			}
			return row, nil
		})
	}
}

// parse makes fields of a text by the named groups of a pattern, or reads a
// text as JSON.
func (p *program) parse(st *stepSpec, in stage) (stage, transform) {
	f := st.body.fields("parse", "pattern", "types", "field", "json")
	out := in
	text, ok := p.parseInput(st, f["field"], in)
	if !ok {
		return stage{typ: Type{Kind: KindAny}}, nil
	}
	var read func(string) (map[string]any, error)
	if !f["json"].absent() {
		schema := readSchema(f["json"])
		read, out.typ = parseJSON(schema), schema
	} else if read, out.typ, ok = p.pattern(st, f["pattern"], f["types"]); !ok {
		return stage{typ: Type{Kind: KindAny}}, nil
	}
	return out, func(s stream) stream {
		return p.attempt(s, st, in, out, func(r *record) (any, error) { return read(text(r.Value)) })
	}
}

// parseInput is the text to parse: the value, or one field of it.
func (p *program) parseInput(st *stepSpec, field node, in stage) (func(any) string, bool) {
	if in.typ.Kind == KindString {
		if !field.absent() {
			p.c.r.errorf(field.at(), "parse", "remove field", "step %s: the value is a text and has no fields", st.id)
		}
		return toText, true
	}
	name := field.text("field")
	for _, f := range in.typ.Fields {
		if f.Name == name {
			return func(v any) string { row, _ := v.(map[string]any); return toText(row[name]) }, true
		}
	}
	p.c.r.errorf(st.body.at(), "parse", didYouMean(name, in.typ.names()), "step %s parses field %q, which the value does not have", st.id, name)
	return nil, false
}

func parseJSON(schema Type) func(string) (map[string]any, error) {
	rows := jsonRows{schema.Fields}
	return func(text string) (map[string]any, error) {
		v, err := rows.Decode([]byte(text))
		if err != nil {
			return nil, err
		}
		return v.(map[string]any), nil
	}
}

func (p *program) pattern(st *stepSpec, n, typesNode node) (func(string) (map[string]any, error), Type, bool) {
	typ := Type{Kind: KindObject}
	if n.absent() {
		p.c.r.errorf(st.body.at(), "missing-key", `add pattern: '^(?P<field>\S+)…'`, "step %s has neither pattern nor json", st.id)
		return nil, typ, false
	}
	re, err := regexp.Compile(n.y.Value)
	if err != nil {
		p.c.r.errorf(n.inner(), "pattern", "see the syntax of RE2", "step %s: %v", st.id, err)
		return nil, typ, false
	}
	declared := readSchema(typesNode)
	for _, name := range re.SubexpNames() {
		if name != "" {
			typ = typ.with(name, Type{Kind: KindString})
		}
	}
	if len(typ.Fields) == 0 {
		p.c.r.errorf(n.inner(), "pattern", "name a group: (?P<field>…)", "step %s: the pattern has no named group", st.id)
		return nil, typ, false
	}
	for _, f := range declared.Fields {
		if typ.without(f.Name).String() == typ.String() {
			p.c.r.errorf(typesNode.at(), "unknown-field", didYouMean(f.Name, typ.names()), "step %s: types names %s, which is no group of the pattern", st.id, f.Name)
			continue
		}
		typ = typ.with(f.Name, f.Type)
	}
	return matcher(re, typ), typ, true
}

// matcher reads a text by a pattern. A group which is empty or "-" is null if
// its type allows.
func matcher(re *regexp.Regexp, typ Type) func(string) (map[string]any, error) {
	index := make([]int, len(typ.Fields))
	for i, f := range typ.Fields {
		index[i] = re.SubexpIndex(f.Name)
	}
	return func(text string) (map[string]any, error) {
		m := re.FindStringSubmatch(text)
		if m == nil {
			return nil, fmt.Errorf("%q does not match the pattern", clip(text))
		}
		row := make(map[string]any, len(typ.Fields))
		for i, f := range typ.Fields {
			v, err := fromText(m[index[i]], f.Type)
			if err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			row[f.Name] = v
		}
		return row, nil
	}
}

// fromText reads a field's text as its type.
func fromText(s string, t Type) (any, error) {
	if t.Nullable && (s == "" || s == "-") {
		return nil, nil
	}
	switch t.Kind {
	case KindInt:
		return decodeInt(s)
	case KindFloat:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a float", clip(s))
		}
		return f, nil
	case KindBool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a bool", clip(s))
		}
		return b, nil
	case KindTimestamp:
		return decodeTime(jsontext.Value(strconv.Quote(strings.TrimSpace(s))))
	default:
		return s, nil
	}
}

// keyBy changes the key; what is counted next is counted by it.
func (p *program) keyBy(st *stepSpec, in stage) (stage, transform) {
	e := p.c.compile(st.body, "key_by", in.scope(p.spec.params), KindAny)
	if e == nil {
		return in, nil
	}
	if st.onError.action == "to" {
		p.c.r.errorf(st.onError.at.at(), "on-error", "write fail, drop or dead_letter", "a key_by's errors cannot go to a sink")
	}
	return in, func(s stream) stream {
		return streams.TrySelectKey(s, st.id, storeKeySerde, func(_ ctx, r record) (Key, error) {
			text, err := e.text(&r)
			return Key{Text: text, Start: r.Key.Start, End: r.Key.End}, st.onError.class(wrapStep(st, err))
		})
	}
}

// branch sends each record to the first case that holds.
func (p *program) branch(st *stepSpec, from []string, in stage) {
	var cases []streams.Case[Key, any]
	for _, c := range st.body.mapping("branch") {
		checkName(c.key, "a case", c.name)
		port := in
		port.at = c.key
		p.ports[st.id+"."+c.name] = port
		if e := p.c.compile(c.value, "case "+c.name, in.scope(p.spec.params), KindBool); e != nil {
			cases = append(cases, streams.Case[Key, any]{Name: c.name, When: func(r record) bool {
				holds, err := e.truth(&r)
				return err == nil && holds
			}})
		}
	}
	p.order = append(p.order, operation{id: st.id, from: from, build: func(_ *graph, s stream) map[string]stream {
		out := map[string]stream{}
		for i, way := range s.Branch(st.id, cases...) {
			out[st.id+"."+cases[i].Name] = way
		}
		return out
	}})
}
