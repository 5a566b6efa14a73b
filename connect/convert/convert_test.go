package convert

import (
	"errors"
	"reflect"
	"testing"

	"github.com/leatstream/leat/connect/data"
)

func TestJSONEnvelope(t *testing.T) {
	c, err := New("org.apache.kafka.connect.json.JsonConverter", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	s := data.NewRecord("r", data.Field{Name: "n", Schema: data.Int32Schema}, data.Field{Name: "at", Schema: data.TimestampSchema})
	st := data.NewStruct(s)
	if err := st.Put("n", int32(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Encode("t", s, st); !errors.Is(err, ErrConvert) {
		t.Errorf("a struct without a required field: %v", err)
	}
	doc := []byte(`{"schema":{"type":"struct","fields":[{"type":"int32","optional":false,"field":"n"}],"optional":false,"name":"r"},"payload":{"n":3}}`)
	s1, v1, err1 := c.Decode("t", doc)
	s2, _, err2 := c.Decode("t", doc)
	if err1 != nil || err2 != nil || s1 != s2 {
		t.Errorf("equal schemas must be one: %p %p %v %v", s1, s2, err1, err2)
	}
	if back, err := c.Encode("t", s1, v1); err != nil || string(back) != string(doc) {
		t.Errorf("came back as %s, %v", back, err)
	}
	if b, err := c.Encode("t", nil, "x"); err != nil || string(b) != `{"schema":null,"payload":"x"}` {
		t.Errorf("%s, %v", b, err)
	}
	for _, bad := range []string{`{"n":3}`, `3`, `{"schema":{},"payload":1}`, `{"schema":{"type":"int8"},"payload":300}`, `x`} {
		if _, _, err := c.Decode("t", []byte(bad)); !errors.Is(err, ErrConvert) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestPlainJSON(t *testing.T) {
	c, err := New("json", map[string]string{"schemas.enable": "false"}, false)
	if err != nil {
		t.Fatal(err)
	}
	_, v, err := c.Decode("t", []byte(`{"b":1,"a":[1.5,null]}`))
	want := map[string]any{"b": int64(1), "a": []any{1.5, nil}}
	if err != nil || !reflect.DeepEqual(v, want) {
		t.Errorf("%#v, %v", v, err)
	}
	if b, err := c.Encode("t", nil, v); err != nil || string(b) != `{"a":[1.5,null],"b":1}` {
		t.Errorf("%s, %v", b, err)
	}
	if b, err := c.Encode("t", data.OptionalStringSchema, nil); b != nil || err != nil {
		t.Errorf("null is %q, %v", b, err)
	}
	if _, v, err := c.Decode("t", nil); v != nil || err != nil {
		t.Errorf("a tombstone is %v, %v", v, err)
	}
}

func TestStringAndBytes(t *testing.T) {
	s, err := New("StringConverter", nil, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		v    any
		want string
	}{{"a", "a"}, {int64(5), "5"}, {1.5, "1.5"}, {true, "true"}, {map[string]any{"a": int64(1)}, `{"a":1}`}} {
		if b, err := s.Encode("t", nil, c.v); err != nil || string(b) != c.want {
			t.Errorf("%v is %s, %v", c.v, b, err)
		}
	}
	if b, err := s.Encode("t", nil, nil); b != nil || err != nil {
		t.Errorf("null is %q", b)
	}
	if _, v, err := s.Decode("t", nil); v != nil || err != nil {
		t.Errorf("null is %v", v)
	}
	by, err := New("org.apache.kafka.connect.converters.ByteArrayConverter", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := by.Encode("t", nil, 1.5); !errors.Is(err, ErrConvert) {
		t.Error(err)
	}
	if _, v, err := by.Decode("t", []byte{1}); err != nil || !reflect.DeepEqual(v, []byte{1}) {
		t.Errorf("%v %v", v, err)
	}
	if _, err := New("avro", nil, false); !errors.Is(err, ErrUnknown) {
		t.Error(err)
	}
}

func FuzzJSONDecode(f *testing.F) {
	f.Add([]byte(`{"schema":{"type":"map","keys":{"type":"int32"},"values":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}},"payload":[[1,"AQ=="]]}`))
	f.Add([]byte(`{"schema":{"type":"struct","fields":[{"field":"a","type":"int64","name":"org.apache.kafka.connect.data.Timestamp","default":5}]},"payload":{}}`))
	c, err := New("json", nil, false)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, v, err := c.Decode("t", b)
		if err != nil {
			return
		}
		if err := data.Validate(s, v); err != nil {
			t.Fatalf("%q gave a value that does not fit: %v", b, err)
		}
		if _, err := c.Encode("t", s, v); err != nil {
			t.Fatalf("%q cannot be written again: %v", b, err)
		}
	})
}
