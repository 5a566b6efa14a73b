package record

import "fmt"

// Record is one record of a batch. Its slices point into the batch or into a
// buffer of the Iterator that gave it; they are valid until the iterator moves
// to another batch or is closed.
type Record struct {
	Offset      int64 // absolute
	Timestamp   int64 // ms; the batch's max timestamp under LogAppendTime
	OffsetDelta int32
	Key         []byte // nil: null
	Value       []byte // nil: null (a tombstone)
	HeaderCount int
	headers     []byte
}

// Header is one header of a record. Both slices follow the record's lifetime;
// a nil Value is null.
type Header struct {
	Key   []byte
	Value []byte
}

// Headers decodes the record's headers, appending to dst.
func (r *Record) Headers(dst []Header) ([]Header, error) {
	b := r.headers
	for range r.HeaderCount {
		var h Header
		var ok bool
		if h.Key, b, ok = cutBytes(b); !ok || h.Key == nil {
			return dst, fmt.Errorf("%w: header key", ErrInvalidRecord)
		}
		if h.Value, b, ok = cutBytes(b); !ok {
			return dst, fmt.Errorf("%w: header value", ErrInvalidRecord)
		}
		dst = append(dst, h)
	}
	return dst, nil
}

// cutBytes takes a varint length and that many bytes off b; -1 gives nil.
func cutBytes(b []byte) (field, rest []byte, ok bool) {
	length, n := varint(b)
	if n == 0 || length < -1 {
		return nil, b, false
	}
	b = b[n:]
	if length == -1 {
		return nil, b, true
	}
	if int(length) > len(b) {
		return nil, b, false
	}
	return b[:length:length], b[length:], true
}

// body is a decoded record whose offset and timestamp are still deltas.
type body struct {
	timestampDelta int64
	offsetDelta    int32
	key, value     []byte
	headerCount    int
	headers        []byte
}

// cutRecord takes one record off the uncompressed records section.
//
//	length varint | attributes int8 | timestamp delta varlong |
//	offset delta varint | key | value | header count varint | headers
func cutRecord(b []byte) (r body, rest []byte, ok bool) {
	length, n := varint(b)
	if n == 0 || length < 1 || int(length) > len(b)-n {
		return r, b, false
	}
	rest = b[n+int(length):]
	b = b[n+1 : n+int(length)] // the attributes byte is unused
	if r.timestampDelta, n = varlong(b); n == 0 {
		return r, rest, false
	}
	b = b[n:]
	if r.offsetDelta, n = varint(b); n == 0 {
		return r, rest, false
	}
	b = b[n:]
	if r.key, b, ok = cutBytes(b); !ok {
		return r, rest, false
	}
	if r.value, b, ok = cutBytes(b); !ok {
		return r, rest, false
	}
	count, n := varint(b)
	// A header takes at least two bytes, which bounds the count.
	if n == 0 || count < 0 || int(count) > (len(b)-n)/2 {
		return r, rest, false
	}
	r.headerCount, r.headers = int(count), b[n:]
	return r, rest, count > 0 || len(b) == n
}

// appendRecord encodes one record.
func appendRecord(dst []byte, r *body, headers []Header) []byte {
	dst = appendVarint(dst, int64(recordLength(r, headers)))
	dst = append(dst, 0)
	dst = appendVarint(dst, r.timestampDelta)
	dst = appendVarint(dst, int64(r.offsetDelta))
	dst = appendBytes(dst, r.key)
	dst = appendBytes(dst, r.value)
	dst = appendVarint(dst, int64(len(headers)))
	for i := range headers {
		dst = appendVarint(dst, int64(len(headers[i].Key)))
		dst = append(dst, headers[i].Key...)
		dst = appendBytes(dst, headers[i].Value)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	if b == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int64(len(b))), b...)
}

func bytesSize(b []byte) int {
	if b == nil {
		return 1
	}
	return varintSize(int64(len(b))) + len(b)
}

// recordLength is the value of the record's length field.
func recordLength(r *body, headers []Header) int {
	n := 1 + varintSize(r.timestampDelta) + varintSize(int64(r.offsetDelta)) +
		bytesSize(r.key) + bytesSize(r.value) + varintSize(int64(len(headers)))
	for i := range headers {
		n += varintSize(int64(len(headers[i].Key))) + len(headers[i].Key) + bytesSize(headers[i].Value)
	}
	return n
}
