package replica

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// durable is a topic of small segments whose every append is synced.
func durable() TopicConfig {
	c := commitlog.DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes, c.FlushMessages = 2000, 100, 1
	return TopicConfig{MinISR: 1, Delete: true, Log: c}
}

// openDirs is a manager over the directories /a and /b.
func openDirs(t testing.TB, fs *vfs.Mem) *fixture {
	t.Helper()
	f := &fixture{t: t, fs: fs, topic: map[string]TopicConfig{"t": durable(), "u": durable(), "other": durable()}}
	var err error
	f.logs, err = commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{
		Dirs: []string{"/a", "/b"}, FS: fs, BrokerID: self, Defaults: durable().Log,
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Manager, err = NewManager(Config{BrokerID: self, TopicConfig: f.config}, f.logs, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) end() {
	f.t.Helper()
	f.close()
	if err := f.logs.Close(-1); err != nil {
		f.t.Error(err)
	}
}

// turns does what the workers do until no move is due.
func (f *fixture) turns() {
	f.t.Helper()
	for range 10000 {
		x := f.mover
		x.mu.Lock()
		item, _ := x.queue.take(time.Now())
		x.mu.Unlock()
		if item == nil {
			return
		}
		v := x.turn(f.t.Context(), item.move)
		x.mu.Lock()
		x.queue.giveBack(item, v, time.Now())
		x.mu.Unlock()
	}
	f.t.Fatal("the moves do not come to an end")
}

func (f *fixture) mustMove(at record.TopicPartition, dir string) {
	f.t.Helper()
	if err := f.MoveLog(at, dir, true); err != nil {
		f.t.Fatal(err)
	}
}

// places tells where the logs and the copies of a partition are.
func (f *fixture) places(at record.TopicPartition) string {
	out := ""
	for _, d := range f.DescribeLogDirs() {
		for _, p := range d.Partitions {
			if p.TP == at {
				out += d.Path
				if p.Future {
					out += "+"
				}
			}
		}
	}
	return out
}

func (f *fixture) wantPlaces(at record.TopicPartition, want string) {
	f.t.Helper()
	if got := f.places(at); got != want {
		f.t.Errorf("%v lies in %s, not %s", at, got, want)
	}
}

func TestMove(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at := tp("t", 0)
	f.lead(at, 3)
	for range 50 {
		f.produce(at, 1, 2)
	}
	waiting := f.fetch(&FetchRequest{MinBytes: 1, MaxBytes: 1000, MaxWait: time.Hour, ReplicaID: ConsumerReplicaID, Entries: fetchReq(at, 100).Entries})
	old := now(t, f.fetch(fetchReq(at, 0)))
	before, _ := f.Partition(at)
	f.mustMove(at, "/b")
	f.wantPlaces(at, "/a/b+")
	if d := f.DescribeLogDirs()[1].Partitions[0]; d.OffsetLag != 100 {
		t.Errorf("the copy is %d offsets behind", d.OffsetLag)
	}
	f.turns()
	f.wantPlaces(at, "/b")
	after, _ := f.Partition(at)
	if before.LogDir = "/b"; fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("before: %+v\nafter: %+v", before, after)
	}
	if got := lastOffset(t, old); got < 0 {
		t.Error("what was read before the exchange cannot be sent after it")
	}
	pendingStill(t, waiting)
	if r := f.produce(at, 1, 1); r.Err != nil || r.Info.FirstOffset != 100 || r.Info.LeaderEpoch != 3 {
		t.Errorf("%+v", r)
	}
	if got := lastOffset(t, now(t, waiting)); got != 100 {
		t.Errorf("the parked fetch gets %d", got)
	}
	if e, err := f.OffsetForLeaderEpoch(at, 3, 3); err != nil || e.EndOffset != 101 {
		t.Errorf("%+v %v", e, err)
	}
}

func TestMoveRefusals(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at := tp("t", 0)
	f.lead(at, 0)
	for _, c := range []struct {
		at     record.TopicPartition
		dir    string
		exists bool
		want   error
	}{
		{at, "/c", true, commitlog.ErrUnknownDir},
		{tp("x", 0), "/c", false, commitlog.ErrUnknownDir},
		{tp("x", 0), "/b", false, ErrUnknownPartition},
		{tp("", 0), "/b", false, ErrUnknownPartition},
		{tp("u", 7), "/b", true, ErrReplicaNotAvailable},
		{at, "/a", true, nil},
	} {
		if err := f.MoveLog(c.at, c.dir, c.exists); !errors.Is(err, c.want) {
			t.Errorf("%v to %s: %v, not %v", c.at, c.dir, err, c.want)
		}
	}
	// The directory is remembered, though it has more partitions than the other.
	f.lead(tp("u", 1), 0)
	f.wantPlaces(tp("u", 1), "/b")
	f.lead(tp("u", 7), 0)
	f.wantPlaces(tp("u", 7), "/b")
}

// New logs go where the fewest are; copies under way count.
func TestPlacementCountsMoves(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	for i := range int32(4) {
		f.lead(tp("t", i), 0)
	}
	f.wantPlaces(tp("t", 2), "/a")
	f.mustMove(tp("t", 2), "/b")
	f.lead(tp("u", 0), 0)
	f.wantPlaces(tp("u", 0), "/a") // 2 logs, against 2 and a copy
}

func TestMoveIsCancelled(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at := tp("t", 0)
	f.lead(at, 0)
	f.produce(at, 1, 5)
	f.mustMove(at, "/b")
	f.mustMove(at, "/b")
	f.mustMove(at, "/a")
	f.turns()
	f.wantPlaces(at, "/a")
	f.mustMove(at, "/b")
	f.turns()
	f.wantPlaces(at, "/b")
}

// Whatever happens to a log while it is copied holds for the copy too.
func TestMoveFollows(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at := tp("t", 0)
	f.lead(at, 0)
	for range 30 {
		f.produce(at, 1, 3)
	}
	f.mustMove(at, "/b")
	v := f.mover.queue.order[0].move
	if _, _, err := v.Copy(500); err != nil {
		t.Fatal(err)
	}
	deleted := make(chan DeleteRecordsResult, 1)
	f.DeleteRecords([]DeleteRecordsEntry{{TP: at, Offset: 70}}, time.Minute, func(r []DeleteRecordsResult) { deleted <- r[0] })
	if r := now(t, deleted); r.Err != nil || r.LowWatermark != 70 {
		t.Fatalf("%+v", r)
	}
	c := f.topic["t"]
	c.Log.RetentionMs, c.MinISR = 12345, 2
	f.topic["t"] = c
	f.ConfigChanged("t")
	f.lead(at, 1)
	f.turns()
	f.wantPlaces(at, "/b")
	info, _ := f.Partition(at)
	log, _ := f.logs.Log(at)
	epoch, _ := log.LatestEpoch()
	if info.LogStartOffset != 70 || info.LogEndOffset != 90 || log.Config().RetentionMs != 12345 || epoch != 1 || log.TopicID() != topicID("t") {
		t.Errorf("%+v %+v, epoch %d", info, log.Config(), epoch)
	}
	if fp := now(t, f.fetch(fetchReq(at, 69))); !errors.Is(fp.Err, commitlog.ErrOffsetOutOfRange) {
		t.Errorf("%+v", fp)
	}
}

func TestMoveOfADeletedTopic(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at := tp("t", 0)
	f.lead(at, 0)
	f.produce(at, 1, 5)
	f.mustMove(at, "/b")
	f.stop(at, true)
	f.wantPlaces(at, "")
	f.lead(at, 0)
	f.turns()
	f.wantPlaces(at, "/a")
	if r := f.produce(at, 1, 1); r.Err != nil || r.Info.FirstOffset != 0 {
		t.Errorf("%+v", r)
	}
}

// A replica that is stopped goes on moving when it comes again, and so does one
// whose broker was restarted.
func TestMoveIsTakenUpAgain(t *testing.T) {
	fs := vfs.NewMem()
	f := openDirs(t, fs)
	at := tp("t", 0)
	f.lead(at, 0)
	f.produce(at, 1, 5)
	f.mustMove(at, "/b")
	f.stop(at, false)
	f.wantPlaces(at, "/a")
	f.lead(at, 1)
	f.wantPlaces(at, "/a/b+")
	f.end()

	f = openDirs(t, fs)
	f.wantPlaces(at, "/a")
	f.lead(at, 2)
	f.wantPlaces(at, "/a/b+")
	f.turns()
	f.wantPlaces(at, "/b")
	f.end()
}

// A bad target costs the move and that directory, nothing else.
func TestMoveToABadDirectory(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at, other := tp("t", 0), tp("other", 0)
	f.lead(at, 0)
	f.lead(other, 0)
	f.produce(at, 1, 5)
	f.mustMove(at, "/b")
	f.fs.Inject(&vfs.Rule{Op: vfs.OpWrite, Glob: "*.log", Err: syscall.EIO})
	f.turns()
	f.fs.Heal()
	f.DirFailed("/b", f.DescribeLogDirs()[1].Err)
	f.wantPlaces(at, "/a")
	if r := f.produce(at, 1, 1); r.Err != nil || r.Info.FirstOffset != 5 {
		t.Errorf("%+v", r)
	}
	if r := f.produce(other, 1, 1); !errors.Is(r.Err, ErrStorage) {
		t.Errorf("%+v", r)
	}
	if err := f.MoveLog(at, "/b", true); !errors.Is(err, commitlog.ErrStorage) {
		t.Error(err)
	}
	if err := f.MoveLog(other, "/a", true); !errors.Is(err, ErrStorage) {
		t.Error(err)
	}
	if code := f.state(tp("other", 1), alone(0)); code != codeStorageError {
		t.Errorf("a log that may lie on the bad directory is created anew: %d", code)
	}
}

// A move whose target fails before it has its turn ends too.
func TestDirectoryFailsBeforeTheMove(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at, other := tp("t", 0), tp("other", 0)
	f.lead(at, 0)
	f.lead(other, 0)
	f.mustMove(at, "/b")
	f.fs.Inject(&vfs.Rule{Op: vfs.OpWrite, Glob: "*.log", Err: syscall.EIO})
	if r := f.produce(other, 1, 1); r.Err == nil {
		t.Fatal("no error")
	}
	f.fs.Heal()
	f.DirFailed("/b", f.DescribeLogDirs()[1].Err)
	f.wantPlaces(at, "/a")
	if len(f.mover.queue.order) != 0 {
		t.Error("the move is still in the queue")
	}
}

// When the directory of a log fails, its copy stays, and its move ends.
func TestMoveFromABadDirectory(t *testing.T) {
	f := openDirs(t, vfs.NewMem())
	defer f.end()
	at, other := tp("t", 0), tp("other", 0)
	f.lead(at, 0)
	f.lead(other, 0)
	f.produce(at, 1, 5)
	f.mustMove(at, "/b")
	f.fs.Inject(&vfs.Rule{Op: vfs.OpWrite, Glob: "*.log", Err: syscall.EIO})
	if r := f.produce(at, 1, 1); r.Err == nil {
		t.Fatal("no error")
	}
	f.fs.Heal()
	f.turns() // before anybody has told the manager
	f.DirFailed("/a", f.DescribeLogDirs()[0].Err)
	f.turns()
	f.wantPlaces(at, "/a/b+")
	if r := f.produce(at, 1, 1); !errors.Is(r.Err, ErrStorage) {
		t.Errorf("%+v", r)
	}
	if fp := now(t, f.fetch(fetchReq(at, 0))); !errors.Is(fp.Err, ErrStorage) {
		t.Errorf("%+v", fp)
	}
	if r := f.produce(other, 1, 1); r.Err != nil {
		t.Errorf("%+v", r)
	}
}

// A move waits for room on a full volume; the log is in use meanwhile.
func TestMoveToAFullVolume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openDirs(t, vfs.NewMem())
		defer f.end()
		at := tp("t", 0)
		f.lead(at, 0)
		f.produce(at, 1, 5)
		f.mustMove(at, "/b")
		f.fs.Inject(&vfs.Rule{Op: vfs.OpWrite, Glob: "*.log", Err: syscall.ENOSPC})
		f.turns()
		f.fs.Heal()
		f.wantPlaces(at, "/a/b+")
		f.turns()
		f.wantPlaces(at, "/a/b+")
		f.produce(at, 1, 5)
		time.Sleep(fullWait)
		f.turns()
		f.wantPlaces(at, "/b")
		if info, _ := f.Partition(at); info.LogEndOffset != 10 {
			t.Errorf("%+v", info)
		}
	})
}

// An error at any operation of the exchange loses nothing: the log is in use
// after it, here or there, or off line, and after a restart it has all records.
func TestErrorsDuringTheExchange(t *testing.T) {
	served, down := 0, 0
	for skip := range 60 {
		f := openDirs(t, vfs.NewMem())
		at := tp("t", 0)
		f.lead(at, 0)
		f.produce(at, 1, 5)
		f.mustMove(at, "/b")
		v := f.mover.queue.order[0].move
		if _, _, err := v.Copy(1 << 20); err != nil {
			t.Fatal(err)
		}
		f.fs.Inject(&vfs.Rule{Skip: skip, Times: 1, Err: syscall.EIO})
		f.turns()
		f.fs.Heal()
		for _, d := range f.DescribeLogDirs() {
			if d.Err != nil {
				f.DirFailed(d.Path, d.Err)
			}
		}
		f.turns()
		acked := int64(5)
		if r := f.produce(at, 1, 1); r.Err == nil {
			acked++
			served++
		} else if down++; !errors.Is(r.Err, ErrStorage) {
			t.Errorf("operation %d: %v", skip, r.Err)
		}
		again := openDirs(t, f.fs.Crash(rand.New(rand.NewPCG(uint64(skip), 1))))
		again.lead(at, 1)
		if info, _ := again.Partition(at); info.LogEndOffset != acked || info.LogStartOffset != 0 {
			t.Errorf("operation %d: %d acknowledged, %d found", skip, acked, info.LogEndOffset)
		}
		again.end()
		f.close()
	}
	if served == 0 || down == 0 {
		t.Errorf("%d served, %d off line", served, down)
	}
}

// Producers and readers notice nothing of a log that moves to and fro, and
// whenever the power fails, all that was acknowledged is found again.
func TestMovesUnderLoad(t *testing.T) {
	fs := vfs.NewMem()
	f := openDirs(t, fs)
	at := tp("t", 0)
	f.lead(at, 0)
	var acked atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() { f.mover.run(ctx, 2) })
	group.Go(func() { f.load(ctx, at, &acked) })
	for range 2 {
		group.Go(func() { f.readOn(ctx, at) })
	}
	crashes := &crashes{fs: fs, acked: &acked, rng: rand.New(rand.NewPCG(7, 7))}
	fs.Observe(crashes.see)
	for i := 0; i < 12 || crashes.count() < 20; i++ {
		dir := []string{"/b", "/a"}[i%2]
		f.mustMove(at, dir)
		until(t, func() bool { return f.places(at) == dir })
	}
	fs.Observe(nil)
	cancel()
	group.Wait()
	f.end()
	for _, c := range crashes.seen {
		c.check(t, at)
	}
}

// load appends one record after the other.
func (f *fixture) load(ctx context.Context, at record.TopicPartition, acked *atomic.Int64) {
	for ctx.Err() == nil {
		r := <-f.produceAsync(at, 1, 1, time.Minute)
		if want := acked.Load(); r.Err != nil || r.Info.FirstOffset != want {
			f.t.Errorf("append: %+v, want offset %d", r, want)
			return
		}
		acked.Add(1)
	}
}

// readOn reads from the start, again and again, and misses no offset.
func (f *fixture) readOn(ctx context.Context, at record.TopicPartition) {
	for next := int64(0); ctx.Err() == nil; {
		fp := f.Read(fetchReq(at, next).Entries[0], ReadCommitted, true)
		data, err := fp.Records.Bytes(nil)
		fp.Records.Release()
		if err = errors.Join(fp.Err, err); err != nil {
			f.t.Errorf("read at %d: %v", next, err)
			return
		}
		start := next
		for {
			b, rest, err := record.Next(data)
			if err != nil || len(b) == 0 {
				break
			}
			if b.BaseOffset() != next {
				f.t.Errorf("offset %d after %d", b.BaseOffset(), next-1)
				return
			}
			next, data = b.LastOffset()+1, rest
		}
		if next == start {
			next = 0
		}
	}
}

// crashes takes images of power cuts while others work.
type crashes struct {
	fs    *vfs.Mem
	acked *atomic.Int64

	mu   sync.Mutex
	rng  *rand.Rand
	seen []crash
}

// crash is the file system after a power cut and how much had been acknowledged
// before it.
type crash struct {
	fs    *vfs.Mem
	acked int64
}

func (c *crashes) see(call vfs.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !call.Op.Mutates() || c.rng.IntN(40) != 0 || len(c.seen) == 100 {
		return
	}
	acked := c.acked.Load()
	c.seen = append(c.seen, crash{c.fs.Crash(c.rng), acked})
}

func (c *crashes) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

func (c *crash) check(t *testing.T, at record.TopicPartition) {
	f := openDirs(t, c.fs)
	defer f.end()
	f.lead(at, 1)
	info, _ := f.Partition(at)
	if info.LogStartOffset != 0 || info.LogEndOffset < c.acked {
		t.Errorf("%d acknowledged, [%d, %d) found in %s", c.acked, info.LogStartOffset, info.LogEndOffset, f.places(at))
	}
	f.turns() // what was interrupted goes on
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := int64(0)
	for next < info.LogEndOffset && ctx.Err() == nil {
		last := lastOffset(t, f.Read(fetchReq(at, next).Entries[0], ReadUncommitted, true))
		if last < next {
			t.Fatalf("nothing at %d of %d", next, info.LogEndOffset)
		}
		next = last + 1
	}
}

// until waits for a condition.
func until(t testing.TB, cond func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatal("the condition does not come true")
		case <-tick.C:
		}
	}
}

// The rate of copying is kept, also when it changes meanwhile.
func TestMoveRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := openDirs(t, vfs.NewMem())
		defer f.end()
		var rate atomic.Int64
		rate.Store(1000)
		f.cfg.MoveRate = rate.Load
		at := tp("t", 0)
		f.lead(at, 0)
		for range 200 {
			f.produce(at, 1, 10)
		}
		info, _ := f.Partition(at)
		copied := func() int64 { return f.DescribeLogDirs()[1].Partitions[0].Size }
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() { f.mover.run(ctx, 2) })
		f.mustMove(at, "/b")
		time.Sleep(20 * time.Second)
		if n := copied(); n < 19000 || n > 23000 {
			t.Errorf("%d bytes in 20 s at 1000 a second", n)
		}
		rate.Store(1 << 40)
		time.Sleep(2 * longestWait)
		synctest.Wait()
		if n := copied(); n != info.Size || f.places(at) != "/b" {
			t.Errorf("%d bytes of %d without a bound, %s", n, info.Size, f.places(at))
		}
		cancel()
		group.Wait()
	})
}

func TestBudget(t *testing.T) {
	var b budget
	at := time.Unix(0, 0)
	if d := b.wait(100, at); d != 0 {
		t.Errorf("nothing owed: %v", d)
	}
	b.spend(50)
	if d := b.wait(100, at); d != time.Second/2 {
		t.Errorf("50 of 100: %v", d)
	}
	at = at.Add(time.Second / 4)
	if d := b.wait(100, at); d != time.Second/4 {
		t.Errorf("25 of 100: %v", d)
	}
	if d := b.wait(1<<60, at); d <= 0 || d > time.Millisecond {
		t.Errorf("a high rate: %v", d)
	}
	b.spend(1 << 40)
	if d := b.wait(0, at); d != longestWait {
		t.Errorf("a rate of nothing: %v", d)
	}
	at = at.Add(time.Hour)
	b.wait(1<<60, at)
	if d := b.wait(1, at); d != 0 {
		t.Errorf("paid: %v", d)
	}
}
