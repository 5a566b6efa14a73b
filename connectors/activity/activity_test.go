package activity

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/connecttest"
	"github.com/leatstream/leat/connect/data"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	connecttest.CheckSource(t, Plugin(), map[string]string{"rate": "5000"})
}

func field(t *testing.T, r *connect.SourceRecord, name string) any {
	t.Helper()
	v, ok := r.Value.(*data.Struct).Get(name)
	if !ok {
		t.Fatalf("no field %s", name)
	}
	return v
}

func TestSameSeedSameEventsOverRestarts(t *testing.T) {
	props := map[string]string{"rate": "20000", "seed": "7", "max.records": "500"}
	whole := connecttest.StartSource(t, Plugin(), props).Next(500)
	s := connecttest.StartSource(t, Plugin(), props)
	var pieces []*connect.SourceRecord
	for len(pieces) < 500 {
		got := s.Next(1)
		s.Store(got)
		pieces = append(pieces, got...)
		s.Restart()
	}
	if len(whole) != 500 || len(pieces) != 500 {
		t.Fatalf("max.records is 500, got %d and %d", len(whole), len(pieces))
	}
	for i := range whole {
		for _, f := range Schema().Fields {
			if f.Name != "at" && field(t, whole[i], f.Name) != field(t, pieces[i], f.Name) {
				t.Fatalf("event %d differs in %s", i, f.Name)
			}
		}
		if want := eventID(7, int64(i)); field(t, whole[i], "event_id") != want {
			t.Fatalf("event %d has id %v", i, field(t, whole[i], "event_id"))
		}
		if err := whole[i].Value.(*data.Struct).Validate(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTermsTrend(t *testing.T) {
	g := generator{seed: 1, members: 1000, trendEvery: 5000}
	hot := map[string]bool{}
	for period := range int64(6) {
		count := map[string]int{}
		for n := period * 5000; n < (period+1)*5000; n++ {
			if q := g.event(n).query; q != "" {
				count[q]++
			}
		}
		best := ""
		for q, c := range count {
			if c > count[best] {
				best = q
			}
		}
		hot[best] = true
	}
	if len(hot) < 4 {
		t.Errorf("six periods have only the hot terms %v", hot)
	}
}

func TestActionsAndSkew(t *testing.T) {
	g := generator{seed: 1, members: 1000, trendEvery: 5000}
	actions, pages, members := map[string]int{}, map[string]int{}, map[int64]int{}
	for n := range int64(20_000) {
		e := g.event(n)
		actions[e.action]++
		pages[e.page]++
		members[e.member]++
		if (e.action == "search") != (e.query != "") {
			t.Fatalf("query %q with action %s", e.query, e.action)
		}
	}
	for _, a := range []string{"login", "view", "search", "click", "share", "like"} {
		if actions[a] < 300 {
			t.Errorf("%d events are %s", actions[a], a)
		}
	}
	if members[1] < 20*members[500] {
		t.Errorf("member 1 has %d events, member 500 %d: that is no Zipf distribution", members[1], members[500])
	}
}

func BenchmarkEvent(b *testing.B) {
	g := generator{seed: 1, members: 10_000, trendEvery: 20_000}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g.event(int64(i))
	}
}
