package data

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
)

// FromJSON turns a value as ParseJSON gives it into a value of s. A nil schema
// leaves it as it is.
func FromJSON(s *Schema, v any) (any, error) {
	if s == nil {
		return v, nil
	}
	if v == nil {
		if s.Default != nil {
			return s.Default, nil
		}
		if !s.Optional {
			return nil, fmt.Errorf("%w: null for required %s", ErrMismatch, describe(s))
		}
		return nil, nil
	}
	if l := s.Logical(); l != "" {
		return logicalFromJSON(s, l, v)
	}
	switch s.Type {
	case Array:
		return arrayFromJSON(s, v)
	case Map:
		return mapFromJSON(s, v)
	case Record:
		return structFromJSON(s, v)
	}
	return primitiveFromJSON(s, v)
}

func primitiveFromJSON(s *Schema, v any) (any, error) {
	switch s.Type {
	case Int8, Int16, Int32, Int64:
		return intFromJSON(s, v)
	case Float32, Float64:
		return floatFromJSON(s, v)
	case Boolean:
		if b, ok := v.(bool); ok {
			return b, nil
		}
	case String:
		if str, ok := v.(string); ok {
			return str, nil
		}
	case Bytes:
		if str, ok := v.(string); ok {
			b, err := base64.StdEncoding.DecodeString(str)
			if err != nil {
				return nil, fmt.Errorf("%w: bytes: %w", ErrMismatch, err)
			}
			return b, nil
		}
	}
	return nil, mismatch(s, v)
}

func intFromJSON(s *Schema, v any) (any, error) {
	n, ok := v.(int64)
	if f, isFloat := v.(float64); isFloat && f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		n, ok = int64(f), true
	}
	if !ok {
		return nil, mismatch(s, v)
	}
	switch {
	case s.Type == Int64:
		return n, nil
	case s.Type == Int32 && n == int64(int32(n)):
		return int32(n), nil
	case s.Type == Int16 && n == int64(int16(n)):
		return int16(n), nil
	case s.Type == Int8 && n == int64(int8(n)):
		return int8(n), nil
	}
	return nil, fmt.Errorf("%w: %d is out of range of %s", ErrMismatch, n, describe(s))
}

func floatFromJSON(s *Schema, v any) (any, error) {
	var f float64
	switch n := v.(type) {
	case float64:
		f = n
	case int64:
		f = float64(n)
	default:
		return nil, mismatch(s, v)
	}
	if s.Type == Float32 {
		return float32(f), nil
	}
	return f, nil
}

func logicalFromJSON(s *Schema, name string, v any) (any, error) {
	if name == DecimalName {
		return decimalFromJSON(s, v)
	}
	n, ok := v.(int64)
	if !ok {
		return nil, mismatch(s, v)
	}
	if name == DateName {
		if n != int64(int32(n)) {
			return nil, fmt.Errorf("%w: %d is out of range of %s", ErrMismatch, n, describe(s))
		}
		return time.Unix(n*86400, 0).UTC(), nil
	}
	return time.UnixMilli(n).UTC(), nil
}

func decimalFromJSON(s *Schema, v any) (any, error) {
	scale, err := strconv.ParseInt(s.Params[DecimalScale], 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%w: decimal without a scale", ErrMismatch)
	}
	if scale < 0 || scale > 1000 {
		return nil, fmt.Errorf("%w: decimal scale %d", ErrMismatch, scale)
	}
	switch t := v.(type) {
	case string:
		b, err := base64.StdEncoding.DecodeString(t)
		if err != nil {
			return nil, fmt.Errorf("%w: decimal: %w", ErrMismatch, err)
		}
		return Decimal{Unscaled: bigFromBytes(b), Scale: int32(scale)}, nil
	case int64:
		return Decimal{Unscaled: new(big.Int).Mul(big.NewInt(t), pow10(int32(scale))), Scale: int32(scale)}, nil
	case float64:
		r, ok := new(big.Rat).SetString(strconv.FormatFloat(t, 'f', -1, 64))
		if !ok {
			return nil, mismatch(s, v)
		}
		r.Mul(r, new(big.Rat).SetInt(pow10(int32(scale))))
		if !r.IsInt() {
			return nil, fmt.Errorf("%w: %v has more than %d decimal places", ErrMismatch, t, scale)
		}
		return Decimal{Unscaled: new(big.Int).Set(r.Num()), Scale: int32(scale)}, nil
	}
	return nil, mismatch(s, v)
}

func arrayFromJSON(s *Schema, v any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, mismatch(s, v)
	}
	out := make([]any, len(items))
	for i, item := range items {
		x, err := FromJSON(s.Elem, item)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		out[i] = x
	}
	return out, nil
}

func mapFromJSON(s *Schema, v any) (any, error) {
	switch t := v.(type) {
	case map[string]any:
		if s.Key == nil || s.Key.Type != String {
			return nil, mismatch(s, v)
		}
		out := make(map[string]any, len(t))
		for k, e := range t {
			x, err := FromJSON(s.Elem, e)
			if err != nil {
				return nil, fmt.Errorf("entry %q: %w", k, err)
			}
			out[k] = x
		}
		return out, nil
	case []any:
		return pairsFromJSON(s, t)
	}
	return nil, mismatch(s, v)
}

func pairsFromJSON(s *Schema, pairs []any) (any, error) {
	if s.Key == nil || s.Key.Type == String || s.Key.Type >= Bytes {
		return nil, fmt.Errorf("%w: list of pairs for %s", ErrMismatch, describe(s))
	}
	out := make(map[any]any, len(pairs))
	for i, p := range pairs {
		kv, ok := p.([]any)
		if !ok || len(kv) != 2 {
			return nil, fmt.Errorf("%w: entry %d is not a pair", ErrMismatch, i)
		}
		k, err := FromJSON(s.Key, kv[0])
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if out[k], err = FromJSON(s.Elem, kv[1]); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
	}
	return out, nil
}

func structFromJSON(s *Schema, v any) (any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, mismatch(s, v)
	}
	st := NewStruct(s)
	for i, f := range s.Fields {
		x, err := FromJSON(f.Schema, m[f.Name])
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		st.values[i] = x
	}
	return st, nil
}
