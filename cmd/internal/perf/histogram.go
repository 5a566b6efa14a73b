package perf

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// subBits sets the resolution of a Histogram: each power of two of nanoseconds
// is divided into 2^subBits buckets, so a reading is off by at most 1/64.
const subBits = 6

const bucketCount = (64 - subBits) << subBits

// Histogram counts durations in logarithmic buckets of constant relative width.
// The zero value is empty. All methods may be called concurrently.
type Histogram struct {
	counts [bucketCount]atomic.Int64
	total  atomic.Int64
	sum    atomic.Int64 // ns
	max    atomic.Int64 // ns
}

// Record counts d; negative durations count as zero.
func (h *Histogram) Record(d time.Duration) {
	n := max(int64(d), 0)
	h.counts[bucketOf(n)].Add(1)
	h.total.Add(1)
	h.sum.Add(n)
	for {
		old := h.max.Load()
		if n <= old || h.max.CompareAndSwap(old, n) {
			return
		}
	}
}

// bucketOf is n itself for small n; beyond, the top subBits+1 bits of n and
// their position.
func bucketOf(n int64) int {
	shift := bits.Len64(uint64(n)) - subBits - 1
	if shift <= 0 {
		return int(n)
	}
	return shift<<subBits + int(n>>shift)
}

// upperBound is the largest value that falls into a bucket.
func upperBound(bucket int) int64 {
	shift := bucket>>subBits - 1
	if shift <= 0 {
		return int64(bucket)
	}
	return (int64(bucket-shift<<subBits)+1)<<shift - 1
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() int64 { return h.total.Load() }

// Max returns the largest duration, exactly.
func (h *Histogram) Max() time.Duration { return time.Duration(h.max.Load()) }

// Mean returns the average, or 0 when empty.
func (h *Histogram) Mean() time.Duration {
	if n := h.total.Load(); n > 0 {
		return time.Duration(h.sum.Load() / n)
	}
	return 0
}

// Quantile returns the duration below which the share q (0 to 1) of the
// recorded ones lie, rounded up to the edge of its bucket but never beyond Max.
func (h *Histogram) Quantile(q float64) time.Duration {
	total := h.total.Load()
	if total == 0 {
		return 0
	}
	rank := max(int64(q*float64(total)+0.5), 1)
	seen := int64(0)
	for i := range h.counts {
		if seen += h.counts[i].Load(); seen >= rank {
			return time.Duration(min(upperBound(i), h.max.Load()))
		}
	}
	return h.Max()
}
