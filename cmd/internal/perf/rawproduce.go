package perf

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// RawProduce says how frames are sent.
type RawProduce struct {
	Load
	Acks        int16
	Batch       int // records in a frame
	Connections int // for each broker
	InFlight    int // frames without an answer on one connection
}

func (r RawProduce) check() error {
	if err := r.Load.check(); err != nil {
		return err
	}
	if r.Batch < 1 || int64(r.Batch)*int64(r.Size) > maxFrame/2 || r.InFlight < 1 || r.InFlight > 10_000 {
		return fmt.Errorf("%w: batch of %d records, %d in flight", ErrConfig, r.Batch, r.InFlight)
	}
	return answered(r.Acks)
}

// answered refuses acks for which there is no answer to wait for.
func answered(acks int16) error {
	if acks != -1 && acks != 1 {
		return fmt.Errorf("%w: acks %d; raw frames need an answer: all or 1", ErrConfig, acks)
	}
	return nil
}

// Raw sends frames that are encoded once, each a batch of records for one
// partition. cl only finds the leaders.
func (r RawProduce) Raw(ctx context.Context, cl *kgo.Client, progress func(records int64)) (Report, error) {
	if err := r.check(); err != nil {
		return Report{}, err
	}
	list, err := resolve(ctx, cl, r.Topic, r.Connections, true)
	if err != nil {
		return Report{}, err
	}
	run, cancel := withDuration(ctx, r.For)
	defer cancel()
	s := &rawSender{config: r, batches: (r.Records + int64(r.Batch) - 1) / int64(r.Batch)}
	watch := startProgress(progress, &s.records)
	defer watch()
	timer := startClock()
	err = each(list, func(part share) error { return s.connection(run, part, timer.start, float64(len(list))) })
	records := s.records.Load()
	return timer.report("produce raw", r.Topic, records, s.failed.Load(), records*int64(r.Size), &s.latency), err
}

// each runs work for every share at once and returns the first error.
func each(list []share, work func(share) error) error {
	errs := make(chan error, len(list))
	for _, part := range list {
		go func() { errs <- work(part) }()
	}
	var first error
	for range list {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

// rawSender is shared by all connections of a run.
type rawSender struct {
	config  RawProduce
	batches int64 // to send in total; 0: no limit
	sent    atomic.Int64
	records atomic.Int64 // acknowledged
	failed  atomic.Int64
	latency Histogram
}

// connection sends on one connection until the load is done.
func (s *rawSender) connection(ctx context.Context, part share, start time.Time, connections float64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := part.open(ctx, cancel, s.config.Topic, s.config.InFlight, s.answered)
	if err != nil {
		return quiet(ctx, err)
	}
	pace := newSchedule(start, s.config.Rate/float64(s.config.Batch)/connections)
	sendErr := s.sendFrames(ctx, l, s.frames(part), pace)
	if err := l.close(); err != nil {
		return err
	}
	return quiet(ctx, sendErr)
}

// frames encodes one produce request for each partition.
func (s *rawSender) frames(part share) [][]byte {
	batch := rawBatch(s.config.Batch, s.config.Size, nil)
	frames := make([][]byte, len(part.partitions))
	for i, p := range part.partitions {
		frames[i] = produceFrame(s.config.Topic, p, s.config.Acks, batch)
	}
	return frames
}

func (s *rawSender) sendFrames(ctx context.Context, l *lane, frames [][]byte, pace *schedule) error {
	for i := 0; ; i++ {
		if n := s.sent.Add(1); s.batches > 0 && n > s.batches {
			return nil
		}
		due, err := pace.next(ctx)
		if err != nil {
			return nil // the time is over
		}
		if err := l.send(ctx, frames[i%len(frames)], due); err != nil {
			return err
		}
	}
}

// answered takes the outcome of one frame.
func (s *rawSender) answered(due time.Time, err error) {
	if err != nil {
		s.failed.Add(int64(s.config.Batch))
		return
	}
	s.records.Add(int64(s.config.Batch))
	s.latency.Record(time.Since(due))
}
