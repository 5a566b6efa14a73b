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
