package window

import (
	"errors"
	"fmt"
	"time"
)

// ErrInvalid is wrapped by the errors of Validate.
var ErrInvalid = errors.New("invalid window")

// Window is one interval [Start, End) in milliseconds since the epoch.
type Window struct{ Start, End int64 }

// Windowed is a key together with the window its value belongs to.
type Windowed[K any] struct {
	Key   K
	Start int64
	End   int64
}

// Window is the interval of the key.
func (w Windowed[K]) Window() Window { return Window{w.Start, w.End} }

// Spec says how windows are cut. The zero value is no window; make one with
// [Tumbling] or [Hopping] and refine it by its methods, each of which returns
// a changed copy.
type Spec struct {
	size, advance, grace time.Duration
	idleAfter, idleDelay time.Duration
}

// Tumbling windows follow each other without gap or overlap.
func Tumbling(size time.Duration) Spec { return Spec{size: size, advance: size} }

// Hopping windows have one size and start every advance; they overlap when
// advance is less than size.
func Hopping(size, advance time.Duration) Spec { return Spec{size: size, advance: advance} }

// Grace is how long after its end, by the operator's clock, a window still
// takes records. The default is none.
func (s Spec) Grace(d time.Duration) Spec { s.grace = d; return s }

// CloseWhenIdle lets windows close without further input: when all inputs of
// the task have been read to their ends and nothing came for d, the operator's
// clock moves on to the wall clock less the maximal delay. The move is stored
// with the operator's state, so that a replay decides alike.
func (s Spec) CloseWhenIdle(d time.Duration) Spec { s.idleAfter = d; return s }

// MaxDelay is how far the wall clock may run ahead of the events of a quiet
// input: see [Spec.CloseWhenIdle]. The default is none.
func (s Spec) MaxDelay(d time.Duration) Spec { s.idleDelay = d; return s }

// Size is the length of a window.
func (s Spec) Size() time.Duration { return s.size }

// Advance is the distance between the starts of windows.
func (s Spec) Advance() time.Duration { return s.advance }

// GracePeriod is what [Spec.Grace] set.
func (s Spec) GracePeriod() time.Duration { return s.grace }

// IdleAfter is what [Spec.CloseWhenIdle] set.
func (s Spec) IdleAfter() time.Duration { return s.idleAfter }

// IdleDelay is what [Spec.MaxDelay] set.
func (s Spec) IdleDelay() time.Duration { return s.idleDelay }

// Validate checks the spec.
func (s Spec) Validate() error {
	switch {
	case s.size < time.Millisecond || s.size%time.Millisecond != 0:
		return fmt.Errorf("%w: the size %v is not a positive number of milliseconds", ErrInvalid, s.size)
	case s.advance < time.Millisecond || s.advance > s.size || s.advance%time.Millisecond != 0:
		return fmt.Errorf("%w: the advance %v must be a number of milliseconds from 1ms to the size %v", ErrInvalid, s.advance, s.size)
	case s.grace < 0:
		return fmt.Errorf("%w: the grace %v is negative", ErrInvalid, s.grace)
	case s.idleAfter < 0 || s.idleDelay < 0:
		return fmt.Errorf("%w: negative idle policy", ErrInvalid)
	}
	return nil
}

// Append adds the windows that hold time t to dst, by ascending start. Windows
// that would start before the epoch are left out, except the first one's rest.
func (s Spec) Append(dst []Window, t int64) []Window {
	size, advance := s.size.Milliseconds(), s.advance.Milliseconds()
	start := max(0, t-size+advance) / advance * advance
	for ; start <= t; start += advance {
		end := start + size
		if end < start { // the window ends beyond the last time there is
			break
		}
		dst = append(dst, Window{start, end})
	}
	return dst
}
