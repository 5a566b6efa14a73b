package data

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"
)

// everything is a schema with every type, and a value of it.
func everything() (*Schema, *Struct) {
	s := NewRecord("all",
		Field{"i8", Int8Schema}, Field{"i16", Int16Schema}, Field{"i32", Int32Schema}, Field{"i64", Int64Schema},
		Field{"f32", Float32Schema}, Field{"f64", Float64Schema}, Field{"b", BooleanSchema}, Field{"s", StringSchema},
		Field{"by", BytesSchema}, Field{"list", NewArray(OptionalStringSchema)}, Field{"map", NewMap(StringSchema, Int32Schema)},
		Field{"imap", NewMap(Int32Schema, StringSchema)}, Field{"at", TimestampSchema}, Field{"day", DateSchema}, Field{"time", TimeSchema},
		Field{"dec", NewDecimal(2)}, Field{"none", OptionalStringSchema}, Field{"in", NewRecord("in", Field{"x", Int64Schema})},
		Field{"def", &Schema{Type: Int32, Optional: true, Default: int32(7), Doc: "has a default"}})
	return s, StructOf(s, int8(-8), int16(16), int32(32), int64(math.MaxInt64), float32(0.5), 1e300, true, "text \"\n\u2028é",
		[]byte{0, 255}, []any{"a", nil}, map[string]any{"k": int32(1)}, map[any]any{int32(2): "v"},
		time.UnixMilli(1700000000123).UTC(), time.Date(1960, 2, 3, 0, 0, 0, 0, time.UTC), time.UnixMilli(3_600_001).UTC(),
		Decimal{big.NewInt(-12345), 2}, nil, StructOf(s.Field("in"), int64(5)), int32(8))
}

func TestStructAndSchemaSurviveJSON(t *testing.T) {
	s, v := everything()
	if err := Validate(s, v); err != nil {
		t.Fatal(err)
	}
	for _, o := range []JSONOptions{{}, {NumericDecimal: true}} {
		text, err := AppendJSON(nil, s, v, o)
		if err != nil || !json.Valid(text) {
			t.Fatalf("%s: %v", text, err)
		}
		schemaText, err := AppendSchema(nil, s)
		if err != nil || !json.Valid(schemaText) {
			t.Fatalf("%s: %v", schemaText, err)
		}
		doc, err := ParseJSON(schemaText)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseSchema(doc)
		if err != nil || !reflect.DeepEqual(s, back) {
			t.Fatalf("schema came back as %+v, %v", back, err)
		}
		if doc, err = ParseJSON(text); err != nil {
			t.Fatal(err)
		}
		got, err := FromJSON(s, doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := Validate(s, got); err != nil {
			t.Error(err)
		}
		if again, err := AppendJSON(nil, s, got, o); err != nil || string(again) != string(text) {
			t.Errorf("value came back as %s\nwant %s, %v", again, text, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		s  *Schema
		v  any
		ok bool
	}{
		{nil, struct{}{}, true},
		{Int32Schema, int32(1), true}, {Int32Schema, int64(1), false}, {Int32Schema, nil, false},
		{Int32Schema.AsOptional(), nil, true}, {&Schema{Type: Int32, Default: int32(1)}, nil, true},
		{TimestampSchema, time.Now(), true}, {TimestampSchema, int64(1), false},
		{NewArray(StringSchema), []any{"a", 1}, false}, {NewMap(StringSchema, StringSchema), map[string]any{"a": "b"}, true},
		{NewMap(StringSchema, StringSchema), map[string]any{"a": 1}, false}, {NewMap(Int32Schema, StringSchema), map[string]any{}, false},
		{NewMap(Int32Schema, StringSchema), map[any]any{"a": "b"}, false}, {NewRecord("r"), map[string]any{}, false},
		{NewRecord("r", Field{"x", StringSchema}), NewStruct(NewRecord("r", Field{"x", StringSchema})), false},
	} {
		if err := Validate(c.s, c.v); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMismatch) {
			t.Errorf("%v with %v: %v", c.s, c.v, err)
		}
	}
}

func TestStructPut(t *testing.T) {
	s := NewStruct(NewRecord("r", Field{"x", StringSchema}, Field{"d", &Schema{Type: Int32, Default: int32(3)}}))
	if err := s.Put("x", int64(1)); !errors.Is(err, ErrMismatch) {
		t.Error(err)
	}
	if err := s.Put("y", "v"); !errors.Is(err, ErrMismatch) {
		t.Error(err)
	}
	if err := s.Put("x", "v"); err != nil {
		t.Error(err)
	}
	if v, ok := s.Get("d"); v != int32(3) || !ok {
		t.Errorf("default is %v", v)
	}
}

func TestDecimalBytes(t *testing.T) {
	for _, n := range []int64{0, 1, -1, 127, 128, -128, -129, 255, 256, -256, math.MaxInt64, math.MinInt64} {
		b := bigToBytes(big.NewInt(n))
		if got := bigFromBytes(b); got.Int64() != n {
			t.Errorf("%d came back as %v through %x", n, got, b)
		}
		if len(b) > 1 && (b[0] == 0 && b[1]&0x80 == 0 || b[0] == 0xff && b[1]&0x80 != 0) {
			t.Errorf("%d takes more bytes than it needs: %x", n, b)
		}
	}
	if s := (Decimal{big.NewInt(-5), 2}).String(); s != "-0.05" {
		t.Error(s)
	}
}

func TestBadSchemas(t *testing.T) {
	for _, text := range []string{`1`, `{}`, `{"type":"x"}`, `{"type":"array"}`, `{"type":"map","keys":{"type":"string"}}`,
		`{"type":"struct"}`, `{"type":"struct","fields":[{"type":"int32"}]}`, `{"type":"int32","default":"x"}`,
		`{"type":"struct","fields":[{"type":"int32","field":"a"},{"type":"int32","field":"a"}]}`} {
		doc, err := ParseJSON([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if s, err := ParseSchema(doc); err == nil {
			t.Errorf("%s gave %+v", text, s)
		}
	}
}

func TestParseJSONRefuses(t *testing.T) {
	for _, text := range []string{"", " ", "{", "[1,]", `{"a":}`, `{"a" 1}`, "01", "1.", ".5", "+1", "-", "1e", "tru", `"a`, `"\x"`, `"\u12g4"`,
		"\"\n\"", "1 2", "{1:2}", "1e999", strings.Repeat("[", 300) + strings.Repeat("]", 300)} {
		if v, err := ParseJSON([]byte(text)); !errors.Is(err, ErrJSON) {
			t.Errorf("%q gave %v, %v", text, v, err)
		}
	}
}

// FuzzParseJSON compares with encoding/json and feeds what is read back in.
func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,"x\u00e9\ud83d\ude00\n",null,true],"b":{}}`, `"\ud800"`, "9223372036854775808", `"` + "\xff" + `"`, `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := ParseJSON(b)
		if err != nil {
			var any any
			if json.Unmarshal(b, &any) == nil && !strings.Contains(err.Error(), "too deep") {
				t.Fatalf("%q is refused: %v", b, err)
			}
			return
		}
		var want any
		if err := json.Unmarshal(b, &want); err != nil {
			t.Fatalf("%q is accepted; encoding/json says %v", b, err)
		}
		if !reflect.DeepEqual(floats(got), want) {
			t.Fatalf("%q gave %#v, want %#v", b, got, want)
		}
		text, err := AppendJSON(nil, nil, got, JSONOptions{})
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseJSON(text)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%q came back as %#v, %v", text, again, err)
		}
	})
}

func floats(v any) any {
	switch t := v.(type) {
	case int64:
		return float64(t)
	case []any:
		for i := range t {
			t[i] = floats(t[i])
		}
	case map[string]any:
		for k := range t {
			t[k] = floats(t[k])
		}
	}
	return v
}

var sample = []byte(`{"event_id":"1-000000000042","at":1700000000123,"action":"view","member_id":77,"page":"/jobs/12","query":"","country":"US","session":"k3j2h1","ms":41.25,"device":"phone","bot":false}`)

func BenchmarkParseJSON(b *testing.B) {
	b.ReportAllocs()
	b.SetBytes(int64(len(sample)))
	for b.Loop() {
		if _, err := ParseJSON(sample); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendStruct(b *testing.B) {
	s, v := everything()
	var dst []byte
	var err error
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = AppendJSON(dst[:0], s, v, JSONOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
