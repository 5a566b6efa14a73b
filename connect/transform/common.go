package transform

import (
	"fmt"
	"maps"
	"slices"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// noConfig is embedded by plugins without settings.
type noConfig struct{}

// Config implements connect.Transform and connect.Predicate.
func (noConfig) Config() *config.Def { return config.New() }

// Configure implements connect.Transform and connect.Predicate.
func (noConfig) Configure(map[string]string) error { return nil }

// side is the half of a record that a transform works on.
type side int

const (
	onValue side = iota
	onKey
)

func (s side) get(r *connect.Record) (*data.Schema, any) {
	if s == onKey {
		return r.KeySchema, r.Key
	}
	return r.ValueSchema, r.Value
}

func (s side) set(r *connect.Record, schema *data.Schema, v any) {
	if s == onKey {
		r.KeySchema, r.Key = schema, v
		return
	}
	r.ValueSchema, r.Value = schema, v
}

// entry is one field of a struct or member of a map on its way through a transform.
type entry struct {
	name   string
	schema *data.Schema // nil for members of a map without schema
	value  any
}

// entriesOf takes a struct or a map apart; members of a map are in name order.
func entriesOf(v any) ([]entry, error) {
	switch t := v.(type) {
	case *data.Struct:
		out := make([]entry, len(t.Schema().Fields))
		for i, f := range t.Schema().Fields {
			out[i] = entry{f.Name, f.Schema, t.At(i)}
		}
		return out, nil
	case map[string]any:
		out := make([]entry, 0, len(t))
		for _, name := range slices.Sorted(maps.Keys(t)) {
			out = append(out, entry{name, nil, t[name]})
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: fields are asked of a %T", ErrTransform, v)
}

// maxSchemas bounds what a transform remembers of the schemas it has changed.
const maxSchemas = 256

// builder puts entries together again. The schema made for a source schema is
// kept, so that equal records keep sharing one; it must depend on it alone.
type builder struct{ made map[*data.Schema]*data.Schema }

// build makes a struct if the source had a schema, else a map.
func (b *builder) build(source *data.Schema, entries []entry) (*data.Schema, any) {
	if source == nil {
		m := make(map[string]any, len(entries))
		for _, e := range entries {
			m[e.name] = e.value
		}
		return nil, m
	}
	schema, ok := b.made[source]
	if !ok {
		schema = b.remember(source, entries)
	}
	values := make([]any, len(entries))
	for i, e := range entries {
		values[i] = e.value
	}
	return schema, data.StructOf(schema, values...)
}

func (b *builder) remember(source *data.Schema, entries []entry) *data.Schema {
	fields := make([]data.Field, len(entries))
	for i, e := range entries {
		fields[i] = data.Field{Name: e.name, Schema: e.schema}
	}
	schema := data.NewRecord(source.Name, fields...)
	schema.Version, schema.Doc, schema.Optional = source.Version, source.Doc, source.Optional
	if b.made == nil || len(b.made) >= maxSchemas {
		b.made = map[*data.Schema]*data.Schema{}
	}
	b.made[source] = schema
	return schema
}

// put replaces the entry of that name, or appends it.
func put(entries []entry, e entry) []entry {
	for i := range entries {
		if entries[i].name == e.name {
			entries[i] = e
			return entries
		}
	}
	return append(entries, e)
}

// structSchema is the schema to build by: that of a struct, nil for a map.
func structSchema(v any) *data.Schema {
	if st, ok := v.(*data.Struct); ok {
		return st.Schema()
	}
	return nil
}
