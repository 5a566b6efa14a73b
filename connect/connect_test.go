package connect_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/connect"
)

func TestErrorClasses(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("outer: %w", connect.RetriableAfter(cause, time.Second))
	if !errors.Is(err, connect.ErrRetriable) || !errors.Is(err, cause) || connect.RetryWait(err) != time.Second {
		t.Errorf("%v is not what it should be", err)
	}
	if errors.Is(cause, connect.ErrRetriable) || connect.Retriable(nil) != nil || connect.RetryWait(cause) != 0 {
		t.Error("plain errors are not retriable")
	}
	var blame *connect.RecordError
	if err := error(&connect.RecordError{Index: 3, Err: cause}); !errors.As(err, &blame) || blame.Index != 3 || !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

func TestOffsetLong(t *testing.T) {
	for _, c := range []struct {
		v    any
		want int64
		ok   bool
	}{{int64(5), 5, true}, {5, 5, true}, {5.0, 5, true}, {5.5, 5, false}, {"5", 0, false}, {nil, 0, false}} {
		if got, ok := connect.OffsetLong(map[string]any{"n": c.v}, "n"); got != c.want || ok != c.ok {
			t.Errorf("%v: %d %v", c.v, got, ok)
		}
	}
}

func TestHeaderIsTheLast(t *testing.T) {
	r := &connect.Record{Headers: []connect.Header{{Name: "a", Value: 1}, {Name: "b"}, {Name: "a", Value: 2}}}
	if h, ok := r.Header("a"); !ok || h.Value != 2 {
		t.Errorf("%v %v", h, ok)
	}
	c := r.Clone()
	c.Headers[0].Value = 9
	if r.Headers[0].Value != 1 {
		t.Error("the clone shares its headers")
	}
}
