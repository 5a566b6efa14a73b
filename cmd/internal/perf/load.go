package perf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrConfig says that a load cannot be made from its configuration.
var ErrConfig = errors.New("load configuration")

// Limits of a load.
const (
	MaxRecordSize = 64 << 20
	stampSize     = 16 // magic and time at the front of each value
)

const magic = "leatperf"

// Load says how much is sent.
type Load struct {
	Topic   string
	Records int64         // end after so many; 0: no limit
	For     time.Duration // end after so long; 0: no limit
	Size    int           // bytes of a value
	Rate    float64       // records a second; 0: as fast as possible
}

func (l Load) check() error {
	switch {
	case l.Topic == "":
		return fmt.Errorf("%w: no topic", ErrConfig)
	case l.Records < 0 || l.For < 0 || l.Rate < 0:
		return fmt.Errorf("%w: records, duration and rate cannot be negative", ErrConfig)
	case l.Size < stampSize || l.Size > MaxRecordSize:
		return fmt.Errorf("%w: record size %d; want %d to %d", ErrConfig, l.Size, stampSize, MaxRecordSize)
	}
	return nil
}

// schedule gives the moments at which units (records or batches) are due.
type schedule struct {
	start    time.Time
	interval float64 // ns between units; 0: no pace
	count    int64
}

func newSchedule(start time.Time, unitsPerSecond float64) *schedule {
	s := &schedule{start: start}
	if unitsPerSecond > 0 {
		s.interval = 1e9 / unitsPerSecond
	}
	return s
}

// next waits for the next unit and returns when it was due, which is in the past
// when the load is behind. Without a pace that is now.
func (s *schedule) next(ctx context.Context) (time.Time, error) {
	if s.interval == 0 {
		return time.Now(), ctx.Err()
	}
	due := s.start.Add(time.Duration(float64(s.count) * s.interval))
	s.count++
	if wait := time.Until(due); wait > 0 {
		select {
		case <-ctx.Done():
			return due, ctx.Err()
		case <-time.After(wait):
		}
	}
	return due, ctx.Err()
}

// values makes record values from one random pattern; each starts with a stamp.
type values struct {
	pattern []byte
	slab    []byte
}

func newValues(size int) *values {
	v := &values{pattern: make([]byte, size)}
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range v.pattern {
		// Printable, and about as compressible as text.
		v.pattern[i] = 'a' + byte(random.IntN(26))
	}
	return v
}

const slabSize = 1 << 20

// next returns a fresh value stamped with due. Values share slabs, which are
// freed when the client has let go of all values in them.
func (v *values) next(due time.Time) []byte {
	size := len(v.pattern)
	if len(v.slab) < size {
		v.slab = make([]byte, max(size, slabSize))
	}
	value := v.slab[:size:size]
	v.slab = v.slab[size:]
	copy(value, v.pattern)
	putStamp(value, due)
	return value
}

// putStamp writes the time at which a value was due over its front.
func putStamp(value []byte, due time.Time) {
	copy(value, magic)
	binary.BigEndian.PutUint64(value[len(magic):], uint64(due.UnixNano()))
}

// stamp reads the time at which a value was due.
func stamp(value []byte) (time.Time, bool) {
	if len(value) < stampSize || string(value[:len(magic)]) != magic {
		return time.Time{}, false
	}
	return time.Unix(0, int64(binary.BigEndian.Uint64(value[len(magic):]))), true
}
