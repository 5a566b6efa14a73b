package scrub

import "time"

// budget bounds bytes per second. The bytes of any t seconds are at most
// t·rate + burst, where burst is a second's worth and what is asked for at once.
type budget struct {
	credit float64 // bytes that may be read at once; negative: owed
	last   time.Time
}

// spend takes n bytes that were read and tells how long to read nothing.
func (b *budget) spend(n int64, rate float64, now time.Time) time.Duration {
	if b.last.IsZero() {
		b.last = now
	}
	b.credit = min(rate, b.credit+max(0, now.Sub(b.last).Seconds())*rate) - float64(n)
	b.last = now
	if b.credit >= 0 {
		return 0
	}
	return time.Duration(-b.credit/rate*float64(time.Second)) + time.Microsecond // not a little too early
}
