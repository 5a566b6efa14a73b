package clean

import (
	"hash/crc32"
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// slot is an entry of a keyMap. Four share a line of the processor's cache, and
// none lies in two.
type slot struct {
	hash uint64
	rest uint64 // other hash, 24 bits | offset - base + 1, 40 bits: 0 in an empty slot
}

const (
	slotSize   = 16
	offsetBits = 40
	offsetMask = 1<<offsetBits - 1
)

// fullest is the largest share of slots that may be taken; beyond it probes get
// long.
const fullest = 0.87

// growth is by what a map grows. The old slots and the new ones are there at the
// same time, so a budget of n slots ends as a map of n * growth / (growth + 1).
const growth = 4

// smallest is the number of slots up to which a map does not begin smaller than
// it may become.
const smallest = 1 << 16

// keyMap maps keys to the last offset at which they were seen, in a bounded
// amount of memory: 16 B / 0.87 * 5/4 = 23 B per key that it has room for. It
// stores not the key but 88 bits of two unrelated hashes; that two keys of a map
// of 10 million ever share them has odds of 1 to 10^12.
// Open addressing with linear probes; nothing is ever removed. The place of a
// key is its hash scaled to the number of slots, so a map grows from front to
// back.
type keyMap struct {
	slots   []slot
	base    int64 // offsets are counted from here
	most    int   // slots that it may grow to
	load    float64
	count   int
	limit   int    // keys for which there is room without growing
	touched uint64 // keeps touch from being optimized away
}

// newKeyMap makes a map for offsets from base on that takes at most budget bytes
// and becomes no larger than keys asks for.
func newKeyMap(budget, base, keys int64, load float64) *keyMap {
	if !(load > 0 && load < fullest) {
		load = fullest
	}
	most := max(2, budget/slotSize*growth/(growth+1))
	if keys < most {
		most = max(2, min(most, int64(float64(keys)/load)+2))
	}
	n := most
	for n > smallest {
		n = (n + growth - 1) / growth
	}
	m := &keyMap{base: base, most: int(most), load: load}
	m.resize(int(n))
	return m
}

func (m *keyMap) resize(n int) {
	m.slots, m.limit = make([]slot, n), m.room(n)
}

// room is how many keys n slots hold.
func (m *keyMap) room(n int) int { return max(1, min(n-1, int(float64(n)*m.load))) }

// fill is the share of the room for keys that is taken.
func (m *keyMap) fill() float64 { return float64(m.count) / float64(m.room(m.most)) }

// seen is a key at an offset.
type seen struct {
	hash   uint64
	check  uint64 // in the place that it has in a slot
	offset int64
}

// digest gives the hashes of a key.
func digest(key []byte) (hash, check uint64) {
	crc := crc32.Update(0, crc32.MakeTable(crc32.Castagnoli), key)
	return xxhash.Sum64(key), uint64(crc) << offsetBits
}

func (m *keyMap) home(hash uint64) int {
	i, _ := bits.Mul64(hash, uint64(len(m.slots)))
	return int(i)
}

// find gives the slot of a key, or the empty one where it belongs.
func (m *keyMap) find(hash, check uint64) *slot {
	for i := m.home(hash); ; {
		s := &m.slots[i]
		if s.rest == 0 || s.hash == hash && s.rest&^offsetMask == check {
			return s
		}
		if i++; i == len(m.slots) {
			i = 0
		}
	}
}

// touch has the slots of keys that will be put next fetched from memory. They
// are asked for all at once, where one put would wait for its slot after the
// other.
func (m *keyMap) touch(next []seen) {
	any := uint64(0)
	for i := range next {
		any |= m.slots[m.home(next[i].hash)].rest
	}
	m.touched |= any
}

// put notes that a key was seen and gives the offset at which it was before, -1
// for a new one. False says that the map is full and does not know the key.
func (m *keyMap) put(s seen) (before int64, ok bool) {
	distance := uint64(s.offset - m.base + 1)
	if distance > offsetMask {
		return -1, false
	}
	at := m.find(s.hash, s.check)
	if at.rest != 0 {
		before = m.offset(at)
		at.rest = s.check | distance
		return before, true
	}
	if m.count >= m.limit {
		if len(m.slots) == m.most {
			return -1, false
		}
		m.grow()
		at = m.find(s.hash, s.check)
	}
	m.count++
	*at = slot{s.hash, s.check | distance}
	return -1, true
}

func (m *keyMap) offset(s *slot) int64 { return m.base - 1 + int64(s.rest&offsetMask) }

func (m *keyMap) grow() {
	old := m.slots
	m.resize(min(m.most, len(old)*growth))
	for i := range old {
		if s := &old[i]; s.rest != 0 {
			*m.find(s.hash, s.rest&^offsetMask) = *s
		}
	}
}

// last is the offset at which key was seen last, -1 if it was not.
func (m *keyMap) last(key []byte) int64 {
	if m.count == 0 {
		return -1
	}
	s := m.find(digest(key))
	if s.rest == 0 {
		return -1
	}
	return m.offset(s)
}
