package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Places of the fields of a message of format 0 or 1, in bytes from its start.
//
//	 0 offset      int64   inside a compressed message of format 1: relative
//	 8 size        int32   bytes after this field
//	12 crc         uint32  CRC-32 (IEEE) of everything from 16 to the end
//	16 magic       int8    0 or 1
//	17 attributes  int8    bits 0–2 codec; format 1: bit 3 LogAppendTime
//	18 timestamp   int64   ms, format 1 only
//	   key         int32 length (-1: null), bytes
//	   value       the same; of a compressed message: the messages inside
const (
	messageCRCAt   = 12
	messageAttrsAt = 17
	messageTimeAt  = 18
	messageKeyAt0  = 18 // format 0
	messageKeyAt1  = 26 // format 1

	// minMessageSize is the least that a size field may say: checksum, magic,
	// attributes and two lengths.
	minMessageSize = 14
)

// Message is one message of format 0 or 1, offset first. It is a view: the bytes
// belong to whoever made them.
//
// A set is a run of messages. A compressed message (a wrapper) holds a set in
// its value; wrappers do not nest. The offset of a wrapper is that of the last
// message inside.
type Message []byte

// NextMessage cuts the first message off a set. At the end of the set it gives
// nil, nil, nil; a partial message gives ErrTruncated, an impossible size or
// format ErrCorruptBatch, a batch of format 2 ErrInvalidRecord. The checksum and
// the lengths inside are not looked at.
func NextMessage(set []byte) (m Message, rest []byte, err error) {
	if len(set) == 0 {
		return nil, nil, nil
	}
	if len(set) < LogOverhead {
		return nil, set, ErrTruncated
	}
	size := int64(int32(binary.BigEndian.Uint32(set[lengthAt:])))
	switch {
	case size < minMessageSize:
		return nil, set, fmt.Errorf("%w: message of %d bytes", ErrCorruptBatch, size)
	case len(set) <= magicAt:
		return nil, set, ErrTruncated
	case set[magicAt] == Magic:
		return nil, set, fmt.Errorf("%w: a record batch among old messages", ErrInvalidRecord)
	case set[magicAt] > Magic:
		return nil, set, fmt.Errorf("%w: magic %d", ErrCorruptBatch, int8(set[magicAt]))
	case size > int64(len(set)-LogOverhead):
		return nil, set, ErrTruncated
	}
	end := int(size) + LogOverhead
	return Message(set[:end:end]), set[end:], nil
}

// Offset is the message's offset.
func (m Message) Offset() int64 { return int64(binary.BigEndian.Uint64(m[offsetAt:])) }

// Magic is the message's format, 0 or 1.
func (m Message) Magic() int8 { return int8(m[magicAt]) }

// Compression gives the codec; it may be an unknown one.
func (m Message) Compression() Compression {
	return Compression(m[messageAttrsAt] & byte(compressionMask))
}

// TimestampType tells who set the timestamp; messages of format 0 have none.
func (m Message) TimestampType() TimestampType {
	if m.Magic() > 0 && m[messageAttrsAt]&byte(logAppendTimeBit) != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// CheckCRC compares the stored checksum with the bytes.
func (m Message) CheckCRC() error {
	stored := binary.BigEndian.Uint32(m[messageCRCAt:])
	if got := crc32.ChecksumIEEE(m[magicAt:]); got != stored {
		return fmt.Errorf("%w: checksum of a message is %08x, stored %08x", ErrCorruptBatch, got, stored)
	}
	return nil
}

// Fields takes the message apart. The timestamp of format 0 is NoTimestamp; nil
// stands for null. Key and value point into the message; bytes behind them count
// for nothing.
func (m Message) Fields() (timestamp int64, key, value []byte, err error) {
	at := messageKeyAt0
	timestamp = NoTimestamp
	if m.Magic() > 0 {
		if at = messageKeyAt1; len(m) < at {
			return 0, nil, nil, fmt.Errorf("%w: message of %d bytes", ErrInvalidRecord, len(m))
		}
		timestamp = int64(binary.BigEndian.Uint64(m[messageTimeAt:]))
	}
	key, rest, ok := cutLong(m[at:])
	if ok {
		value, _, ok = cutLong(rest)
	}
	if !ok {
		return 0, nil, nil, fmt.Errorf("%w: lengths inside of a message of %d bytes", ErrInvalidRecord, len(m))
	}
	return timestamp, key, value, nil
}

// Inner appends to dst the set inside of a wrapper, which may take limit bytes
// (0: DefaultMaxDecompressed).
func (m Message) Inner(dst []byte, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = DefaultMaxDecompressed
	}
	_, _, value, err := m.Fields()
	c := m.Compression()
	switch {
	case err != nil:
		return dst, err
	case value == nil:
		return dst, fmt.Errorf("%w: compressed message without a value", ErrInvalidRecord)
	case c == Zstd:
		return dst, fmt.Errorf("%w: %v in message format %d", ErrInvalidRecord, c, m.Magic())
	case c == LZ4 && m.Magic() == 0:
		return decompressLZ4(dst, mendedLZ4(value), limit)
	}
	return Decompress(dst, c, value, limit)
}

// cutLong takes an int32 length and that many bytes off b; -1 gives nil.
func cutLong(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, b, false
	}
	length := int32(binary.BigEndian.Uint32(b))
	b = b[4:]
	if length == -1 {
		return nil, b, true
	}
	if length < 0 || int64(length) > int64(len(b)) {
		return nil, b, false
	}
	return b[:length:length], b[length:], true
}

// messageWriter appends messages of one format.
type messageWriter struct {
	magic      int8
	attributes byte
}

// begin appends everything up to the value's length; end completes it.
func (w messageWriter) begin(dst []byte, offset, timestamp int64, key []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint64(dst, uint64(offset))
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0) // size and checksum: see end
	dst = append(dst, byte(w.magic), w.attributes)
	if w.magic > 0 {
		dst = be.AppendUint64(dst, uint64(timestamp))
	}
	if key == nil {
		dst = append(dst, 0xff, 0xff, 0xff, 0xff)
	} else {
		dst = append(be.AppendUint32(dst, uint32(len(key))), key...)
	}
	return append(dst, 0xff, 0xff, 0xff, 0xff)
}

// end sets size and checksum of the message that starts at start.
func (messageWriter) end(dst []byte, start int) {
	m := dst[start:]
	binary.BigEndian.PutUint32(m[lengthAt:], uint32(len(m)-LogOverhead))
	binary.BigEndian.PutUint32(m[messageCRCAt:], crc32.ChecksumIEEE(m[magicAt:]))
}

// append appends a message that is not compressed.
func (w messageWriter) append(dst []byte, offset, timestamp int64, key, value []byte) []byte {
	start := len(dst)
	dst = w.begin(dst, offset, timestamp, key)
	if value != nil {
		binary.BigEndian.PutUint32(dst[len(dst)-4:], uint32(len(value)))
		dst = append(dst, value...)
	}
	w.end(dst, start)
	return dst
}

// wrap appends a wrapper around set.
func (w messageWriter) wrap(dst []byte, offset, timestamp int64, c Compression, set []byte) ([]byte, error) {
	start := len(dst)
	w.attributes |= byte(c)
	dst = w.begin(dst, offset, timestamp, nil)
	at := len(dst)
	dst, err := Compress(dst, c, Levels{}, set)
	if err != nil {
		return dst[:start], err
	}
	if c == LZ4 && w.magic == 0 {
		spoilLZ4Header(dst[at:])
	}
	binary.BigEndian.PutUint32(dst[at-4:], uint32(len(dst)-at))
	w.end(dst, start)
	return dst, nil
}
