package replica

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// TestLine runs random members of a line one step at a time: at any moment at
// most one leads, all are served once and in the order in which they came.
func TestLine(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 5))
		var l line
		calls := make([]*appendCall, 8)
		var idle, came []*appendCall
		for i := range calls {
			calls[i] = newAppendCall()
		}
		idle = slices.Clone(calls)
		var leader *appendCall
		serve := func(c *appendCall) {
			if len(came) == 0 || came[0] != c {
				t.Fatalf("seed %d: served out of order", seed)
			}
			came, idle = came[1:], append(idle, c)
		}
		for range 200 {
			switch n := rng.IntN(10); {
			case n < 6 && len(idle) > 0:
				i := rng.IntN(len(idle))
				c := idle[i]
				idle = slices.Delete(idle, i, i+1)
				if lead := l.enter(&c.place); lead != (leader == nil) {
					t.Fatalf("seed %d: leads: %v, while one leads: %v", seed, lead, leader != nil)
				} else if lead {
					leader = c
				} else {
					came = append(came, c)
				}
			case leader == nil:
			case n < 8:
				if c := l.take(); c != nil {
					serve(c)
				} else if len(came) > 0 {
					t.Fatalf("seed %d: %d wait and none is found", seed, len(came))
				}
			default:
				next := l.leave()
				idle = append(idle, leader)
				if leader = next; next != nil {
					serve(next)
					idle = idle[:len(idle)-1] // it leads, and is not done
				} else if len(came) > 0 {
					t.Fatalf("seed %d: %d wait and nobody leads", seed, len(came))
				}
			}
		}
	}
}

// lineUp holds a partition's lock while n goroutines append what request gives
// for them, so that one leads and all others wait behind it, and returns the
// results in the order of the goroutines. last is done before the lock is released.
func lineUp(t *testing.T, f *fixture, r *Replica, n int, request func(i int) *AppendRequest, last func()) []chan AppendResult {
	t.Helper()
	results := make([]chan AppendResult, n)
	r.mu.Lock()
	for i := range n {
		results[i] = make(chan AppendResult, 1)
		go f.Append(request(i), func(res []AppendResult) { results[i] <- res[0] })
		if !waiting(r, i) { // one by one, so that the order is known
			r.mu.Unlock()
			t.Fatalf("append %d does not get in line", i)
		}
	}
	last()
	r.mu.Unlock()
	return results
}

// waiting waits until somebody leads, who must not look at the line meanwhile,
// and n wait behind.
func waiting(r *Replica, n int) bool {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); runtime.Gosched() {
		found := -1
		for p := r.line.latest.Load(); p != nil; p = p.next {
			if found++; p == &r.line.led {
				break
			}
		}
		if found == n {
			return true
		}
	}
	return false
}

func nothing() {}

func (f *fixture) replica(at record.TopicPartition) *Replica {
	f.t.Helper()
	r, err := f.find(at, TopicID{})
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

func one(at record.TopicPartition, acks int16, batches []byte) *AppendRequest {
	return &AppendRequest{Acks: acks, Timeout: time.Minute, Entries: []AppendEntry{{TP: at, Batches: batches}}}
}

// sequenced is a batch of one record of a producer.
func sequenced(t testing.TB, pid int64, seq int32) []byte {
	opts := record.NewOptions()
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = pid, 0, seq
	var b record.Builder
	b.Reset(opts)
	b.Append(time.Now().UnixMilli(), nil, make([]byte, 20))
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// countWrites counts the writes to logs from now on.
func (f *fixture) countWrites() *atomic.Int32 {
	writes := new(atomic.Int32)
	f.fs.Observe(func(c vfs.Call) {
		if c.Op == vfs.OpWrite && strings.HasSuffix(c.Name, ".log") {
			writes.Add(1)
		}
	})
	return writes
}

// TestAppendsInLineShareAWrite: who waits while the partition is busy is written
// with one write, gets offsets in the order of the line, and wakes readers once.
func TestAppendsInLineShareAWrite(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 0)
	f.produce(at, 1, 1)
	writes := f.countWrites()
	req := fetchReq(at, 1)
	req.MaxWait, req.MinBytes = time.Minute, 1
	reader := f.fetch(req)
	pendingStill(t, reader)
	const n = 20
	results := lineUp(t, f, f.replica(at), n, func(i int) *AppendRequest {
		return one(at, []int16{1, AcksAll, 0}[i%3], sequenced(t, int64(i), 0))
	}, nothing)
	for i, ch := range results {
		if res := await(t, "append", ch); res.Err != nil || res.Info.FirstOffset != int64(1+i) {
			t.Errorf("append %d: offset %d, %v", i, res.Info.FirstOffset, res.Err)
		}
	}
	if got := writes.Load(); got != 1 {
		t.Errorf("%d writes for %d appends, want 1", got, n)
	}
	if fp := await(t, "fetch", reader); lastOffset(t, fp) != n {
		t.Errorf("the reader was woken at %d, want once, at %d", lastOffset(t, fp), n)
	}
}

// TestLeaderHandsOver: a line that is longer than a leader's two turns is led by
// others from then on.
func TestLeaderHandsOver(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 0)
	f.produce(at, 1, 1)
	writes := f.countWrites()
	const n = 3*maxGroup + 5
	results := lineUp(t, f, f.replica(at), n, func(i int) *AppendRequest { return one(at, 1, sequenced(t, int64(i), 0)) }, nothing)
	for i, ch := range results {
		if res := await(t, "append", ch); res.Err != nil || res.Info.FirstOffset != int64(1+i) {
			t.Errorf("append %d: offset %d, %v", i, res.Info.FirstOffset, res.Err)
		}
	}
	if got := writes.Load(); got != 4 {
		t.Errorf("%d writes for %d appends in groups of %d, want 4", got, n, maxGroup)
	}
}

// TestGroupErrorsAreTheirOwners: whatever is wrong with one append of a group
// does not touch the others.
func TestGroupErrorsAreTheirOwners(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	cfg := TopicConfig{MinISR: 2, Delete: true, Log: commitlog.DefaultConfig()}
	cfg.Log.SegmentBytes = 2000
	f.topic["t"] = cfg
	if code := f.state(at, State{Leader: self, ISR: []int32{self}, Replicas: []int32{self, 2}}); code != 0 {
		t.Fatal(code)
	}
	r := f.replica(at)
	if res := now(t, f.appendAsync(one(at, 1, sequenced(t, 1, 0)))); res.Err != nil {
		t.Fatal(res.Err)
	}
	for _, wrong := range []struct {
		name string
		req  *AppendRequest
		want error
	}{
		{"sequence", one(at, 1, sequenced(t, 1, 7)), commitlog.ErrOutOfOrderSequence},
		{"too large for a segment", one(at, 1, batch(t, 100)), commitlog.ErrRecordListTooLarge},
		{"too few in sync", one(at, AcksAll, sequenced(t, 5, 0)), ErrNotEnoughReplicas},
	} {
		end := r.log().EndOffset()
		const n = 9
		results := lineUp(t, f, r, n, func(i int) *AppendRequest {
			if i == 4 {
				return wrong.req
			}
			return one(at, 1, sequenced(t, 100+end*n+int64(i), 0))
		}, nothing)
		for i, ch := range results {
			res := await(t, "append", ch)
			switch {
			case i == 4 && !errors.Is(res.Err, wrong.want):
				t.Errorf("%s: %v, want %v", wrong.name, res.Err, wrong.want)
			case i != 4 && (res.Err != nil || res.Info.FirstOffset != end):
				t.Errorf("%s: append %d: offset %d, want %d, %v", wrong.name, i, res.Info.FirstOffset, end, res.Err)
			case i != 4:
				end++
			}
		}
	}
}

func (f *fixture) appendAsync(req *AppendRequest) chan AppendResult {
	ch := make(chan AppendResult, 1)
	f.Append(req, func(res []AppendResult) { ch <- res[0] })
	return ch
}

// TestGroupEndsWithTheTerm: appends that wait in line when the leader changes
// are refused, and none is lost.
func TestGroupEndsWithTheTerm(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 0)
	r := f.replica(at)
	const n = 8
	var w woken
	var err error
	results := lineUp(t, f, r, n, func(i int) *AppendRequest { return one(at, 1, sequenced(t, int64(i), 0)) }, func() {
		st := State{Leader: 2, LeaderEpoch: 1, PartitionEpoch: 1, ISR: []int32{self, 2}, Replicas: []int32{self, 2}}
		_, err = r.becomeLocked(st, self, topicID("t"), time.Now(), &w)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run()
	for i, ch := range results {
		if res := await(t, "append", ch); !errors.Is(res.Err, ErrNotLeader) {
			t.Errorf("append %d: %v, want %v", i, res.Err, ErrNotLeader)
		}
	}
	if end := r.log().EndOffset(); end != 0 {
		t.Errorf("the log ends at %d", end)
	}
}

// TestGroupWaitsForOneSync: with flush.messages=1 a group is synced before any of
// it is acknowledged.
func TestGroupWaitsForOneSync(t *testing.T) {
	f := newFixture(t)
	f.strict("t")
	at := tp("t", 0)
	f.lead(at, 0)
	r := f.replica(at)
	f.produce(at, 1, 1)
	results := lineUp(t, f, r, 10, func(i int) *AppendRequest {
		return one(at, []int16{1, AcksAll}[i%2], sequenced(t, int64(i), 0))
	}, nothing)
	for i, ch := range results {
		res := await(t, "append", ch)
		if res.Err != nil || r.log().FlushedOffset() <= res.Info.LastOffset {
			t.Errorf("append %d at %d is answered, synced up to %d, %v", i, res.Info.LastOffset, r.log().FlushedOffset(), res.Err)
		}
	}
	if hw := r.hw.Load(); hw != 11 {
		t.Errorf("high watermark %d", hw)
	}
}

// TestManyAppendTogether is producers of every kind on one partition beside
// readers and whatever else takes the partition's lock. The log must hold what
// was acknowledged, where it was acknowledged, and each producer's records in
// order.
func TestManyAppendTogether(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	cfg := TopicConfig{MinISR: 1, Delete: true, Log: commitlog.DefaultConfig()}
	cfg.Log.SegmentBytes = 20_000 // many rolls in the middle of groups
	cfg.Log.FlushMessages = 50
	f.topic["t"] = cfg
	f.lead(at, 0)
	r := f.replica(at)
	const producers, each = 24, 60
	type key struct {
		pid int64
		seq int32
	}
	var mu sync.Mutex
	acked := map[int64]key{} // by offset
	var all sync.WaitGroup
	for p := range int64(producers) {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(p), 3))
			for seq := int32(0); seq < each; seq++ {
				acks := []int16{0, 1, AcksAll}[rng.IntN(3)]
				if rng.IntN(5) == 0 { // a gap: refused
					if res := <-f.appendAsync(one(at, acks, sequenced(t, p, seq+9))); seq > 0 && !errors.Is(res.Err, commitlog.ErrOutOfOrderSequence) {
						t.Errorf("producer %d: %v", p, res.Err)
					} else if seq == 0 { // an unknown producer may begin anywhere
						return
					}
				}
				res := <-f.appendAsync(one(at, acks, sequenced(t, p, seq)))
				if res.Err != nil {
					t.Errorf("producer %d, sequence %d: %v", p, seq, res.Err)
					return
				}
				mu.Lock()
				acked[res.Info.FirstOffset] = key{p, seq}
				mu.Unlock()
				if again := <-f.appendAsync(one(at, acks, sequenced(t, p, seq))); again.Err != nil || !again.Info.Duplicate || again.Info.FirstOffset != res.Info.FirstOffset {
					t.Errorf("producer %d, sequence %d again: %+v, %v", p, seq, again.Info, again.Err)
				}
			}
		})
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			r.tick(time.Now())
			r.configure(&cfg)
			req := fetchReq(at, 0)
			fp := <-f.fetch(req)
			fp.Records.Release()
			runtime.Gosched()
		}
	})
	all.Wait()
	close(stop)
	others.Wait()
	f.checkLog(at, func(b record.Batch) {
		want, ok := acked[b.BaseOffset()]
		if ok && (want.pid != b.ProducerID() || want.seq != b.BaseSequence()) {
			t.Errorf("offset %d: producer %d, sequence %d, acknowledged was %+v", b.BaseOffset(), b.ProducerID(), b.BaseSequence(), want)
		}
		delete(acked, b.BaseOffset())
	})
	if len(acked) > 0 {
		t.Errorf("%d acknowledged records are not in the log", len(acked))
	}
}

// checkLog reads a whole log: offsets are dense, sequences rise.
func (f *fixture) checkLog(at record.TopicPartition, each func(record.Batch)) {
	f.t.Helper()
	log := f.replica(at).log()
	last := map[int64]int32{}
	for next := int64(0); next < log.EndOffset(); {
		slice, err := log.Read(next, 1<<20, true, log.EndOffset())
		if err != nil {
			f.t.Fatal(err)
		}
		data, err := slice.Bytes(nil)
		slice.Release()
		if err != nil {
			f.t.Fatal(err)
		}
		for {
			b, rest, err := record.Next(data)
			if err != nil || b == nil {
				break
			}
			if err := b.CheckCRC(); err != nil || b.BaseOffset() != next {
				f.t.Fatalf("batch at %d, want %d, %v", b.BaseOffset(), next, err)
			}
			if seq, ok := last[b.ProducerID()]; ok && b.BaseSequence() != seq+1 {
				f.t.Errorf("producer %d: sequence %d after %d", b.ProducerID(), b.BaseSequence(), seq)
			}
			last[b.ProducerID()] = b.BaseSequence()
			each(b)
			next, data = b.LastOffset()+1, rest
		}
	}
}
