package transform

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// Cast changes the primitive type of fields, or of the whole key or value.
type Cast struct {
	side    side
	whole   data.Type // 0: fields
	fields  map[string]data.Type
	builder builder
}

// Config implements connect.Transform.
func (*Cast) Config() *config.Def {
	return config.New(config.Key{Name: "spec", Type: config.List, Required: true, Importance: config.High,
		Check: func(v any) error { _, _, err := parseSpec(v.([]string)); return err },
		Doc:   "Pairs field:type, or one type for the whole. Types: int8, int16, int32, int64, float32, float64, boolean, string."})
}

func parseSpec(list []string) (whole data.Type, fields map[string]data.Type, err error) {
	fields = map[string]data.Type{}
	for _, item := range list {
		name, typ, isField := strings.Cut(item, ":")
		if !isField {
			name, typ = "", item
		}
		t, ok := data.ParseType(strings.TrimSpace(typ))
		if !ok || t > data.String {
			return 0, nil, fmt.Errorf("%q is no type to cast to", typ)
		}
		if !isField {
			whole = t
			continue
		}
		fields[strings.TrimSpace(name)] = t
	}
	if whole != 0 && len(list) > 1 || len(list) == 0 {
		return 0, nil, fmt.Errorf("give either pairs field:type or one type")
	}
	return whole, fields, nil
}

// Configure implements connect.Transform.
func (t *Cast) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err != nil {
		return err
	}
	t.whole, t.fields, err = parseSpec(v.List("spec"))
	return err
}

// Apply implements connect.Transform.
func (t *Cast) Apply(r *connect.Record) (*connect.Record, error) {
	s, v := t.side.get(r)
	if v == nil {
		return r, nil
	}
	if t.whole != 0 {
		out, err := cast(v, t.whole)
		if err != nil {
			return nil, err
		}
		if s != nil {
			s = &data.Schema{Type: t.whole, Optional: s.Optional}
		}
		t.side.set(r, s, out)
		return r, nil
	}
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if err := t.castEntry(&entries[i]); err != nil {
			return nil, err
		}
	}
	schema, out := t.builder.build(structSchema(v), entries)
	t.side.set(r, schema, out)
	return r, nil
}

func (t *Cast) castEntry(e *entry) (err error) {
	typ, ok := t.fields[e.name]
	if !ok {
		return nil
	}
	if e.schema != nil {
		e.schema = &data.Schema{Type: typ, Optional: e.schema.Optional}
	}
	if e.value == nil {
		return nil
	}
	if e.value, err = cast(e.value, typ); err != nil {
		return fmt.Errorf("field %s: %w", e.name, err)
	}
	return nil
}

func cast(v any, to data.Type) (any, error) {
	switch to {
	case data.String:
		return castString(v)
	case data.Boolean:
		return castBool(v)
	case data.Float32, data.Float64:
		f, err := castFloat(v)
		if to == data.Float32 {
			return float32(f), err
		}
		return f, err
	}
	n, err := castInt(v)
	if err != nil {
		return nil, err
	}
	switch to {
	case data.Int8:
		return int8(n), nil
	case data.Int16:
		return int16(n), nil
	case data.Int32:
		return int32(n), nil
	}
	return n, nil
}

func castString(v any) (any, error) {
	switch t := v.(type) {
	case string:
		return t, nil
	case data.Decimal:
		return t.String(), nil
	case time.Time:
		return t.UTC().Format("2006-01-02T15:04:05.000Z"), nil
	}
	b, err := data.AppendJSON(nil, nil, v, data.JSONOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransform, err)
	}
	return string(b), nil
}

func castBool(v any) (any, error) {
	switch t := v.(type) {
	case bool:
		return t, nil
	case string:
		return strings.EqualFold(t, "true"), nil
	}
	f, err := castFloat(v)
	return f != 0, err
}

func castInt(v any) (int64, error) {
	switch t := v.(type) {
	case int64:
		return t, nil
	case time.Time:
		return t.UnixMilli(), nil
	case string:
		n, err := strconv.ParseInt(strings.TrimSpace(t), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %q is no whole number", ErrTransform, t)
		}
		return n, nil
	}
	f, err := castFloat(v)
	if err == nil && (math.IsNaN(f) || math.Abs(f) >= 1<<63) {
		err = fmt.Errorf("%w: %v does not fit a whole number", ErrTransform, f)
	}
	return int64(f), err
}

func castFloat(v any) (float64, error) {
	switch t := v.(type) {
	case float64:
		return t, nil
	case float32:
		return float64(t), nil
	case int64:
		return float64(t), nil
	case int32:
		return float64(t), nil
	case int16:
		return float64(t), nil
	case int8:
		return float64(t), nil
	case bool:
		if t {
			return 1, nil
		}
		return 0, nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(t), 64)
		if err != nil {
			return 0, fmt.Errorf("%w: %q is no number", ErrTransform, t)
		}
		return f, nil
	}
	return 0, fmt.Errorf("%w: a %T is no number", ErrTransform, v)
}
