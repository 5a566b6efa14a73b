package index

import (
	"fmt"

	"github.com/leatstream/leat/broker/commitlog/format"
)

// AbsoluteOffset is an Offset with its segment's base added: the batch at Position
// holds Offset.
type AbsoluteOffset struct {
	Offset   int64
	Position int64
}

// DecodeOffsets reads an .index file of the segment that starts at base.
// Zeros at the end are left out. With ErrCorruptFile come the entries before the
// first bad one.
func DecodeOffsets(data []byte, base int64) ([]AbsoluteOffset, error) {
	var out []AbsoluteOffset
	entries, err := wholeEntries[Offset](data)
	for i, e := range entries {
		if i > 0 && (e.Rel <= entries[i-1].Rel || e.Pos <= entries[i-1].Pos) {
			return out, fmt.Errorf("%w: entry %d does not come after the one before", format.ErrCorruptFile, i)
		}
		out = append(out, AbsoluteOffset{base + int64(e.Rel), int64(e.Pos)})
	}
	return out, err
}

// AbsoluteTime is a Time with its segment's base added: no record up to Offset is
// later than Timestamp.
type AbsoluteTime struct {
	Timestamp int64 // ms
	Offset    int64
}

// DecodeTimes reads a .timeindex file as DecodeOffsets does an .index file.
func DecodeTimes(data []byte, base int64) ([]AbsoluteTime, error) {
	var out []AbsoluteTime
	entries, err := wholeEntries[Time](data)
	for i, e := range entries {
		if i > 0 && (e.Timestamp <= entries[i-1].Timestamp || e.Rel < entries[i-1].Rel) {
			return out, fmt.Errorf("%w: entry %d does not come after the one before", format.ErrCorruptFile, i)
		}
		out = append(out, AbsoluteTime{e.Timestamp, base + int64(e.Rel)})
	}
	return out, err
}

// wholeEntries decodes an index file without the zeros that preallocation leaves
// at its end.
func wholeEntries[E Entry[E]](data []byte) ([]E, error) {
	var zero E
	var err error
	if rest := len(data) % zero.size(); rest != 0 {
		err = fmt.Errorf("%w: %d bytes after the last entry", format.ErrCorruptFile, rest)
	}
	entries := decodeEntries[E](data)
	for n := len(entries); n > 0 && any(entries[n-1]) == any(zero); n-- {
		entries = entries[:n-1]
	}
	return entries, err
}
