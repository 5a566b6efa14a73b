package perf

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// RawLatency says which frames a latency is measured with.
type RawLatency struct {
	Load
	Acks int16
}

// Limits of a raw latency.
const (
	// latencyWindow is how many frames may be without an answer: a minute at 1000
	// a second. Beyond that the load waits, and what is late is charged.
	latencyWindow   = 1 << 16
	latencyMaxBytes = 1 << 20
	latencyMaxWait  = 500 // ms that an empty fetch is held
)

// Raw is Latency with frames that are encoded once, of one record each, in turn
// to all partitions, and with fetches of which only the stamps are read: one
// connection of either sort to each leader. The times are those of the broker
// and the network with next to nothing of a client. cl finds leaders and
// offsets.
func (l RawLatency) Raw(ctx context.Context, cl *kgo.Client, progress func(records int64)) (LatencyReport, error) {
	r, err := newLatencyRun("latency raw", l.Load)
	if err == nil {
		err = answered(l.Acks)
	}
	if err != nil {
		return LatencyReport{}, err
	}
	list, err := resolve(ctx, cl, l.Topic, 1, false)
	if err != nil {
		return LatencyReport{}, err
	}
	fetch := RawConsume{Reading: Reading{Topic: l.Topic}, FromEnd: true, MaxBytes: maxFrame / 2, MaxPartitionBytes: latencyMaxBytes, MaxWaitMillis: latencyMaxWait}
	ends, err := fetch.starts(ctx, kadm.NewClient(cl))
	if err != nil {
		return LatencyReport{}, err
	}
	form := newProbe(l.Size, r.tag)
	return r.measure(ctx, progress,
		func() error { return r.sendRaw(ctx, list, form, l.Acks) },
		func(reading context.Context) error { return r.readRaw(reading, list, form, fetch, ends) })
}

// route is a partition as the sender of a raw latency sees it.
type route struct {
	lane  *lane
	frame []byte
	batch []byte // the end of frame
}

// sendRaw sends the load and waits for all answers. The first failure on any
// connection ends them all.
func (r *latencyRun) sendRaw(ctx context.Context, list []share, form probe, acks int16) error {
	ctx, fail := context.WithCancel(ctx)
	defer fail()
	var lanes []*lane
	var routes []route
	var err error
	for _, part := range list {
		l, openErr := part.open(ctx, fail, r.load.Topic, latencyWindow, r.answered)
		if openErr != nil {
			err = quiet(ctx, openErr)
			fail()
			break
		}
		lanes = append(lanes, l)
		for _, p := range part.partitions {
			frame := produceFrame(r.load.Topic, p, acks, form.batch)
			routes = append(routes, route{l, frame, frame[len(frame)-len(form.batch):]})
		}
	}
	if err == nil {
		err = quiet(ctx, r.sendProbes(ctx, routes, form))
	}
	for _, l := range lanes {
		if e := l.close(); e != nil {
			err = e // why the connection broke tells more than that it did
		}
	}
	return err
}

func (r *latencyRun) sendProbes(ctx context.Context, routes []route, form probe) error {
	i := 0
	return r.paced(ctx, func(due time.Time) error {
		to := routes[i%len(routes)]
		i++
		form.stamp(to.batch, due)
		return to.lane.send(ctx, to.frame, due)
	})
}

// readRaw fetches from ends on until ctx ends.
func (r *latencyRun) readRaw(ctx context.Context, list []share, form probe, fetch RawConsume, ends kadm.ListedOffsets) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &rawFetcher{config: fetch, finish: cancel, seen: func(batches []byte) {
		now := time.Now()
		for batch, rest := cutBatch(batches); batch != nil; batch, rest = cutBatch(rest) {
			if due, ok := form.due(batch); ok {
				r.arrived(due, now)
			}
		}
		r.wake()
	}}
	return each(list, func(part share) error {
		err := f.connection(ctx, part, ends)
		cancel() // without one of them the rest is of no use
		return err
	})
}
