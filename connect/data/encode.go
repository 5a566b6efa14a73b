package data

import (
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// JSONOptions choose between the ways Kafka Connect's JSON converter writes values.
type JSONOptions struct {
	// NumericDecimal writes Decimal as a number instead of base64 bytes.
	NumericDecimal bool
	// KeepNullDefault writes null for an unset optional field with a default,
	// instead of the default.
	KeepNullDefault bool
}

// AppendJSON appends v as JSON. With a schema the logical types are written as
// their base type (Timestamp as milliseconds); without one the Go type decides.
func AppendJSON(dst []byte, s *Schema, v any, o JSONOptions) ([]byte, error) {
	if v == nil && s != nil && s.Default != nil && !o.KeepNullDefault {
		v = s.Default
	}
	switch t := v.(type) {
	case nil:
		if s != nil && !s.Optional {
			return nil, fmt.Errorf("%w: null for required %s", ErrMismatch, describe(s))
		}
		return append(dst, "null"...), nil
	case string:
		return AppendString(dst, t), nil
	case bool:
		return strconv.AppendBool(dst, t), nil
	case int8:
		return strconv.AppendInt(dst, int64(t), 10), nil
	case int16:
		return strconv.AppendInt(dst, int64(t), 10), nil
	case int32:
		return strconv.AppendInt(dst, int64(t), 10), nil
	case int64:
		return strconv.AppendInt(dst, t, 10), nil
	case int:
		return strconv.AppendInt(dst, int64(t), 10), nil
	case float32:
		return AppendFloat(dst, float64(t), 32), nil
	case float64:
		return AppendFloat(dst, t, 64), nil
	case []byte:
		return appendBase64(dst, t), nil
	case time.Time:
		return strconv.AppendInt(dst, timeNumber(s, t), 10), nil
	case Decimal:
		return appendDecimal(dst, t, o), nil
	case []any:
		return appendArray(dst, s, t, o)
	case map[string]any:
		return appendObject(dst, s, t, o)
	case map[any]any:
		return appendPairs(dst, s, t, o)
	case *Struct:
		return appendStruct(dst, t, o)
	}
	return nil, fmt.Errorf("%w: %T has no JSON form", ErrMismatch, v)
}

// timeNumber is the base value of a logical time; without a schema it is the
// Timestamp's: milliseconds since 1970.
func timeNumber(s *Schema, t time.Time) int64 {
	if s != nil {
		switch s.Name {
		case DateName:
			return int64(math.Floor(float64(t.Unix()) / 86400))
		case TimeName:
			return t.UnixMilli() % 86_400_000
		}
	}
	return t.UnixMilli()
}

func appendBase64(dst, b []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, b)
	return append(dst, '"')
}

func appendDecimal(dst []byte, d Decimal, o JSONOptions) []byte {
	if o.NumericDecimal {
		return append(dst, d.String()...)
	}
	if d.Unscaled == nil {
		return appendBase64(dst, []byte{0})
	}
	return appendBase64(dst, bigToBytes(d.Unscaled))
}

func appendArray(dst []byte, s *Schema, items []any, o JSONOptions) ([]byte, error) {
	var elem *Schema
	if s != nil {
		elem = s.Elem
	}
	dst = append(dst, '[')
	var err error
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, err = AppendJSON(dst, elem, item, o); err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
	}
	return append(dst, ']'), nil
}

// appendObject writes members in name order, so that equal values give equal bytes.
func appendObject(dst []byte, s *Schema, m map[string]any, o JSONOptions) ([]byte, error) {
	var elem *Schema
	if s != nil {
		elem = s.Elem
	}
	var buf [16]string
	names := slices.AppendSeq(buf[:0], maps.Keys(m))
	slices.Sort(names)
	dst = append(dst, '{')
	var err error
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, name), ':')
		if dst, err = AppendJSON(dst, elem, m[name], o); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return append(dst, '}'), nil
}

// appendPairs writes a map whose keys are not strings as a list of [key, value].
func appendPairs(dst []byte, s *Schema, m map[any]any, o JSONOptions) ([]byte, error) {
	var key, elem *Schema
	if s != nil {
		key, elem = s.Key, s.Elem
	}
	pairs := make([]string, 0, len(m))
	for k, v := range m {
		b, err := AppendJSON([]byte{'['}, key, k, o)
		if err != nil {
			return nil, err
		}
		if b, err = AppendJSON(append(b, ','), elem, v, o); err != nil {
			return nil, err
		}
		pairs = append(pairs, string(append(b, ']')))
	}
	slices.Sort(pairs)
	dst = append(dst, '[')
	dst = append(dst, strings.Join(pairs, ",")...)
	return append(dst, ']'), nil
}

func appendStruct(dst []byte, st *Struct, o JSONOptions) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	for i, f := range st.schema.Fields {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(AppendString(dst, f.Name), ':')
		if dst, err = AppendJSON(dst, f.Schema, st.values[i], o); err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return append(dst, '}'), nil
}
