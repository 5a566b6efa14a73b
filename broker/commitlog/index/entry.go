package index

import "encoding/binary"

// Entry is what an index needs to know of its entries.
type Entry[E any] interface {
	key() int64 // what look-ups compare; strictly increasing
	size() int  // encoded bytes
	encode(b []byte)
	decode(b []byte) E
}

// Offset maps an offset to the position of the batch that contains it.
// Encoded: relative offset int32, position int32.
type Offset struct {
	Rel uint32 // offset - base offset of the segment
	Pos uint32 // bytes from the start of the log file
}

func (e Offset) key() int64 { return int64(e.Rel) }
func (Offset) size() int    { return 8 }

func (e Offset) encode(b []byte) {
	binary.BigEndian.PutUint32(b, e.Rel)
	binary.BigEndian.PutUint32(b[4:], e.Pos)
}

func (Offset) decode(b []byte) Offset {
	return Offset{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// Time says that no record before and including the offset has a later
// timestamp. Encoded: timestamp int64, relative offset int32.
type Time struct {
	Timestamp int64 // ms
	Rel       uint32
}

func (e Time) key() int64 { return e.Timestamp }
func (Time) size() int    { return 12 }

func (e Time) encode(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(e.Timestamp))
	binary.BigEndian.PutUint32(b[8:], e.Rel)
}

func (Time) decode(b []byte) Time {
	return Time{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])}
}
