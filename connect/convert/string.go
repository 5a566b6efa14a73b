package convert

import (
	"fmt"
	"strconv"

	"github.com/leatstream/leat/connect/data"
)

// String writes any value as text and reads text as a string.
type String struct{}

// Configure implements connect.Converter. Text is UTF-8, whatever converter.encoding says.
func (*String) Configure(map[string]string, bool) error { return nil }

// Encode implements connect.Converter. Strings are written as they are,
// numbers and booleans in plain notation, everything else as JSON.
func (*String) Encode(_ string, s *data.Schema, v any) ([]byte, error) {
	switch t := v.(type) {
	case nil:
		return nil, nil
	case string:
		return []byte(t), nil
	case []byte:
		return append([]byte(nil), t...), nil
	case float64:
		return strconv.AppendFloat(nil, t, 'g', -1, 64), nil
	case data.Decimal:
		return []byte(t.String()), nil
	}
	b, err := data.AppendJSON(nil, s, v, data.JSONOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConvert, err)
	}
	return b, nil
}

// Decode implements connect.Converter.
func (*String) Decode(_ string, b []byte) (*data.Schema, any, error) {
	if b == nil {
		return data.OptionalStringSchema, nil, nil
	}
	return data.OptionalStringSchema, string(b), nil
}

// Bytes passes bytes through.
type Bytes struct{}

// Configure implements connect.Converter; there is nothing to configure.
func (*Bytes) Configure(map[string]string, bool) error { return nil }

// Encode implements connect.Converter; only []byte, string and nil are accepted.
func (*Bytes) Encode(_ string, _ *data.Schema, v any) ([]byte, error) {
	switch t := v.(type) {
	case nil:
		return nil, nil
	case []byte:
		return t, nil
	case string:
		return []byte(t), nil
	}
	return nil, fmt.Errorf("%w: the bytes converter got a %T", ErrConvert, v)
}

// Decode implements connect.Converter.
func (*Bytes) Decode(_ string, b []byte) (*data.Schema, any, error) {
	if b == nil {
		return optionalBytes, nil, nil
	}
	return optionalBytes, b, nil
}

var optionalBytes = data.BytesSchema.AsOptional()
