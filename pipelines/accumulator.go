package pipelines

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// errState is wrapped by the error of stored aggregates that do not decode.
var errState = errors.New("stored aggregate is malformed")

// accumulator folds the values of one aggregate field. Null values are left
// out, as SQL does. Its encoding delimits itself.
type accumulator interface {
	add(v any) error
	result() any // nil: nothing was added
	append(dst []byte) []byte
	decode(data []byte) (rest []byte, err error)
}

// aggregator describes one aggregate function.
type aggregator struct {
	args    int  // 0, or 1
	numeric bool // the argument must be a number
	result  func(arg Type) Type
	make    func(arg Type) accumulator
}

// aggregators are the functions of an aggregate's fields. count also takes an
// argument: it then counts the values which are not null.
func aggregators() map[string]aggregator {
	same := func(t Type) Type { t.Nullable = true; return t }
	fixed := func(k Kind, nullable bool) func(Type) Type {
		return func(Type) Type { return Type{Kind: k, Nullable: nullable} }
	}
	return map[string]aggregator{
		"count": {args: 0, result: fixed(KindInt, false), make: func(Type) accumulator { return new(count) }},
		"sum": {args: 1, numeric: true, result: func(t Type) Type {
			if t.Kind == KindInt {
				return Type{Kind: KindInt}
			}
			return Type{Kind: KindFloat}
		}, make: func(t Type) accumulator { return &sum{whole: t.Kind == KindInt} }},
		"avg":            {args: 1, numeric: true, result: fixed(KindFloat, true), make: func(Type) accumulator { return new(mean) }},
		"min":            {args: 1, result: same, make: func(Type) accumulator { return &extreme{sign: -1} }},
		"max":            {args: 1, result: same, make: func(Type) accumulator { return &extreme{sign: 1} }},
		"first":          {args: 1, result: same, make: func(Type) accumulator { return &end{first: true} }},
		"last":           {args: 1, result: same, make: func(Type) accumulator { return new(end) }},
		"count_distinct": {args: 1, result: fixed(KindInt, false), make: func(Type) accumulator { return new(distinct) }},
	}
}

// count counts.
type count struct{ n uint64 }

func (c *count) add(v any) error {
	if v != nil {
		c.n++
	}
	return nil
}
func (c *count) result() any              { return int(c.n) }
func (c *count) append(dst []byte) []byte { return binary.AppendUvarint(dst, c.n) }
func (c *count) decode(data []byte) (rest []byte, err error) {
	c.n, rest, err = uvarint(data)
	return rest, err
}

func uvarint(data []byte) (uint64, []byte, error) {
	v, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, errState
	}
	return v, data[n:], nil
}

// sum adds up numbers; whole ones stay whole, and overflow is an error.
type sum struct {
	whole bool
	i     int64
	f     float64
}

func (s *sum) add(v any) error {
	switch v := v.(type) {
	case nil:
	case int:
		if !s.whole {
			s.f += float64(v)
			return nil
		}
		next := s.i + int64(v)
		if (next > s.i) != (v > 0) && v != 0 {
			return errors.New("sum: the result exceeds 64 bits")
		}
		s.i = next
	case float64:
		s.f += v
	default:
		return fmt.Errorf("sum: %v is not a number", v)
	}
	return nil
}

func (s *sum) result() any {
	if s.whole {
		return int(s.i)
	}
	return s.f
}

func (s *sum) append(dst []byte) []byte {
	if s.whole {
		return binary.AppendVarint(dst, s.i)
	}
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(s.f))
}

func (s *sum) decode(data []byte) ([]byte, error) {
	if s.whole {
		v, n := binary.Varint(data)
		if n <= 0 {
			return nil, errState
		}
		s.i = v
		return data[n:], nil
	}
	if len(data) < 8 {
		return nil, errState
	}
	s.f = math.Float64frombits(binary.BigEndian.Uint64(data))
	return data[8:], nil
}

// mean is the arithmetic mean.
type mean struct {
	n   count
	sum sum
}

func (m *mean) add(v any) error {
	if err := m.sum.add(v); err != nil {
		return fmt.Errorf("avg: %w", err)
	}
	return m.n.add(v)
}

func (m *mean) result() any {
	if m.n.n == 0 {
		return nil
	}
	return m.sum.f / float64(m.n.n)
}

func (m *mean) append(dst []byte) []byte { return m.sum.append(m.n.append(dst)) }
func (m *mean) decode(data []byte) ([]byte, error) {
	rest, err := m.n.decode(data)
	if err != nil {
		return nil, err
	}
	return m.sum.decode(rest)
}

// extreme is the smallest (sign -1) or the greatest (sign 1) value.
type extreme struct {
	sign int
	v    any
}

func (e *extreme) add(v any) error {
	if v == nil {
		return nil
	}
	if e.v == nil {
		e.v = v
		return nil
	}
	c, err := compare(v, e.v)
	if err == nil && c*e.sign > 0 {
		e.v = v
	}
	return err
}
func (e *extreme) result() any              { return e.v }
func (e *extreme) append(dst []byte) []byte { return appendScalar(dst, e.v) }
func (e *extreme) decode(data []byte) (rest []byte, err error) {
	e.v, rest, err = decodeScalar(data)
	return rest, err
}

// end is the first or the last value in order of arrival.
type end struct {
	first bool
	v     any
}

func (e *end) add(v any) error {
	if v != nil && (e.v == nil || !e.first) {
		e.v = v
	}
	return nil
}
func (e *end) result() any              { return e.v }
func (e *end) append(dst []byte) []byte { return appendScalar(dst, e.v) }
func (e *end) decode(data []byte) (rest []byte, err error) {
	e.v, rest, err = decodeScalar(data)
	return rest, err
}

// compare orders two scalars of one sort; whole and other numbers are one sort.
func compare(a, b any) (int, error) {
	switch a := a.(type) {
	case int:
		if b, ok := b.(int); ok {
			return cmpOrdered(a, b), nil
		}
	case string:
		if b, ok := b.(string); ok {
			return cmpOrdered(a, b), nil
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b), nil
		}
	}
	fa, oka := toFloat(a)
	fb, okb := toFloat(b)
	if !oka || !okb {
		return 0, fmt.Errorf("%v and %v cannot be compared", a, b)
	}
	return cmpOrdered(fa, fb), nil
}

func cmpOrdered[T int | string | float64](a, b T) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

func toFloat(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	default:
		return 0, false
	}
}

// The tags of stored scalars.
const (
	tagNull = iota
	tagInt
	tagFloat
	tagString
	tagTime
	tagFalse
	tagTrue
)

func appendScalar(dst []byte, v any) []byte {
	switch v := v.(type) {
	case int:
		return binary.AppendVarint(append(dst, tagInt), int64(v))
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, tagFloat), math.Float64bits(v))
	case time.Time:
		return binary.AppendVarint(append(dst, tagTime), v.UnixNano())
	case bool:
		if v {
			return append(dst, tagTrue)
		}
		return append(dst, tagFalse)
	case nil:
		return append(dst, tagNull)
	default:
		s := toText(v)
		return append(binary.AppendUvarint(append(dst, tagString), uint64(len(s))), s...)
	}
}

func decodeScalar(data []byte) (any, []byte, error) {
	if len(data) == 0 {
		return nil, nil, errState
	}
	tag, data := data[0], data[1:]
	switch tag {
	case tagNull:
		return nil, data, nil
	case tagFalse, tagTrue:
		return tag == tagTrue, data, nil
	case tagInt, tagTime:
		v, n := binary.Varint(data)
		if n <= 0 {
			return nil, nil, errState
		}
		if tag == tagTime {
			return time.Unix(0, v).UTC(), data[n:], nil
		}
		return int(v), data[n:], nil
	case tagFloat:
		if len(data) < 8 {
			return nil, nil, errState
		}
		return math.Float64frombits(binary.BigEndian.Uint64(data)), data[8:], nil
	case tagString:
		n, rest, err := uvarint(data)
		if err != nil || n > uint64(len(rest)) {
			return nil, nil, errState
		}
		return string(rest[:n]), rest[n:], nil
	default:
		return nil, nil, errState
	}
}
