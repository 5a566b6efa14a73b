package window_test

import (
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/leatstream/leat/streams/window"
)

func TestWindowsOfATime(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name string
		spec window.Spec
		at   int64
		want []window.Window
	}{
		{"tumbling", window.Tumbling(10 * ms), 25, []window.Window{{20, 30}}},
		{"tumbling at the start", window.Tumbling(10 * ms), 20, []window.Window{{20, 30}}},
		{"hopping", window.Hopping(10*ms, 4*ms), 13, []window.Window{{4, 14}, {8, 18}, {12, 22}}},
		{"hopping near the epoch", window.Hopping(10*ms, 4*ms), 3, []window.Window{{0, 10}}},
		{"end of time", window.Tumbling(10 * ms), math.MaxInt64, nil},
	} {
		if got := c.spec.Append(nil, c.at); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, bad := range []window.Spec{
		{}, window.Tumbling(0), window.Tumbling(-time.Second), window.Tumbling(time.Microsecond), window.Hopping(time.Second, 0),
		window.Hopping(time.Second, 2*time.Second), window.Tumbling(time.Second).Grace(-1), window.Tumbling(time.Second).CloseWhenIdle(-1),
	} {
		if err := bad.Validate(); !errors.Is(err, window.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if err := window.Tumbling(time.Second).Grace(time.Minute).CloseWhenIdle(time.Hour).Validate(); err != nil {
		t.Error(err)
	}
}
