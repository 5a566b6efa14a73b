package record

import "math/bits"

// Varints are zigzag encoded, low 7 bits first. The decoders return n = 0 when
// the bytes end too early or the number is too long.

// uvarint decodes the raw, not zigzagged, number.
func uvarint(b []byte) (v uint64, n int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	var shift uint
	for i, c := range b {
		if i == 9 && c > 1 {
			return 0, 0
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v, i + 1
		}
		shift += 7
		if i == 9 {
			return 0, 0
		}
	}
	return 0, 0
}

// varlong decodes a 64-bit number.
func varlong(b []byte) (v int64, n int) {
	u, n := uvarint(b)
	return int64(u>>1) ^ -int64(u&1), n
}

// varint decodes a 32-bit number; one that needs more bits is refused.
func varint(b []byte) (v int32, n int) {
	u, n := uvarint(b)
	if n > 5 || u > 1<<32-1 {
		return 0, 0
	}
	return int32(uint32(u)>>1) ^ -int32(u&1), n
}

// appendVarint encodes v.
func appendVarint(dst []byte, v int64) []byte {
	u := uint64(v<<1) ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// varintSize is the encoded size of v in bytes.
func varintSize(v int64) int {
	u := uint64(v<<1) ^ uint64(v>>63)
	return (bits.Len64(u|1) + 6) / 7
}
