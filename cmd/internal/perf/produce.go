package perf

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Produce sends a load through a client, which the caller configures (acks,
// compression, linger) and closes. progress, if not nil, is told the number of
// acknowledged records from time to time. A cancelled ctx ends the run early
// with the report so far.
func Produce(ctx context.Context, cl *kgo.Client, load Load, progress func(records int64)) (Report, error) {
	if err := load.check(); err != nil {
		return Report{}, err
	}
	var latency Histogram
	var done, failed atomic.Int64
	var lastErr atomic.Pointer[error]
	finished := func(r *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
			lastErr.Store(&err)
			return
		}
		done.Add(1)
		if due, ok := stamp(r.Value); ok {
			latency.Record(time.Since(due))
		}
	}

	run, cancel := withDuration(ctx, load.For)
	defer cancel()
	watch := startProgress(progress, &done)
	defer watch()
	timer, values := startClock(), newValues(load.Size)
	pace := newSchedule(timer.start, load.Rate)
	for i := int64(0); load.Records == 0 || i < load.Records; i++ {
		due, err := pace.next(run)
		if err != nil {
			break
		}
		cl.Produce(ctx, &kgo.Record{Topic: load.Topic, Value: values.next(due)}, finished)
	}
	// What was sent is waited for even when the time is over.
	if err := cl.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return Report{}, err
	}
	report := timer.report("produce", load.Topic, done.Load(), failed.Load(), done.Load()*int64(load.Size), &latency)
	if err := lastErr.Load(); err != nil && done.Load() == 0 {
		return report, *err
	}
	return report, nil
}

// withDuration bounds ctx by d, when d is not zero.
func withDuration(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if d == 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, d)
}

const progressInterval = time.Second

// startProgress calls tell about once a second until the returned function is
// called, which waits for the last call to end.
func startProgress(tell func(int64), count *atomic.Int64) (stop func()) {
	if tell == nil {
		return func() {}
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(progressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				tell(count.Load())
			}
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}
