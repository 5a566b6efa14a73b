package console

import "time"

// meterSpan is how many samples a rate looks back: long enough for counts that
// move only with commits, which are about a second apart.
const meterSpan = 6

// filesSpan is how many samples the rate of exported rows looks back: rows
// come in whole files.
const filesSpan = 30

// meter turns counts into rates over the last few samples. It belongs to the
// sampler's goroutine.
type meter struct{ readings []reading }

type reading struct {
	at     time.Time
	counts map[string]int64
}

func (m *meter) add(at time.Time, counts map[string]int64) {
	m.readings = append(m.readings, reading{at, counts})
	if len(m.readings) > filesSpan+1 {
		m.readings = append(m.readings[:0], m.readings[1:]...)
	}
}

// rates are the counts per second over up to span samples. A count that is
// new has no rate yet; one that shrank (a topic made anew) counts as still.
func (m *meter) rates(span int) map[string]float64 {
	n := len(m.readings)
	if n < 2 {
		return map[string]float64{}
	}
	last := m.readings[n-1]
	out := make(map[string]float64, len(last.counts))
	for key, now := range last.counts {
		for i := max(0, n-1-span); i < n-1; i++ {
			before, ok := m.readings[i].counts[key]
			seconds := last.at.Sub(m.readings[i].at).Seconds()
			if ok && seconds > 0 {
				out[key] = max(0, float64(now-before)/seconds)
				break
			}
		}
	}
	return out
}
