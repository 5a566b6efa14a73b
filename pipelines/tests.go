package pipelines

import (
	"go.yaml.in/yaml/v3"
)

// testSpec is one test of a document: records in, records expected.
type testSpec struct {
	name   string
	at     node
	given  []givenSpec
	expect []expectSpec
}

type givenSpec struct {
	source  string
	at      node
	records []recordSpec
}

// recordSpec is a record of a test. A mapping as value is written as JSON.
type recordSpec struct {
	at      node
	key     node
	value   any
	isNull  bool
	headers map[string]string
	time    node
}

type expectSpec struct {
	sink    string
	at      node
	count   int // -1: as many as records
	records []wantSpec
}

type wantSpec struct {
	at     node
	key    node
	value  any
	subset bool
}

func (s *Spec) readTests(n node) {
	for _, e := range n.list() {
		f := e.fields("a test", "name", "given", "expect")
		t := testSpec{name: f["name"].text("name"), at: e}
		if t.name == "" {
			n.r.errorf(e.at(), "missing-key", "add name: …", "a test has no name")
		}
		for _, p := range f["given"].mapping("given") {
			g := givenSpec{source: p.name, at: p.key}
			for _, rec := range p.value.list() {
				g.records = append(g.records, readRecord(rec))
			}
			t.given = append(t.given, g)
		}
		for _, p := range f["expect"].mapping("expect") {
			t.expect = append(t.expect, readExpect(p))
		}
		if len(t.expect) == 0 {
			n.r.errorf(e.at(), "missing-key", "add expect: {SINK: [{value: …}]}", "test %q expects nothing: it cannot fail", t.name)
		}
		s.tests = append(s.tests, t)
	}
}

func readRecord(n node) recordSpec {
	f := n.fields("a record", "key", "value", "headers", "time")
	rec := recordSpec{at: n, key: f["key"], time: f["time"], headers: map[string]string{}}
	rec.value = f["value"].plain()
	rec.isNull = f["value"].absent() || rec.value == nil
	for _, p := range f["headers"].mapping("headers") {
		rec.headers[p.name] = p.value.text(p.name)
	}
	return rec
}

func readExpect(p pair) expectSpec {
	x := expectSpec{sink: p.name, at: p.key, count: -1}
	if p.value.y.Kind == yaml.MappingNode {
		x.count = p.value.fields("expect", "count")["count"].integer("count", 0)
		return x
	}
	for _, e := range p.value.list() {
		f := e.fields("an expected record", "key", "value", "match")
		w := wantSpec{at: e, key: f["key"], value: f["value"].plain()}
		w.subset = f["match"].choice("match", "exact", "subset") == "subset"
		x.records = append(x.records, w)
	}
	return x
}

// plain is the node as Go values: maps, lists, strings, numbers, bools, nil.
func (n node) plain() any {
	if n.absent() {
		return nil
	}
	var v any
	if err := n.y.Decode(&v); err != nil {
		n.r.errorf(n.at(), "yaml", "", "%v", err)
	}
	return v
}
