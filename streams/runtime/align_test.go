package runtime

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestAlignerChooses(t *testing.T) {
	const none = -1
	ready := func(sub int, head int64) lane { return lane{sub: sub, ready: true, head: head, since: -1} }
	behind := func(sub int, reached int64) lane { return lane{sub: sub, behind: true, reached: reached, since: -1} }
	quiet := func(sub int, reached int64) lane { return lane{sub: sub, reached: reached, since: -1} }
	for _, c := range []struct {
		name     string
		lanes    []lane
		lane     int
		limit    int64
		deadline int64
	}{
		{"no tasks", nil, none, 0, math.MaxInt64},
		{"nothing to do", []lane{quiet(0, 5), behind(0, 5)}, none, 0, math.MaxInt64},
		{"alone", []lane{ready(0, 7)}, 0, math.MaxInt64, 0},
		{"the lowest, up to its sibling and the slack", []lane{ready(0, 90), ready(0, 70)}, 1, 100, 0},
		{"the first of equals", []lane{ready(0, 70), ready(0, 70)}, 0, 80, 0},
		{"a sibling with nothing to come does not hold", []lane{quiet(0, 1), ready(0, 70)}, 1, math.MaxInt64, 0},
		{"a sibling behind holds", []lane{behind(0, 50), ready(0, 70)}, none, 0, 1500},
		{"one of no history does so, too", []lane{behind(0, -1), ready(0, 70)}, none, 0, 1500},
		{"within the slack it does not", []lane{behind(0, 60), ready(0, 70)}, 1, 70, 0},
		{"the lowest of both limits", []lane{behind(0, 65), ready(0, 70), ready(0, 71)}, 1, 75, 0},
		{"another sub-topology goes on", []lane{behind(0, 50), ready(0, 70), ready(1, 99)}, 2, math.MaxInt64, 0},
		{"no overflow", []lane{ready(0, math.MaxInt64), ready(0, math.MaxInt64-1)}, 1, math.MaxInt64, 0},
	} {
		a := aligner{slack: 10, maxWait: 500, lanes: c.lanes}
		s, deadline, ok := a.next(1000)
		if !ok {
			s.lane = none
		}
		if s.lane != c.lane || s.limit != c.limit || deadline != c.deadline {
			t.Errorf("%s: lane %d, limit %d, deadline %d; want %d, %d, %d", c.name, s.lane, s.limit, deadline, c.lane, c.limit, c.deadline)
		}
	}
}

func TestAlignerWaitsOncePerSilence(t *testing.T) {
	a := aligner{slack: 10, maxWait: 500, lanes: []lane{
		{behind: true, since: -1}, {ready: true, head: 70, since: -1},
	}}
	goes := func(now int64) bool {
		_, _, ok := a.next(now)
		return ok
	}
	for _, c := range []struct {
		now  int64
		want bool
	}{{1000, false}, {1499, false}, {1500, true}, {1501, true}} {
		if goes(c.now) != c.want {
			t.Errorf("at %d: not %v", c.now, c.want)
		}
	}
	a.lanes[0].ready, a.lanes[0].head = true, 5
	if s, _, _ := a.next(1600); s.lane != 0 || s.limit != 80 {
		t.Errorf("the one that was behind does not go first: %+v", s)
	}
	a.lanes[0].ready = false
	if goes(1700) || !goes(2200) {
		t.Error("it is not waited for anew")
	}
}

func TestAlignerGivesSubTopologiesTurns(t *testing.T) {
	a := aligner{slack: 10, maxWait: 500, lanes: []lane{
		{sub: 0, ready: true}, {sub: 0, ready: true}, {sub: 1, ready: true}, {sub: 2}, {sub: 3, ready: true},
	}}
	var got [5]int
	for range 300 {
		s, _, _ := a.next(0)
		got[s.lane]++
	}
	if got[0] != 100 || got[2] != 100 || got[4] != 100 {
		t.Errorf("turns %v", got)
	}
}

// simLane is one input in the simulation: records exist in the log, and some
// have been fetched.
type simLane struct {
	times            []int64 // of all records
	fetched, known   int     // known: the log's end as of the last fetch
	done             int
	reached, stalled int64 // stalled: no fetch before
}

// TestAlignerSimulation works off backlogs whose fetches come in skewed
// portions, with stalls, and checks after every step that order and waits are
// bounded, and at the end that nothing is left.
func TestAlignerSimulation(t *testing.T) {
	for seed := range uint64(300) {
		simulate(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	const slack, maxWait = 20, 50
	rng := rand.New(rand.NewPCG(seed, 1))
	a := aligner{slack: slack, maxWait: maxWait}
	var sim []*simLane
	left := 0
	for i := range 1 + rng.IntN(6) {
		l := &simLane{reached: -1}
		at, gap := rng.Int64N(100), 1+rng.Int64N(30)
		for range rng.IntN(400) {
			at += rng.Int64N(gap)
			l.times = append(l.times, at)
		}
		l.known = len(l.times)
		left += l.known
		sim = append(sim, l)
		a.lanes = append(a.lanes, lane{sub: i / 4, since: -1})
	}
	blocked := int64(-1) // since when records wait and none is processed
	for now := int64(0); left > 0; {
		for i, l := range sim {
			x := &a.lanes[i]
			x.ready = l.done < l.fetched
			if x.ready {
				x.head = l.times[l.done]
			}
			x.behind, x.reached = !x.ready && l.fetched < l.known, l.reached
		}
		s, deadline, ok := a.next(now)
		if !ok {
			if waiting(sim) {
				if blocked < 0 {
					blocked = now
				}
				if deadline == math.MaxInt64 || now-blocked > maxWait {
					t.Errorf("at %d: blocked since %d, deadline %d", now, blocked, deadline)
					return
				}
			}
			fetch(rng, sim, now)
			now += 1 + rng.Int64N(10)
			continue
		}
		blocked = -1
		l := sim[s.lane]
		n := 0
		for ; n < maxRun && l.done < l.fetched && l.times[l.done] <= s.limit; n++ {
			checkOrder(t, &a, sim, s.lane, l.times[l.done], now)
			l.reached = max(l.reached, l.times[l.done])
			l.done++
			left--
		}
		if n == 0 {
			t.Errorf("at %d: lane %d may not process anything", now, s.lane)
			return
		}
		if rng.IntN(4) == 0 {
			fetch(rng, sim, now)
		}
		now += rng.Int64N(2)
	}
}

// checkOrder holds a record that is processed against the siblings: none has
// an earlier one queued, beyond the slack, nor, unless it was waited for long
// enough, one to come.
func checkOrder(t *testing.T, a *aligner, sim []*simLane, i int, at, now int64) {
	for j, l := range sim {
		if j == i || a.lanes[j].sub != a.lanes[i].sub {
			continue
		}
		x := a.lanes[j]
		switch {
		case x.ready && at > x.head+a.slack:
			t.Errorf("at %d: lane %d processes %d while %d of lane %d waits", now, i, at, x.head, j)
		case !x.ready && l.fetched < l.known && at > l.reached+a.slack && (x.since < 0 || now-x.since < a.maxWait):
			t.Errorf("at %d: lane %d processes %d and lane %d at %d was not waited for", now, i, at, j, l.reached)
		}
	}
}

func waiting(sim []*simLane) bool {
	for _, l := range sim {
		if l.done < l.fetched {
			return true
		}
	}
	return false
}

// fetch brings some lanes records, mostly few lanes many.
func fetch(rng *rand.Rand, sim []*simLane, now int64) {
	for _, l := range sim {
		switch {
		case now < l.stalled || rng.IntN(3) > 0:
		case rng.IntN(40) == 0:
			l.stalled = now + rng.Int64N(200)
		default:
			l.fetched = min(len(l.times), l.fetched+rng.IntN(120))
		}
	}
}

// TestAlignerOfChangedLanes: the turn may point into the middle of a
// sub-topology after tasks have come and gone, or beyond the last lane.
func TestAlignerOfChangedLanes(t *testing.T) {
	for turn := range 5 {
		a := aligner{slack: 10, maxWait: 500, turn: turn, lanes: []lane{{sub: 0}, {sub: 0}, {sub: 1}, {sub: 1}}}
		if s, _, ok := a.next(1000); ok {
			t.Errorf("turn %d: lane %d may go, none is ready", turn, s.lane)
		}
		a.lanes[1].ready = true
		if s, _, ok := a.next(1000); !ok || s.lane != 1 {
			t.Errorf("turn %d: lane %d, %v", turn, s.lane, ok)
		}
	}
}
