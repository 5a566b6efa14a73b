package robust

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/deploy/testbed"
)

const (
	topic      = "load"
	partitions = 3
)

// load are producers and a consumer group at work against one address,
// whatever happens to the server there.
type load struct {
	history *History
	addr    string
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu        sync.Mutex
	confirmed map[int32]int64 // by partition: the highest offset whose commit was answered
	attempted map[int32]int64 // and the highest that was tried
	consumed  int
}

func dial(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	quick := []kgo.Opt{
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }), kgo.MetadataMinAge(20 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond),
	}
	cl, err := client.New(client.Config{Brokers: []string{addr}}, append(quick, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// startLoad creates the topic and starts the clients: an idempotent producer
// with acks=all, which tries until it succeeds; one with acks=1, which tries
// each record once, so that it makes no duplicates; a group that commits.
func startLoad(t testing.TB, addr string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{history: NewHistory(), addr: addr, cancel: cancel, confirmed: map[int32]int64{}, attempted: map[int32]int64{}}
	cl := dial(t, addr)
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	l.produce(ctx, "acks-all", dial(t, addr, kgo.ProducerLinger(0)))
	l.produce(ctx, "acks-1", dial(t, addr, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite(), kgo.RecordRetries(0)))
	l.consume(ctx, dial(t, addr, kgo.ConsumerGroup("group"), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())))
	t.Cleanup(l.stop)
	return l
}

// window is how many records a producer has under way.
const window = 100

func (l *load) produce(ctx context.Context, name string, cl *kgo.Client) {
	l.wg.Go(func() {
		defer cl.Close()
		for ctx.Err() == nil {
			var wg sync.WaitGroup
			for range window {
				n := l.history.Send(name)
				r := &kgo.Record{Topic: topic, Key: []byte(strconv.Itoa(n % 7)), Value: fmt.Appendf(nil, "%s/%d", name, n)}
				wg.Add(1)
				// Not ctx: a record under way at the end is waited for.
				cl.Produce(context.WithoutCancel(ctx), r, func(_ *kgo.Record, err error) {
					defer wg.Done()
					l.history.Done(name, n, err)
					if err != nil && name == "acks-all" {
						l.history.Problem("%s: record %d: %v", name, n, err)
					}
				})
			}
			wg.Wait()
		}
	})
}

// consume commits after each poll.
func (l *load) consume(ctx context.Context, cl *kgo.Client) {
	l.wg.Go(func() {
		defer cl.CloseAllowingRebalance()
		for ctx.Err() == nil {
			records := cl.PollFetches(ctx).Records()
			if len(records) == 0 {
				continue
			}
			l.commit(ctx, cl, records)
		}
	})
}

func (l *load) commit(ctx context.Context, cl *kgo.Client, records []*kgo.Record) {
	next := map[int32]int64{}
	l.mu.Lock()
	l.consumed += len(records)
	for _, r := range records {
		next[r.Partition] = max(next[r.Partition], r.Offset+1)
		l.attempted[r.Partition] = max(l.attempted[r.Partition], r.Offset+1)
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if cl.CommitRecords(ctx, records...) != nil {
		return // not told whether it is committed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for p, offset := range next {
		l.confirmed[p] = max(l.confirmed[p], offset)
	}
}

// progress is how many records were acknowledged and consumed.
func (l *load) progress() (acked, consumed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.history.Acked(), l.consumed
}

// grows waits until that many more records were acknowledged and consumed.
func (l *load) grows(t testing.TB, s *testbed.Server, by int) {
	t.Helper()
	acked, consumed := l.progress()
	s.Until(t, "the load makes progress", func() bool {
		a, c := l.progress()
		return a >= acked+by && c >= consumed+by
	})
}

func (l *load) stop() {
	l.cancel()
	l.wg.Wait()
}

// checkCommits compares the group's offsets with what its member was told.
func (l *load) checkCommits(t testing.TB) {
	t.Helper()
	cl := dial(t, l.addr)
	defer cl.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	offsets, err := kadm.NewClient(cl).FetchOffsets(context.Background(), "group")
	if err != nil {
		t.Fatal(err)
	}
	for p, confirmed := range l.confirmed {
		at := int64(-1)
		if o, ok := offsets.Lookup(topic, p); ok {
			at = o.At
		}
		if at < confirmed || at > l.attempted[p] {
			t.Errorf("partition %d: committed offset %d, confirmed %d, attempted %d", p, at, confirmed, l.attempted[p])
		}
	}
}

// check ends the load and compares the whole log with its history.
func (l *load) check(t testing.TB) {
	t.Helper()
	l.stop()
	l.checkCommits(t)
	for _, problem := range l.history.Check(readAll(t, l.addr)) {
		t.Error(problem)
	}
	acked, consumed := l.progress()
	t.Logf("%d records sent, %d acknowledged, %d consumed", l.history.Sent(), acked, consumed)
}

// readAll reads the topic's partitions from start to end.
func readAll(t testing.TB, addr string) [][]Entry {
	t.Helper()
	cl := dial(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	ends, err := kadm.NewClient(cl).ListEndOffsets(ctx, topic)
	if err != nil || ends.Error() != nil {
		t.Fatal(errors.Join(err, ends.Error()))
	}
	left := 0
	ends.Each(func(o kadm.ListedOffset) { left += int(o.Offset) })
	out := make([][]Entry, partitions)
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%d records before the end: %v", left, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			left--
			name, number, _ := strings.Cut(string(r.Value), "/")
			n, err := strconv.Atoi(number)
			if err != nil {
				t.Errorf("%s-%d, offset %d: record %q", topic, r.Partition, r.Offset, r.Value)
			}
			out[r.Partition] = append(out[r.Partition], Entry{r.Offset, name, n})
		})
	}
	return out
}
