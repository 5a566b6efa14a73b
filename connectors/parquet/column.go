package parquet

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"github.com/leatstream/leat/connect/data"
)

// kind is the type of a column.
type kind int8

const (
	kindString kind = iota
	kindBytes
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBoolean
	kindTimestamp // microseconds since 1970 UTC
	kindDate      // days since 1970
	kindJSON      // any value as JSON text, in a string column
)

// kindNames are the words of the schema setting.
var kindNames = map[string]kind{
	"string": kindString, "bytes": kindBytes, "int": kindInt, "long": kindLong, "float": kindFloat,
	"double": kindDouble, "boolean": kindBoolean, "bool": kindBoolean, "timestamp": kindTimestamp,
	"date": kindDate, "json": kindJSON,
}

// column is one column made from the records' values. All are optional.
type column struct {
	name  string // in the file
	field string // in the record; "" is the whole value
	kind  kind
}

// extraColumn keeps, as one JSON object per record, the fields that no column takes.
const extraColumn = "_extra"

func (c column) node() pq.Node {
	switch c.kind {
	case kindBytes:
		return pq.Leaf(pq.ByteArrayType)
	case kindInt:
		return pq.Int(32)
	case kindLong:
		return pq.Int(64)
	case kindFloat:
		return pq.Leaf(pq.FloatType)
	case kindDouble:
		return pq.Leaf(pq.DoubleType)
	case kindBoolean:
		return pq.Leaf(pq.BooleanType)
	case kindTimestamp:
		return pq.Timestamp(pq.Microsecond)
	case kindDate:
		return pq.Date()
	}
	return pq.String()
}

// parseColumns reads the schema setting: "field:type,…".
func parseColumns(list []string) ([]column, error) {
	var out []column
	for _, item := range list {
		field, typ, ok := strings.Cut(item, ":")
		field = strings.TrimSpace(field)
		k, known := kindNames[strings.ToLower(strings.TrimSpace(typ))]
		if !ok || field == "" || !known {
			return nil, fmt.Errorf("%q is not field:type with a type of string, bytes, int, long, float, double, boolean, timestamp, date or json", item)
		}
		out = append(out, column{field: field, kind: k})
	}
	return named(out), nil
}

// schemaColumns maps the fields of a record schema. Structs, lists and maps
// inside become JSON text.
func schemaColumns(s *data.Schema) []column {
	if s.Type != data.Record {
		return named([]column{{kind: schemaKind(s)}})
	}
	out := make([]column, len(s.Fields))
	for i, f := range s.Fields {
		out[i] = column{field: f.Name, kind: schemaKind(f.Schema)}
	}
	return named(out)
}

func schemaKind(s *data.Schema) kind {
	switch s.Logical() {
	case data.TimestampName:
		return kindTimestamp
	case data.DateName:
		return kindDate
	case data.TimeName:
		return kindInt
	case data.DecimalName:
		return kindString
	}
	switch s.Type {
	case data.Int8, data.Int16, data.Int32:
		return kindInt
	case data.Int64:
		return kindLong
	case data.Float32:
		return kindFloat
	case data.Float64:
		return kindDouble
	case data.Boolean:
		return kindBoolean
	case data.String:
		return kindString
	case data.Bytes:
		return kindBytes
	}
	return kindJSON
}

// inferColumns finds columns for values without a schema: whole numbers are
// long, mixed numbers double, different types string, collections JSON. A
// value that is no object gives the one column "value".
func inferColumns(values []any) []column {
	kinds := map[string]kind{}
	for _, v := range values {
		switch t := v.(type) {
		case nil:
		case map[string]any:
			for name, x := range t {
				widenTo(kinds, name, x)
			}
		case *data.Struct:
			for i, f := range t.Schema().Fields {
				widenTo(kinds, f.Name, t.At(i))
			}
		default:
			widenTo(kinds, "", v)
		}
	}
	out := make([]column, 0, len(kinds))
	for field, k := range kinds {
		out = append(out, column{field: field, kind: k})
	}
	slices.SortFunc(out, func(a, b column) int { return strings.Compare(a.field, b.field) })
	return named(out)
}

func widenTo(kinds map[string]kind, field string, v any) {
	if v == nil {
		return
	}
	k := valueKind(v)
	old, seen := kinds[field]
	switch {
	case !seen || old == k:
		kinds[field] = k
	case numeric(old) && numeric(k):
		kinds[field] = kindDouble
	case old == kindJSON || k == kindJSON:
		kinds[field] = kindJSON
	default:
		kinds[field] = kindString
	}
}

func numeric(k kind) bool { return k == kindLong || k == kindDouble }

func valueKind(v any) kind {
	switch v.(type) {
	case string:
		return kindString
	case bool:
		return kindBoolean
	case int8, int16, int32, int64:
		return kindLong
	case float32, float64:
		return kindDouble
	case time.Time:
		return kindTimestamp
	case []byte:
		return kindBytes
	}
	return kindJSON
}

// named gives columns names that every reader accepts: lower case, digits and
// _, unique, and none that the sink uses itself.
func named(cols []column) []column {
	used := map[string]bool{extraColumn: true}
	for _, m := range metaColumns {
		used[m] = true
	}
	for i := range cols {
		base := sanitize(cols[i].field)
		name := base
		for n := 2; used[name]; n++ {
			name = base + "_" + strconv.Itoa(n)
		}
		used[name] = true
		cols[i].name = name
	}
	return cols
}

func sanitize(s string) string {
	if s == "" {
		return "value"
	}
	b := []byte(strings.ToLower(s))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			b[i] = '_'
		}
	}
	return string(b)
}

// arena holds the bytes of one chunk of values until the writer has copied them.
type arena struct{ b []byte }

func (a *arena) string(s string) pq.Value {
	n := len(a.b)
	a.b = append(a.b, s...)
	return pq.ByteArrayValue(a.b[n:len(a.b):len(a.b)])
}

func (a *arena) json(v any) (pq.Value, bool) {
	n := len(a.b)
	b, err := data.AppendJSON(a.b, nil, v, data.JSONOptions{})
	if err != nil {
		return pq.Value{}, false
	}
	a.b = b
	return pq.ByteArrayValue(a.b[n:len(a.b):len(a.b)]), true
}

// encode makes a column's value; ok is false if v does not fit. v is not nil.
func (c column) encode(a *arena, v any) (pq.Value, bool) {
	switch c.kind {
	case kindString:
		return encodeString(a, v)
	case kindBytes:
		return encodeBytes(a, v)
	case kindInt:
		n, ok := asInt(v)
		return pq.Int32Value(int32(n)), ok && n >= math.MinInt32 && n <= math.MaxInt32
	case kindLong:
		n, ok := asInt(v)
		return pq.Int64Value(n), ok
	case kindFloat:
		f, ok := asFloat(v)
		return pq.FloatValue(float32(f)), ok
	case kindDouble:
		f, ok := asFloat(v)
		return pq.DoubleValue(f), ok
	case kindBoolean:
		b, ok := v.(bool)
		return pq.BooleanValue(b), ok
	case kindTimestamp:
		t, ok := asTime(v)
		return pq.Int64Value(t.UnixMicro()), ok
	case kindDate:
		t, ok := asTime(v)
		return pq.Int32Value(int32(math.Floor(float64(t.Unix()) / 86400))), ok
	}
	return a.json(v)
}

func encodeString(a *arena, v any) (pq.Value, bool) {
	switch t := v.(type) {
	case string:
		return a.string(t), true
	case data.Decimal:
		return a.string(t.String()), true
	case []byte:
		return pq.Value{}, false
	case time.Time:
		return a.string(t.UTC().Format(time.RFC3339Nano)), true
	}
	return a.json(v)
}

func encodeBytes(a *arena, v any) (pq.Value, bool) {
	switch t := v.(type) {
	case []byte:
		return a.string(string(t)), true
	case string:
		return a.string(t), true
	}
	return pq.Value{}, false
}

func asInt(v any) (int64, bool) {
	switch n := v.(type) {
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case int16:
		return int64(n), true
	case int8:
		return int64(n), true
	case float64:
		return int64(n), n == math.Trunc(n) && math.Abs(n) < 1<<53
	case time.Time:
		return n.UnixMilli() % 86_400_000, true
	}
	return 0, false
}

func asFloat(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case float32:
		return float64(n), true
	}
	n, ok := asInt(v)
	return float64(n), ok
}

// asTime reads a time: a time, milliseconds since 1970, or RFC 3339 text.
func asTime(v any) (time.Time, bool) {
	switch t := v.(type) {
	case time.Time:
		return t, true
	case string:
		for _, form := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999", time.DateOnly} {
			if at, err := time.Parse(form, t); err == nil {
				return at, true
			}
		}
		return time.Time{}, false
	}
	ms, ok := asInt(v)
	return time.UnixMilli(ms), ok
}
