package data

import "fmt"

// Struct is a value of a Record schema: one slot per field, in the schema's order.
// It is not safe for concurrent use. The schema is shared, never copied.
type Struct struct {
	schema *Schema
	values []any // values[i] belongs to schema.Fields[i]
}

// NewStruct makes an empty value: every field is nil.
// A schema of another type is a programming error and panics.
func NewStruct(s *Schema) *Struct {
	if s == nil || s.Type != Record {
		panic("data: NewStruct needs a struct schema")
	}
	return &Struct{schema: s, values: make([]any, len(s.Fields))}
}

// StructOf makes a value from the fields in declared order; the caller
// guarantees their types, which Validate can check. It keeps values.
func StructOf(s *Schema, values ...any) *Struct {
	if s == nil || s.Type != Record || len(values) != len(s.Fields) {
		panic("data: StructOf needs a struct schema and one value per field")
	}
	return &Struct{schema: s, values: values}
}

// Schema is the schema the value was made with.
func (s *Struct) Schema() *Schema { return s.schema }

// Put sets a field. An unknown field or a value of the wrong type is an error
// and changes nothing.
func (s *Struct) Put(name string, v any) error {
	i, ok := s.schema.FieldIndex(name)
	if !ok {
		return fmt.Errorf("%w: %s is not a valid field name", ErrMismatch, name)
	}
	if v != nil {
		if err := Validate(s.schema.Fields[i].Schema, v); err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
	}
	s.values[i] = v
	return nil
}

// Get reads a field, or its default if it is unset; ok is false if the schema has no such field.
func (s *Struct) Get(name string) (v any, ok bool) {
	i, ok := s.schema.FieldIndex(name)
	if !ok {
		return nil, false
	}
	return s.At(i), true
}

// At reads field i, or its default if it is unset.
func (s *Struct) At(i int) any {
	if v := s.values[i]; v != nil {
		return v
	}
	return s.schema.Fields[i].Schema.Default
}

// SetAt sets field i without a check; for code that copies values between equal types.
func (s *Struct) SetAt(i int, v any) { s.values[i] = v }

// Validate checks every field.
func (s *Struct) Validate() error {
	for i, f := range s.schema.Fields {
		if err := Validate(f.Schema, s.values[i]); err != nil {
			return fmt.Errorf("field %s: %w", f.Name, err)
		}
	}
	return nil
}
