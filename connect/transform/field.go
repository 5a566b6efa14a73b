package transform

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// InsertField adds fields with facts about the record, or with a fixed value.
type InsertField struct {
	side    side
	inserts []insert
	builder builder
}

type insert struct {
	name     string
	optional bool
	schema   *data.Schema
	value    func(*connect.Record) any
}

// Config implements connect.Transform.
func (*InsertField) Config() *config.Def {
	field := func(name, what string) config.Key {
		return config.Key{Name: name, Type: config.String, Default: "", Doc: "Name of the field for " + what + ". A ! after it makes it required, a ? (the default) optional."}
	}
	return config.New(field("topic.field", "the topic"), field("partition.field", "the partition"),
		field("offset.field", "the offset; sinks only"), field("timestamp.field", "the record's time"),
		field("static.field", "static.value"),
		config.Key{Name: "static.value", Type: config.String, Default: "", Doc: "Value of static.field."})
}

// Configure implements connect.Transform.
func (t *InsertField) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err != nil {
		return err
	}
	fixed := v.String("static.value")
	for _, c := range []insert{
		{v.String("topic.field"), true, data.StringSchema, func(r *connect.Record) any { return r.Topic }},
		{v.String("partition.field"), true, data.Int32Schema, func(r *connect.Record) any {
			if r.Partition < 0 {
				return nil
			}
			return r.Partition
		}},
		{v.String("offset.field"), true, data.Int64Schema, func(r *connect.Record) any { return r.Offset }},
		{v.String("timestamp.field"), true, data.TimestampSchema, func(r *connect.Record) any {
			if r.Timestamp.IsZero() {
				return nil
			}
			return r.Timestamp
		}},
		{v.String("static.field"), true, data.StringSchema, func(*connect.Record) any { return fixed }},
	} {
		if c.name == "" {
			continue
		}
		if name, required := strings.CutSuffix(c.name, "!"); required {
			c.name, c.optional = name, false
		}
		c.name = strings.TrimSuffix(c.name, "?")
		t.inserts = append(t.inserts, c)
	}
	if len(t.inserts) == 0 {
		return fmt.Errorf("%w: InsertField needs at least one field to insert", config.ErrInvalid)
	}
	return nil
}

// Apply implements connect.Transform.
func (t *InsertField) Apply(r *connect.Record) (*connect.Record, error) {
	_, v := t.side.get(r)
	if v == nil {
		return r, nil
	}
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	source := structSchema(v)
	for _, in := range t.inserts {
		e := entry{in.name, in.schema, in.value(r)}
		if e.value == nil && !in.optional {
			return nil, fmt.Errorf("%w: required field %s has no value", ErrTransform, in.name)
		}
		if in.optional {
			e.schema = in.schema.AsOptional()
		}
		if at, ok := e.value.(interface{ UnixMilli() int64 }); ok && source == nil {
			e.value = at.UnixMilli()
		}
		entries = put(entries, e)
	}
	schema, out := t.builder.build(source, entries)
	t.side.set(r, schema, out)
	return r, nil
}

// ReplaceField leaves fields out, keeps only some, or renames them.
type ReplaceField struct {
	side             side
	exclude, include []string
	rename           map[string]string
	builder          builder
}

// Config implements connect.Transform.
func (*ReplaceField) Config() *config.Def {
	return config.New(
		config.Key{Name: "exclude", Type: config.List, Default: []string{}, Doc: "Fields to leave out; takes precedence over include."},
		config.Key{Name: "include", Type: config.List, Default: []string{}, Doc: "Fields to keep; empty for all."},
		config.Key{Name: "renames", Type: config.List, Default: []string{}, Check: checkRenames, Doc: "Pairs old:new."},
	)
}

func checkRenames(v any) error {
	for _, p := range v.([]string) {
		if old, now, ok := strings.Cut(p, ":"); !ok || old == "" || now == "" {
			return fmt.Errorf("%q is not old:new", p)
		}
	}
	return nil
}

// Configure implements connect.Transform.
func (t *ReplaceField) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err != nil {
		return err
	}
	t.exclude, t.include, t.rename = v.List("exclude"), v.List("include"), map[string]string{}
	for _, p := range v.List("renames") {
		old, now, _ := strings.Cut(p, ":")
		t.rename[strings.TrimSpace(old)] = strings.TrimSpace(now)
	}
	return nil
}

// Apply implements connect.Transform.
func (t *ReplaceField) Apply(r *connect.Record) (*connect.Record, error) {
	_, v := t.side.get(r)
	if v == nil {
		return r, nil
	}
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, e := range entries {
		if slices.Contains(t.exclude, e.name) || len(t.include) > 0 && !slices.Contains(t.include, e.name) {
			continue
		}
		if now, ok := t.rename[e.name]; ok {
			e.name = now
		}
		if slices.ContainsFunc(kept, func(k entry) bool { return k.name == e.name }) {
			return nil, fmt.Errorf("%w: two fields would be called %s", ErrTransform, e.name)
		}
		kept = append(kept, e)
	}
	schema, out := t.builder.build(structSchema(v), kept)
	t.side.set(r, schema, out)
	return r, nil
}

// MaskField replaces the values of fields by nothing of their type, or by a text.
type MaskField struct {
	side        side
	fields      []string
	replacement string
	builder     builder
}

// Config implements connect.Transform.
func (*MaskField) Config() *config.Def {
	return config.New(
		config.Key{Name: "fields", Type: config.List, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Fields to mask."},
		config.Key{Name: "replacement", Type: config.String, Default: "", Doc: "Text to put in place of strings; default the empty string."},
	)
}

// Configure implements connect.Transform.
func (t *MaskField) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err == nil {
		t.fields, t.replacement = v.List("fields"), v.String("replacement")
	}
	return err
}

// Apply implements connect.Transform.
func (t *MaskField) Apply(r *connect.Record) (*connect.Record, error) {
	_, v := t.side.get(r)
	if v == nil {
		return r, nil
	}
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	for i := range entries {
		if slices.Contains(t.fields, entries[i].name) {
			if entries[i].value, err = t.mask(entries[i].value); err != nil {
				return nil, fmt.Errorf("field %s: %w", entries[i].name, err)
			}
		}
	}
	schema, out := t.builder.build(structSchema(v), entries)
	t.side.set(r, schema, out)
	return r, nil
}

func (t *MaskField) mask(v any) (any, error) {
	switch v.(type) {
	case nil:
		return nil, nil
	case string:
		return t.replacement, nil
	case bool:
		return false, nil
	case int8:
		return int8(0), nil
	case int16:
		return int16(0), nil
	case int32:
		return int32(0), nil
	case int64:
		return int64(0), nil
	case float32:
		return float32(0), nil
	case float64:
		return float64(0), nil
	case []any:
		return []any{}, nil
	case map[string]any:
		return map[string]any{}, nil
	}
	return nil, fmt.Errorf("%w: a %T cannot be masked", ErrTransform, v)
}

// ExtractField puts one field in the place of the whole key or value.
type ExtractField struct {
	side  side
	field string
}

// fieldDef declares the one setting of a transform of one field.
func fieldDef(doc string) *config.Def {
	return config.New(config.Key{Name: "field", Type: config.String, Required: true, Check: config.NonEmpty, Importance: config.Medium, Doc: doc})
}

// readField reads into field what fieldDef declares.
func readField(def *config.Def, props map[string]string, field *string) error {
	v, err := def.Parse(props)
	if err == nil {
		*field = v.String("field")
	}
	return err
}

// Config implements connect.Transform.
func (*ExtractField) Config() *config.Def { return fieldDef("Field to extract.") }

// Configure implements connect.Transform.
func (t *ExtractField) Configure(props map[string]string) error {
	return readField(t.Config(), props, &t.field)
}

// Apply implements connect.Transform.
func (t *ExtractField) Apply(r *connect.Record) (*connect.Record, error) {
	_, v := t.side.get(r)
	switch o := v.(type) {
	case nil:
	case map[string]any:
		t.side.set(r, nil, o[t.field])
	case *data.Struct:
		i, ok := o.Schema().FieldIndex(t.field)
		if !ok {
			return nil, fmt.Errorf("%w: no field %s", ErrTransform, t.field)
		}
		t.side.set(r, o.Schema().Fields[i].Schema, o.At(i))
	default:
		return nil, fmt.Errorf("%w: field %s is asked of a %T", ErrTransform, t.field, v)
	}
	return r, nil
}

// HoistField wraps the whole key or value as the one field of a struct or map.
type HoistField struct {
	side   side
	field  string
	schema map[*data.Schema]*data.Schema
}

// Config implements connect.Transform.
func (*HoistField) Config() *config.Def { return fieldDef("Name of the field.") }

// Configure implements connect.Transform.
func (t *HoistField) Configure(props map[string]string) error {
	return readField(t.Config(), props, &t.field)
}

// Apply implements connect.Transform.
func (t *HoistField) Apply(r *connect.Record) (*connect.Record, error) {
	s, v := t.side.get(r)
	if s == nil {
		t.side.set(r, nil, map[string]any{t.field: v})
		return r, nil
	}
	h, ok := t.schema[s]
	if !ok {
		h = data.NewRecord("", data.Field{Name: t.field, Schema: s})
		if t.schema == nil || len(t.schema) >= maxSchemas {
			t.schema = map[*data.Schema]*data.Schema{}
		}
		t.schema[s] = h
	}
	t.side.set(r, h, data.StructOf(h, v))
	return r, nil
}

// ValueToKey makes the key of fields of the value.
type ValueToKey struct {
	fields  []string
	builder builder
}

// Config implements connect.Transform.
func (*ValueToKey) Config() *config.Def {
	return config.New(config.Key{Name: "fields", Type: config.List, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Fields of the value to make the key of."})
}

// Configure implements connect.Transform.
func (t *ValueToKey) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err == nil {
		t.fields = v.List("fields")
	}
	return err
}

// Apply implements connect.Transform.
func (t *ValueToKey) Apply(r *connect.Record) (*connect.Record, error) {
	entries, err := entriesOf(r.Value)
	if err != nil {
		return nil, err
	}
	key := make([]entry, 0, len(t.fields))
	for _, f := range t.fields {
		i := slices.IndexFunc(entries, func(e entry) bool { return e.name == f })
		switch {
		case i >= 0:
			key = append(key, entries[i])
		case structSchema(r.Value) != nil:
			return nil, fmt.Errorf("%w: no field %s", ErrTransform, f)
		default:
			key = append(key, entry{name: f})
		}
	}
	r.KeySchema, r.Key = t.builder.build(structSchema(r.Value), key)
	return r, nil
}
