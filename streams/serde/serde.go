package serde

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// ErrMalformed is wrapped by every decoding error of this package.
var ErrMalformed = errors.New("malformed bytes")

// Serde encodes and decodes values of one type.
//
// Append adds the encoding of v to dst and returns the extended slice. Decode
// must not keep data. Neither is called for null unless the serde is a
// [Nuller]: null keys and values travel beside the bytes, not in them.
type Serde[T any] interface {
	Append(dst []byte, v T) ([]byte, error)
	Decode(data []byte) (T, error)
}

// Nuller is a Serde with values of its own for null, such as nil pointers.
// Such a value is written as a null key or value, and null is read as Null().
type Nuller[T any] interface {
	IsNull(v T) bool
	Null() T
}

// IsNull tells whether s regards v as null. Serdes which are no [Nuller]
// have no null.
func IsNull[T any](s Serde[T], v T) bool {
	n, ok := s.(Nuller[T])
	return ok && n.IsNull(v)
}

// The serdes of Kafka's own types. Integers and floats are big-endian and
// eight bytes long, as those of Kafka's LongSerializer and DoubleSerializer.
var (
	String  Serde[string]  = stringSerde{}
	Bytes   Serde[[]byte]  = bytesSerde{}
	Int64   Serde[int64]   = int64Serde{}
	Float64 Serde[float64] = float64Serde{}
)

type stringSerde struct{}

func (stringSerde) Append(dst []byte, v string) ([]byte, error) { return append(dst, v...), nil }
func (stringSerde) Decode(data []byte) (string, error)          { return string(data), nil }

// bytesSerde treats a nil slice as null, as Kafka's ByteArraySerializer does.
type bytesSerde struct{}

func (bytesSerde) Append(dst []byte, v []byte) ([]byte, error) { return append(dst, v...), nil }
func (bytesSerde) Decode(data []byte) ([]byte, error)          { return append([]byte{}, data...), nil }
func (bytesSerde) IsNull(v []byte) bool                        { return v == nil }
func (bytesSerde) Null() []byte                                { return nil }

type int64Serde struct{}

func (int64Serde) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (int64Serde) Decode(data []byte) (int64, error) {
	if len(data) != 8 {
		return 0, fmt.Errorf("serde: an int64 has 8 bytes, not %d: %w", len(data), ErrMalformed)
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}

type float64Serde struct{}

func (float64Serde) Append(dst []byte, v float64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(v)), nil
}

func (float64Serde) Decode(data []byte) (float64, error) {
	if len(data) != 8 {
		return 0, fmt.Errorf("serde: a float64 has 8 bytes, not %d: %w", len(data), ErrMalformed)
	}
	return math.Float64frombits(binary.BigEndian.Uint64(data)), nil
}

// JSON is the serde of values stored as one JSON document each.
func JSON[T any]() Serde[T] { return jsonSerde[T]{} }

type jsonSerde[T any] struct{}

func (jsonSerde[T]) Append(dst []byte, v T) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return dst, fmt.Errorf("serde: %w", err)
	}
	return append(dst, data...), nil
}

func (jsonSerde[T]) Decode(data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("serde: %w: %w", ErrMalformed, err)
	}
	return v, nil
}

// Nullable is the serde of *T in which nil stands for null.
func Nullable[T any](s Serde[T]) Serde[*T] { return nullable[T]{s} }

type nullable[T any] struct{ of Serde[T] }

func (n nullable[T]) Append(dst []byte, v *T) ([]byte, error) {
	if v == nil {
		return dst, nil
	}
	return n.of.Append(dst, *v)
}

func (n nullable[T]) Decode(data []byte) (*T, error) {
	v, err := n.of.Decode(data)
	if err != nil {
		return nil, err
	}
	return &v, nil
}

func (n nullable[T]) IsNull(v *T) bool { return v == nil }
func (n nullable[T]) Null() *T         { return nil }

// Func makes a Serde of two functions.
func Func[T any](appendTo func([]byte, T) ([]byte, error), decode func([]byte) (T, error)) Serde[T] {
	return funcSerde[T]{appendTo, decode}
}

type funcSerde[T any] struct {
	append func([]byte, T) ([]byte, error)
	decode func([]byte) (T, error)
}

func (f funcSerde[T]) Append(dst []byte, v T) ([]byte, error) { return f.append(dst, v) }
func (f funcSerde[T]) Decode(data []byte) (T, error)          { return f.decode(data) }
