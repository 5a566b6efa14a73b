package runtime_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/runtime"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
	"github.com/twmb/franz-go/pkg/kgo"
)

// stall lets processing stop at a record: see [windowCounts].
type stall struct {
	calls atomic.Int64  // records processed
	at    int64         // the call that stops; 0 = none
	here  chan struct{} // closed when it does
	free  chan struct{} // closed to let it go on
}

func newStall(at int64) *stall {
	return &stall{at: at, here: make(chan struct{}), free: make(chan struct{})}
}

// windowCounts counts words in windows of 10 s with 2 s of grace, behind a
// repartition topic to which all tasks of the source write.
func windowCounts(t *testing.T, st *stall) *topology.Topology {
	t.Helper()
	b := streams.New("app")
	words := streams.From(b, "words", serde.String, serde.String)
	byWord := streams.SelectKey(words, "by-word", serde.String, func(r streams.Rec[string, string]) string {
		if st.calls.Add(1) == st.at {
			close(st.here)
			<-st.free
		}
		return r.Value
	})
	spec := window.Tumbling(10 * time.Second).Grace(2 * time.Second)
	streams.Count(byWord.GroupByKey().Window(spec), "word-counts", streams.Store(state.Retention(time.Hour))).EmitOnClose().
		ToStream().To("counts", windowed.Key(serde.String), serde.Int64)
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// backlog produces records [from, to): 1000 for every second of event time,
// spread over three partitions.
func backlog(t *testing.T, addrs []string, from, to int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(1<<16))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var failed atomic.Pointer[error]
	for i := from; i < to; i++ {
		cl.Produce(context.Background(), &kgo.Record{
			Topic: "words", Partition: int32(i % 3), Value: []byte(word(i)), Timestamp: time.UnixMilli(eventTime(i)),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Store(&err)
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil || failed.Load() != nil {
		t.Fatal(err, failed.Load())
	}
}

func eventTime(i int) int64 { return 1_700_000_000_000 + int64(i) }

// windowKey names a window of a word.
func windowKey(word string, start int64) string { return fmt.Sprint(word, "@", start) }

// wanted are the counts of records [0, n).
func wanted(n int) map[string]int64 {
	out := map[string]int64{}
	for i := range n {
		out[windowKey(word(i), eventTime(i)/10_000*10_000)]++
	}
	return out
}

// counted are the committed counts, of closed windows and of open ones.
func counted(t *testing.T, p *process) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	err := p.app.Each("word-counts", func(_ processor.TaskID, it state.Item) bool {
		n, err := serde.Int64.Decode(it.Value)
		if err != nil {
			t.Error(err)
		}
		out[windowKey(string(it.Key), it.Start)] += n
		return true
	})
	if err != nil {
		t.Error(err)
	}
	return out
}

// late is the number of records the process has dropped as late.
func late(t *testing.T, p *process) int64 {
	t.Helper()
	families, err := p.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "leat_streams_records_dropped_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetValue() == string(processor.DropLate) {
					return int64(m.GetCounter().GetValue())
				}
			}
		}
	}
	t.Fatal("no metric of late records")
	return 0
}

// covers tells whether no window has fewer counts than wanted.
func covers(got, want map[string]int64) bool {
	for k, n := range want {
		if got[k] < n {
			return false
		}
	}
	return true
}

// settled waits until records [0, n) are counted and returns the counts.
func settled(t *testing.T, p *process, n int) map[string]int64 {
	t.Helper()
	want := wanted(n)
	eventually(t, fmt.Sprint(n, " records counted"), func() bool { return covers(counted(t, p), want) })
	return counted(t, p)
}

func TestBacklogOfSeveralPartitionsIsCountedExactly(t *testing.T) {
	const n = 30_000
	for _, c := range []struct {
		name string
		conf runtime.Config
	}{
		{"one thread", runtime.Config{}},
		{"small polls", runtime.Config{MaxPoll: 100, MaxQueued: 300}},
	} {
		t.Run(c.name, func(t *testing.T) {
			addrs := cluster(t, 3, "words", "counts")
			backlog(t, addrs, 0, n)
			c.conf.App, c.conf.StateDir = "app", t.TempDir()
			p := start(t, windowCounts(t, newStall(0)), addrs, c.conf)
			got := settled(t, p, n)
			p.end(t)
			if sum(got) != n || late(t, p) != 0 {
				t.Errorf("%d counts of %d records, %d late", sum(got), n, late(t, p))
			}
		})
	}
}

// killAt kills the process when it stalls. Its stores are closed as after a
// crash, without a flush.
func killAt(p *process, st *stall) {
	<-st.here
	p.kill()
	p.stop()
	close(st.free)
	<-p.done
	p.done <- nil
}

// TestKilledInBacklogLosesNoCounts kills a process in the middle of a backlog.
// Records it had passed on without committing come again, and may be late by
// then; no other may.
func TestKilledInBacklogLosesNoCounts(t *testing.T) {
	const n = 30_000
	for _, at := range []int64{1, 9_000, 15_500, 29_999} {
		t.Run(fmt.Sprint("at ", at), func(t *testing.T) {
			addrs := cluster(t, 3, "words", "counts")
			backlog(t, addrs, 0, n)
			c := runtime.Config{App: "app", StateDir: t.TempDir(), ShutdownTimeout: 100 * time.Millisecond}
			first := newStall(at)
			killAt(start(t, windowCounts(t, first), addrs, c), first)
			second := newStall(0)
			b := start(t, windowCounts(t, second), addrs, c)
			settled(t, b, n)
			b.end(t)
			if again := at + second.calls.Load() - n; late(t, b) > again {
				t.Errorf("%d records late, of which at most %d were processed again", late(t, b), again)
			}
		})
	}
}

// TestKilledWhenCaughtUpHasNoLateRecords kills a process that had come to the
// end of its input, lets a backlog of many windows grow, and starts it again:
// what it processes again is younger than the grace.
func TestKilledWhenCaughtUpHasNoLateRecords(t *testing.T) {
	const caughtUp, killed, n = 12_000, 12_900, 30_000
	addrs := cluster(t, 3, "words", "counts")
	c := runtime.Config{App: "app", StateDir: t.TempDir(), ShutdownTimeout: 100 * time.Millisecond}
	first := newStall(killed)
	a := start(t, windowCounts(t, first), addrs, c)
	backlog(t, addrs, 0, caughtUp)
	settled(t, a, caughtUp)
	backlog(t, addrs, caughtUp, killed+100)
	killAt(a, first)
	backlog(t, addrs, killed+100, n)
	b := start(t, windowCounts(t, newStall(0)), addrs, c)
	got := settled(t, b, n)
	b.end(t)
	if late(t, b) != 0 || sum(got) < n {
		t.Errorf("%d counts of %d records, %d late", sum(got), n, late(t, b))
	}
}

// TestStaticMemberHasItsTasksBackAtOnce restarts a killed process long before
// its session is over.
func TestStaticMemberHasItsTasksBackAtOnce(t *testing.T) {
	addrs := cluster(t, 3, "words", "counts")
	c := runtime.Config{
		App: "app", StateDir: t.TempDir(), ShutdownTimeout: 100 * time.Millisecond,
		InstanceID: "node", SessionTimeout: 2 * time.Minute,
	}
	st := newStall(501)
	a := start(t, windowCounts(t, st), addrs, c)
	backlog(t, addrs, 0, 500)
	settled(t, a, 500)
	backlog(t, addrs, 500, 1000)
	killAt(a, st)
	b := start(t, windowCounts(t, newStall(0)), addrs, c)
	settled(t, b, 1000)
	b.end(t)
}
