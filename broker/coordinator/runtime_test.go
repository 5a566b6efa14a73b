package coordinator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memLog is a Log in memory. Outcomes are given at once, or kept until settled.
type memLog struct {
	mu      sync.Mutex
	records []Record
	keep    bool
	kept    []keptAppend
	fail    error
	loading chan struct{} // when not nil, Load waits for it
}

type keptAppend struct {
	records []Record
	done    func(error)
}

func (l *memLog) Append(_, _ int32, records []Record, done func(error)) {
	l.mu.Lock()
	if l.keep {
		l.kept = append(l.kept, keptAppend{records, done})
		l.mu.Unlock()
		return
	}
	err := l.fail
	if err == nil {
		l.records = append(l.records, records...)
	}
	l.mu.Unlock()
	done(err)
}

func (l *memLog) settle(i int, err error) {
	l.mu.Lock()
	k := l.kept[i]
	if err == nil {
		l.records = append(l.records, k.records...)
	}
	l.mu.Unlock()
	k.done(err)
}

func (l *memLog) Load(ctx context.Context, _, _ int32, replay func(int64, Record)) error {
	if l.loading != nil {
		select {
		case <-l.loading:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	l.mu.Lock()
	records := slices.Clone(l.records)
	l.mu.Unlock()
	for i, r := range records {
		replay(int64(i), r)
	}
	return nil
}

// register is a shard that holds the last committed number and counts ticks.
type register struct {
	value   int
	ticks   int
	at      time.Time
	timers  Timers
	timer   Timer
	parked  []*setRequest
	unknown int
}

// setRequest sets the number, or starts a timer with after > 0.
type setRequest struct {
	value int
	after time.Duration
	read  bool
	reply func(value int, err error)
}

func (r *setRequest) Refuse(err error) { r.reply(0, err) }

func (s *register) Replay(_ int64, rec Record) error {
	v, err := strconv.Atoi(string(rec.Value))
	if err != nil {
		s.unknown++
		return err
	}
	s.value = v
	return nil
}

func (s *register) Loaded(time.Time) Effects { return Effects{} }

func (s *register) Handle(r *setRequest, now time.Time) (eff Effects) {
	switch {
	case r.read:
		v := s.value
		eff.Reply(func() { r.reply(v, nil) })
	case r.after > 0:
		s.timer.Fire = func(at time.Time) { s.ticks++; s.at = at }
		s.timers.Set(&s.timer, now.Add(r.after))
	default:
		s.parked = append(s.parked, r)
		eff.Writes = []Write{{
			Records: []Record{{Key: []byte("k"), Value: fmt.Append(nil, r.value)}},
			Done: func(err error, _ time.Time) (out Effects) {
				s.parked = slices.DeleteFunc(s.parked, func(o *setRequest) bool { return o == r })
				if err == nil {
					s.value = r.value
				}
				v := s.value
				if reply := r.reply; reply != nil {
					out.Reply(func() { reply(v, err) })
				}
				return out
			},
			Overdue: func(time.Time) (out Effects) {
				reply := r.reply
				r.reply = nil
				out.Reply(func() { reply(0, errOverdue) })
				return out
			},
		}}
	}
	return eff
}

var errOverdue = errors.New("overdue")

func (s *register) Deadline() time.Time        { return s.timers.Next() }
func (s *register) Tick(now time.Time) Effects { s.timers.Run(now); return Effects{} }
func (s *register) Unload(err error) (eff Effects) {
	for _, r := range s.parked {
		eff.Reply(func() { r.Refuse(err) })
	}
	return eff
}

// world runs a runtime with one partition over log.
type world struct {
	rt     *Runtime[*setRequest]
	shards []*register
}

func start(t *testing.T, log Log, cfg Config[*setRequest]) *world {
	w := &world{}
	cfg.New = func(int32) Shard[*setRequest] {
		s := &register{}
		w.shards = append(w.shards, s)
		return s
	}
	w.rt = NewRuntime(cfg, log, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = w.rt.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return w
}

func (w *world) lead(epoch int32) {
	w.rt.Leadership([]replica.LeadershipChange{{TP: record.TopicPartition{Topic: "t"}, Leader: true, LeaderEpoch: epoch}})
}

func (w *world) resign(epoch int32) {
	w.rt.Leadership([]replica.LeadershipChange{{TP: record.TopicPartition{Topic: "t"}, LeaderEpoch: epoch}})
}

type answer struct {
	value int
	err   error
}

func (w *world) set(v int) chan answer {
	ch := make(chan answer, 1)
	w.rt.Do(0, &setRequest{value: v, reply: func(v int, err error) { ch <- answer{v, err} }})
	return ch
}

func (w *world) read() answer {
	ch := make(chan answer, 1)
	w.rt.Do(0, &setRequest{read: true, reply: func(v int, err error) { ch <- answer{v, err} }})
	return <-ch
}

func expect(t *testing.T, ch chan answer, want answer) {
	t.Helper()
	select {
	case got := <-ch:
		if got.value != want.value || !errors.Is(got.err, want.err) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	default:
		t.Fatalf("no answer, want %+v", want)
	}
}

func TestLifeOfAShard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{records: []Record{{Value: []byte("5")}, {Value: []byte("not a number")}, {Value: []byte("7")}}, loading: make(chan struct{})}
		w := start(t, log, Config[*setRequest]{})
		expect(t, w.set(1), answer{0, ErrNotCoordinator})
		w.lead(1)
		synctest.Wait()
		expect(t, w.set(1), answer{0, ErrLoadInProgress})
		close(log.loading)
		synctest.Wait()
		if got := w.read(); got != (answer{7, nil}) {
			t.Fatalf("after the load: %+v", got)
		}
		if w.shards[0].unknown != 1 {
			t.Fatal("a record that is not understood must be skipped")
		}
		expect(t, w.set(8), answer{8, nil})

		// The same epoch again changes nothing, an older one neither.
		w.lead(1)
		w.resign(0)
		if len(w.shards) != 1 || w.read() != (answer{8, nil}) {
			t.Fatal("reloaded without need")
		}
		// A new epoch reads the log again.
		w.lead(2)
		synctest.Wait()
		if len(w.shards) != 2 || w.read() != (answer{8, nil}) {
			t.Fatal("not reloaded in a new epoch")
		}
		w.resign(3)
		expect(t, w.set(1), answer{0, ErrNotCoordinator})
	})
}

func TestReplyWaitsForTheCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{keep: true}
		w := start(t, log, Config[*setRequest]{})
		w.lead(0)
		synctest.Wait()
		first, second, third := w.set(1), w.set(2), w.set(3)
		if w.read() != (answer{0, nil}) {
			t.Fatal("an uncommitted value is visible")
		}
		// Outcomes come in any order and are given in the order of the log.
		log.settle(1, nil)
		if len(second) != 0 || w.read() != (answer{0, nil}) {
			t.Fatal("the second write overtook the first")
		}
		log.settle(0, errors.New("refused"))
		if got := <-first; got.err == nil {
			t.Fatal("the first write failed and was answered with success")
		}
		expect(t, second, answer{2, nil})
		// Leadership is lost with the third in flight.
		w.resign(1)
		expect(t, third, answer{0, ErrNotCoordinator})
		log.settle(2, nil) // too late, must not be answered twice
	})
}

func TestFailedAppendLeavesNoTrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{}
		w := start(t, log, Config[*setRequest]{})
		w.lead(0)
		synctest.Wait()
		expect(t, w.set(1), answer{1, nil})
		log.fail = replica.ErrNotEnoughReplicas
		expect(t, w.set(2), answer{1, replica.ErrNotEnoughReplicas})
		if w.read() != (answer{1, nil}) {
			t.Fatal("a failed write moved the state")
		}
	})
}

func TestOverdueWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{keep: true}
		w := start(t, log, Config[*setRequest]{CommitTimeout: 2 * time.Second})
		w.lead(0)
		synctest.Wait()
		ch := w.set(4)
		time.Sleep(2*time.Second + time.Millisecond)
		synctest.Wait()
		expect(t, ch, answer{0, errOverdue})
		log.settle(0, nil)
		if w.read() != (answer{4, nil}) {
			t.Fatal("a late commit must count")
		}
		if len(ch) != 0 {
			t.Fatal("answered twice")
		}
	})
}

func TestTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, &memLog{}, Config[*setRequest]{})
		w.lead(0)
		synctest.Wait()
		begin := time.Now()
		for _, d := range []time.Duration{10 * time.Second, time.Hour, 3 * time.Second} {
			w.rt.Do(0, &setRequest{after: d})
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if s := w.shards[0]; s.ticks != 1 || s.at.Sub(begin) != 3*time.Second {
			t.Fatalf("%d ticks, at %v", s.ticks, s.at.Sub(begin))
		}
	})
}

// waitActive waits for the shard to be loaded.
func waitActive(t *testing.T, w *world) {
	t.Helper()
	for range 10_000 {
		if w.rt.Status(0) == nil {
			return
		}
		<-time.After(time.Millisecond)
	}
	t.Fatal("the shard was never loaded")
}

func TestQueueIsBounded(t *testing.T) {
	w := start(t, &memLog{}, Config[*setRequest]{QueueLimit: 2})
	w.lead(0)
	waitActive(t, w)
	w.rt.mu.RLock()
	a := w.rt.actors[0]
	w.rt.mu.RUnlock()
	a.mu.Lock()
	a.running = true // somebody else is at work
	a.mu.Unlock()
	one, two, three := w.set(1), w.set(2), w.set(3)
	expect(t, three, answer{0, ErrNotAvailable})
	a.run()
	expect(t, one, answer{1, nil})
	expect(t, two, answer{2, nil})
}

func TestConcurrentRequests(t *testing.T) {
	log := &memLog{}
	w := start(t, log, Config[*setRequest]{})
	w.lead(0)
	waitActive(t, w)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				if got := <-w.set(i); got.err != nil {
					t.Error(got.err)
				}
			}
		})
	}
	wg.Wait()
	if len(log.records) != 1600 {
		t.Fatalf("%d records", len(log.records))
	}
}

func TestTimersAreLazyAndExact(t *testing.T) {
	var ts Timers
	base := time.Unix(100, 0)
	var fired []int
	timers := make([]*Timer, 5)
	for i := range timers {
		timers[i] = &Timer{Fire: func(time.Time) { fired = append(fired, i) }}
		ts.Set(timers[i], base.Add(time.Duration(5-i)*time.Second))
	}
	ts.Set(timers[4], base.Add(10*time.Second)) // later
	ts.Set(timers[0], base.Add(time.Second))    // earlier
	ts.Stop(timers[2])
	ts.Run(base.Add(4 * time.Second))
	if !slices.Equal(fired, []int{0, 3, 1}) {
		t.Fatalf("fired %v", fired)
	}
	if n := ts.Next(); n.After(base.Add(10*time.Second)) || n.IsZero() {
		t.Fatalf("next is %v", n)
	}
	ts.Run(base.Add(10 * time.Second))
	if !slices.Equal(fired, []int{0, 3, 1, 4}) || !ts.Next().IsZero() {
		t.Fatalf("fired %v, next %v", fired, ts.Next())
	}
}
