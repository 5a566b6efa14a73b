package replica

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const self = 1

// fixture is a manager over logs in memory.
type fixture struct {
	*Manager
	t     testing.TB
	logs  *commitlog.Manager
	fs    *vfs.Mem
	topic map[string]TopicConfig
}

func open(t testing.TB, fs *vfs.Mem) *fixture {
	t.Helper()
	logs, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{"/d"}, FS: fs, BrokerID: self}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, logs: logs, fs: fs, topic: map[string]TopicConfig{}}
	f.Manager, err = NewManager(Config{BrokerID: self, TopicConfig: f.config}, logs, nil, prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func newFixture(t testing.TB) *fixture {
	f := open(t, vfs.NewMem())
	t.Cleanup(func() {
		f.close()
		if err := f.logs.Close(-1); err != nil {
			t.Error(err)
		}
	})
	return f
}

func (f *fixture) config(topic string) TopicConfig {
	if c, ok := f.topic[topic]; ok {
		return c
	}
	return TopicConfig{MinISR: 1, Delete: true, Log: commitlog.DefaultConfig()}
}

func tp(topic string, p int32) record.TopicPartition {
	return record.TopicPartition{Topic: topic, Partition: p}
}

func topicID(name string) (id TopicID) {
	copy(id[:], name)
	return id
}

// state sends a LeaderAndISR for one partition and returns its error code.
func (f *fixture) state(at record.TopicPartition, st State) int16 {
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version = 7
	req.TopicStates = []kmsg.LeaderAndISRRequestTopicState{{
		Topic: at.Topic, TopicID: topicID(at.Topic),
		PartitionStates: []kmsg.LeaderAndISRRequestTopicPartition{{
			Partition: at.Partition, Leader: st.Leader, LeaderEpoch: st.LeaderEpoch, ZKVersion: st.PartitionEpoch,
			ISR: st.ISR, Replicas: st.Replicas,
		}},
	}}
	resp := f.ApplyLeaderAndISR(f.t.Context(), req)
	if resp.ErrorCode != 0 {
		return resp.ErrorCode
	}
	return resp.Topics[0].Partitions[0].ErrorCode
}

func alone(epoch int32) State {
	return State{Leader: self, LeaderEpoch: epoch, ISR: []int32{self}, Replicas: []int32{self}}
}

func (f *fixture) lead(at record.TopicPartition, epoch int32) {
	f.t.Helper()
	if code := f.state(at, alone(epoch)); code != 0 {
		f.t.Fatalf("LeaderAndISR: %d", code)
	}
}

func (f *fixture) stop(at record.TopicPartition, del bool) {
	req := kmsg.NewPtrStopReplicaRequest()
	req.Version = 4
	req.Topics = []kmsg.StopReplicaRequestTopic{{Topic: at.Topic, PartitionStates: []kmsg.StopReplicaRequestTopicPartitionState{
		{Partition: at.Partition, LeaderEpoch: -2, Delete: del},
	}}}
	if resp := f.ApplyStopReplica(f.t.Context(), req); resp.ErrorCode != 0 || resp.Partitions[0].ErrorCode != 0 {
		f.t.Fatalf("StopReplica: %+v", resp)
	}
}

// batch builds one batch of n records of 100 bytes.
func batch(t testing.TB, n int) []byte {
	var b record.Builder
	b.Reset(record.NewOptions())
	for range n {
		b.Append(time.Now().UnixMilli(), nil, make([]byte, 100))
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) produce(at record.TopicPartition, acks int16, n int) AppendResult {
	f.t.Helper()
	ch := f.produceAsync(at, acks, n, time.Minute)
	if cfg := f.config(at.Topic); cfg.strict() {
		return await(f.t, "append", ch) // its sync is another goroutine's
	}
	select {
	case r := <-ch:
		return r
	default:
		f.t.Fatal("append did not complete")
		return AppendResult{}
	}
}

func (f *fixture) produceAsync(at record.TopicPartition, acks int16, n int, timeout time.Duration) chan AppendResult {
	ch := make(chan AppendResult, 2) // room to notice a second answer
	f.Append(&AppendRequest{Acks: acks, Timeout: timeout, Entries: []AppendEntry{{TP: at, Batches: batch(f.t, n)}}},
		func(rs []AppendResult) { ch <- rs[0] })
	return ch
}

func fetchReq(at record.TopicPartition, offset int64) *FetchRequest {
	return &FetchRequest{
		MinBytes: 1, MaxBytes: 1 << 20, MaxWait: 500 * time.Millisecond, ReplicaID: ConsumerReplicaID,
		Entries: []FetchEntry{{TP: at, FetchOffset: offset, MaxBytes: 1 << 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1}},
	}
}

func (f *fixture) fetch(req *FetchRequest) chan FetchPartition {
	ch := make(chan FetchPartition, 2)
	f.Fetch(req, func(r FetchResult) {
		for i := range r.Partitions[1:] {
			r.Partitions[i+1].Records.Release()
		}
		ch <- r.Partitions[0]
	})
	return ch
}

// now takes an answer that must be there.
func now[T any](t testing.TB, ch chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		if len(ch) > 0 {
			t.Fatal("answered twice")
		}
		return v
	default:
		t.Fatal("no answer yet")
		panic("unreachable")
	}
}

func pendingStill[T any](t testing.TB, ch chan T) {
	t.Helper()
	if len(ch) != 0 {
		t.Fatalf("answered early: %+v", <-ch)
	}
}

func lastOffset(t testing.TB, fp FetchPartition) int64 {
	t.Helper()
	if fp.Err != nil {
		t.Fatal(fp.Err)
	}
	b, err := fp.Records.Bytes(nil)
	fp.Records.Release()
	if err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	for {
		var one record.Batch
		if one, b, err = record.Next(b); err != nil || one == nil {
			return last
		}
		last = one.LastOffset()
	}
}

func TestProduceAndFetch(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 0)
	for i, acks := range []int16{0, 1, -1} {
		r := f.produce(at, acks, 10)
		if r.Err != nil || r.Info.FirstOffset != int64(i*10) {
			t.Fatalf("acks %d: %+v", acks, r)
		}
	}
	fp := now(t, f.fetch(fetchReq(at, 0)))
	if fp.HighWatermark != 30 || fp.LogStartOffset != 0 || lastOffset(t, fp) != 29 {
		t.Fatalf("%+v", fp)
	}
	byID := fetchReq(tp("", 0), 25)
	byID.Entries[0].TopicID = topicID("t")
	if got := lastOffset(t, now(t, f.fetch(byID))); got != 29 {
		t.Fatalf("fetched up to %d by topic id", got)
	}
	if fp := f.Read(FetchEntry{TP: at, FetchOffset: 3, MaxBytes: 1, CurrentLeaderEpoch: -1}, ReadCommitted, true); lastOffset(t, fp) != 9 {
		t.Fatal("the first batch is given whole")
	}
	if fp := f.ReadLog(at, 0, 12, 1<<20); lastOffset(t, fp) != 29 {
		t.Fatal("ReadLog")
	}
	info, ok := f.Partition(at)
	if !ok || info.LogEndOffset != 30 || info.HighWatermark != 30 || !info.IsLeader {
		t.Fatalf("%+v", info)
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	f.topic["internal"] = TopicConfig{MinISR: 1, Internal: true, Delete: true, Log: commitlog.DefaultConfig()}
	f.topic["strict"] = TopicConfig{MinISR: 2, Compact: true, Log: commitlog.DefaultConfig()}
	f.lead(tp("t", 0), 5)
	f.lead(tp("internal", 0), 5)
	f.topic["alone"] = f.topic["strict"]
	f.lead(tp("alone", 0), 5)
	if code := f.state(tp("strict", 0), State{Leader: 1, LeaderEpoch: 5, ISR: []int32{1}, Replicas: []int32{1, 2}}); code != 0 {
		t.Fatal(code)
	}
	if code := f.state(tp("followed", 0), State{Leader: 2, LeaderEpoch: 1, ISR: []int32{1, 2}, Replicas: []int32{1, 2}}); code != 0 {
		t.Fatal(code)
	}
	for _, c := range []struct {
		at   record.TopicPartition
		acks int16
		want error
	}{
		{tp("nope", 0), 1, ErrUnknownPartition},
		{tp("t", 1), 1, ErrUnknownPartition},
		{tp("t", -1), 1, ErrUnknownPartition},
		{tp("t", 0), 2, ErrInvalidRequiredAcks},
		{tp("internal", 0), 1, ErrInvalidTopic},
		{tp("strict", 0), -1, ErrNotEnoughReplicas},
		{tp("alone", 0), -1, nil}, // there are no more replicas than those in sync
		{tp("followed", 0), 1, ErrNotLeader},
	} {
		if r := f.produce(c.at, c.acks, 1); !errors.Is(r.Err, c.want) {
			t.Errorf("produce to %v acks %d: %v, want %v", c.at, c.acks, r.Err, c.want)
		}
	}
	for _, c := range []struct {
		change func(*FetchEntry)
		want   error
	}{
		{func(e *FetchEntry) { e.CurrentLeaderEpoch = 4 }, ErrFencedEpoch},
		{func(e *FetchEntry) { e.CurrentLeaderEpoch = 6 }, ErrUnknownEpoch},
		{func(e *FetchEntry) { e.FetchOffset = 1 }, commitlog.ErrOffsetOutOfRange},
		{func(e *FetchEntry) { e.TopicID = topicID("other") }, ErrInconsistentTopicID},
		{func(e *FetchEntry) { e.TP.Topic, e.TopicID = "", topicID("other") }, ErrUnknownTopicID},
		{func(e *FetchEntry) { e.TP.Topic = "followed" }, ErrNotLeader},
	} {
		req := fetchReq(tp("t", 0), 0)
		c.change(&req.Entries[0])
		if fp := now(t, f.fetch(req)); !errors.Is(fp.Err, c.want) {
			t.Errorf("fetch %+v: %v, want %v", req.Entries[0], fp.Err, c.want)
		}
	}
	req := fetchReq(tp("t", 0), 0)
	req.ReplicaID = 9
	if fp := now(t, f.fetch(req)); !errors.Is(fp.Err, ErrUnknownReplica) {
		t.Errorf("fetch of an unknown replica: %v", fp.Err)
	}
	if code := f.state(tp("t", 0), alone(4)); code != codeStaleControllerEpoch {
		t.Errorf("an older state: %d", code)
	}
}

func TestLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		at := tp("t", 0)
		f.lead(at, 0)
		f.lead(tp("t", 1), 0)

		// One record is enough.
		ch := f.fetch(fetchReq(at, 0))
		pendingStill(t, ch)
		f.produce(at, 1, 1)
		if got := lastOffset(t, now(t, ch)); got != 0 {
			t.Fatal(got)
		}

		// Many bytes are gathered, over partitions.
		req := fetchReq(at, 1)
		req.MinBytes = 900
		req.Entries = append(req.Entries, FetchEntry{TP: tp("t", 1), MaxBytes: 1 << 20, CurrentLeaderEpoch: -1, LastFetchedEpoch: -1})
		ch = f.fetch(req)
		f.produce(at, 1, 3)
		pendingStill(t, ch)
		f.produce(tp("t", 1), 1, 3)
		pendingStill(t, ch)
		f.produce(at, 1, 3)
		if got := lastOffset(t, now(t, ch)); got != 6 {
			t.Fatal(got)
		}

		// The deadline gives what there is.
		req = fetchReq(at, 5)
		req.MinBytes = 1 << 20
		begin := time.Now()
		ch = f.fetch(req)
		pendingStill(t, ch)
		fp := <-ch
		if lastOffset(t, fp) != 6 || time.Since(begin) != 500*time.Millisecond {
			t.Fatalf("%+v after %v", fp, time.Since(begin))
		}

		// The end of the leadership ends the wait.
		ch = f.fetch(fetchReq(at, 7))
		f.stop(at, true)
		if fp := now(t, ch); !errors.Is(fp.Err, ErrUnknownPartition) {
			t.Fatal(fp.Err)
		}
		// So does a new epoch.
		epoch := fetchReq(tp("t", 1), 3)
		epoch.Entries[0].CurrentLeaderEpoch = 0
		ch = f.fetch(epoch)
		f.lead(tp("t", 1), 1)
		if fp := now(t, ch); !errors.Is(fp.Err, ErrFencedEpoch) {
			t.Fatal(fp.Err)
		}
	})
}

// replicated is a state with two more replicas in the ISR.
func replicated(epoch int32) State {
	return State{Leader: self, LeaderEpoch: epoch, ISR: []int32{self, 2, 3}, Replicas: []int32{self, 2, 3}}
}

func (f *fixture) follow(id int32, at record.TopicPartition, offset int64) FetchPartition {
	req := fetchReq(at, offset)
	req.ReplicaID, req.MaxWait, req.Entries[0].LogStartOffset = id, 0, 0
	return now(f.t, f.fetch(req))
}

func TestAcksAllWaitsForFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		at := tp("t", 0)
		if code := f.state(at, replicated(0)); code != 0 {
			t.Fatal(code)
		}
		first := f.produceAsync(at, -1, 2, time.Minute)
		second := f.produceAsync(at, -1, 2, time.Minute)
		consumer := f.fetch(fetchReq(at, 0))
		if got := lastOffset(t, f.follow(2, at, 0)); got != 3 {
			t.Fatalf("a follower reads to the log end, got %d", got)
		}
		f.follow(2, at, 2)
		f.follow(3, at, 0)
		pendingStill(t, first)
		pendingStill(t, consumer)
		f.follow(3, at, 2)
		if r := now(t, first); r.Err != nil || r.Info.LastOffset != 1 {
			t.Fatalf("%+v", r)
		}
		pendingStill(t, second)
		if got := lastOffset(t, now(t, consumer)); got != 1 {
			t.Fatalf("a consumer reads to the high watermark, got %d", got)
		}

		// The deadline.
		third := f.produceAsync(at, -1, 1, 100*time.Millisecond)
		time.Sleep(101 * time.Millisecond)
		synctest.Wait()
		if r := now(t, third); !errors.Is(r.Err, ErrTimedOut) {
			t.Fatalf("%+v", r)
		}
		f.follow(2, at, 5)
		f.follow(3, at, 5) // too late for the third
		if r := now(t, second); r.Err != nil {
			t.Fatalf("%+v", r)
		}
		if len(third) != 0 {
			t.Fatal("answered twice")
		}

		// A new epoch ends what is parked.
		fourth := f.produceAsync(at, -1, 1, time.Minute)
		if code := f.state(at, replicated(1)); code != 0 {
			t.Fatal(code)
		}
		if r := now(t, fourth); !errors.Is(r.Err, ErrNotLeader) {
			t.Fatalf("%+v", r)
		}
	})
}

func TestISRShrinksAndGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		at := tp("t", 0)
		var proposals []ISRProposal
		f.cfg.ProposeISR = func(_ record.TopicPartition, p ISRProposal) { proposals = append(proposals, p) }
		f.cfg.LagTimeMax = 10 * time.Second
		f.topic["t"] = TopicConfig{MinISR: 3, Delete: true, Log: commitlog.DefaultConfig()}
		if code := f.state(at, replicated(0)); code != 0 {
			t.Fatal(code)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- f.Run(ctx) }()
		ch := f.produceAsync(at, -1, 1, time.Hour)
		f.follow(2, at, 1)
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if len(proposals) != 1 || !slices.Equal(proposals[0].ISR, []int32{1, 2}) {
			t.Fatalf("%+v", proposals)
		}
		pendingStill(t, ch) // not before the controller has agreed
		f.ISRAnswered(at, ISRAnswer{Outcome: ISRAccepted, PartitionEpoch: 1, ISR: []int32{1, 2}})
		if r := now(t, ch); !errors.Is(r.Err, ErrNotEnoughReplicasAfterAppend) || r.Info.LastOffset != 0 {
			t.Fatalf("%+v", r)
		}
		if r := f.produce(at, -1, 1); !errors.Is(r.Err, ErrNotEnoughReplicas) {
			t.Fatalf("%+v", r)
		}
		f.follow(3, at, 1)
		if len(proposals) != 2 || !slices.Equal(proposals[1].ISR, []int32{1, 2, 3}) {
			t.Fatalf("%+v", proposals)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	})
}

func TestListOffsetsAndEpochs(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 2)
	f.produce(at, 1, 5)
	f.lead(at, 4)
	f.produce(at, 1, 5)
	list := func(ts int64) ListOffsetResult {
		t.Helper()
		r, err := f.ListOffset(ListOffsetRequest{TP: at, Timestamp: ts, ReplicaID: -1, CurrentLeaderEpoch: -1})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := list(TimestampLatest); r != (ListOffsetResult{-1, 10, 4}) {
		t.Fatalf("%+v", r)
	}
	if r := list(TimestampEarliest); r != (ListOffsetResult{-1, 0, 2}) {
		t.Fatalf("%+v", r)
	}
	if r := list(TimestampEarliestLocal); r.Offset != 0 {
		t.Fatalf("%+v", r)
	}
	if r := list(0); r.Offset != 0 || r.LeaderEpoch != 2 {
		t.Fatalf("%+v", r)
	}
	if r := list(TimestampMax); r.Offset < 0 {
		t.Fatalf("%+v", r)
	}
	if r := list(1 << 60); r.Offset != -1 {
		t.Fatalf("%+v", r)
	}
	if _, err := f.ListOffset(ListOffsetRequest{TP: at, Timestamp: -7, ReplicaID: -1, CurrentLeaderEpoch: -1}); !errors.Is(err, ErrUnsupportedTimestamp) {
		t.Fatal(err)
	}
	for _, c := range []struct {
		epoch int32
		want  EpochEndOffset
	}{
		{-2, EpochEndOffset{-2, 0}}, {-1, EpochEndOffset{-1, -1}}, {1, EpochEndOffset{1, 0}},
		{2, EpochEndOffset{2, 5}}, {3, EpochEndOffset{2, 5}}, {4, EpochEndOffset{4, 10}}, {5, EpochEndOffset{-1, -1}},
	} {
		got, err := f.OffsetForLeaderEpoch(at, -1, c.epoch)
		if err != nil || got != c.want {
			t.Errorf("epoch %d ends at %+v, want %+v (%v)", c.epoch, got, c.want, err)
		}
	}
	// A reader whose last record is of an epoch that ended earlier here.
	req := fetchReq(at, 8)
	req.Entries[0].LastFetchedEpoch = 3
	if fp := now(t, f.fetch(req)); fp.Err != nil || fp.DivergingEpoch != 2 || fp.DivergingEndOffset != 5 {
		t.Fatalf("%+v", fp)
	}
}

func TestDeleteRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.topic["compacted"] = TopicConfig{MinISR: 1, Compact: true, Log: commitlog.DefaultConfig()}
		f.lead(tp("t", 0), 0)
		f.lead(tp("compacted", 0), 0)
		if code := f.state(tp("r", 0), replicated(0)); code != 0 {
			t.Fatal(code)
		}
		f.produce(tp("t", 0), 1, 10)
		f.produce(tp("r", 0), 1, 10)
		f.follow(2, tp("r", 0), 10)
		f.follow(3, tp("r", 0), 10)
		del := func(es ...DeleteRecordsEntry) chan []DeleteRecordsResult {
			ch := make(chan []DeleteRecordsResult, 2)
			f.DeleteRecords(es, time.Second, func(rs []DeleteRecordsResult) { ch <- rs })
			return ch
		}
		rs := now(t, del(
			DeleteRecordsEntry{tp("t", 0), 4}, DeleteRecordsEntry{tp("t", 0), 11}, DeleteRecordsEntry{tp("t", 0), -2},
			DeleteRecordsEntry{tp("nope", 0), 4}, DeleteRecordsEntry{tp("compacted", 0), 0}, DeleteRecordsEntry{tp("t", 0), -1},
		))
		want := []error{nil, commitlog.ErrOffsetOutOfRange, commitlog.ErrOffsetOutOfRange, ErrUnknownPartition, ErrPolicyViolation, nil}
		for i, r := range rs {
			if !errors.Is(r.Err, want[i]) {
				t.Errorf("%d: %v, want %v", i, r.Err, want[i])
			}
		}
		if rs[0].LowWatermark != 4 || rs[5].LowWatermark != 10 {
			t.Fatalf("%+v", rs)
		}
		// With followers: when they have deleted too, or at the deadline.
		ch := del(DeleteRecordsEntry{tp("r", 0), 3})
		for _, id := range []int32{2, 3} {
			pendingStill(t, ch)
			req := fetchReq(tp("r", 0), 10)
			req.ReplicaID, req.MaxWait, req.Entries[0].LogStartOffset = id, 0, 3
			now(t, f.fetch(req))
		}
		if rs := now(t, ch); rs[0].Err != nil || rs[0].LowWatermark != 3 {
			t.Fatalf("%+v", rs)
		}
		ch = del(DeleteRecordsEntry{tp("r", 0), 5})
		if rs := <-ch; !errors.Is(rs[0].Err, ErrTimedOut) {
			t.Fatalf("%+v", rs)
		}
	})
}

func TestRestartKeepsHighWatermark(t *testing.T) {
	fs := vfs.NewMem()
	f := open(t, fs)
	at := tp("t", 0)
	if code := f.state(at, replicated(0)); code != 0 {
		t.Fatal(code)
	}
	f.produce(at, 1, 10)
	f.follow(2, at, 7)
	f.follow(3, at, 6)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.logs.Close(-1); err != nil {
		t.Fatal(err)
	}
	f = open(t, fs)
	defer func() { f.close(); _ = f.logs.Close(-1) }()
	if err := f.Checkpoint(); err != nil { // before the controller has spoken
		t.Fatal(err)
	}
	if code := f.state(at, State{Leader: 2, LeaderEpoch: 1, ISR: []int32{1, 2}, Replicas: []int32{1, 2, 3}}); code != 0 {
		t.Fatal(code)
	}
	if hw, ok := f.HighWatermark(at); !ok || hw != 6 {
		t.Fatalf("high watermark %d after the restart, want 6", hw)
	}
}

func TestWatch(t *testing.T) {
	f := newFixture(t)
	f.lead(tp("w", 0), 0)
	var got []string
	f.Watch("w", func(cs []LeadershipChange) {
		for _, c := range cs {
			got = append(got, fmt.Sprintf("%v %t %d", c.TP, c.Leader, c.LeaderEpoch))
		}
	})
	f.lead(tp("other", 0), 0)
	f.lead(tp("w", 1), 0)
	f.lead(tp("w", 1), 0) // nothing new
	f.lead(tp("w", 1), 1)
	f.state(tp("w", 0), State{Leader: 2, LeaderEpoch: 1, ISR: []int32{2}, Replicas: []int32{1, 2}})
	f.stop(tp("w", 1), true)
	f.lead(tp("w", 1), 2)
	f.DirFailed("/d", errors.New("broken"))
	want := []string{"w-0 true 0", "w-1 true 0", "w-1 true 1", "w-0 false 1", "w-1 false 1", "w-1 true 2", "w-1 false 2"}
	if !slices.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	if r := f.produce(tp("w", 1), 1, 1); !errors.Is(r.Err, ErrStorage) {
		t.Fatal(r.Err)
	}
}

func TestDeletedTopicComesBackEmpty(t *testing.T) {
	f := newFixture(t)
	at := tp("t", 0)
	f.lead(at, 3)
	f.produce(at, 1, 5)
	f.stop(at, true)
	f.lead(at, 0)
	if r := f.produce(at, 1, 1); r.Err != nil || r.Info.FirstOffset != 0 {
		t.Fatalf("%+v", r)
	}
}

// TestConcurrentProducersAndReaders: every reader sees every record once and in
// order, through long polls that race with appends.
func TestConcurrentProducersAndReaders(t *testing.T) {
	f := newFixture(t)
	const partitions, producers, perProducer = 2, 4, 100
	for p := range int32(partitions) {
		f.lead(tp("t", p), 0)
	}
	var wg sync.WaitGroup
	for i := range producers {
		wg.Go(func() {
			for range perProducer {
				if r := f.produce(tp("t", int32(i%partitions)), -1, 1); r.Err != nil {
					t.Error(r.Err)
				}
			}
		})
	}
	const total = producers / partitions * perProducer
	for p := range int32(partitions) {
		for range 2 {
			wg.Go(func() {
				for next := int64(0); next < total; {
					req := fetchReq(tp("t", p), next)
					req.MaxWait = 10 * time.Second
					fp := <-f.fetch(req)
					if last := lastOffset(t, fp); last >= next {
						next = last + 1
					}
				}
			})
		}
	}
	wg.Wait()
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 150} {
		b.Run(fmt.Sprint("records=", n), func(b *testing.B) {
			f := newFixture(b)
			f.lead(tp("t", 0), 0)
			src := batch(b, n)
			buf := make([]byte, len(src))
			req := &AppendRequest{Acks: 1, Entries: make([]AppendEntry, 1), Results: make([]AppendResult, 1)}
			done := func([]AppendResult) {}
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				copy(buf, src)
				req.Entries[0] = AppendEntry{TP: tp("t", 0), Batches: buf}
				f.Append(req, done)
			}
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	f := newFixture(b)
	f.lead(tp("t", 0), 0)
	f.Append(&AppendRequest{Acks: 1, Entries: []AppendEntry{{TP: tp("t", 0), Batches: batch(b, 10)}}}, func([]AppendResult) {})
	req := fetchReq(tp("t", 0), 0)
	done := func(r FetchResult) { r.Partitions[0].Records.Release() }
	b.ReportAllocs()
	for b.Loop() {
		f.Fetch(req, done)
	}
}
