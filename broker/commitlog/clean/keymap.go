package clean

import (
	"encoding/binary"
	"hash/crc32"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// slotSize is the size of one entry of a keyMap in bytes:
//
//	hash uint64 | check uint32 | offset + 1 int64, 0 in an empty slot
const slotSize = 20

// fullest is the largest share of slots that may be taken: 20 B / 0.85 = 23.5 B
// per key, and probes stay short.
const fullest = 0.85

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// keyMap maps keys to the last offset at which they were seen, in a fixed amount
// of memory. It stores not the key but 96 bits of two unrelated hashes; that
// two keys of a map of 10 million ever share them has odds of 1 to 10^15.
// Open addressing with linear probes; nothing is ever removed.
type keyMap struct {
	slots []byte
	n     uint64 // slots
	count int
	limit int // keys
}

// newKeyMap makes a map that takes at most budget bytes and is large enough for
// keys if that is less.
func newKeyMap(budget, keys int64, load float64) *keyMap {
	if !(load > 0 && load < fullest) {
		load = fullest
	}
	n := max(2, budget/slotSize)
	if keys < n {
		n = max(2, min(n, int64(float64(keys)/load)+2))
	}
	return &keyMap{slots: make([]byte, n*slotSize), n: uint64(n), limit: int(max(1, min(n-1, int64(float64(n)*load))))}
}

// find gives the slot of a key, or the empty one where it belongs.
func (m *keyMap) find(key []byte) (slot []byte, hash uint64, check uint32) {
	hash, check = xxhash.Sum64(key), crc32.Update(0, castagnoli, key)
	i, _ := bits.Mul64(hash, m.n)
	for {
		slot = m.slots[i*slotSize : i*slotSize+slotSize : i*slotSize+slotSize]
		if binary.LittleEndian.Uint64(slot[12:]) == 0 ||
			binary.LittleEndian.Uint64(slot) == hash && binary.LittleEndian.Uint32(slot[8:]) == check {
			return slot, hash, check
		}
		if i++; i == m.n {
			i = 0
		}
	}
}

// put notes that key was seen at offset. False says that the map is full and
// does not know the key.
func (m *keyMap) put(key []byte, offset int64) bool {
	slot, hash, check := m.find(key)
	if binary.LittleEndian.Uint64(slot[12:]) == 0 {
		if m.count >= m.limit {
			return false
		}
		m.count++
		binary.LittleEndian.PutUint64(slot, hash)
		binary.LittleEndian.PutUint32(slot[8:], check)
	}
	binary.LittleEndian.PutUint64(slot[12:], uint64(offset+1))
	return true
}

// last is the offset at which key was seen last, -1 if it was not.
func (m *keyMap) last(key []byte) int64 {
	if m.count == 0 {
		return -1
	}
	slot, _, _ := m.find(key)
	return int64(binary.LittleEndian.Uint64(slot[12:])) - 1
}
