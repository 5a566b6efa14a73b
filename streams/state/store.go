package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/leatstream/leat/streams/processor"
)

// ErrNoStore is returned for a name that is no store of the task.
var ErrNoStore = errors.New("no such store")

// ErrClosed is returned by views of a closed set.
var ErrClosed = errors.New("store is closed")

// entry is one key of the overlay: an uncommitted value, or a committed one
// kept as a cache. val is owned by the entry and nil for "no value".
type entry struct {
	key      string
	val      []byte
	time     int64
	inEngine bool // the engine has a value for the key
	dirty    bool // differs from the engine, and is listed in Store.dirty
}

// Store is the content of one store as bytes. The typed handles [KeyValue] and
// [Window] are what processors use.
type Store struct {
	spec    processor.StoreSpec
	engine  engine
	prefix  []byte // of data keys
	index   []byte // of index keys
	overlay map[string]*entry
	dirty   []*entry
	sorted  bool   // dirty is in order of keys
	fresh   []mark // windows not in the engine's index yet
	freshOK bool   // fresh is in order
	size    int64  // bytes in the overlay, roughly
	changed int64  // those of dirty entries
	keyBuf  []byte

	clock, emitted int64 // of a window store, see SetClock
	clockDirty     bool
	expired        int64 // windows with start <= expired have been removed
	checkpoint     Checkpoint
}

// mark is one entry of the time index.
type mark struct {
	start int64
	key   string
}

// Checkpoint says how much of its changelog a store contains.
type Checkpoint struct {
	Offset  int64 // the next changelog offset to read; 0 = nothing contained
	TopicID [16]byte
}

// cacheLimit is the size up to which committed entries stay in the overlay of
// a store as a cache, in bytes.
const cacheLimit = 16 << 20

// entryOverhead is what an overlay entry costs besides key and value, in bytes.
const entryOverhead = 96

func newStore(spec processor.StoreSpec, e engine) *Store {
	base := append([]byte(spec.Name), 0)
	return &Store{
		spec: spec, engine: e,
		prefix:  append(slices.Clone(base), 'd'),
		index:   append(slices.Clone(base), 'i'),
		overlay: map[string]*entry{},
		clock:   processor.NoTime, emitted: processor.NoTime,
	}
}

// Spec is the store's description.
func (s *Store) Spec() processor.StoreSpec { return s.spec }

// lookup finds the entry of a data key, reading the engine on a miss.
func (s *Store) lookup(key []byte) (*entry, error) {
	if e, ok := s.overlay[string(key)]; ok {
		return e, nil
	}
	s.keyBuf = append(append(s.keyBuf[:0], s.prefix...), key...)
	val, ok, err := s.engine.get(s.keyBuf)
	if err != nil {
		return nil, fmt.Errorf("state: store %s: %w", s.spec.Name, err)
	}
	e := &entry{key: string(key), val: val, inEngine: ok}
	s.overlay[e.key] = e
	s.size += int64(len(e.key)+len(e.val)) + entryOverhead
	return e, nil
}

// get returns the value of a data key; it is valid until the next put.
func (s *Store) get(key []byte) ([]byte, error) {
	e, err := s.lookup(key)
	if err != nil {
		return nil, err
	}
	return e.val, nil
}

// put sets the value of a data key; a nil value deletes it. key and value are
// copied.
func (s *Store) put(key, value []byte, time int64) error {
	e, err := s.lookup(key)
	if err != nil {
		return err
	}
	grown := int64(len(value) - len(e.val))
	s.size += grown
	if e.dirty {
		s.changed += grown
	} else {
		s.changed += int64(len(e.key)+len(value)) + entryOverhead
	}
	e.time = time
	if value == nil {
		e.val = nil
	} else {
		e.val = append(e.val[:0], value...)
		if e.val == nil {
			e.val = []byte{}
		}
	}
	if !e.dirty {
		e.dirty = true
		s.dirty = append(s.dirty, e)
		s.sorted = false
	}
	return nil
}

// putWindow is put for a window's key and start, which also keeps the index.
func (s *Store) putWindow(data []byte, value []byte, time int64) error {
	e, err := s.lookup(data)
	if err != nil {
		return err
	}
	if e.val == nil && value != nil && !e.inEngine {
		n := len(data) - 8
		s.fresh = append(s.fresh, mark{start: int64(binary.BigEndian.Uint64(data[n:])), key: e.key[:n]})
		s.freshOK = false
	}
	return s.put(data, value, time)
}

func (s *Store) sortedDirty() []*entry {
	if !s.sorted {
		slices.SortFunc(s.dirty, func(a, b *entry) int { return compareStrings(a.key, b.key) })
		s.sorted = true
	}
	return s.dirty
}

// scan calls fn for the values with from <= key < to in ascending order; a nil
// bound is open. fn must not keep or change its arguments, nor write to the
// store, and returns false to stop.
func (s *Store) scan(from, to []byte, fn func(key, value []byte) (bool, error)) error {
	dirty := s.sortedDirty()
	i, _ := slices.BinarySearchFunc(dirty, from, func(e *entry, k []byte) int { return compareStringBytes(e.key, k) })
	before := func(limit []byte) (bool, error) { // passes on overlay entries below limit
		for ; i < len(dirty) && (limit == nil || compareStringBytes(dirty[i].key, limit) < 0); i++ {
			e := dirty[i]
			if to != nil && compareStringBytes(e.key, to) >= 0 {
				return true, nil
			}
			if e.val == nil {
				continue
			}
			if more, err := fn([]byte(e.key), e.val); err != nil || !more {
				return false, err
			}
		}
		return true, nil
	}
	stopped := false
	lower, upper := s.bounds(s.prefix, from, to)
	err := s.engine.scan(lower, upper, func(k, v []byte) (bool, error) {
		k = k[len(s.prefix):]
		if more, err := before(k); err != nil || !more {
			stopped = true
			return false, err
		}
		if i < len(dirty) && dirty[i].key == string(k) {
			return true, nil // the overlay's turn comes with the next key
		}
		more, err := fn(k, v)
		stopped = !more
		return more, err
	})
	if err != nil || stopped {
		return err
	}
	_, err = before(nil)
	return err
}

// bounds puts a prefix before a range.
func (s *Store) bounds(prefix, from, to []byte) (lower, upper []byte) {
	lower = append(slices.Clone(prefix), from...)
	if to == nil {
		return lower, successor(prefix)
	}
	return lower, append(slices.Clone(prefix), to...)
}

// scanWindows calls fn for the windows with from <= start <= to in order of
// start, then key bytes.
func (s *Store) scanWindows(from, to int64, fn func(key []byte, start int64, value []byte) (bool, error)) error {
	marks, err := s.marks(from, to)
	if err != nil {
		return err
	}
	var data []byte
	for _, m := range marks {
		data = binary.BigEndian.AppendUint64(append(data[:0], m.key...), uint64(m.start))
		val, err := s.get(data)
		if err != nil {
			return err
		}
		if val == nil {
			continue
		}
		if more, err := fn(data[:len(data)-8], m.start, val); err != nil || !more {
			return err
		}
	}
	return nil
}

// marks lists the index between two starts, both inclusive, merged from the
// engine and the overlay.
func (s *Store) marks(from, to int64) ([]mark, error) {
	if from < 0 {
		from = 0
	}
	if to < from {
		return nil, nil
	}
	out, err := s.engineMarks(from, to)
	if err != nil {
		return nil, err
	}
	n := len(out)
	for _, m := range s.sortedFresh() {
		if m.start >= from && m.start <= to {
			out = append(out, m)
		}
	}
	if n > 0 && len(out) > n {
		slices.SortFunc(out, compareMarks)
		out = slices.Compact(out)
	}
	return out, nil
}

// engineMarks lists the part of the index that is in the engine.
func (s *Store) engineMarks(from, to int64) (out []mark, err error) {
	upper := successor(s.index)
	if to < math.MaxInt64 {
		upper = s.markBound(to + 1)
	}
	err = s.engine.scan(s.markBound(from), upper, func(k, _ []byte) (bool, error) {
		k = k[len(s.index):]
		out = append(out, mark{int64(binary.BigEndian.Uint64(k)), string(k[8:])})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("state: store %s: %w", s.spec.Name, err)
	}
	return out, nil
}

// markBound is the least index key of a start.
func (s *Store) markBound(start int64) []byte {
	return binary.BigEndian.AppendUint64(slices.Clone(s.index), uint64(start))
}

func (s *Store) sortedFresh() []mark {
	if !s.freshOK {
		slices.SortFunc(s.fresh, compareMarks)
		s.fresh = slices.Compact(s.fresh)
		s.freshOK = true
	}
	return s.fresh
}

func compareMarks(a, b mark) int {
	switch {
	case a.start < b.start:
		return -1
	case a.start > b.start:
		return 1
	}
	return compareStrings(a.key, b.key)
}

// Clock is the highest time the operator of a window store has seen, or -1.
func (s *Store) Clock() int64 { return s.clock }

// Emitted is the time up to which final results have been emitted: those of
// all windows with end <= Emitted. -1 at first.
func (s *Store) Emitted() int64 { return s.emitted }

// SetClock moves clock and emission progress. Both become durable with the
// next commit, together with the store's content.
func (s *Store) SetClock(clock, emitted int64) {
	if clock != s.clock || emitted != s.emitted {
		s.clock, s.emitted = clock, emitted
		s.clockDirty = true
	}
}

// successor is the least key greater than all keys with the prefix, or nil.
func successor(prefix []byte) []byte {
	out := slices.Clone(prefix)
	for len(out) > 0 {
		if last := len(out) - 1; out[last] < 0xff {
			out[last]++
			return out
		}
		out = out[:len(out)-1]
	}
	return nil
}

func compareStrings(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func compareStringBytes(a string, b []byte) int {
	switch {
	case a < string(b):
		return -1
	case a > string(b):
		return 1
	}
	return 0
}
