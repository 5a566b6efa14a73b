// Package data holds the values that move between connectors and the log:
// schemas, structs and their JSON form.
//
// A value is a plain Go value. With a schema it has exactly the Go type that
// the schema's Type names (see Type); without one it is what plain JSON gives:
// nil, bool, int64, float64, string, []any or map[string]any.
//
// Everything here is pure. Schemas are immutable once built and may be shared
// by all goroutines; a Struct belongs to one goroutine at a time.
package data
