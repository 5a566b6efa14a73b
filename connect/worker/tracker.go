package worker

import (
	"encoding/json"
	"sync"

	"github.com/leatstream/leat/connect"
)

// tracker knows which source offsets may be stored: those of the longest
// prefix of the records, in poll order, that are done (acknowledged or skipped).
type tracker struct {
	mu      sync.Mutex
	entries []*sent // in poll order; entries[0] is the oldest not yet taken
	ready   map[string]connect.SourceOffset
	key     string         // JSON of lastPart, to spare encoding equal partitions
	last    map[string]any // the map key was made from
}

// sent is one record on its way.
type sent struct {
	key       string
	partition map[string]any
	offset    map[string]any
	done      bool
}

func newTracker() *tracker { return &tracker{ready: map[string]connect.SourceOffset{}} }

// add puts a record at the end of the line.
func (t *tracker) add(r *connect.SourceRecord) (*sent, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !sameMap(t.last, r.SourcePartition) {
		b, err := json.Marshal(r.SourcePartition)
		if err != nil {
			return nil, err
		}
		t.last, t.key = r.SourcePartition, string(b)
	}
	s := &sent{key: t.key, partition: r.SourcePartition, offset: r.SourceOffset}
	t.entries = append(t.entries, s)
	return s, nil
}

func sameMap(a, b map[string]any) bool {
	if a == nil || len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}

// finish marks a record as done.
func (t *tracker) finish(s *sent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.done = true
	n := 0
	for n < len(t.entries) && t.entries[n].done {
		e := t.entries[n]
		if e.offset != nil {
			t.ready[e.key] = connect.SourceOffset{Partition: e.partition, Offset: e.offset}
		}
		t.entries[n] = nil
		n++
	}
	t.entries = t.entries[n:]
}

// take returns what may be stored since the last call. A failed store gives it
// back with restore.
func (t *tracker) take() map[string]connect.SourceOffset {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.ready
	t.ready = map[string]connect.SourceOffset{}
	return r
}

// restore puts offsets back that could not be stored; newer ones win.
func (t *tracker) restore(r map[string]connect.SourceOffset) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for k, o := range r {
		if _, newer := t.ready[k]; !newer {
			t.ready[k] = o
		}
	}
}

// pending is the count of records not yet done.
func (t *tracker) pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries)
}
