package state

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/leatstream/leat/streams/processor"
)

// View is a picture of one store's committed content, for readers outside the
// task. Close it soon: it keeps the set open.
type View struct {
	set  *Set
	s    *Store
	from reader
}

// View opens a view of a store. It may be called from any goroutine.
func (s *Set) View(name string) (*View, error) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return nil, ErrClosed
	}
	st, err := s.Store(name)
	if err != nil {
		s.mu.RUnlock()
		return nil, err
	}
	r, err := st.engine.view()
	if err != nil {
		s.mu.RUnlock()
		return nil, fmt.Errorf("state: view of %s: %w", name, err)
	}
	return &View{set: s, s: st, from: r}, nil
}

// Close ends the view.
func (v *View) Close() error {
	defer v.set.mu.RUnlock()
	return v.from.close()
}

// Item is one entry of a view. Start is the window's, -1 in key-value stores;
// Time is -1 in stores without times.
type Item struct {
	Key   []byte
	Start int64
	Value []byte
	Time  int64
}

// Each calls fn for all entries in order of key bytes (and then start) until
// it returns false. fn must not keep the bytes.
func (v *View) Each(fn func(Item) bool) error {
	return v.from.scan(v.s.prefix, successor(v.s.prefix), func(k, val []byte) (bool, error) {
		it, err := v.item(k[len(v.s.prefix):], val)
		if err != nil {
			return false, err
		}
		return fn(it), nil
	})
}

// Get reads the entry of a key, or of a key's window.
func (v *View) Get(key []byte, start int64) (Item, bool, error) {
	data := append(append([]byte{}, v.s.prefix...), key...)
	if v.s.spec.Kind == processor.WindowStore {
		data = binary.BigEndian.AppendUint64(data, uint64(start))
	}
	val, ok, err := v.from.get(data)
	if err != nil || !ok {
		return Item{}, false, err
	}
	it, err := v.item(data[len(v.s.prefix):], val)
	return it, err == nil, err
}

var errShort = errors.New("state: an entry is shorter than its format")

func (v *View) item(key, val []byte) (Item, error) {
	it := Item{Key: key, Start: processor.NoTime, Value: val, Time: processor.NoTime}
	if v.s.spec.Kind == processor.WindowStore {
		n := len(key) - 8
		if n < 0 {
			return it, errShort
		}
		it.Key, it.Start = key[:n], int64(binary.BigEndian.Uint64(key[n:]))
	}
	if v.s.spec.Timestamped {
		if len(val) < 8 {
			return it, errShort
		}
		it.Time, it.Value = int64(binary.BigEndian.Uint64(val)), val[8:]
	}
	return it, nil
}

// Each calls fn for all entries of a store including uncommitted ones, in
// order of key bytes (and then start), until it returns false. Only the task's
// goroutine may call it; fn must not keep the bytes.
func (s *Store) Each(fn func(Item) bool) error {
	v := View{s: s}
	return s.scan(nil, nil, func(k, val []byte) (bool, error) {
		it, err := v.item(k, val)
		if err != nil {
			return false, err
		}
		return fn(it), nil
	})
}
