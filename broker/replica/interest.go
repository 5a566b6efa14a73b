package replica

import (
	"sync"

	"github.com/leatstream/leat/broker/record"
)

// Interest is a reader's standing interest in partitions that it need not look
// at until they change, so that a request over many partitions costs as much as
// the changed ones.
//
// Told are a moved high watermark, and with it the last stable offset; a new term
// of the partition on this broker, or its end by deletion or a failed directory;
// and a start offset moved by request. A start offset that retention moves is not
// told: the owner looks at all partitions from time to time.
//
// All methods may be called concurrently, but WatchPartition and Unwatch of one
// Watch only one after the other. Lock order: the owner's, then a Replica's or a
// parked fetch's mutex, then mu.
type Interest struct {
	mu      sync.Mutex
	changed []*Watch
	parked  *parkedFetch // the fetch to wake by a change, nil: none
}

// Watch is an Interest's hold on one partition. The zero value watches nothing.
// It must not be copied while it does.
type Watch struct {
	// Owner is for the caller.
	Owner any

	replica    *Replica
	interest   *Interest
	prev, next *Watch // in the replica's list, under its mutex
	told       bool   // it is in interest.changed; under interest.mu
	alone      bool   // only the interest can wake the owner; under interest.mu
}

// WatchPartition begins to watch a partition. It returns true when w has been
// watching the partition's present replica already; after false the caller must
// look at the partition once more, because what changed before is not told.
// Nothing is watched when the partition is not hosted here.
func (m *Manager) WatchPartition(i *Interest, w *Watch, tp record.TopicPartition, id TopicID) bool {
	r, err := m.find(tp, id)
	if err != nil {
		w.Unwatch()
		return false
	}
	if w.replica == r {
		return true
	}
	w.Unwatch()
	w.replica, w.interest = r, i
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.next = r.watches; w.next != nil {
		w.next.prev = w
	}
	r.watches = w
	return false
}

// Unwatch ends it. A change may still be told once.
func (w *Watch) Unwatch() {
	r := w.replica
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if w.prev != nil {
		w.prev.next = w.next
	} else {
		r.watches = w.next
	}
	if w.next != nil {
		w.next.prev = w.prev
	}
	w.replica, w.prev, w.next = nil, nil, nil
}

// Take calls f for each watch whose partition has changed since it was taken
// last. f must not call methods of the Interest.
func (i *Interest) Take(f func(*Watch)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, w := range i.changed {
		w.told, w.alone = false, false
		f(w)
	}
	clear(i.changed)
	i.changed = i.changed[:0]
}

// Rely tells whether from now on a change of w's partition must end the wait of
// a fetch that does not read the partition. It does not until Rely(true), nor
// after the change was taken.
func (w *Watch) Rely(on bool) {
	if i := w.interest; i != nil {
		i.mu.Lock()
		w.alone = on
		i.mu.Unlock()
	}
}

// any tells whether there is something to take; a nil Interest has nothing.
func (i *Interest) any() bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.changed) > 0
}

// park makes p the fetch to wake, and reports whether there is a reason already.
func (i *Interest) park(p *parkedFetch) bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.parked = p
	return len(i.changed) > 0
}

func (i *Interest) unpark(p *parkedFetch) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.parked == p {
		i.parked = nil
	}
}

// tellWatches tells all watchers of a change; called under r.mu. Those who wait
// for one are collected in out; nil: the change is no reason to end a wait.
func (r *Replica) tellWatches(out *woken) {
	for w := r.watches; w != nil; w = w.next {
		if p := w.interest.tell(w); p != nil && out != nil {
			out.wake(p)
		}
	}
}

func (i *Interest) tell(w *Watch) *parkedFetch {
	i.mu.Lock()
	defer i.mu.Unlock()
	if w.told {
		return nil
	}
	w.told = true
	i.changed = append(i.changed, w)
	if !w.alone {
		return nil
	}
	return i.parked
}
