package output

import (
	"reflect"
	"strings"
	"time"
)

// Shape describes the JSON form of v: names as they appear, types in place of
// values, "?" behind what may be null.
func Shape(v any) string {
	var b strings.Builder
	writeShape(&b, reflect.TypeOf(v), "")
	b.WriteByte('\n')
	return b.String()
}

func writeShape(b *strings.Builder, t reflect.Type, indent string) {
	if t == reflect.TypeFor[time.Time]() {
		b.WriteString("time (RFC 3339)")
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		writeShape(b, t.Elem(), indent)
		b.WriteByte('?')
	case reflect.Slice, reflect.Array:
		b.WriteByte('[')
		writeShape(b, t.Elem(), indent)
		b.WriteByte(']')
	case reflect.Map:
		b.WriteString("{string: ")
		writeShape(b, t.Elem(), indent)
		b.WriteByte('}')
	case reflect.Struct:
		writeStructShape(b, t, indent)
	case reflect.Interface:
		b.WriteString("any")
	default:
		b.WriteString(scalarShape(t))
	}
}

func writeStructShape(b *strings.Builder, t reflect.Type, indent string) {
	b.WriteString("{\n")
	for _, f := range reflect.VisibleFields(t) {
		name := jsonName(f)
		if f.Anonymous || !f.IsExported() || name == "-" {
			continue
		}
		b.WriteString(indent + `  "` + name + `": `)
		writeShape(b, f.Type, indent+"  ")
		if strings.Contains(f.Tag.Get("json"), ",omitempty") || strings.Contains(f.Tag.Get("json"), ",omitzero") {
			b.WriteString(" (may be absent)")
		}
		b.WriteByte('\n')
	}
	b.WriteString(indent + "}")
}

func scalarShape(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "bool"
	case reflect.Float32, reflect.Float64:
		return "float"
	}
	return t.Kind().String()
}
