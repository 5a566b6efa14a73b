package clean

// superseded marks offsets from base on whose key was seen again, a bit each.
// It knows a bounded range only.
type superseded struct {
	base int64
	bits []uint64
}

// newSuperseded covers [base, end) as far as budget bytes reach.
func newSuperseded(budget, base, end int64) *superseded {
	words := max(0, min((end-base+63)/64, budget/8))
	return &superseded{base: base, bits: make([]uint64, words)}
}

// covers tells whether an offset is in the range.
func (s *superseded) covers(offset int64) bool {
	return offset >= s.base && (offset-s.base)>>6 < int64(len(s.bits))
}

// mark notes an offset if the range has it.
func (s *superseded) mark(offset int64) {
	if s.covers(offset) {
		at := offset - s.base
		s.bits[at>>6] |= 1 << (at & 63)
	}
}

// has tells whether an offset of the range was marked.
func (s *superseded) has(offset int64) bool {
	at := offset - s.base
	return s.bits[at>>6]>>(at&63)&1 != 0
}

// size is the memory taken, in bytes.
func (s *superseded) size() int64 { return int64(len(s.bits)) * 8 }
