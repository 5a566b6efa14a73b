package pipelines

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// distinct counts different values: exactly up to exactLimit, beyond that by a
// HyperLogLog of 2^precision registers (Flajolet et al., 2007) with a standard
// error of 1.04/sqrt(2^precision), 1.6 %.
type distinct struct {
	hashes    []uint64 // sorted; nil once registers are in use
	registers []byte
}

const (
	precision  = 12
	exactLimit = 256 // hashes: 2 KiB, half of what the registers take
)

func (d *distinct) add(v any) error {
	if v == nil {
		return nil
	}
	h := xxhash.Sum64(appendScalar(nil, v))
	if d.registers != nil {
		d.register(h)
		return nil
	}
	i, known := slices.BinarySearch(d.hashes, h)
	if known {
		return nil
	}
	if len(d.hashes) < exactLimit {
		d.hashes = slices.Insert(d.hashes, i, h)
		return nil
	}
	d.registers = make([]byte, 1<<precision)
	for _, old := range d.hashes {
		d.register(old)
	}
	d.hashes = nil
	d.register(h)
	return nil
}

// register notes the position of the first 1 bit behind the register's index.
func (d *distinct) register(h uint64) {
	i := h >> (64 - precision)
	rank := byte(bits.LeadingZeros64(h<<precision|1<<(precision-1)) + 1)
	d.registers[i] = max(d.registers[i], rank)
}

func (d *distinct) result() any {
	if d.registers == nil {
		return len(d.hashes)
	}
	const m = 1 << precision
	sum, zeros := 0.0, 0
	for _, r := range d.registers {
		sum += math.Ldexp(1, -int(r))
		if r == 0 {
			zeros++
		}
	}
	estimate := 0.7213 / (1 + 1.079/float64(m)) * m * m / sum
	if estimate <= 2.5*m && zeros > 0 {
		estimate = m * math.Log(float64(m)/float64(zeros))
	}
	return int(math.Round(estimate))
}

func (d *distinct) append(dst []byte) []byte {
	if d.registers != nil {
		return append(binary.AppendUvarint(dst, exactLimit+1), d.registers...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(d.hashes)))
	for _, h := range d.hashes {
		dst = binary.BigEndian.AppendUint64(dst, h)
	}
	return dst
}

func (d *distinct) decode(data []byte) ([]byte, error) {
	n, rest, err := uvarint(data)
	switch {
	case err != nil || n > exactLimit+1:
		return nil, errState
	case n == exactLimit+1:
		if len(rest) < 1<<precision {
			return nil, errState
		}
		d.hashes, d.registers = nil, slices.Clone(rest[:1<<precision])
		return rest[1<<precision:], nil
	case uint64(len(rest)) < 8*n:
		return nil, errState
	}
	d.registers, d.hashes = nil, make([]uint64, n)
	for i := range d.hashes {
		d.hashes[i] = binary.BigEndian.Uint64(rest[8*i:])
	}
	return rest[8*n:], nil
}
