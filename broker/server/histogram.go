package server

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Buckets are of one microsecond up to 2^subBits, then 2^subBits per power of
// two: a relative error below a quarter. The last one takes all that is longer
// than about an hour.
const (
	subBits = 2
	buckets = 32 << subBits
)

// window is at least how far back the quantiles look.
const window = time.Minute

// histogram counts durations. Observing is wait-free; who reads it pays for the
// quantiles.
type histogram struct {
	counts [buckets]atomic.Int64
	sum    atomic.Int64 // nanoseconds

	mu sync.Mutex
	// before and recent are the counts one to two windows and up to one window
	// ago; the quantiles are of what was counted since before.
	before, recent [buckets]int64
	recentAt       time.Time
}

// bucket returns the index for d.
func bucket(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 1<<subBits {
		return int(us)
	}
	exp := bits.Len64(us) - 1 - subBits
	i := (exp+1)<<subBits | int(us>>exp)&(1<<subBits-1)
	return min(i, buckets-1)
}

// upper returns the least duration above bucket i.
func upper(i int) time.Duration {
	if i < 1<<subBits {
		return time.Duration(i+1) * time.Microsecond
	}
	exp := i>>subBits - 1
	return time.Duration(i&(1<<subBits-1)+1<<subBits+1) << exp * time.Microsecond
}

func (h *histogram) observe(d time.Duration) {
	h.counts[bucket(d)].Add(1)
	h.sum.Add(int64(max(d, 0)))
}

// metric returns the histogram as a summary in milliseconds.
func (h *histogram) metric(desc *prometheus.Desc, labels ...string) prometheus.Metric {
	total, q := h.summary(time.Now())
	return prometheus.MustNewConstSummary(desc, total, float64(h.sum.Load())/1e6, q, labels...)
}

// summary returns the number of observations ever and the recent quantiles in
// milliseconds.
func (h *histogram) summary(now time.Time) (total uint64, q map[float64]float64) {
	var counts, diff [buckets]int64
	h.mu.Lock()
	defer h.mu.Unlock()
	n := int64(0)
	for i := range counts {
		counts[i] = h.counts[i].Load()
		total += uint64(counts[i])
		diff[i] = counts[i] - h.before[i]
		n += diff[i]
	}
	if now.Sub(h.recentAt) >= window {
		h.before, h.recent, h.recentAt = h.recent, counts, now
	}
	return total, quantiles(&diff, n)
}

// quantiles returns the quantiles that dashboards of Kafka ask for, of n
// observations; zero when there are none.
func quantiles(diff *[buckets]int64, n int64) map[float64]float64 {
	q := map[float64]float64{}
	for _, p := range [...]float64{0.5, 0.75, 0.95, 0.98, 0.99, 0.999} {
		q[p] = 0
		rank := int64(p*float64(n)) + 1
		for i, seen := 0, int64(0); i < buckets && n > 0; i++ {
			if seen += diff[i]; seen >= min(rank, n) {
				q[p] = float64(upper(i)) / 1e6
				break
			}
		}
	}
	return q
}
