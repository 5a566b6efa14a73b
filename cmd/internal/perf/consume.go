package perf

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Reading says how much is read.
type Reading struct {
	Topic   string
	Records int64         // end after so many; 0: no limit
	For     time.Duration // end after so long; 0: no limit
}

// Consume reads through a client that is set to consume the topic. Latency is
// measured on records that Produce stamped. A cancelled ctx ends the run early
// with the report so far.
func Consume(ctx context.Context, cl *kgo.Client, reading Reading, progress func(records int64)) (Report, error) {
	run, cancel := withDuration(ctx, reading.For)
	defer cancel()
	var records atomic.Int64
	watch := startProgress(progress, &records)
	defer watch()
	var latency Histogram
	bytes, timer := int64(0), startClock()
	for reading.Records == 0 || records.Load() < reading.Records {
		fetches := cl.PollFetches(run)
		now := time.Now()
		fetches.EachRecord(func(r *kgo.Record) {
			records.Add(1)
			bytes += int64(len(r.Key) + len(r.Value))
			if due, ok := stamp(r.Value); ok {
				latency.Record(now.Sub(due))
			}
		})
		if run.Err() != nil {
			break
		}
		for _, e := range fetches.Errors() {
			return Report{}, fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
	}
	return timer.report("consume", reading.Topic, records.Load(), 0, bytes, &latency), nil
}
