package state

import (
	"slices"
	"sync"
)

// memory is the engine of stores that are rebuilt from their changelogs. It
// keeps sorted runs of keys in chunks, so that an insert moves few of them.
type memory struct {
	mu     sync.RWMutex // commits write, all else reads
	chunks []*chunk     // by key; never empty ones
}

// chunk holds keys in order with their values.
type chunk struct {
	keys []string
	vals [][]byte
}

// chunkMax is the number of keys at which a chunk is cut in two.
const chunkMax = 512

func newMemory() *memory { return &memory{} }

func (m *memory) get(key []byte) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, i, ok := m.find(key)
	if !ok {
		return nil, false, nil
	}
	return append([]byte{}, m.chunks[c].vals[i]...), true, nil
}

// find returns where key is, or where it would be inserted.
func (m *memory) find(key []byte) (c, i int, ok bool) {
	c, found := slices.BinarySearchFunc(m.chunks, key, func(c *chunk, k []byte) int { return compareStringBytes(c.keys[0], k) })
	if !found {
		c--
	}
	if c < 0 {
		return 0, 0, false
	}
	i, ok = slices.BinarySearchFunc(m.chunks[c].keys, key, compareStringBytes)
	return c, i, ok
}

func (m *memory) scan(lower, upper []byte, fn func(key, value []byte) (bool, error)) error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c, i, _ := m.find(lower)
	var key []byte
	for ; c < len(m.chunks); c, i = c+1, 0 {
		ch := m.chunks[c]
		for ; i < len(ch.keys); i++ {
			if upper != nil && compareStringBytes(ch.keys[i], upper) >= 0 {
				return nil
			}
			key = append(key[:0], ch.keys[i]...)
			if more, err := fn(key, ch.vals[i]); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

func (m *memory) set(key, value []byte) {
	c, i, ok := m.find(key)
	switch {
	case ok:
		m.chunks[c].vals[i] = value
		return
	case len(m.chunks) == 0:
		m.chunks = append(m.chunks, &chunk{})
	}
	ch := m.chunks[c]
	ch.keys = slices.Insert(ch.keys, i, string(key))
	ch.vals = slices.Insert(ch.vals, i, value)
	if n := len(ch.keys); n >= chunkMax {
		right := &chunk{keys: slices.Clone(ch.keys[n/2:]), vals: slices.Clone(ch.vals[n/2:])}
		clear(ch.keys[n/2:])
		clear(ch.vals[n/2:])
		ch.keys, ch.vals = ch.keys[:n/2], ch.vals[:n/2]
		m.chunks = slices.Insert(m.chunks, c+1, right)
	}
}

func (m *memory) delete(key []byte) {
	c, i, ok := m.find(key)
	if !ok {
		return
	}
	ch := m.chunks[c]
	ch.keys = slices.Delete(ch.keys, i, i+1)
	ch.vals = slices.Delete(ch.vals, i, i+1)
	if len(ch.keys) == 0 {
		m.chunks = slices.Delete(m.chunks, c, c+1)
	}
}

func (m *memory) deleteRange(lower, upper []byte) {
	c, i, _ := m.find(lower)
	for c < len(m.chunks) {
		ch := m.chunks[c]
		j := len(ch.keys)
		if upper != nil {
			j, _ = slices.BinarySearchFunc(ch.keys, upper, compareStringBytes)
		}
		whole := j == len(ch.keys)
		if j > i {
			ch.keys = slices.Delete(ch.keys, i, j)
			ch.vals = slices.Delete(ch.vals, i, j)
		}
		if len(ch.keys) == 0 {
			m.chunks = slices.Delete(m.chunks, c, c+1)
		} else {
			c++
		}
		if !whole {
			return
		}
		i = 0
	}
}

func (m *memory) view() (reader, error) { return memoryView{m}, nil }
func (m *memory) flush() error          { return nil }
func (m *memory) close() error          { return nil }

// memoryView is consistent within each of its calls.
type memoryView struct{ *memory }

func (memoryView) close() error { return nil }

func (m *memory) newBatch() batch { return &memoryBatch{m: m} }

type memoryBatch struct {
	m     *memory
	ops   []memoryOp
	bytes int
}

// memoryOp sets key to value, deletes key if value is nil, or deletes the
// range from key to upper.
type memoryOp struct {
	key, value, upper []byte
	isRange           bool
}

func (b *memoryBatch) set(key, value []byte) error {
	b.ops = append(b.ops, memoryOp{key: slices.Clone(key), value: append([]byte{}, value...)})
	b.bytes += len(key) + len(value)
	return nil
}

func (b *memoryBatch) delete(key []byte) error {
	b.ops = append(b.ops, memoryOp{key: slices.Clone(key)})
	b.bytes += len(key)
	return nil
}

func (b *memoryBatch) deleteRange(lower, upper []byte) error {
	b.ops = append(b.ops, memoryOp{key: slices.Clone(lower), upper: slices.Clone(upper), isRange: true})
	return nil
}

func (b *memoryBatch) size() int { return b.bytes }

func (b *memoryBatch) commit() error {
	b.m.mu.Lock()
	defer b.m.mu.Unlock()
	for _, op := range b.ops {
		switch {
		case op.isRange:
			b.m.deleteRange(op.key, op.upper)
		case op.value == nil:
			b.m.delete(op.key)
		default:
			b.m.set(op.key, op.value)
		}
	}
	b.ops = nil
	return nil
}
