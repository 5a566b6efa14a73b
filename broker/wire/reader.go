package wire

import "encoding/binary"

// reader takes fields from the front of b. After the first field that does not
// fit, bad is set and every further field is zero, so that a decoder checks
// once at its end. No method allocates.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}

// take returns the next n bytes as a view.
func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) int8() int8 {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := int8(r.b[0])
	r.b = r.b[1:]
	return v
}

func (r *reader) int16() int16 {
	if len(r.b) < 2 {
		r.fail()
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.b))
	r.b = r.b[2:]
	return v
}

func (r *reader) int32() int32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

func (r *reader) int64() int64 {
	if len(r.b) < 8 {
		r.fail()
		return 0
	}
	v := int64(binary.BigEndian.Uint64(r.b))
	r.b = r.b[8:]
	return v
}

// uvarint reads an unsigned varint of at most 32 bits in at most five bytes.
func (r *reader) uvarint() uint32 {
	if len(r.b) > 0 && r.b[0] < 0x80 {
		v := uint32(r.b[0])
		r.b = r.b[1:]
		return v
	}
	var v uint64
	for i := 0; i < 5 && i < len(r.b); i++ {
		v |= uint64(r.b[i]&0x7f) << (7 * i)
		if r.b[i] < 0x80 {
			if v > 1<<32-1 {
				break
			}
			r.b = r.b[i+1:]
			return uint32(v)
		}
	}
	r.fail()
	return 0
}

// length reads the length of a nullable string, byte field or array: an int32,
// or in flexible versions the length plus one as a varint. Null is -1.
func (r *reader) length(flexible bool) int {
	if flexible {
		return int(r.uvarint()) - 1
	}
	return int(r.int32())
}

// uuid reads a topic id.
func (r *reader) uuid() (id [16]byte) {
	copy(id[:], r.take(16))
	return id
}

// bytes reads a nullable byte field. Kafka takes any negative length for null.
func (r *reader) bytes(flexible bool) (v []byte, null bool) {
	n := r.length(flexible)
	if n < 0 {
		return nil, true
	}
	return r.take(n), false
}

// nullableString reads a string; any negative length is null.
func (r *reader) nullableString(flexible bool) (v []byte, null bool) {
	n := 0
	if flexible {
		n = int(r.uvarint()) - 1
	} else {
		n = int(r.int16())
	}
	if n > maxString {
		r.fail()
	}
	if n < 0 {
		return nil, true
	}
	return r.take(n), false
}

// string reads a string that must not be null.
func (r *reader) string(flexible bool) []byte {
	v, null := r.nullableString(flexible)
	if null {
		r.fail()
	}
	return v
}

// maxString bounds strings of flexible versions as the int16 length bounds
// those of the others.
const maxString = 1<<15 - 1

// count reads the number of elements of an array whose elements take at least
// minSize bytes each. A null array fails.
func (r *reader) count(flexible bool, minSize int) int {
	n := r.length(flexible)
	if n < 0 || n > len(r.b)/minSize {
		r.fail()
		return 0
	}
	return n
}

// skipTags skips a section of tagged fields, none of which is known.
func (r *reader) skipTags() {
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		r.nextTag()
	}
}

// nextTag reads one tagged field and returns its tag and a reader of its value.
func (r *reader) nextTag() (tag uint32, value reader) {
	tag = r.uvarint()
	size := r.uvarint()
	if int64(size) > int64(len(r.b)) {
		r.fail()
		return tag, reader{bad: true}
	}
	return tag, reader{b: r.take(int(size))}
}
