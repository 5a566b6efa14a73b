package windowed_test

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

func TestKeyIsKafkasTimeWindowedKey(t *testing.T) {
	w := window.Windowed[string]{Key: "ab", Start: 258, End: 1258}
	data, err := windowed.Key(serde.String).Append(nil, w)
	if err != nil || string(data) != "ab\x00\x00\x00\x00\x00\x00\x01\x02" {
		t.Fatalf("%q, %v", data, err)
	}
	if got, err := windowed.KeyOf(serde.String, time.Second).Decode(data); err != nil || got != w {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := windowed.Key(serde.String).Decode(data); err != nil || got.Start != 258 || got.End != math.MaxInt64 {
		t.Errorf("%+v, %v", got, err)
	}
}

func FuzzKey(f *testing.F) {
	f.Add([]byte("ab\x00\x00\x00\x00\x00\x00\x01\x02"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := windowed.KeyOf(serde.String, time.Second)
		w, err := s.Decode(data)
		if err != nil {
			if !errors.Is(err, serde.ErrMalformed) {
				t.Error(err)
			}
			return
		}
		if again, err := s.Append(nil, w); err != nil || string(again) != string(data) {
			t.Errorf("%q became %q, %v", data, again, err)
		}
	})
}
