package console

import (
	"math"
	"sync"
	"time"
)

// maxSeries bounds the memory of the history: with 2,760 points of 8 bytes
// each, 300 series take about 6.6 MB.
const maxSeries = 300

// history keeps the recent values of named series: each second of ten minutes,
// and means of ten seconds for two hours, of a minute for a day.
type history struct {
	mu     sync.RWMutex
	levels []*level
}

// level is one resolution: rings over a shared line of time.
type level struct {
	step   time.Duration
	times  []int64 // Unix milliseconds, oldest at next once the ring is full
	series map[string][]float64
	next   int // where the next point goes
	count  int // points held, at most len(times)

	// The points that the coming one is the mean of.
	began time.Time
	sums  map[string]float64
	terms map[string]int
}

func newHistory() *history {
	return &history{levels: []*level{newLevel(time.Second, 600), newLevel(10*time.Second, 720), newLevel(time.Minute, 1440)}}
}

func newLevel(step time.Duration, points int) *level {
	return &level{
		step: step, times: make([]int64, points), series: map[string][]float64{},
		sums: map[string]float64{}, terms: map[string]int{},
	}
}

// add takes the values of one moment. A series that is new has no past, and
// one that is missing has a gap.
func (h *history) add(at time.Time, values map[string]float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.levels[0].put(at, values)
	for _, l := range h.levels[1:] {
		l.gather(at, values)
	}
}

func (l *level) gather(at time.Time, values map[string]float64) {
	if l.began.IsZero() {
		l.began = at
	}
	for name, v := range values {
		l.sums[name] += v
		l.terms[name]++
	}
	if at.Sub(l.began) < l.step {
		return
	}
	means := make(map[string]float64, len(l.sums))
	for name, sum := range l.sums {
		means[name] = sum / float64(l.terms[name])
	}
	clear(l.sums)
	clear(l.terms)
	l.began = at
	l.put(at, means)
}

func (l *level) put(at time.Time, values map[string]float64) {
	for name := range values {
		if l.series[name] == nil && len(l.series) < maxSeries {
			l.series[name] = l.empty()
		}
	}
	l.times[l.next] = at.UnixMilli()
	for name, ring := range l.series {
		v, ok := values[name]
		if !ok {
			v = math.NaN()
		}
		ring[l.next] = v
	}
	l.next = (l.next + 1) % len(l.times)
	l.count = min(l.count+1, len(l.times))
	l.forget()
}

func (l *level) empty() []float64 {
	ring := make([]float64, len(l.times))
	for i := range ring {
		ring[i] = math.NaN()
	}
	return ring
}

// forget drops series without any value left, once per turn of the ring.
func (l *level) forget() {
	if l.next != 0 {
		return
	}
	for name, ring := range l.series {
		alive := false
		for _, v := range ring {
			alive = alive || !math.IsNaN(v)
		}
		if !alive {
			delete(l.series, name)
		}
	}
}

// Range is a stretch of history. Values are null where there is none.
type Range struct {
	StepMS int64                 `json:"step_ms"`
	Times  []int64               `json:"times"` // Unix milliseconds
	Series map[string][]*float64 `json:"series"`
}

// between cuts [from, to] out of the finest level that reaches back to from.
func (h *history) between(names []string, from, to time.Time) Range {
	h.mu.RLock()
	defer h.mu.RUnlock()
	l := h.levels[0]
	for _, coarser := range h.levels[1:] {
		if l.reaches(from) || !coarser.earlier(l) {
			break
		}
		l = coarser
	}
	return l.between(names, from.UnixMilli(), to.UnixMilli())
}

func (l *level) oldest() int { return (l.next - l.count + len(l.times)) % len(l.times) }

func (l *level) reaches(from time.Time) bool {
	return l.count > 0 && l.times[l.oldest()] <= from.UnixMilli()
}

// earlier tells whether l knows more of the past than the other level.
func (l *level) earlier(other *level) bool {
	return l.count > 0 && (other.count == 0 || l.times[l.oldest()] < other.times[other.oldest()])
}

func (l *level) between(names []string, from, to int64) Range {
	r := Range{StepMS: l.step.Milliseconds(), Times: []int64{}, Series: map[string][]*float64{}}
	for _, name := range names {
		r.Series[name] = []*float64{}
	}
	for i := range l.count {
		at := (l.oldest() + i) % len(l.times)
		if l.times[at] < from || l.times[at] > to {
			continue
		}
		r.Times = append(r.Times, l.times[at])
		for _, name := range names {
			r.Series[name] = append(r.Series[name], l.value(name, at))
		}
	}
	return r
}

func (l *level) value(name string, at int) *float64 {
	ring, ok := l.series[name]
	if !ok || math.IsNaN(ring[at]) {
		return nil
	}
	v := ring[at]
	return &v
}
