package transform

import (
	"slices"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// InsertHeader adds a header with a fixed text.
type InsertHeader struct{ name, value string }

// Config implements connect.Transform.
func (*InsertHeader) Config() *config.Def {
	return config.New(
		config.Key{Name: "header", Type: config.String, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Name of the header."},
		config.Key{Name: "value.literal", Type: config.String, Required: true, Importance: config.High, Doc: "Its text."},
	)
}

// Configure implements connect.Transform.
func (t *InsertHeader) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err == nil {
		t.name, t.value = v.String("header"), v.String("value.literal")
	}
	return err
}

// Apply implements connect.Transform.
func (t *InsertHeader) Apply(r *connect.Record) (*connect.Record, error) {
	r.Headers = append(r.Headers, connect.Header{Name: t.name, Schema: data.StringSchema, Value: t.value})
	return r, nil
}

// DropHeaders removes headers by name.
type DropHeaders struct{ names []string }

// Config implements connect.Transform.
func (*DropHeaders) Config() *config.Def {
	return config.New(config.Key{Name: "headers", Type: config.List, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Names of the headers."})
}

// Configure implements connect.Transform.
func (t *DropHeaders) Configure(props map[string]string) error {
	v, err := t.Config().Parse(props)
	if err == nil {
		t.names = v.List("headers")
	}
	return err
}

// Apply implements connect.Transform.
func (t *DropHeaders) Apply(r *connect.Record) (*connect.Record, error) {
	r.Headers = slices.DeleteFunc(r.Headers, func(h connect.Header) bool { return slices.Contains(t.names, h.Name) })
	return r, nil
}
