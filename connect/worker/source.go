package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/store"
)

// Bounds of what a source task may have on its way to the broker.
const (
	maxBufferedRecords = 50_000
	maxBufferedBytes   = 64 << 20
	// pollTurn is the longest a Poll may wait before commits get their turn.
	pollTurn = time.Second
)

// SourceRunner runs one source task: poll → transform → convert → produce.
type SourceRunner struct {
	cfg     Config
	set     *settings
	task    connect.SourceTask
	store   store.Offsets
	policy  *policy
	figures taskMetrics
	stats   stats
	tracker *tracker
	client  *kgo.Client
	gate    gate

	failOnce sync.Once
	fail     context.CancelCauseFunc // ends the run with the error of a failed produce
	// produceCtx outlives the run by the stop timeout, so that records on
	// their way are not torn off.
	produceCtx context.Context
}

// NewSource checks the configuration; nothing runs before Run.
func NewSource(cfg Config, task connect.SourceTask, offsets store.Offsets) (*SourceRunner, error) {
	set, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	r := &SourceRunner{cfg: cfg, set: set, task: task, store: offsets, tracker: newTracker()}
	r.figures = cfg.Metrics.task(cfg.Connector, cfg.Task)
	r.policy = newPolicy(cfg, set, r.figures)
	return r, nil
}

// Stats may be called at any time, from any goroutine.
func (r *SourceRunner) Stats() Stats { return r.stats.get() }

// Pause stops polling until Resume.
func (r *SourceRunner) Pause() { r.gate.close() }

// Resume undoes Pause.
func (r *SourceRunner) Resume() { r.gate.open() }

// Run blocks until ctx ends (then it returns nil, after flushing and
// committing what was acknowledged) or the task fails.
func (r *SourceRunner) Run(ctx context.Context) (err error) {
	if err := r.openClient(); err != nil {
		return err
	}
	defer r.client.Close()
	tc := newTaskContext(r.cfg)
	defer tc.registry.clear()
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r.fail = cancel
	produce, drop := context.WithCancel(context.WithoutCancel(ctx))
	defer drop()
	defer context.AfterFunc(run, func() { _ = sleep(produce, r.set.stopTimeout); drop() })()
	r.produceCtx = produce
	defer func() {
		if serr := r.task.Stop(); serr != nil {
			r.cfg.Logger.Warn("stopping the task failed", "error", serr)
		}
	}()
	if err := r.task.Start(run, &sourceContext{taskContext: tc, store: r.store}, taskProps(r.cfg)); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	err = r.loop(run)
	r.finish(ctx)
	if cause := context.Cause(run); ctx.Err() == nil && cause != nil {
		return cause
	}
	return err
}

func (r *SourceRunner) openClient() error {
	opts, _, err := clientOpts(r.cfg, "producer", "producer")
	if err != nil {
		return err
	}
	opts = append([]kgo.Opt{
		kgo.MaxBufferedRecords(maxBufferedRecords), kgo.MaxBufferedBytes(maxBufferedBytes),
	}, opts...)
	opts = append(opts, kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(newPartitioner()))
	r.client, err = kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("producer: %w", err)
	}
	r.policy.produce = func(ctx context.Context, rec *kgo.Record) error {
		return r.client.ProduceSync(ctx, rec).FirstErr()
	}
	return nil
}

func (r *SourceRunner) loop(ctx context.Context) error {
	next := time.Now().Add(r.set.commitEvery)
	retry := firstRetryDelay
	for ctx.Err() == nil {
		if err := r.gate.wait(ctx); err != nil {
			return nil
		}
		records, err := r.poll(ctx)
		switch {
		case errors.Is(err, connect.ErrRetriable):
			r.figures.errRetries.Inc()
			r.cfg.Logger.Warn("poll failed, will be repeated", "error", err)
			if sleep(ctx, max(retry, connect.RetryWait(err))) != nil {
				return nil
			}
			retry = min(2*retry, r.policy.maxDelay)
		case err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("poll: %w", err)
		default:
			retry = firstRetryDelay
		}
		if err := r.send(ctx, records); err != nil {
			return err
		}
		if now := time.Now(); !now.Before(next) {
			r.commit(ctx)
			next = now.Add(r.set.commitEvery)
		}
	}
	return nil
}

func (r *SourceRunner) poll(ctx context.Context) ([]*connect.SourceRecord, error) {
	turn, cancel := context.WithTimeout(ctx, min(pollTurn, r.set.commitEvery))
	defer cancel()
	start := time.Now()
	records, err := r.task.Poll(turn)
	if len(records) > 0 {
		r.figures.batchSeconds.Observe(time.Since(start).Seconds())
		r.figures.sourcePolled.Add(float64(len(records)))
		r.stats.read.Add(int64(len(records)))
	}
	return records, err
}

func (r *SourceRunner) send(ctx context.Context, records []*connect.SourceRecord) error {
	for _, rec := range records {
		entry, err := r.tracker.add(rec)
		if err != nil {
			return fmt.Errorf("source partition: %w", err)
		}
		out, err := r.prepare(ctx, rec)
		if err != nil {
			return err
		}
		if out == nil {
			r.tracker.finish(entry)
			continue
		}
		r.client.Produce(r.produceCtx, out, func(rec *kgo.Record, err error) { r.produced(entry, rec, err) })
	}
	r.figures.sourceActive.Set(float64(r.tracker.pending()))
	return nil
}

// produced is called by the client, once per record.
func (r *SourceRunner) produced(entry *sent, rec *kgo.Record, err error) {
	ctx := r.produceCtx
	if err == nil {
		r.figures.sourceWritten.Inc()
		r.stats.written.Add(1)
		r.tracker.finish(entry)
		return
	}
	if ctx.Err() != nil {
		return // stopping: the record stays open and comes again
	}
	// The dead letter queue would be the same broker: the record is skipped or the task fails.
	if err := r.policy.fail(ctx, failure{stage: stageProduce, origin: connect.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}, err: err}); err != nil {
		r.failOnce.Do(func() { r.fail(err) })
		return
	}
	r.tracker.finish(entry)
}

// prepare transforms and converts one record; nil means it is dropped.
func (r *SourceRunner) prepare(ctx context.Context, src *connect.SourceRecord) (*kgo.Record, error) {
	rec := &src.Record
	at := stageTransform
	var out *kgo.Record
	err := r.policy.do(ctx, func() error {
		// A repeated try starts from the record as it was polled.
		c := src.Clone()
		at = stageTransform
		next, err := r.set.chain.Apply(c)
		if err != nil || next == nil {
			return err
		}
		rec = next
		out, at, err = r.encode(next)
		return err
	})
	if err == nil {
		return out, nil
	}
	return nil, r.policy.fail(ctx, failure{stage: at, origin: connect.TopicPartition{Topic: rec.Topic, Partition: rec.Partition}, err: err, record: lastWords(rec)})
}

func (r *SourceRunner) encode(rec *connect.Record) (*kgo.Record, stage, error) {
	key, err := r.set.key.Encode(rec.Topic, rec.KeySchema, rec.Key)
	if err != nil {
		return nil, stageKey, err
	}
	value, err := r.set.value.Encode(rec.Topic, rec.ValueSchema, rec.Value)
	if err != nil {
		return nil, stageValue, err
	}
	headers, err := encodeHeaders(rec.Headers)
	if err != nil {
		return nil, stageHeader, err
	}
	return &kgo.Record{Topic: rec.Topic, Partition: rec.Partition, Key: key, Value: value, Headers: headers, Timestamp: rec.Timestamp}, "", nil
}

// lastWords is the best form of a record that no converter took: its text.
func lastWords(rec *connect.Record) *kgo.Record {
	return &kgo.Record{Key: []byte(fmt.Sprint(rec.Key)), Value: []byte(fmt.Sprint(rec.Value)), Timestamp: rec.Timestamp}
}

// commit stores what may be stored; failures are logged and tried again later.
func (r *SourceRunner) commit(ctx context.Context) {
	ready := r.tracker.take()
	if len(ready) == 0 {
		return
	}
	offsets := make([]connect.SourceOffset, 0, len(ready))
	for _, k := range slices.Sorted(maps.Keys(ready)) {
		offsets = append(offsets, ready[k])
	}
	if err := r.store.Set(ctx, r.cfg.Connector, offsets); err != nil {
		r.tracker.restore(ready)
		r.figures.commitFailures.Inc()
		r.cfg.Logger.Error("storing source offsets failed, will be repeated", "error", err)
		return
	}
	r.figures.commits.Inc()
	r.stats.committed.Add(1)
	if c, ok := r.task.(connect.Committer); ok {
		if err := c.Commit(ctx, offsets); err != nil {
			r.cfg.Logger.Warn("task's commit failed", "error", err)
		}
	}
}

// finish gives records on their way a bounded time, then commits.
func (r *SourceRunner) finish(ctx context.Context) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.set.stopTimeout)
	defer cancel()
	if err := r.client.Flush(last); err != nil {
		r.cfg.Logger.Warn("not all records were acknowledged before the task stopped; they will come again", "error", err)
	}
	r.commit(last)
	r.figures.sourceActive.Set(0)
}

// sourceContext implements connect.SourceContext.
type sourceContext struct {
	taskContext
	store store.Offsets
}

func (c *sourceContext) Offset(ctx context.Context, partition map[string]any) (map[string]any, error) {
	return c.store.Get(ctx, c.cfg.Connector, partition)
}

func (c *sourceContext) Offsets(ctx context.Context) ([]connect.SourceOffset, error) {
	return c.store.List(ctx, c.cfg.Connector)
}
