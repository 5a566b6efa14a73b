package pipelines

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/expr-lang/expr/types"
)

// Kind is the sort of a value.
type Kind string

// The kinds of values. A timestamp is a time.Time in expressions and RFC 3339
// in JSON; it is read from RFC 3339 or from milliseconds since the epoch.
const (
	KindInt       Kind = "int"
	KindFloat     Kind = "float"
	KindString    Kind = "string"
	KindBool      Kind = "bool"
	KindTimestamp Kind = "timestamp"
	KindAny       Kind = "any"
	KindObject    Kind = "object"
)

var kinds = []Kind{KindInt, KindFloat, KindString, KindBool, KindTimestamp, KindAny}

// Type is the type of a value. Only an object has Fields. A nullable value is
// of unknown type to expressions: `value.x ?? 0` makes it known again.
type Type struct {
	Kind     Kind
	Nullable bool
	Fields   []Field
}

// Field is a named value of an object, in the order of the document.
type Field struct {
	Name string
	Type Type
}

// parseType reads int, float, string, bool, timestamp or any, with a question
// mark behind it if the value may be null or absent.
func parseType(s string) (Type, error) {
	name, nullable := strings.CutSuffix(strings.TrimSpace(s), "?")
	if !slices.Contains(kinds, Kind(name)) {
		return Type{}, fmt.Errorf("no type %q", s)
	}
	return Type{Kind: Kind(name), Nullable: nullable}, nil
}

// String is the type as the document writes it.
func (t Type) String() string {
	s := string(t.Kind)
	if t.Kind == KindObject {
		parts := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			parts[i] = f.Name + ": " + f.Type.String()
		}
		s = "{" + strings.Join(parts, ", ") + "}"
	}
	if t.Nullable {
		s += "?"
	}
	return s
}

// names are the names of the fields.
func (t Type) names() []string {
	out := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		out[i] = f.Name
	}
	return out
}

// with is the object with the field added, or replaced where it stands.
func (t Type) with(name string, field Type) Type {
	out := Type{Kind: KindObject, Fields: slices.Clone(t.Fields)}
	for i := range out.Fields {
		if out.Fields[i].Name == name {
			out.Fields[i].Type = field
			return out
		}
	}
	out.Fields = append(out.Fields, Field{name, field})
	return out
}

// without is the object without the field.
func (t Type) without(name string) Type {
	return Type{Kind: KindObject, Fields: slices.DeleteFunc(slices.Clone(t.Fields), func(f Field) bool { return f.Name == name })}
}

// exprType is how expressions see the type.
func (t Type) exprType() types.Type {
	if t.Nullable {
		return types.Any
	}
	switch t.Kind {
	case KindInt:
		return types.Int
	case KindFloat:
		return types.Float64
	case KindString:
		return types.String
	case KindBool:
		return types.Bool
	case KindTimestamp:
		return types.TypeOf(time.Time{})
	case KindObject:
		m := types.Map{}
		for _, f := range t.Fields {
			m[f.Name] = f.Type.exprType()
		}
		return m
	default:
		return types.Any
	}
}

// typeOf is the type of an expression's result.
func typeOf(t reflect.Type) Type {
	if t == nil {
		return Type{Kind: KindAny, Nullable: true}
	}
	if t == reflect.TypeFor[time.Time]() {
		return Type{Kind: KindTimestamp}
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return Type{Kind: KindInt}
	case reflect.Float32, reflect.Float64:
		return Type{Kind: KindFloat}
	case reflect.String:
		return Type{Kind: KindString}
	case reflect.Bool:
		return Type{Kind: KindBool}
	default:
		return Type{Kind: KindAny, Nullable: true}
	}
}

// number tells whether arithmetic takes the type.
func (t Type) number() bool {
	return t.Kind == KindInt || t.Kind == KindFloat || t.Kind == KindAny
}
