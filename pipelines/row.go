package pipelines

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

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
	d := decoders.Get().(*rowDecoder)
	defer decoders.Put(d)
	row, err := d.decode(data, j.fields)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errSchema, err)
	}
	return row, nil
}

// rowDecoder walks over the members of one object after the other. Every record
// that a pipeline reads passes here; a map of members in between would cost more
// than all the rest of a usual pipeline.
type rowDecoder struct {
	dec     jsontext.Decoder
	members int               // of the last object
	names   map[string]string // of fields not declared, to have each once; at most maxNames
}

const maxNames = 256

var decoders = sync.Pool{New: func() any { return &rowDecoder{names: map[string]string{}} }}

func (d *rowDecoder) decode(data []byte, fields []Field) (map[string]any, error) {
	d.dec.Reset(bytes.NewBuffer(data), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if token, err := d.dec.ReadToken(); err != nil || token.Kind() != '{' {
		return nil, notObject(err)
	}
	row := make(map[string]any, max(len(fields), d.members))
	var copied []byte // of data, for the values that stay as they are
	next := 0         // the field expected: objects mostly keep one order
	for d.dec.PeekKind() != '}' {
		name, err := d.dec.ReadValue()
		if err != nil {
			return nil, notObject(err)
		}
		var other string
		i := fieldAt(fields, name, next)
		if i < 0 {
			if other, err = d.name(name); err != nil {
				return nil, notObject(err)
			}
			i = slices.IndexFunc(fields, func(f Field) bool { return f.Name == other })
		}
		raw, err := d.dec.ReadValue()
		if err != nil {
			return nil, notObject(err)
		}
		if i < 0 {
			if copied == nil {
				copied = bytes.Clone(data)
			}
			end := d.dec.InputOffset()
			row[other] = json.RawMessage(copied[end-int64(len(raw)) : end : end])
			continue
		}
		f := fields[i]
		v, err := decodeField(raw, f.Type)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", f.Name, err)
		}
		row[f.Name], next = v, i+1
	}
	if _, err := d.dec.ReadToken(); err != nil { // the brace
		return nil, notObject(err)
	}
	if _, err := d.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, notObject(cmp.Or(err, errors.New("more follows the object")))
	}
	for _, f := range fields {
		if _, ok := row[f.Name]; ok {
			continue
		}
		if !f.Type.Nullable && f.Type.Kind != KindAny {
			return nil, fmt.Errorf("field %s: is missing", f.Name)
		}
		row[f.Name] = nil
	}
	d.members = min(len(row), maxNames)
	return row, nil
}

// name is the text of a quoted name.
func (d *rowDecoder) name(quoted []byte) (string, error) {
	if s, ok := d.names[string(quoted)]; ok {
		return s, nil
	}
	s, err := text(quoted)
	if err == nil && len(d.names) < maxNames && len(quoted) < maxNames {
		d.names[string(quoted)] = s
	}
	return s, err
}

func notObject(err error) error {
	if err == nil {
		return errors.New("not a JSON object")
	}
	return fmt.Errorf("not a JSON object: %w", err)
}

// fieldAt finds the field with a quoted name, first where it is expected. It
// does not find names that are written with escapes.
func fieldAt(fields []Field, quoted []byte, expected int) int {
	name := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		return -1
	}
	if expected < len(fields) && string(name) == fields[expected].Name {
		return expected
	}
	for i := range fields {
		if string(name) == fields[i].Name {
			return i
		}
	}
	return -1
}

func decodeField(raw jsontext.Value, t Type) (any, error) {
	if raw.Kind() == 'n' {
		if t.Nullable || t.Kind == KindAny {
			return nil, nil
		}
		return nil, errors.New("is null")
	}
	switch t.Kind {
	case KindInt:
		return decodeInt(string(raw))
	case KindFloat:
		return decodeFloat(raw)
	case KindString:
		if raw.Kind() != '"' {
			return nil, fmt.Errorf("%s is not a string", clip(string(raw)))
		}
		return text(raw)
	case KindBool:
		switch raw.Kind() {
		case 't':
			return true, nil
		case 'f':
			return false, nil
		}
		return nil, fmt.Errorf("%s is not a bool", clip(string(raw)))
	case KindTimestamp:
		return decodeTime(raw)
	default:
		var v any
		err := json.Unmarshal(raw, &v)
		return v, err
	}
}

// text is what a quoted string says. Bytes that are no UTF-8 become U+FFFD.
func text(quoted []byte) (string, error) {
	if bytes.IndexByte(quoted, '\\') < 0 && utf8.Valid(quoted) {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

func decodeFloat(raw jsontext.Value) (any, error) {
	if raw.Kind() == '0' {
		if f, err := strconv.ParseFloat(string(raw), 64); err == nil {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s is not a float", clip(string(raw)))
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

func decodeTime(raw jsontext.Value) (any, error) {
	if raw[0] != '"' {
		ms, err := strconv.ParseInt(string(raw), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s is not a timestamp", clip(string(raw)))
		}
		return time.UnixMilli(ms).UTC(), nil
	}
	s, err := text(raw)
	if err != nil {
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
