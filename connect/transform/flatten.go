package transform

import (
	"fmt"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// Flatten lifts the fields of inner structs and maps to the top, their names
// joined by a delimiter. Lists stay as they are.
type Flatten struct {
	side      side
	delimiter string
	builder   builder
}

// Config implements connect.Transform.
func (*Flatten) Config() *config.Def {
	return config.New(config.Key{Name: "delimiter", Type: config.String, Default: ".", Importance: config.Medium, Doc: "What joins the names."})
}

// Configure implements connect.Transform.
func (t *Flatten) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err == nil {
		t.delimiter = v.String("delimiter")
	}
	return err
}

// Apply implements connect.Transform.
func (t *Flatten) Apply(r *connect.Record) (*connect.Record, error) {
	_, v := t.side.get(r)
	if v == nil {
		return r, nil
	}
	var out []entry
	var err error
	if st, ok := v.(*data.Struct); ok {
		out = t.fields(nil, "", st.Schema(), st, false)
	} else if out, err = t.members(nil, "", v); err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(out))
	for _, e := range out {
		if seen[e.name] {
			return nil, fmt.Errorf("%w: two fields would be called %s", ErrTransform, e.name)
		}
		seen[e.name] = true
	}
	schema, flat := t.builder.build(structSchema(v), out)
	t.side.set(r, schema, flat)
	return r, nil
}

// fields walks by the schema, so that a null inner struct gives null fields.
func (t *Flatten) fields(out []entry, prefix string, s *data.Schema, st *data.Struct, optional bool) []entry {
	for i, f := range s.Fields {
		var v any
		if st != nil {
			v = st.At(i)
		}
		fs := f.Schema
		if fs.Type == data.Record {
			inner, _ := v.(*data.Struct)
			out = t.fields(out, prefix+f.Name+t.delimiter, fs, inner, optional || fs.Optional)
			continue
		}
		if optional {
			fs = fs.AsOptional()
		}
		out = append(out, entry{prefix + f.Name, fs, v})
	}
	return out
}

func (t *Flatten) members(out []entry, prefix string, v any) ([]entry, error) {
	entries, err := entriesOf(v)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if inner, ok := e.value.(map[string]any); ok {
			if out, err = t.members(out, prefix+e.name+t.delimiter, inner); err != nil {
				return nil, err
			}
			continue
		}
		e.name = prefix + e.name
		out = append(out, e)
	}
	return out, nil
}
