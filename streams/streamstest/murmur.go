package streamstest

import "encoding/binary"

// partitionOf is the partition Kafka's default partitioner gives a key: the
// positive part of its 32-bit murmur2 hash modulo n.
func partitionOf(key []byte, n int32) int32 {
	return int32(murmur2(key)&0x7fffffff) % n
}

// murmur2 is the 32-bit hash with Kafka's seed.
func murmur2(key []byte) uint32 {
	const (
		seed = 0x9747b28c
		m    = 0x5bd1e995
		r    = 24
	)
	h := uint32(seed) ^ uint32(len(key))
	rest := key
	for ; len(rest) >= 4; rest = rest[4:] {
		k := binary.LittleEndian.Uint32(rest) * m
		k ^= k >> r
		h = h*m ^ k*m
	}
	for i := len(rest) - 1; i >= 0; i-- {
		h ^= uint32(rest[i]) << (8 * i)
	}
	if len(rest) > 0 {
		h *= m
	}
	h ^= h >> 13
	h *= m
	h ^= h >> 15
	return h
}
