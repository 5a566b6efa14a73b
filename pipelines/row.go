package pipelines

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/streams/serde"
)

// errSchema is wrapped by the error of a value which is not of its schema.
var errSchema = errors.New("value does not fit the schema")

// jsonRows is the serde of JSON objects. Declared fields are decoded to the Go
// types that expressions see; others stay as they came and are written back
// unchanged. Objects are written in the order of the declared fields, others
// behind them by name.
type jsonRows struct{ fields []Field }

func (j jsonRows) Decode(data []byte) (any, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("%w: not a JSON object: %w", errSchema, err)
	}
	row := make(map[string]any, len(raw))
	for _, f := range j.fields {
		v, err := decodeField(raw[f.Name], f.Type)
		if err != nil {
			return nil, fmt.Errorf("%w: field %s: %w", errSchema, f.Name, err)
		}
		row[f.Name] = v
		delete(raw, f.Name)
	}
	for name, v := range raw {
		row[name] = v
	}
	return row, nil
}

func decodeField(raw json.RawMessage, t Type) (any, error) {
	if raw == nil || string(raw) == "null" {
		if t.Nullable || t.Kind == KindAny {
			return nil, nil
		}
		if raw == nil {
			return nil, errors.New("is missing")
		}
		return nil, errors.New("is null")
	}
	switch t.Kind {
	case KindInt:
		return decodeInt(string(raw))
	case KindFloat:
		return decodeAs[float64](raw)
	case KindString:
		return decodeAs[string](raw)
	case KindBool:
		return decodeAs[bool](raw)
	case KindTimestamp:
		return decodeTime(raw)
	default:
		return decodeAs[any](raw)
	}
}

func decodeAs[T any](raw json.RawMessage) (any, error) {
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		return nil, fmt.Errorf("%s is not a %T", clip(string(raw)), v)
	}
	return v, nil
}

func decodeInt(s string) (any, error) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return int(i), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return nil, fmt.Errorf("%s is not an int", clip(s))
	}
	return int(f), nil
}

func decodeTime(raw json.RawMessage) (any, error) {
	if raw[0] != '"' {
		ms, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a timestamp", clip(string(raw)))
		}
		return time.UnixMilli(ms).UTC(), nil
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, err
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return nil, fmt.Errorf("%q is not a timestamp (RFC 3339, or milliseconds)", clip(s))
	}
	return at.UTC(), nil
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func (j jsonRows) Append(dst []byte, v any) ([]byte, error) {
	row, ok := v.(map[string]any)
	if !ok {
		return appendJSON(dst, v)
	}
	return appendObject(dst, row, j.fields)
}

func appendObject(dst []byte, row map[string]any, order []Field) ([]byte, error) {
	dst = append(dst, '{')
	var err error
	written := 0
	field := func(name string, v any) {
		if written > 0 {
			dst = append(dst, ',')
		}
		written++
		dst = append(appendString(dst, name), ':')
		var e error
		if dst, e = appendJSON(dst, v); e != nil && err == nil {
			err = fmt.Errorf("field %s: %w", name, e)
		}
	}
	for _, f := range order {
		if v, ok := row[f.Name]; ok {
			field(f.Name, v)
		}
	}
	if written < len(row) {
		for _, name := range rest(row, order) {
			field(name, row[name])
		}
	}
	return append(dst, '}'), err
}

// rest is the names of a row which order does not list, sorted.
func rest(row map[string]any, order []Field) []string {
	var names []string
	for name := range row {
		if !slices.ContainsFunc(order, func(f Field) bool { return f.Name == name }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func appendJSON(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(dst, "null"...), nil
	case string:
		return appendString(dst, v), nil
	case int:
		return strconv.AppendInt(dst, int64(v), 10), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case json.RawMessage:
		return append(dst, v...), nil
	case time.Time:
		return v.AppendFormat(append(dst, '"'), `2006-01-02T15:04:05.999999999Z07:00"`), nil
	case map[string]any:
		return appendObject(dst, v, nil)
	}
	data, err := json.Marshal(v)
	return append(dst, data...), err
}

func appendString(dst []byte, s string) []byte {
	if plain(s) {
		return append(append(append(dst, '"'), s...), '"')
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return append(dst, bytes.TrimSuffix(b.Bytes(), []byte("\n"))...)
}

// plain tells whether JSON needs no escapes for s.
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < 0x20 || c >= 0x80 || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// textRows is the serde of values which are one string.
type textRows struct{}

func (textRows) Decode(data []byte) (any, error) {
	return strings.ToValidUTF8(string(data), "\uFFFD"), nil
}
func (textRows) Append(dst []byte, v any) ([]byte, error) {
	if s, ok := v.(string); ok {
		return append(dst, s...), nil
	}
	return appendJSON(dst, v)
}

// keys in topics are their text; the window of a key is written by the sink's
// key expression, or not at all.
var keySerde = serde.Func(
	func(dst []byte, k Key) ([]byte, error) { return append(dst, k.Text...), nil },
	func(data []byte) (Key, error) { return Key{Text: strings.ToValidUTF8(string(data), "\uFFFD")}, nil },
)

// storeKeySerde keeps the window of a key, for repartition topics and stores:
// start, end, text.
var storeKeySerde = serde.Func(
	func(dst []byte, k Key) ([]byte, error) {
		dst = strconv.AppendInt(dst, k.Start, 10)
		dst = strconv.AppendInt(append(dst, ' '), k.End, 10)
		return append(append(dst, ' '), k.Text...), nil
	},
	func(data []byte) (Key, error) {
		parts := strings.SplitN(string(data), " ", 3)
		if len(parts) != 3 {
			return Key{}, fmt.Errorf("%w: a key without its window", serde.ErrMalformed)
		}
		start, err1 := strconv.ParseInt(parts[0], 10, 64)
		end, err2 := strconv.ParseInt(parts[1], 10, 64)
		return Key{Text: parts[2], Start: start, End: end}, errors.Join(err1, err2)
	},
)

var (
	_ serde.Serde[any] = jsonRows{}
	_ serde.Serde[any] = textRows{}
)
