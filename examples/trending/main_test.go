package main

import (
	"testing"
	"time"

	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/streamstest"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

func TestCountsPerPageAndMinute(t *testing.T) {
	topo, err := build()
	if err != nil {
		t.Fatal(err)
	}
	d := streamstest.New(t, topo)
	views := streamstest.In(d, "page-views", serde.String, serde.JSON[view]())
	for _, v := range []struct {
		view
		at time.Duration
	}{{view{"/jobs", false}, 0}, {view{"/jobs", true}, time.Second}, {view{"/jobs", false}, 59 * time.Second}, {view{"/feed", false}, 2 * time.Minute}} {
		views.Pipe("", v.view, v.at.Milliseconds())
	}
	got := streamstest.Out(d, "page-counts", windowed.Key(serde.String), serde.Int64).Drain()
	if len(got) != 1 || got[0].Value != 2 || got[0].Key.Key != "/jobs" || got[0].Key.Window() != (window.Window{Start: 0, End: got[0].Key.End}) {
		t.Errorf("got %+v, want 2 views of /jobs in the first minute", got)
	}
}
