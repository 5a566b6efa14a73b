package data

import (
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ErrMismatch is wrapped by every error that says a value does not fit its schema.
var ErrMismatch = errors.New("data: value does not match schema")

// Type is the shape of a value. The comment of each names the Go type used.
type Type int8

// The types, in the order Kafka Connect lists them.
const (
	Int8    Type = iota + 1 // int8
	Int16                   // int16
	Int32                   // int32, or time.Time for the logical Date and Time
	Int64                   // int64, or time.Time for the logical Timestamp
	Float32                 // float32
	Float64                 // float64
	Boolean                 // bool
	String                  // string
	Bytes                   // []byte, or Decimal for the logical Decimal
	Array                   // []any
	Map                     // map[string]any for string keys, else map[any]any
	Record                  // *Struct
)

var typeNames = [...]string{"", "int8", "int16", "int32", "int64", "float", "double",
	"boolean", "string", "bytes", "array", "map", "struct"}

// String gives the name used in JSON schemas ("int64", "double", "struct", …).
func (t Type) String() string {
	if t < Int8 || t > Record {
		return fmt.Sprintf("type(%d)", int8(t))
	}
	return typeNames[t]
}

// ParseType is the inverse of Type.String; "float32" and "float64" are accepted too.
func ParseType(name string) (Type, bool) {
	switch name {
	case "float32":
		return Float32, true
	case "float64":
		return Float64, true
	}
	for t := Int8; t <= Record; t++ {
		if typeNames[t] == name {
			return t, true
		}
	}
	return 0, false
}

// Names of the logical types. A schema with one of these names and the right
// base type holds the richer Go value named beside it.
const (
	TimestampName = "org.apache.kafka.connect.data.Timestamp" // Int64, ms since 1970 UTC; time.Time
	DateName      = "org.apache.kafka.connect.data.Date"      // Int32, days since 1970; time.Time at midnight UTC
	TimeName      = "org.apache.kafka.connect.data.Time"      // Int32, ms since midnight; time.Time on 1970-01-01
	DecimalName   = "org.apache.kafka.connect.data.Decimal"   // Bytes, big-endian two's complement; Decimal
	// DecimalScale is the schema parameter with the count of decimal places.
	DecimalScale = "scale"
)

// Schema says what a value looks like. It is immutable once handed out.
// A nil *Schema means "no schema".
type Schema struct {
	Type     Type
	Optional bool // nil is a valid value
	Default  any  // nil: none; else used by readers when the value is missing
	Name     string
	Version  int32 // 0: none
	Doc      string
	Params   map[string]string
	Fields   []Field // Record only, in declared order
	Key      *Schema // Map only
	Elem     *Schema // Array: items; Map: values

	index map[string]int // Record only; built by NewRecord
}

// Field is one named member of a Record schema.
type Field struct {
	Name   string
	Schema *Schema
}

// Ready-made schemas of the primitive and logical types.
var (
	Int8Schema      = &Schema{Type: Int8}
	Int16Schema     = &Schema{Type: Int16}
	Int32Schema     = &Schema{Type: Int32}
	Int64Schema     = &Schema{Type: Int64}
	Float32Schema   = &Schema{Type: Float32}
	Float64Schema   = &Schema{Type: Float64}
	BooleanSchema   = &Schema{Type: Boolean}
	StringSchema    = &Schema{Type: String}
	BytesSchema     = &Schema{Type: Bytes}
	TimestampSchema = &Schema{Type: Int64, Name: TimestampName, Version: 1}
	DateSchema      = &Schema{Type: Int32, Name: DateName, Version: 1}
	TimeSchema      = &Schema{Type: Int32, Name: TimeName, Version: 1}

	OptionalStringSchema = &Schema{Type: String, Optional: true}
)

// NewRecord builds a struct schema. Field names must be unique; a repeated
// name is a programming error and panics.
func NewRecord(name string, fields ...Field) *Schema {
	s := &Schema{Type: Record, Name: name, Fields: fields, index: make(map[string]int, len(fields))}
	for i, f := range fields {
		if _, dup := s.index[f.Name]; dup {
			panic("data: field " + f.Name + " declared twice in schema " + name)
		}
		s.index[f.Name] = i
	}
	return s
}

// NewArray builds the schema of a list of elem.
func NewArray(elem *Schema) *Schema { return &Schema{Type: Array, Elem: elem} }

// NewMap builds the schema of a map.
func NewMap(key, elem *Schema) *Schema { return &Schema{Type: Map, Key: key, Elem: elem} }

// NewDecimal builds the logical Decimal with a fixed scale.
func NewDecimal(scale int32) *Schema {
	return &Schema{Type: Bytes, Name: DecimalName, Version: 1,
		Params: map[string]string{DecimalScale: fmt.Sprint(scale)}}
}

// AsOptional returns a copy of s whose value may be nil.
func (s *Schema) AsOptional() *Schema {
	if s.Optional {
		return s
	}
	c := *s
	c.Optional = true
	return &c
}

// FieldIndex finds a field of a Record schema by name.
func (s *Schema) FieldIndex(name string) (int, bool) {
	if s.index != nil {
		i, ok := s.index[name]
		return i, ok
	}
	for i, f := range s.Fields {
		if f.Name == name {
			return i, true
		}
	}
	return 0, false
}

// Field finds a field's schema by name; nil if there is none.
func (s *Schema) Field(name string) *Schema {
	if i, ok := s.FieldIndex(name); ok {
		return s.Fields[i].Schema
	}
	return nil
}

// Logical is the name of the logical type that changes the Go type of the
// value, or "" if the value is of the base type.
func (s *Schema) Logical() string {
	switch {
	case s.Name == TimestampName && s.Type == Int64,
		s.Name == DateName && s.Type == Int32,
		s.Name == TimeName && s.Type == Int32,
		s.Name == DecimalName && s.Type == Bytes:
		return s.Name
	}
	return ""
}

// Decimal is an exact decimal number: Unscaled × 10^-Scale.
type Decimal struct {
	Unscaled *big.Int
	Scale    int32
}

// String writes the number in plain decimal notation.
func (d Decimal) String() string {
	if d.Unscaled == nil {
		return "0"
	}
	if d.Scale <= 0 {
		return new(big.Int).Mul(d.Unscaled, pow10(-d.Scale)).String()
	}
	return new(big.Rat).SetFrac(d.Unscaled, pow10(d.Scale)).FloatString(int(d.Scale))
}

func pow10(n int32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }

// Validate reports whether v is a value of s, looking into every field and item.
// A nil schema accepts every value.
func Validate(s *Schema, v any) error {
	if s == nil {
		return nil
	}
	if v == nil {
		if s.Optional || s.Default != nil {
			return nil
		}
		return fmt.Errorf("%w: null for required %s", ErrMismatch, describe(s))
	}
	if l := s.Logical(); l != "" {
		return validateLogical(s, l, v)
	}
	switch s.Type {
	case Array:
		return validateArray(s, v)
	case Map:
		return validateMap(s, v)
	case Record:
		st, ok := v.(*Struct)
		if !ok {
			return mismatch(s, v)
		}
		return st.Validate()
	}
	if !isPrimitive(s.Type, v) {
		return mismatch(s, v)
	}
	return nil
}

func validateLogical(s *Schema, name string, v any) error {
	ok := false
	if name == DecimalName {
		_, ok = v.(Decimal)
	} else {
		_, ok = v.(time.Time)
	}
	if !ok {
		return mismatch(s, v)
	}
	return nil
}

func validateArray(s *Schema, v any) error {
	items, ok := v.([]any)
	if !ok {
		return mismatch(s, v)
	}
	for i, item := range items {
		if err := Validate(s.Elem, item); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
	}
	return nil
}

func validateMap(s *Schema, v any) error {
	switch m := v.(type) {
	case map[string]any:
		if s.Key != nil && s.Key.Type != String {
			return mismatch(s, v)
		}
		for k, e := range m {
			if err := Validate(s.Elem, e); err != nil {
				return fmt.Errorf("entry %q: %w", k, err)
			}
		}
	case map[any]any:
		for k, e := range m {
			if err := Validate(s.Key, k); err != nil {
				return fmt.Errorf("key: %w", err)
			}
			if err := Validate(s.Elem, e); err != nil {
				return fmt.Errorf("entry %v: %w", k, err)
			}
		}
	default:
		return mismatch(s, v)
	}
	return nil
}

func isPrimitive(t Type, v any) bool {
	ok := false
	switch t {
	case Int8:
		_, ok = v.(int8)
	case Int16:
		_, ok = v.(int16)
	case Int32:
		_, ok = v.(int32)
	case Int64:
		_, ok = v.(int64)
	case Float32:
		_, ok = v.(float32)
	case Float64:
		_, ok = v.(float64)
	case Boolean:
		_, ok = v.(bool)
	case String:
		_, ok = v.(string)
	case Bytes:
		_, ok = v.([]byte)
	}
	return ok
}

func mismatch(s *Schema, v any) error {
	return fmt.Errorf("%w: %T for %s", ErrMismatch, v, describe(s))
}

func describe(s *Schema) string {
	if s.Name != "" {
		return s.Type.String() + " " + s.Name
	}
	return s.Type.String()
}

// Infer gives the schema of a primitive Go value; ok is false for nil,
// collections and anything else whose schema cannot be known from one value.
func Infer(v any) (s *Schema, ok bool) {
	switch t := v.(type) {
	case int8:
		return Int8Schema, true
	case int16:
		return Int16Schema, true
	case int32:
		return Int32Schema, true
	case int64:
		return Int64Schema, true
	case float32:
		return Float32Schema, true
	case float64:
		return Float64Schema, true
	case bool:
		return BooleanSchema, true
	case string:
		return StringSchema, true
	case []byte:
		return BytesSchema, true
	case time.Time:
		return TimestampSchema, true
	case Decimal:
		return NewDecimal(t.Scale), true
	case *Struct:
		return t.Schema(), true
	}
	return nil, false
}
