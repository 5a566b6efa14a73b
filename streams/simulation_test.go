package streams_test

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/streamstest"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

// The simulation runs one program over random input with random commits,
// crashes (also in the middle of a commit), restarts and moves to machines
// without state, and checks what at-least-once promises.
const (
	simSize  = 100 // ms, the size of a window
	simGrace = 50
)

// simTopology counts values by key in windows behind a repartition topic, in
// two ways: every update, and final results only; and keeps the totals.
func simTopology(t *testing.T, memory bool) *topology.Topology {
	t.Helper()
	var opts []streams.StoreOption
	if memory {
		opts = append(opts, streams.Store(state.InMemory()))
	}
	b := streams.New("test")
	in := streams.From(b, "in", serde.String, serde.String)
	byValue := streams.SelectKey(in, "by-value", serde.String, func(r streams.Rec[string, string]) string { return r.Value })
	grouped := byValue.GroupByKey("grouped")
	spec := window.Tumbling(simSize * time.Millisecond).Grace(simGrace * time.Millisecond).CloseWhenIdle(time.Second)
	streams.Count(grouped.Window(spec), "finals", opts...).EmitOnClose().Late("late").ToStream().
		To("finals", windowed.Key(serde.String), serde.Int64)
	streams.Count(grouped, "totals", opts...).ToStream().To("totals", serde.String, serde.Int64)
	return build(t, b)
}

type simWindow struct {
	key   string
	start int64
}

// simRun is one run of the simulation.
type simRun struct {
	t       *testing.T
	d       *streamstest.Driver
	rng     *rand.Rand
	clock   int64
	input   map[simWindow]int64
	totals  map[string]int64
	crashes int
}

func TestSimulationAtLeastOnce(t *testing.T) {
	seeds := uint64(36)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		memory := seed%3 != 0
		t.Run(fmt.Sprintf("seed=%d,memory=%v", seed, memory), func(t *testing.T) {
			r := &simRun{t: t, rng: rand.New(rand.NewPCG(seed, 1)), input: map[simWindow]int64{}, totals: map[string]int64{}}
			opts := []streamstest.Option{streamstest.Partitions(1 + int32(seed%3))}
			if !memory {
				opts = append(opts, streamstest.OnDisk(t.TempDir()))
			}
			faults := seed%5 != 4
			r.d = streamstest.New(t, simTopology(t, memory), opts...)
			for range 60 {
				r.step(faults)
			}
			r.finish()
		})
	}
}

func (r *simRun) step(faults bool) {
	for range 1 + r.rng.IntN(8) {
		r.clock += r.rng.Int64N(20)
		if r.rng.IntN(20) == 0 {
			r.clock += 10 * simSize // one record moves the clock by many windows
		}
		r.pipe(max(0, r.clock-r.rng.Int64N(simGrace)))
	}
	switch n := r.rng.IntN(12); {
	case n < 5:
		r.d.Commit()
	case faults && n == 5:
		r.d.Crash()
		r.crashes++
		r.d.Restart()
	case faults && n == 6:
		r.d.CrashInCommit(r.rng.IntN(6), r.rng.IntN(2))
		r.crashes++
		r.d.Restart()
	case faults && n == 7:
		r.d.Crash()
		r.crashes++
		r.d.WipeDisk()
		r.d.Restart()
	case n == 8:
		r.d.Rebalance()
	}
}

func (r *simRun) pipe(at int64) {
	v := fmt.Sprint("v", r.rng.IntN(4))
	r.input[simWindow{v, at / simSize * simSize}]++
	r.totals[v]++
	r.d.Append(streamstest.Record{Topic: "in", Partition: -1, Key: []byte(fmt.Sprint("k", r.rng.IntN(9))), Value: []byte(v), Time: at})
	if r.rng.IntN(3) > 0 {
		r.d.Run()
	}
}

// finish lets everything settle, closes the windows by quiet, and checks.
func (r *simRun) finish() {
	r.d.Run()
	r.d.Commit()
	// The wall clock passes the events, then the input is quiet.
	r.d.AdvanceWall(time.Duration(r.clock+10*simSize) * time.Millisecond)
	r.d.AdvanceIdle(2 * time.Second)
	r.d.Commit()

	late := map[simWindow]int64{}
	for _, rec := range r.d.Drain("late") {
		late[simWindow{string(rec.Key), rec.Time / simSize * simSize}]++
	}
	finals, emissions := map[simWindow]int64{}, map[simWindow]int{}
	for _, rec := range r.d.All("finals") {
		w := simWindow{string(rec.Key[:len(rec.Key)-8]), int64(binary.BigEndian.Uint64(rec.Key[len(rec.Key)-8:]))}
		finals[w] = int64(binary.BigEndian.Uint64(rec.Value))
		emissions[w]++
	}
	for w, n := range r.input {
		got := finals[w] + late[w]
		if got < n {
			r.t.Errorf("window %v: %d final and %d late, want at least %d together", w, finals[w], late[w], n)
		}
		if r.crashes == 0 && (got != n || emissions[w] > 1) {
			r.t.Errorf("window %v without a crash: %d final (%d times) and %d late, want %d once", w, finals[w], emissions[w], late[w], n)
		}
	}
	r.checkTotals()
}

// checkTotals compares the store with the input, and with what a machine that
// has nothing rebuilds from the changelog.
func (r *simRun) checkTotals() {
	before := r.storeOf("totals")
	for _, k := range slices.Sorted(maps.Keys(r.totals)) {
		if n := before[k]; n < r.totals[k] || (r.crashes == 0 && n != r.totals[k]) {
			r.t.Errorf("total of %s is %d after %d crashes, input has %d", k, n, r.crashes, r.totals[k])
		}
	}
	r.d.Rebalance()
	if after := r.storeOf("totals"); !maps.Equal(before, after) {
		r.t.Errorf("rebuilt from the changelog: %v, was %v", after, before)
	}
}

func (r *simRun) storeOf(name string) map[string]int64 {
	out := map[string]int64{}
	for _, it := range r.d.Store(name) {
		out[string(it.Key)] += int64(binary.BigEndian.Uint64(it.Value))
	}
	return out
}
