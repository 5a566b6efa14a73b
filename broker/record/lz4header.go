package record

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
)

// An LZ4 frame opens with
//
//	magic 4 | flags | block sizes | content size 8? | dictionary id 4? | checksum
//
// where the checksum is one byte of the XXH32 of what lies between magic and
// checksum. Clients of message format 0 compute it over the magic too
// (KAFKA-3160), and the oldest of them refuse anything else.
const (
	lz4MagicSize     = 4
	lz4FlagContent   = 0x08
	lz4FlagDict      = 0x01
	lz4MaxHeaderSize = lz4MagicSize + 2 + 8 + 4 + 1
)

// lz4ChecksumAt is the place of the header's checksum, or false when b is too
// short to have one.
func lz4ChecksumAt(b []byte) (int, bool) {
	if len(b) < lz4MagicSize+3 {
		return 0, false
	}
	at := lz4MagicSize + 2
	if b[lz4MagicSize]&lz4FlagContent != 0 {
		at += 8
	}
	if b[lz4MagicSize]&lz4FlagDict != 0 {
		at += 4
	}
	return at, at < len(b)
}

// mendedLZ4 reads frame with the checksum that the format asks for, whatever
// stands there.
func mendedLZ4(frame []byte) io.Reader {
	at, ok := lz4ChecksumAt(frame)
	if !ok {
		return bytes.NewReader(frame)
	}
	header := append(make([]byte, 0, lz4MaxHeaderSize), frame[:at]...)
	header = append(header, byte(xxh32(header[lz4MagicSize:])>>8))
	return io.MultiReader(bytes.NewReader(header), bytes.NewReader(frame[at+1:]))
}

// spoilLZ4Header gives frame the checksum that clients of format 0 expect.
func spoilLZ4Header(frame []byte) {
	if at, ok := lz4ChecksumAt(frame); ok {
		frame[at] = byte(xxh32(frame[:at]) >> 8)
	}
}

// xxh32 is the 32-bit xxHash of b with seed 0.
func xxh32(b []byte) uint32 {
	const (
		p1 uint32 = 2654435761
		p2 uint32 = 2246822519
		p3 uint32 = 3266489917
		p4 uint32 = 668265263
		p5 uint32 = 374761393
	)
	size := uint32(len(b))
	h := p5
	if len(b) >= 16 {
		p := p1 // a variable: the sums below wrap
		lanes := [4]uint32{p + p2, p2, 0, -p}
		for ; len(b) >= 16; b = b[16:] {
			for i := range lanes {
				lanes[i] = bits.RotateLeft32(lanes[i]+binary.LittleEndian.Uint32(b[4*i:])*p2, 13) * p1
			}
		}
		h = bits.RotateLeft32(lanes[0], 1) + bits.RotateLeft32(lanes[1], 7) +
			bits.RotateLeft32(lanes[2], 12) + bits.RotateLeft32(lanes[3], 18)
	}
	h += size
	for ; len(b) >= 4; b = b[4:] {
		h = bits.RotateLeft32(h+binary.LittleEndian.Uint32(b)*p3, 17) * p4
	}
	for _, c := range b {
		h = bits.RotateLeft32(h+uint32(c)*p5, 11) * p1
	}
	h = (h ^ h>>15) * p2
	h = (h ^ h>>13) * p3
	return h ^ h>>16
}
