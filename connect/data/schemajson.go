package data

import (
	"fmt"
	"math"
	"strconv"
)

// AppendSchema appends the JSON form of a schema as Kafka Connect's JSON
// converter writes it; null for no schema.
func AppendSchema(dst []byte, s *Schema) ([]byte, error) {
	if s == nil {
		return append(dst, "null"...), nil
	}
	return appendSchema(dst, s, "")
}

func appendSchema(dst []byte, s *Schema, field string) ([]byte, error) {
	dst = append(dst, `{"type":`...)
	dst = AppendString(dst, s.Type.String())
	var err error
	switch s.Type {
	case Record:
		dst = append(dst, `,"fields":[`...)
		for i, f := range s.Fields {
			if i > 0 {
				dst = append(dst, ',')
			}
			if dst, err = appendSchema(dst, f.Schema, f.Name); err != nil {
				return nil, err
			}
		}
		dst = append(dst, ']')
	case Array:
		if dst, err = appendSchema(append(dst, `,"items":`...), s.Elem, ""); err != nil {
			return nil, err
		}
	case Map:
		if dst, err = appendSchema(append(dst, `,"keys":`...), s.Key, ""); err != nil {
			return nil, err
		}
		if dst, err = appendSchema(append(dst, `,"values":`...), s.Elem, ""); err != nil {
			return nil, err
		}
	}
	dst = append(dst, `,"optional":`...)
	dst = strconv.AppendBool(dst, s.Optional)
	if s.Name != "" {
		dst = AppendString(append(dst, `,"name":`...), s.Name)
	}
	if s.Version != 0 {
		dst = strconv.AppendInt(append(dst, `,"version":`...), int64(s.Version), 10)
	}
	if s.Doc != "" {
		dst = AppendString(append(dst, `,"doc":`...), s.Doc)
	}
	if len(s.Params) > 0 {
		params := make(map[string]any, len(s.Params))
		for k, v := range s.Params {
			params[k] = v
		}
		dst, _ = appendObject(append(dst, `,"parameters":`...), nil, params, JSONOptions{})
	}
	if s.Default != nil {
		if dst, err = AppendJSON(append(dst, `,"default":`...), s, s.Default, JSONOptions{}); err != nil {
			return nil, err
		}
	}
	if field != "" {
		dst = AppendString(append(dst, `,"field":`...), field)
	}
	return append(dst, '}'), nil
}

// ParseSchema reads the JSON form of a schema out of a parsed document; nil
// (JSON null) is no schema.
func ParseSchema(v any) (*Schema, error) {
	if v == nil {
		return nil, nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%w: a schema must be an object", ErrMismatch)
	}
	name, _ := m["type"].(string)
	t, ok := ParseType(name)
	if !ok {
		return nil, fmt.Errorf("%w: unknown schema type %q", ErrMismatch, name)
	}
	s := &Schema{Type: t}
	s.Optional, _ = m["optional"].(bool)
	s.Name, _ = m["name"].(string)
	s.Doc, _ = m["doc"].(string)
	if n, ok := m["version"].(int64); ok && n >= 0 && n <= math.MaxInt32 {
		s.Version = int32(n)
	}
	if params, ok := m["parameters"].(map[string]any); ok {
		s.Params = make(map[string]string, len(params))
		for k, v := range params {
			s.Params[k] = fmt.Sprint(v)
		}
	}
	if err := s.parseParts(m); err != nil {
		return nil, err
	}
	if d := m["default"]; d != nil {
		var err error
		if s.Default, err = FromJSON(s, d); err != nil {
			return nil, fmt.Errorf("default: %w", err)
		}
	}
	return s, nil
}

func (s *Schema) parseParts(m map[string]any) (err error) {
	switch s.Type {
	case Array:
		s.Elem, err = requiredSchema(m, "items")
	case Map:
		if s.Key, err = requiredSchema(m, "keys"); err == nil {
			s.Elem, err = requiredSchema(m, "values")
		}
	case Record:
		err = s.parseFields(m)
	}
	return err
}

func requiredSchema(m map[string]any, name string) (*Schema, error) {
	s, err := ParseSchema(m[name])
	if err == nil && s == nil {
		err = fmt.Errorf("%w: schema without %q", ErrMismatch, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

func (s *Schema) parseFields(m map[string]any) error {
	list, ok := m["fields"].([]any)
	if !ok {
		return fmt.Errorf("%w: struct schema without fields", ErrMismatch)
	}
	s.Fields = make([]Field, 0, len(list))
	s.index = make(map[string]int, len(list))
	for i, e := range list {
		fm, _ := e.(map[string]any)
		name, ok := fm["field"].(string)
		if !ok || name == "" {
			return fmt.Errorf("%w: field %d without a name", ErrMismatch, i)
		}
		if _, dup := s.index[name]; dup {
			return fmt.Errorf("%w: field %s declared twice", ErrMismatch, name)
		}
		fs, err := ParseSchema(fm)
		if err != nil {
			return fmt.Errorf("field %s: %w", name, err)
		}
		s.index[name] = i
		s.Fields = append(s.Fields, Field{Name: name, Schema: fs})
	}
	return nil
}
