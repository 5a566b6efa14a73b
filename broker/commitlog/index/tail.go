package index

import "sync/atomic"

// tailSize is the number of batch boundaries remembered; a power of two.
const tailSize = 32

// Tail remembers where the latest appends of the active segment began and
// ended, so that readers near the end need neither index nor scan. Each entry
// is one word, relative offset << 32 | position: the batch with that base
// offset begins, or will begin, at that position.
//
// One writer, any number of readers. Entries are published after the bytes
// below their position are in the file.
type Tail struct {
	words [tailSize]atomic.Uint64 // zero: unused; the start of a segment needs no entry
	next  atomic.Uint32
}

// Add notes that a batch with that offset begins, or will begin, at pos.
func (t *Tail) Add(rel, pos uint32) {
	i := t.next.Load()
	t.words[i%tailSize].Store(uint64(rel)<<32 | uint64(pos))
	t.next.Store(i + 1)
}

// Floor finds the entry with the largest relative offset ≤ rel.
func (t *Tail) Floor(rel uint32) (Offset, bool) {
	var best uint64
	for i := range t.words {
		if w := t.words[i].Load(); w != 0 && uint32(w>>32) <= rel && w > best {
			best = w
		}
	}
	return Offset{uint32(best >> 32), uint32(best)}, best != 0
}
