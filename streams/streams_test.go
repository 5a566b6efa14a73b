package streams_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/streamstest"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

type view struct {
	Page string `json:"page"`
	Bot  bool   `json:"bot"`
}

func build(t *testing.T, b *streams.Builder) *topology.Topology {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func pageViews(t *testing.T, spec window.Spec, onClose bool) *topology.Topology {
	b := streams.New("test")
	humans := streams.From(b, "page-views", serde.String, serde.JSON[view]()).
		Filter("humans", func(r streams.Rec[string, view]) bool { return !r.Value.Bot })
	byPage := streams.SelectKey(humans, "by-page", serde.String,
		func(r streams.Rec[string, view]) string { return r.Value.Page })
	counts := streams.Count(byPage.GroupByKey().Window(spec), "page-counts").Late("late-views")
	if onClose {
		counts = counts.EmitOnClose()
	}
	counts.ToStream().To("page-stats", windowed.Key(serde.String), serde.Int64)
	return build(t, b)
}

func drainCounts(out streamstest.Output[streams.Windowed[string], int64]) string {
	var w strings.Builder
	for _, r := range out.Drain() {
		fmt.Fprintf(&w, "%s@%d=%d(%d) ", r.Key.Key, r.Key.Start, r.Value, r.Time)
	}
	return strings.TrimSpace(w.String())
}

func TestCountOfPagesGoesThroughRepartitionAndWindow(t *testing.T) {
	d := streamstest.New(t, pageViews(t, window.Tumbling(time.Minute).Grace(10*time.Second), true), streamstest.Partitions(2))
	in := streamstest.In(d, "page-views", serde.String, serde.JSON[view]())
	out := streamstest.Out(d, "page-stats", windowed.Key(serde.String), serde.Int64)
	in.Pipe("m1", view{Page: "/a"}, 1_000)
	in.Pipe("m2", view{Page: "/a"}, 2_000)
	in.Pipe("m2", view{Page: "/a", Bot: true}, 3_000)
	in.Pipe("m3", view{Page: "/a"}, 65_000)
	if got := drainCounts(out); got != "" {
		t.Errorf("results %q before the grace has passed", got)
	}
	in.Pipe("m3", view{Page: "/a"}, 71_000)
	if got := drainCounts(out); got != "/a@0=2(2000)" {
		t.Errorf("got %q", got)
	}
	in.Pipe("m3", view{Page: "/a"}, 4_000)
	if late := d.Drain("late-views"); len(late) != 1 || string(late[0].Key) != "/a" || late[0].Time != 4_000 {
		t.Errorf("late records: %v", late)
	}
	if got := drainCounts(out); got != "" {
		t.Errorf("a late record changed a final result: %q", got)
	}
}

func TestMisuseFailsAtBuild(t *testing.T) {
	for name, c := range map[string]struct {
		use  func(b *streams.Builder, s streams.Stream[string, string])
		want string
	}{
		"EmitOnClose without windows": {func(_ *streams.Builder, s streams.Stream[string, string]) {
			streams.Count(s.GroupByKey(), "n").EmitOnClose()
		}, "EmitOnClose needs a windowed aggregation"},
		"one name for two repartition topics": {func(_ *streams.Builder, s streams.Stream[string, string]) {
			upper := func(r streams.Rec[string, string]) string { return strings.ToUpper(r.Value) }
			streams.Count(streams.GroupBy(s, "g", serde.String, upper), "a")
			streams.Count(streams.SelectKey(s, "k", serde.String, upper).GroupByKey("g"), "b")
		}, "g names the repartition topics of two different streams"},
		"no serde to repartition with": {func(_ *streams.Builder, s streams.Stream[string, string]) {
			v := streams.MapValues[string, string, int](s, "v", nil, nil)
			streams.Count(streams.SelectKey(v, "k", serde.String, func(streams.Rec[string, int]) string { return "" }).GroupByKey(), "n")
		}, "needs the serdes of key and value"},
		"bad window": {func(_ *streams.Builder, s streams.Stream[string, string]) {
			streams.Count(s.GroupByKey().Window(window.Tumbling(-time.Second)), "n")
		}, "invalid window"},
	} {
		b := streams.New("app")
		c.use(b, streams.From(b, "in", serde.String, serde.String))
		if _, err := b.Build(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
