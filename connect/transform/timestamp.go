package transform

import (
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

var errNoTime = fmt.Errorf("%w: the record has no time", ErrTransform)

// TimestampConverter changes how a time is written: as text, as a number since
// 1970, or as one of the logical types.
type TimestampConverter struct {
	side    side
	field   string // "": the whole key or value
	target  string
	layout  string
	unit    time.Duration
	builder builder
}

// Config implements connect.Transform.
func (*TimestampConverter) Config() *config.Def {
	return config.New(
		config.Key{Name: "field", Type: config.String, Default: "", Importance: config.High, Doc: "Field with the time; empty for the whole key or value."},
		config.Key{Name: "target.type", Type: config.String, Required: true, Check: config.OneOf("string", "unix", "Date", "Time", "Timestamp"), Importance: config.High, Doc: "string, unix, Date, Time or Timestamp."},
		config.Key{Name: "format", Type: config.String, Default: "", Check: checkDatePattern, Doc: "Java date pattern of the text, in UTC, where text is read or written."},
		config.Key{Name: "unix.precision", Type: config.String, Default: "milliseconds", Check: config.OneOf("seconds", "milliseconds", "microseconds", "nanoseconds"), Importance: config.Low, Doc: "Unit of numbers."},
	)
}

// Configure implements connect.Transform.
func (t *TimestampConverter) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err != nil {
		return err
	}
	t.field, t.target = v.String("field"), strings.ToLower(v.String("target.type"))
	t.unit = map[string]time.Duration{"seconds": time.Second, "milliseconds": time.Millisecond,
		"microseconds": time.Microsecond, "nanoseconds": time.Nanosecond}[strings.ToLower(v.String("unix.precision"))]
	if t.layout, err = dateLayout(v.String("format")); err != nil {
		return err
	}
	if t.target == "string" && t.layout == "" {
		return fmt.Errorf("%w: target.type string needs format", config.ErrInvalid)
	}
	return nil
}

// Apply implements connect.Transform.
func (t *TimestampConverter) Apply(r *connect.Record) (*connect.Record, error) {
	s, v := t.side.get(r)
	if v == nil {
		return r, nil
	}
	if t.field == "" {
		out, err := t.convert(v)
		if err != nil {
			return nil, err
		}
		t.side.set(r, t.schema(s), out)
		return r, nil
	}
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	for i, e := range entries {
		if e.name != t.field {
			continue
		}
		entries[i].schema = t.schema(e.schema)
		if e.value == nil {
			continue
		}
		if entries[i].value, err = t.convert(e.value); err != nil {
			return nil, fmt.Errorf("field %s: %w", e.name, err)
		}
	}
	schema, out := t.builder.build(structSchema(v), entries)
	t.side.set(r, schema, out)
	return r, nil
}

// schema is the schema of the converted value; nil stays nil.
func (t *TimestampConverter) schema(s *data.Schema) *data.Schema {
	if s == nil {
		return nil
	}
	out := map[string]*data.Schema{"string": data.StringSchema, "unix": data.Int64Schema,
		"date": data.DateSchema, "time": data.TimeSchema, "timestamp": data.TimestampSchema}[t.target]
	if s.Optional {
		return out.AsOptional()
	}
	return out
}

func (t *TimestampConverter) convert(v any) (any, error) {
	at, err := t.read(v)
	if err != nil {
		return nil, err
	}
	switch t.target {
	case "string":
		return at.Format(t.layout), nil
	case "unix":
		if t.unit == time.Nanosecond {
			return at.UnixNano(), nil
		}
		return at.UnixMicro() / int64(t.unit/time.Microsecond), nil
	case "date":
		return at.Truncate(24 * time.Hour), nil
	case "time":
		return time.Unix(0, 0).UTC().Add(at.Sub(at.Truncate(24 * time.Hour)).Truncate(time.Millisecond)), nil
	}
	return at.Truncate(time.Millisecond), nil
}

func (t *TimestampConverter) read(v any) (time.Time, error) {
	switch x := v.(type) {
	case time.Time:
		return x.UTC(), nil
	case int64:
		if t.unit == time.Nanosecond {
			return time.Unix(0, x).UTC(), nil
		}
		per := int64(time.Second / t.unit)
		return time.Unix(x/per, x%per*int64(t.unit)).UTC(), nil
	case string:
		if t.layout == "" {
			return time.Time{}, fmt.Errorf("%w: text needs the setting format", ErrTransform)
		}
		at, err := time.Parse(t.layout, x)
		if err != nil {
			return time.Time{}, fmt.Errorf("%w: %w", ErrTransform, err)
		}
		return at.UTC(), nil
	}
	return time.Time{}, fmt.Errorf("%w: a %T is no time", ErrTransform, v)
}

func checkDatePattern(v any) error {
	_, err := dateLayout(v.(string))
	return err
}

// dateWords translate the letters of Java's date patterns.
var dateWords = map[string]string{
	"yyyy": "2006", "uuuu": "2006", "yy": "06", "MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1", "dd": "02", "d": "2",
	"HH": "15", "hh": "03", "h": "3", "mm": "04", "m": "4", "ss": "05", "s": "5", "a": "PM", "EEEE": "Monday", "EEE": "Mon", "E": "Mon",
	"Z": "-0700", "XXX": "Z07:00", "XX": "Z0700", "X": "Z07", "z": "MST", "SSS": "000", "SSSSSS": "000000", "SSSSSSSSS": "000000000",
}

// dateLayout turns a Java date pattern into a layout of package time.
// Fractions of a second must follow a dot or comma.
func dateLayout(pattern string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		c := pattern[i]
		switch {
		case c == '\'':
			end := strings.IndexByte(pattern[i+1:], '\'')
			if end < 0 {
				return "", fmt.Errorf("date pattern %q has an open quote", pattern)
			}
			if end == 0 {
				b.WriteByte('\'')
			}
			b.WriteString(pattern[i+1 : i+1+end])
			i += end + 2
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			n := len(pattern[i:]) - len(strings.TrimLeft(pattern[i:], string(c)))
			word, ok := dateWords[pattern[i:i+n]]
			if !ok {
				return "", fmt.Errorf("date pattern %q: %q is not supported", pattern, pattern[i:i+n])
			}
			b.WriteString(word)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}
