package coordination

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// object writes one JSON object, compact, with its fields in the order of calls.
type object struct{ b []byte }

func newObject() *object { return &object{b: []byte{'{'}} }

func (o *object) key(name string) {
	if len(o.b) > 1 {
		o.b = append(o.b, ',')
	}
	o.b = appendString(o.b, name)
	o.b = append(o.b, ':')
}

func (o *object) num(name string, v int64) *object {
	o.key(name)
	o.b = strconv.AppendInt(o.b, v, 10)
	return o
}

func (o *object) str(name, v string) *object {
	o.key(name)
	o.b = appendString(o.b, v)
	return o
}

func (o *object) raw(name string, v []byte) *object {
	o.key(name)
	o.b = append(o.b, v...)
	return o
}

func (o *object) ints(name string, v []int32) *object { return o.raw(name, appendInts(nil, v)) }

func (o *object) end() []byte { return append(o.b, '}') }

func appendInts(b []byte, v []int32) []byte {
	b = append(b, '[')
	for i, n := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return append(b, ']')
}

func stringArray(v []string) []byte {
	b := []byte{'['}
	for i, s := range v {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString writes a JSON string the way Jackson does: only the quote, the
// backslash and control characters are escaped.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	b = append(b, '"')
	for _, r := range s { // invalid UTF-8 becomes U+FFFD
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\b':
			b = append(b, '\\', 'b')
		case r == '\t':
			b = append(b, '\\', 't')
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\f':
			b = append(b, '\\', 'f')
		case r == '\r':
			b = append(b, '\\', 'r')
		case r < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}

// decode reads JSON into v, unknown fields ignored.
func decode(kind string, b []byte, v any) error {
	if len(b) > MaxDataSize {
		return fmt.Errorf("%w: %s of %d bytes", ErrBadPayload, kind, len(b))
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrBadPayload, kind, err)
	}
	return nil
}

// javaHash is String.hashCode: over UTF-16 units, modulo 2^32.
func javaHash(s string) uint32 {
	var h uint32
	for _, u := range utf16.Encode([]rune(s)) {
		h = 31*h + uint32(u)
	}
	return h
}

// hashOrder puts keys into the order in which a hash table of the JVM lists
// them: by slot, then within a slot by tie. Kafka writes maps in that order, and
// so do we: then the bytes can be compared.
func hashOrder(keys []string, slots uint32, tie func(a, b string) int) {
	slot := func(s string) uint32 {
		h := javaHash(s)
		return (h ^ h>>16) & (slots - 1)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if x, y := slot(a), slot(b); x != y {
			return int(x) - int(y)
		}
		return tie(a, b)
	})
}

// scalaMapOrder is the order of a scala.collection.mutable.HashMap with these
// keys, inserted in ascending order: the table doubles before it is 3/4 full,
// slots are sorted by hash.
func scalaMapOrder(keys []string) {
	slots := uint32(16)
	for uint32(len(keys)) >= slots*3/4 {
		slots *= 2
	}
	hashOrder(keys, slots, func(a, b string) int {
		x, y := javaHash(a), javaHash(b)
		return compareInt32(int32(x^x>>16), int32(y^y>>16))
	})
}

// propertiesOrder is the order of a java.util.Properties with these keys. Keys
// that share a slot stand in order of insertion there, alphabetically here.
func propertiesOrder(keys []string) {
	slots := uint32(16)
	for uint32(len(keys)) >= slots*3/4 {
		slots *= 2
	}
	hashOrder(keys, slots, strings.Compare)
}

func compareInt32(a, b int32) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}
