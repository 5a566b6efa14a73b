package clean

import (
	"context"
	"sync"
	"time"
)

// throttle bounds the bytes per second that all cleaners read and write
// together. A second's worth may be used at once.
type throttle struct {
	mu     sync.Mutex
	credit float64 // bytes; negative: owed
	last   time.Time
}

// wait pays for n bytes at rate bytes per second and blocks until they are due.
func (t *throttle) wait(ctx context.Context, n int, rate float64) error {
	if rate >= unbounded {
		return ctx.Err()
	}
	d := t.delay(n, max(1, rate), time.Now())
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// unbounded is the rate from which on nothing is counted, in bytes per second.
const unbounded = 1e15

func (t *throttle) delay(n int, rate float64, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.IsZero() {
		t.credit = rate
	} else {
		t.credit = min(rate, t.credit+now.Sub(t.last).Seconds()*rate)
	}
	t.last = now
	t.credit -= float64(n)
	if t.credit >= 0 {
		return 0
	}
	return time.Duration(-t.credit / rate * float64(time.Second))
}
