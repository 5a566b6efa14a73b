package serde_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/leatstream/leat/streams/serde"
)

func roundTrip[T comparable](t *testing.T, s serde.Serde[T], values ...T) {
	t.Helper()
	for _, v := range values {
		prefix := []byte("prefix")
		data, err := s.Append(prefix, v)
		if err != nil || !bytes.HasPrefix(data, prefix) {
			t.Fatalf("%v: %q, %v", v, data, err)
		}
		got, err := s.Decode(data[len(prefix):])
		if err != nil || got != v {
			t.Errorf("%v came back as %v, %v", v, got, err)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	roundTrip(t, serde.String, "", "a", "ü\x00")
	roundTrip(t, serde.Int64, 0, -1, math.MaxInt64, math.MinInt64)
	roundTrip(t, serde.Float64, 0, -1.5, math.Inf(1))
	roundTrip(t, serde.JSON[struct{ A, B int }](), struct{ A, B int }{1, 2})
}

func TestKafkasBytes(t *testing.T) {
	if b, _ := serde.Int64.Append(nil, 1); !bytes.Equal(b, []byte{0, 0, 0, 0, 0, 0, 0, 1}) {
		t.Errorf("int64 %x", b)
	}
	if b, _ := serde.Float64.Append(nil, 1); !bytes.Equal(b, []byte{0x3f, 0xf0, 0, 0, 0, 0, 0, 0}) {
		t.Errorf("float64 %x", b)
	}
}

func TestNullable(t *testing.T) {
	s := serde.Nullable(serde.String)
	empty := ""
	if !serde.IsNull(s, nil) || serde.IsNull(s, &empty) || serde.IsNull(serde.String, "") || !serde.IsNull(serde.Bytes, nil) {
		t.Error("null is nil and nothing else")
	}
}

func TestDecodedBytesAreACopy(t *testing.T) {
	data := []byte("abc")
	got, err := serde.Bytes.Decode(data)
	data[0] = 'x'
	if err != nil || string(got) != "abc" {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"a":1}`))
	f.Add([]byte("12345678"))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err1 := serde.Int64.Decode(data)
		_, err2 := serde.Float64.Decode(data)
		_, err3 := serde.JSON[map[string]any]().Decode(data)
		for _, err := range []error{err1, err2, err3} {
			if err != nil && !errors.Is(err, serde.ErrMalformed) {
				t.Errorf("%q: %v", data, err)
			}
		}
	})
}
