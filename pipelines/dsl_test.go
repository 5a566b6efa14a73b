package pipelines

import (
	"context"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/window"
)

const views = `
pipeline: {name: views}
sources:
  views: {kafka: {topic: page-views}, schema: {page: string, bot: bool}}
steps:
  - {id: humans, filter: "!value.bot"}
  - {id: by-page, key_by: value.page}
  - {id: page-counts, aggregate: {window: {tumbling: 1m, grace: 10s}, emit: on_close, fields: {n: count()}}}
sinks:
  out: {from: page-counts, kafka: {topic: page-counts}}
`

// A document and a program in Go come to the same topology: the same nodes,
// sub-topologies, stores and topics.
func TestDocumentAndGoProgramBuildTheSameTopology(t *testing.T) {
	plan, problems := Load("views.yaml", []byte(views), Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}

	type view struct {
		Page string `json:"page"`
		Bot  bool   `json:"bot"`
	}
	type rec = streams.Rec[string, view]
	b := streams.New("views")
	all := streams.From(b, "page-views", serde.String, serde.JSON[view](), streams.Named("views")).
		Filter("views-present", func(r rec) bool { return !r.ValueNull })
	humans := all.Filter("humans", func(r rec) bool { return !r.Value.Bot })
	byPage := streams.SelectKey(humans, "by-page", serde.String, func(r rec) string { return r.Value.Page })
	counts := streams.Count(byPage.GroupByKey("page-counts").Window(window.Tumbling(time.Minute).Grace(10*time.Second)), "page-counts").EmitOnClose()
	rows := streams.Map(counts.ToStream("page-counts-results"), "page-counts-rows", serde.String, serde.Int64,
		func(_ context.Context, r streams.Rec[streams.Windowed[string], int64]) (streams.Rec[string, int64], error) {
			return processor.WithKey(r, r.Key.Key), nil
		})
	keyed := streams.SelectKey(rows, "out-key", serde.String, func(r streams.Rec[string, int64]) string { return r.Key })
	keyed.To("page-counts", serde.String, serde.Int64, streams.SinkNamed("sink-out"))
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := plan.Topology.Describe(), topo.Describe(); got != want {
		t.Errorf("the document gives\n%s\nthe program\n%s", got, want)
	}
	got, err1 := plan.Topology.JSON("views")
	want, err2 := topo.JSON("views")
	if err1 != nil || err2 != nil || string(got) != string(want) {
		t.Errorf("the graphs differ:\n%s\n%s", got, want)
	}
}

// Expressions are checked by running each over one record.
func TestExpressions(t *testing.T) {
	c := &compiler{r: &report{file: "x"}, params: map[string]any{"limit": 0.5}}
	s := scope{windowed: true, params: map[string]Type{"limit": {Kind: KindFloat}}, value: Type{Kind: KindObject, Fields: []Field{
		{"s", Type{Kind: KindString}}, {"i", Type{Kind: KindInt}}, {"n", Type{Kind: KindInt, Nullable: true}}, {"at", Type{Kind: KindTimestamp}},
	}}}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &record{Key: Key{Text: "k", Start: 60_000, End: 120_000}, Value: map[string]any{"s": "a/b", "i": 7, "n": nil, "at": at}}
	r.Time = 61_000
	r.Headers = []processor.Header{{Key: "host", Value: []byte("w1")}}
	r.Source = processor.Source{Topic: "t", Partition: 2, Offset: 9}
	for source, want := range map[string]any{
		"value.i / 2": 3.5, "int(value.i / 2)": 3, "value.n ?? 4": 4, "split(value.s, '/')[1]": "b", "string(value.at)": "2026-01-02T03:04:05Z",
		"headers['host'] ?? 'unknown'": "w1", "key + topic": "kt", "partition + offset": 11, "string(ts)": "1970-01-01T00:01:01Z",
		"window.end.Sub(window.start).Seconds()": 60.0, "value.i > params.limit ? 'high' : 'low'": "high", "value.at.Format('2006')": "2026",
		"'http://x' + key": "http://xk",
	} {
		e := c.compileText(node{scalarNode(source), c.r}, source, 0, "test", s, KindAny)
		if e == nil {
			t.Errorf("%s: %v", source, c.r.list)
			continue
		}
		if got, err := e.eval(r); err != nil || got != want {
			t.Errorf("%s = %v (%v), want %v", source, got, err, want)
		}
	}
}
