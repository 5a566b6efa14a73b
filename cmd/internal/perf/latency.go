package perf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// LatencyReport is the result of Latency. Times are in milliseconds.
type LatencyReport struct {
	Mode         string  `json:"mode" col:"Mode,name"`
	Topic        string  `json:"topic" col:"Topic"`
	Sent         int64   `json:"sent" col:"Sent"`
	Received     int64   `json:"received" col:"Received"`
	Failed       int64   `json:"failed" col:"Failed"`
	Seconds      float64 `json:"seconds" col:"Seconds"`
	EndToEndP50  float64 `json:"end_to_end_p50_ms" col:"End to end p50 ms"`
	EndToEndP90  float64 `json:"end_to_end_p90_ms" col:"p90 ms"`
	EndToEndP99  float64 `json:"end_to_end_p99_ms" col:"p99 ms"`
	EndToEndP999 float64 `json:"end_to_end_p999_ms" col:"p99.9 ms"`
	EndToEndMax  float64 `json:"end_to_end_max_ms" col:"Max ms"`
	AckP50       float64 `json:"ack_p50_ms" col:"Ack p50 ms"`
	AckP90       float64 `json:"ack_p90_ms" col:"Ack p90 ms,wide"`
	AckP99       float64 `json:"ack_p99_ms" col:"Ack p99 ms"`
	AckP999      float64 `json:"ack_p999_ms" col:"Ack p99.9 ms,wide"`
	AckMax       float64 `json:"ack_max_ms" col:"Ack max ms,wide"`
	LateP50      float64 `json:"late_p50_ms" col:"Late p50 ms,wide"`
	LateMax      float64 `json:"late_max_ms" col:"Late max ms,wide"`
	CPUSeconds   float64 `json:"client_cpu_seconds" col:"Client CPU s,wide"`
}

// latencyRun is one measurement of latency under way, of either kind.
type latencyRun struct {
	mode                 string
	load                 Load
	tag                  []byte // the key of the run's records
	endToEnd, ack, late  Histogram
	acked, failed, heard atomic.Int64
	lastErr              atomic.Pointer[error]
	moved                chan struct{} // a record came; room for one
}

// missingAfter is how long records that were acknowledged are waited for while
// none comes.
const missingAfter = 10 * time.Second

// Latency sends records at a steady rate and reads them again. Record i is due
// at start + i/rate whatever became of those before, and its latency counts from
// that time: a stall is charged to everything that it delays. How late records
// left this process is part of it and is told too.
//
// The producer should not linger, and the consumer must read the topic from an
// end that was looked up before the call. Both are the caller's to close. A
// cancelled ctx ends the run early with the report so far.
func Latency(ctx context.Context, producer, consumer *kgo.Client, load Load, progress func(records int64)) (LatencyReport, error) {
	r, err := newLatencyRun("latency", load)
	if err != nil {
		return LatencyReport{}, err
	}
	return r.measure(ctx, progress,
		func() error { return r.send(ctx, producer) },
		func(reading context.Context) error { return r.read(reading, consumer) })
}

func newLatencyRun(mode string, load Load) (*latencyRun, error) {
	if err := load.check(); err != nil {
		return nil, err
	}
	if load.Rate == 0 {
		return nil, fmt.Errorf("%w: a latency needs a rate", ErrConfig)
	}
	return &latencyRun{mode: mode, load: load, tag: fmt.Appendf(nil, "%016x", rand.Uint64()), moved: make(chan struct{}, 1)}, nil
}

// measure lets send run to its end while read runs until its context ends, and
// waits until what was acknowledged has been read.
func (r *latencyRun) measure(ctx context.Context, progress func(records int64), send func() error, read func(context.Context) error) (LatencyReport, error) {
	reading, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- read(reading) }()
	watch := startProgress(progress, &r.heard)
	defer watch()

	timer := startClock()
	err := send()
	if err == nil {
		err = r.waitForAll(ctx, ended)
	}
	stop()
	if e := <-ended; err == nil {
		err = e
	}
	if e := r.lastErr.Load(); err == nil && e != nil && r.acked.Load() == 0 {
		err = *e
	}
	return r.report(timer), err
}

// paced calls emit for each record of the load when it is due.
func (r *latencyRun) paced(ctx context.Context, emit func(due time.Time) error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread() // it keeps its sharp timers, which harm nobody
	sharpen()
	run, cancel := withDuration(ctx, r.load.For)
	defer cancel()
	pace := newSchedule(time.Now(), r.load.Rate)
	for i := int64(0); r.load.Records == 0 || i < r.load.Records; i++ {
		due, err := pace.exactly(run)
		if err != nil {
			return nil // the time is over
		}
		r.late.Record(time.Since(due))
		if err := emit(due); err != nil {
			return err
		}
	}
	return nil
}

// send produces the load through a client.
func (r *latencyRun) send(ctx context.Context, cl *kgo.Client) error {
	values := newValues(r.load.Size)
	err := r.paced(ctx, func(due time.Time) error {
		cl.Produce(ctx, &kgo.Record{Topic: r.load.Topic, Key: r.tag, Value: values.next(due)}, func(rec *kgo.Record, err error) {
			due, _ := stamp(rec.Value)
			r.answered(due, err)
		})
		return nil
	})
	if err != nil {
		return err
	}
	if err := cl.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// answered takes the outcome of one record.
func (r *latencyRun) answered(due time.Time, err error) {
	if err != nil {
		r.failed.Add(1)
		r.lastErr.Store(&err)
		return
	}
	r.ack.Record(time.Since(due))
	r.acked.Add(1)
}

// arrived notes a record that came at now.
func (r *latencyRun) arrived(due, now time.Time) {
	r.endToEnd.Record(now.Sub(due))
	r.heard.Add(1)
}

// wake lets waitForAll look again.
func (r *latencyRun) wake() {
	select {
	case r.moved <- struct{}{}:
	default:
	}
}

// read takes the time of the records of this run until ctx ends.
func (r *latencyRun) read(ctx context.Context, cl *kgo.Client) error {
	for {
		fetches := cl.PollFetches(ctx)
		now := time.Now()
		fetches.EachRecord(func(rec *kgo.Record) {
			if due, ok := stamp(rec.Value); ok && bytes.Equal(rec.Key, r.tag) {
				r.arrived(due, now)
			}
		})
		if ctx.Err() != nil {
			return nil
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("read %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		r.wake()
	}
}

// waitForAll waits until all that was acknowledged has come, or nothing more
// comes. ended is read again by the caller.
func (r *latencyRun) waitForAll(ctx context.Context, ended chan error) error {
	for r.heard.Load() < r.acked.Load() {
		select {
		case <-r.moved:
		case err := <-ended:
			ended <- nil
			return err
		case <-ctx.Done():
			return nil
		case <-time.After(missingAfter):
			return fmt.Errorf("%w: %d records were acknowledged and %d were read", ErrProtocol, r.acked.Load(), r.heard.Load())
		}
	}
	return nil
}

func (r *latencyRun) report(c clock) LatencyReport {
	of := func(h *Histogram, q float64) float64 { return millis(h.Quantile(q)) }
	return LatencyReport{
		Mode: r.mode, Topic: r.load.Topic, Sent: r.acked.Load(), Received: r.heard.Load(), Failed: r.failed.Load(),
		Seconds:     round(time.Since(c.start).Seconds()),
		EndToEndP50: of(&r.endToEnd, 0.5), EndToEndP90: of(&r.endToEnd, 0.9), EndToEndP99: of(&r.endToEnd, 0.99), EndToEndP999: of(&r.endToEnd, 0.999), EndToEndMax: millis(r.endToEnd.Max()),
		AckP50: of(&r.ack, 0.5), AckP90: of(&r.ack, 0.9), AckP99: of(&r.ack, 0.99), AckP999: of(&r.ack, 0.999), AckMax: millis(r.ack.Max()),
		LateP50: of(&r.late, 0.5), LateMax: millis(r.late.Max()), CPUSeconds: round((processCPU() - c.cpu).Seconds()),
	}
}

// coarse is how long before a unit is due the exact wait begins, which cannot be
// interrupted.
const coarse = 5 * time.Millisecond

// exactly is next on a thread that can pause exactly.
func (s *schedule) exactly(ctx context.Context) (time.Time, error) {
	due := s.start.Add(time.Duration(float64(s.count) * s.interval))
	s.count++
	if wait := time.Until(due) - coarse; wait > 0 {
		select {
		case <-ctx.Done():
			return due, ctx.Err()
		case <-time.After(wait):
		}
	}
	for wait := time.Until(due); wait > 0; wait = time.Until(due) {
		pause(wait)
	}
	return due, ctx.Err()
}
