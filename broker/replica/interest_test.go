package replica

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/record"
)

// take gives the owners of the watches whose partitions have changed.
func take(i *Interest) (owners []string) {
	i.Take(func(w *Watch) { owners = append(owners, w.Owner.(string)) })
	slices.Sort(owners)
	return owners
}

func (f *fixture) put(topic string, p int32) {
	f.t.Helper()
	f.Append(&AppendRequest{Acks: 1, Entries: []AppendEntry{{TP: tp(topic, p), Batches: batch(f.t, 1)}}}, func(r []AppendResult) {
		if r[0].Err != nil {
			f.t.Fatal(r[0].Err)
		}
	})
}

func TestInterestTellsChanges(t *testing.T) {
	f := newFixture(t)
	for p := range int32(3) {
		f.lead(tp("t", p), 0)
	}
	var i Interest
	a, b := Watch{Owner: "a"}, Watch{Owner: "b"}
	if f.WatchPartition(&i, &a, tp("t", 0), TopicID{}) || f.WatchPartition(&i, &b, tp("t", 1), TopicID{}) {
		t.Fatal("a new watch is said to be old")
	}
	if !f.WatchPartition(&i, &a, tp("t", 0), TopicID{}) {
		t.Fatal("an old watch is said to be new")
	}
	if got := take(&i); got != nil {
		t.Fatalf("changed before any change: %v", got)
	}
	f.put("t", 0)
	f.put("t", 0)
	f.put("t", 2) // not watched
	if got := take(&i); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("changed: %v", got)
	}
	f.put("t", 1)
	f.put("t", 0)
	if got := take(&i); !slices.Equal(got, []string{"a", "b"}) {
		t.Fatalf("changed: %v", got)
	}
	a.Unwatch()
	a.Unwatch()
	f.put("t", 0)
	f.put("t", 1)
	if got := take(&i); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("changed after the watch ended: %v", got)
	}
	// A new term is a change too.
	f.lead(tp("t", 1), 1)
	if got := take(&i); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("changed by a new leader epoch: %v", got)
	}
	if f.WatchPartition(&i, &b, tp("nowhere", 1), TopicID{}) || b.replica != nil {
		t.Fatal("a partition that is not here is watched")
	}
	for p := range int32(3) {
		if r, _ := f.find(tp("t", p), TopicID{}); r.watches != nil {
			t.Fatalf("partition %d is still watched", p)
		}
	}
}

// TestInterestEndsWait: a fetch without entries waits for its interest alone.
func TestInterestEndsWait(t *testing.T) {
	f := newFixture(t)
	f.lead(tp("t", 0), 0)
	f.lead(tp("t", 1), 0)
	var i Interest
	w, idle := Watch{Owner: "w"}, Watch{Owner: "idle"}
	f.WatchPartition(&i, &w, tp("t", 0), TopicID{})
	f.WatchPartition(&i, &idle, tp("t", 1), TopicID{})
	w.Rely(true)
	req := &FetchRequest{MinBytes: 1, MaxBytes: 1000, MaxWait: time.Hour, ReplicaID: ConsumerReplicaID, Interest: &i}
	answered := 0
	fetch := func() { f.Fetch(req, func(FetchResult) { answered++ }) }
	fetch()
	f.put("t", 1) // nobody relies on it
	if answered != 0 {
		t.Fatal("answered before a change that matters")
	}
	f.put("t", 0)
	if answered != 1 {
		t.Fatal("not answered after a change")
	}
	fetch() // the changes were not taken
	if answered != 2 {
		t.Fatal("a change before the wait is lost")
	}
	if got := take(&i); !slices.Equal(got, []string{"idle", "w"}) {
		t.Fatalf("changed: %v", got)
	}
	fetch()
	f.put("t", 0) // after Take the owner reads it, and relies no more
	if answered != 2 {
		t.Fatal("answered for a partition that is read")
	}
	w.Rely(true)
	take(&i)
	w.Rely(true)
	f.put("t", 0)
	if answered != 3 {
		t.Fatal("not answered after the last change")
	}
}

// seen by a reader at the end of a partition.
type atEnd struct {
	err            error
	hw, lso, start int64
	epoch          int32
}

func (f *fixture) atEnd(at record.TopicPartition) atEnd {
	r, err := f.find(at, TopicID{})
	if err != nil {
		return atEnd{err: err}
	}
	v := r.view.Load()
	b := r.bounds(ConsumerReplicaID, ReadUncommitted)
	return atEnd{err: v.leading(-1), hw: b.hw, lso: b.lso, start: b.log.StartOffset(), epoch: v.leaderEpoch}
}

// watched is an Interest in partitions with what was seen of each when it was
// looked at last.
type watched struct {
	*fixture
	Interest
	watches []Watch
	seen    []atEnd
}

func watchAll(f *fixture, topic string, n int) *watched {
	w := &watched{fixture: f, watches: make([]Watch, n), seen: make([]atEnd, n)}
	for p := range w.watches {
		w.watches[p].Owner = p
		w.look(topic, p)
	}
	return w
}

// look is what a session does with a partition that is due.
func (w *watched) look(topic string, p int) {
	at := tp(topic, int32(p))
	for {
		w.seen[p] = w.atEnd(at)
		if w.WatchPartition(&w.Interest, &w.watches[p], at, TopicID{}) {
			return
		}
		if w.watches[p].replica == nil {
			w.seen[p] = atEnd{err: ErrUnknownPartition} // stays due until it is here
			return
		}
	}
}

// missed looks at what was told and names what has changed and was not.
func (w *watched) missed(topic string) (told, missed []int) {
	w.Take(func(x *Watch) { told = append(told, x.Owner.(int)) })
	for p := range w.watches {
		switch {
		case slices.Contains(told, p) || w.watches[p].replica == nil:
			w.look(topic, p)
		case !same(w.seen[p], w.atEnd(tp(topic, int32(p)))):
			missed = append(missed, p)
		}
	}
	slices.Sort(told)
	return told, missed
}

func same(a, b atEnd) bool {
	sameErr := errors.Is(a.err, b.err) || errors.Is(b.err, a.err)
	a.err, b.err = nil, nil
	return sameErr && a == b
}

// txnBatch is a record of an open transaction.
func txnBatch(t testing.TB, producer int64, seq int32) []byte {
	opts := record.NewOptions()
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = producer, 0, seq, true
	var b record.Builder
	b.Reset(opts)
	b.Append(time.Now().UnixMilli(), nil, []byte("x"))
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func marker(t testing.TB, producer int64) []byte {
	out, err := record.AppendMarker(nil, producer, 0, time.Now().UnixMilli(), record.Marker{Type: record.Abort})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (f *fixture) putBatch(at record.TopicPartition, origin Origin, data []byte) error {
	var err error
	f.Append(&AppendRequest{Acks: 1, Origin: origin, Entries: []AppendEntry{{TP: at, Batches: data}}}, func(r []AppendResult) { err = r[0].Err })
	return err
}

// TestInterestTellsEveryChange: each kind of change of a partition is told, of
// that partition alone.
func TestInterestTellsEveryChange(t *testing.T) {
	const at = 1
	here := tp("t", at)
	for _, c := range []struct {
		name   string
		before func(f *fixture)
		change func(f *fixture)
	}{
		{"append", nil, func(f *fixture) { f.produce(here, 1, 1) }},
		{"high watermark moved by a follower", func(f *fixture) {
			f.state(here, replicated(1))
			f.produce(here, 1, 1)
			f.follow(2, here, 1)
		}, func(f *fixture) { f.follow(3, here, 1) }},
		{"last stable offset", func(f *fixture) {
			if err := f.putBatch(here, OriginClient, txnBatch(t, 7, 0)); err != nil {
				t.Fatal(err)
			}
		}, func(f *fixture) {
			if err := f.putBatch(here, OriginCoordinator, marker(t, 7)); err != nil {
				t.Fatal(err)
			}
		}},
		{"start offset by request", func(f *fixture) { f.produce(here, 1, 3) }, func(f *fixture) {
			f.DeleteRecords([]DeleteRecordsEntry{{TP: here, Offset: 2}}, time.Second, func(r []DeleteRecordsResult) {
				if r[0].Err != nil {
					t.Error(r[0].Err)
				}
			})
		}},
		{"new leader epoch", nil, func(f *fixture) { f.lead(here, 5) }},
		{"another leader", nil, func(f *fixture) {
			f.state(here, State{Leader: 2, LeaderEpoch: 5, ISR: []int32{self, 2}, Replicas: []int32{self, 2}})
		}},
		{"deletion", nil, func(f *fixture) { f.stop(here, true) }},
		{"no longer hosted", nil, func(f *fixture) { f.stop(here, false) }},
		{"deleted and made anew", nil, func(f *fixture) {
			f.stop(here, true)
			f.lead(here, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFixture(t)
			for p := range int32(3) {
				f.lead(tp("t", p), 0)
			}
			if c.before != nil {
				c.before(f)
			}
			w := watchAll(f, "t", 3)
			if told, missed := w.missed("t"); len(told)+len(missed) > 0 {
				t.Fatalf("before any change: told %v, missed %v", told, missed)
			}
			c.change(f)
			if told, missed := w.missed("t"); !slices.Equal(told, []int{at}) || missed != nil {
				t.Fatalf("told %v, missed %v", told, missed)
			}
		})
	}
	t.Run("failed directory", func(t *testing.T) {
		f := newFixture(t)
		f.lead(tp("t", 0), 0)
		w := watchAll(f, "t", 1)
		f.DirFailed("/d", errors.New("EIO"))
		if told, missed := w.missed("t"); !slices.Equal(told, []int{0}) || missed != nil {
			t.Fatalf("told %v, missed %v", told, missed)
		}
	})
}

// TestInterestSimulation: whatever happens in whatever order, no change of a
// partition goes by untold, but for retention's.
func TestInterestSimulation(t *testing.T) {
	const partitions = 4
	for seed := range uint64(20) {
		f := newFixture(t)
		rng := rand.New(rand.NewPCG(seed, 5))
		epochs, sequence := [partitions]int32{}, map[int]int32{}
		for p := range int32(partitions) {
			f.lead(tp("t", p), 0)
		}
		w := watchAll(f, "t", partitions)
		for step := range 150 {
			p := rng.IntN(partitions)
			at := tp("t", int32(p))
			epochs[p]++
			act := rng.IntN(9)
			switch act {
			case 0, 1:
				f.putBatch(at, OriginClient, batch(t, 1+rng.IntN(3)))
			case 2:
				if f.putBatch(at, OriginClient, txnBatch(t, 7, sequence[p])) == nil {
					sequence[p]++
				}
			case 3:
				f.putBatch(at, OriginCoordinator, marker(t, 7))
			case 4:
				f.state(at, State{Leader: self, LeaderEpoch: epochs[p], ISR: []int32{self}, Replicas: []int32{self}})
			case 5:
				st := replicated(epochs[p])
				st.PartitionEpoch = epochs[p]
				f.state(at, st)
			case 6:
				if r, err := f.find(at, TopicID{}); err == nil {
					f.follow(2+rng.Int32N(2), at, rng.Int64N(r.log().EndOffset()+1))
				}
			case 7:
				f.DeleteRecords([]DeleteRecordsEntry{{TP: at, Offset: -1}}, 0, func([]DeleteRecordsResult) {})
			case 8:
				if _, err := f.find(at, TopicID{}); err == nil && rng.IntN(3) == 0 {
					f.stop(at, rng.IntN(2) == 0)
					delete(sequence, p)
				}
			}
			if rng.IntN(3) == 0 {
				continue // changes pile up
			}
			if _, missed := w.missed("t"); missed != nil {
				t.Fatalf("seed %d, step %d, action %d: changes of partitions %v were not told", seed, step, act, missed)
			}
		}
		for p := range w.watches {
			w.watches[p].Unwatch()
		}
	}
}
