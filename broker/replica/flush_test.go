package replica

import (
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// strict makes a topic sync before anything is acknowledged.
func (f *fixture) strict(topic string) {
	c := TopicConfig{MinISR: 1, Delete: true, Log: commitlog.DefaultConfig()}
	c.Log.FlushMessages = 1
	f.topic[topic] = c
}

// syncGate counts the syncs of log files and holds up the first.
type syncGate struct {
	syncs   atomic.Int32
	entered chan struct{} // closed when the first sync begins
	open    chan struct{} // to be closed to let it go on
}

func gate(fs *vfs.Mem) *syncGate {
	g := &syncGate{entered: make(chan struct{}), open: make(chan struct{})}
	fs.Observe(func(c vfs.Call) {
		if c.Op != vfs.OpSync || !strings.HasSuffix(c.Name, ".log") {
			return
		}
		if g.syncs.Add(1) == 1 {
			close(g.entered)
			<-g.open
		}
	})
	return g
}

// await receives from a channel, or fails the test.
func await[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(time.Minute):
		t.Fatalf("%s: nothing happens", what)
	}
	return v
}

func TestWaitingAppendsShareASync(t *testing.T) {
	f := newFixture(t)
	f.strict("t")
	at := tp("t", 0)
	f.lead(at, 0)
	f.fs.Observe(nil)
	g := gate(f.fs)
	first := f.produceAsync(at, 1, 1, time.Minute)
	await(t, "first sync", g.entered)

	var rest []chan AppendResult
	for i := range 20 {
		rest = append(rest, f.produceAsync(at, []int16{1, AcksAll}[i%2], 1, time.Minute))
	}
	if r := f.produce(at, 0, 1); r.Err != nil {
		t.Errorf("acks=0: %v", r.Err)
	}
	r, err := f.find(at, TopicID{})
	if err != nil {
		t.Fatal(err)
	}
	if hw := r.hw.Load(); hw != 0 || r.log().EndOffset() != 22 {
		t.Errorf("high watermark %d of %d before anything is synced", hw, r.log().EndOffset())
	}
	if got := f.Read(fetchReq(at, 0).Entries[0], ReadUncommitted, true); got.Err != nil || got.Records.Size() != 0 {
		t.Errorf("%d bytes readable before they are synced, %v", got.Records.Size(), got.Err)
	}
	for _, ch := range append(rest, first) {
		if len(ch) > 0 {
			t.Error("acknowledged before it was synced")
		}
	}
	close(g.open)
	for i, ch := range append([]chan AppendResult{first}, rest...) {
		if got := await(t, "answer", ch); got.Err != nil || got.Info.FirstOffset != int64(i) {
			t.Errorf("append %d: offset %d, %v", i, got.Info.FirstOffset, got.Err)
		}
	}
	f.settled(at, 22)
	if n := g.syncs.Load(); n != 2 {
		t.Errorf("%d syncs for 22 appends, want 2", n)
	}
}

// settled waits until a log is synced and readable up to end.
func (f *fixture) settled(at record.TopicPartition, end int64) {
	f.t.Helper()
	r, err := f.find(at, TopicID{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.flusher.running.Wait()
	if hw, synced := r.hw.Load(), r.log().FlushedOffset(); hw != end || synced != end {
		f.t.Errorf("high watermark %d, synced %d, want %d", hw, synced, end)
	}
}

// A producer's retry comes while the sync of the original is under way.
func TestDuplicateWaitsForTheSync(t *testing.T) {
	f := newFixture(t)
	f.strict("t")
	at := tp("t", 0)
	f.lead(at, 0)
	g := gate(f.fs)
	send := func() chan AppendResult {
		var b record.Builder
		o := record.NewOptions()
		o.ProducerID, o.ProducerEpoch, o.BaseSequence = 7, 0, 0
		b.Reset(o)
		b.Append(time.Now().UnixMilli(), nil, []byte("x"))
		out, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		ch := make(chan AppendResult, 1)
		f.Append(&AppendRequest{Acks: 1, Timeout: time.Minute, Entries: []AppendEntry{{TP: at, Batches: out}}}, func(rs []AppendResult) { ch <- rs[0] })
		return ch
	}
	first := send()
	await(t, "sync", g.entered)
	again := send()
	if len(again) > 0 {
		t.Error("the repeated batch is acknowledged before it is synced")
	}
	close(g.open)
	for _, ch := range []chan AppendResult{first, again} {
		if r := await(t, "answer", ch); r.Err != nil || r.Info.FirstOffset != 0 {
			t.Errorf("%+v", r)
		}
	}
	if r := await(t, "answer", send()); r.Err != nil || !r.Info.Duplicate {
		t.Errorf("a repeated batch that is synced: %+v", r)
	}
	f.settled(at, 1)
}

func TestFailedSyncAnswersAndEnds(t *testing.T) {
	f := open(t, vfs.NewMem())
	f.strict("t")
	at := tp("t", 0)
	f.lead(at, 0)
	if r := await(t, "append", f.produceAsync(at, 1, 1, time.Minute)); r.Err != nil {
		t.Fatal(r.Err)
	}
	f.settled(at, 1)
	f.fs.Inject(&vfs.Rule{Op: vfs.OpSync, Glob: "*.log", Err: syscall.EIO, Times: 1})
	g := gate(f.fs)
	one := f.produceAsync(at, 1, 1, time.Minute)
	await(t, "sync", g.entered)
	all := f.produceAsync(at, AcksAll, 1, time.Minute)
	close(g.open)
	for _, ch := range []chan AppendResult{one, all} {
		if r := await(t, "answer", ch); !errors.Is(r.Err, commitlog.ErrStorage) {
			t.Errorf("append whose sync failed: %v", r.Err)
		}
	}
	if r := await(t, "append", f.produceAsync(at, 1, 1, time.Minute)); !errors.Is(r.Err, commitlog.ErrStorage) {
		t.Errorf("append afterwards: %v", r.Err)
	}
	f.flusher.running.Wait()
	r, _ := f.find(at, TopicID{})
	if hw := r.hw.Load(); hw != 1 {
		t.Errorf("high watermark %d, want 1", hw)
	}
	var after atomic.Int32
	f.fs.Observe(func(c vfs.Call) {
		if c.Op.Mutates() {
			after.Add(1)
		}
	})
	f.close()
	_ = f.logs.Close(-1)
	if n := after.Load(); n != 0 || g.syncs.Load() != 1 {
		t.Errorf("%d syncs and %d changes of files after the failed sync", g.syncs.Load()-1, n)
	}
}

// A log that was recovered may hold what was never synced. A strict topic's
// leader counts it once it has.
func TestStrictLeaderSyncsWhatItFinds(t *testing.T) {
	old := newFixture(t)
	at := tp("t", 0)
	old.lead(at, 0)
	for range 3 {
		old.produce(at, 1, 1)
	}
	f := open(t, old.fs.Clone()) // the process was killed, the machine goes on
	f.strict("t")
	f.lead(at, 1)
	f.settled(at, 3)
	f.close()
	if err := f.logs.Close(-1); err != nil {
		t.Error(err)
	}
}

func TestFlushMessagesAtRunTime(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 0)
	for range 3 {
		f.produce(at, 1, 1)
	}
	r, _ := f.find(at, TopicID{})
	if r.log().FlushedOffset() != 0 {
		t.Fatal("synced without need")
	}
	f.strict("t")
	f.ConfigChanged("t")
	f.settled(at, 3)

	every := f.topic["t"]
	every.Log.FlushMessages = 4
	f.topic["t"] = every
	f.ConfigChanged("t")
	for range 3 {
		f.produce(at, AcksAll, 1)
	}
	f.flusher.running.Wait()
	if r.log().FlushedOffset() != 3 || r.hw.Load() != 6 {
		t.Errorf("synced %d, high watermark %d before the fourth record", r.log().FlushedOffset(), r.hw.Load())
	}
	if res := await(t, "the fourth record", f.produceAsync(at, AcksAll, 1, time.Minute)); res.Err != nil {
		t.Error(res.Err)
	}
	f.settled(at, 7)
}

// promise is what a strict topic has promised at a moment: the log's end by
// acknowledgements and by the high watermark.
type promise struct{ acked, hw int64 }

// Whatever the machine loses in a crash, nothing that a strict topic has
// acknowledged or shown is lost.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	for seed := range uint64(6) {
		crashStrict(t, seed)
	}
}

func crashStrict(t *testing.T, seed uint64) {
	f := newFixture(t)
	f.strict("t")
	at := tp("t", 0)
	f.lead(at, 0)
	r, _ := f.find(at, TopicID{})
	var mu sync.Mutex
	var acked int64
	rng := rand.New(rand.NewPCG(seed, 1))
	images := map[*vfs.Mem]promise{}
	f.fs.Observe(func(c vfs.Call) {
		hw := r.hw.Load()
		if synced := r.log().FlushedOffset(); hw > synced {
			t.Errorf("seed %d: high watermark %d above the synced offset %d", seed, hw, synced)
		}
		mu.Lock()
		defer mu.Unlock()
		if c.Op.Mutates() && rng.IntN(4) == 0 {
			p := promise{acked, hw}
			images[f.fs.Crash(rng)] = p
		}
	})
	var producers sync.WaitGroup
	for n := range 4 {
		producers.Go(func() {
			for i := range 12 {
				res := await(t, "append", f.produceAsync(at, []int16{1, AcksAll}[(n+i)%2], 1+i%3, time.Minute))
				if res.Err != nil {
					t.Errorf("seed %d: %v", seed, res.Err)
				}
				mu.Lock()
				acked = max(acked, res.Info.LastOffset+1)
				mu.Unlock()
			}
		})
	}
	producers.Wait()
	f.flusher.running.Wait()
	f.fs.Observe(nil)
	if len(images) < 5 {
		t.Fatalf("seed %d: only %d crashes", seed, len(images))
	}
	for fs, p := range images {
		after := open(t, fs)
		l, ok := after.logs.Log(at)
		if !ok {
			t.Fatalf("seed %d: the log is lost", seed)
		}
		if end := l.EndOffset(); end < p.acked || end < p.hw {
			t.Errorf("seed %d: the log ends at %d after the crash; acknowledged %d, shown %d", seed, end, p.acked, p.hw)
		}
		after.close()
		if err := after.logs.Close(-1); err != nil {
			t.Error(err)
		}
	}
}

// min.insync.replicas holds from the next append on, never for more replicas
// than there are.
func TestMinISRAtRunTime(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	st := State{Leader: self, ISR: []int32{self}, Replicas: []int32{self, 2}}
	if code := f.state(at, st); code != 0 {
		t.Fatal(code)
	}
	if r := f.produce(at, AcksAll, 1); r.Err != nil {
		t.Fatal(r.Err)
	}
	c := f.config("t")
	c.MinISR = 2
	f.topic["t"] = c
	f.ConfigChanged("t")
	if r := f.produce(at, AcksAll, 1); !errors.Is(r.Err, ErrNotEnoughReplicas) {
		t.Errorf("one replica in sync, two wanted: %v", r.Err)
	}
	if r := f.produce(at, 1, 1); r.Err != nil {
		t.Errorf("acks=1: %v", r.Err)
	}
}
