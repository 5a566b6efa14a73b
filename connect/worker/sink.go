package worker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
)

// Pace of a sink's loop.
const (
	sinkPollWait    = 500 * time.Millisecond // longest wait for records before an empty Put
	defaultMaxBatch = 5000                   // records per Put
	stepPause       = 50 * time.Millisecond  // longest sleep between looks at the clock while a batch waits
)

// SinkRunner runs one sink task: poll → convert → transform → put.
//
// Two goroutines touch it: the one in Run, and the client's, which calls the
// group callbacks. Both hold mu while they call the task or read the fields
// under it. Rebalances are blocked from a poll that returned records until
// they were handed to the task, so a revoked partition never has records in
// between, except in batch, where the callbacks remove them.
type SinkRunner struct {
	cfg      Config
	set      *settings
	task     connect.SinkTask
	policy   *policy
	figures  taskMetrics
	stats    stats
	gate     gate
	topics   []string
	pattern  *regexp.Regexp // nil: topics is the list
	maxBatch int
	client   *kgo.Client

	mu       sync.Mutex
	open     map[connect.TopicPartition]*sinkPartition
	batch    *batch // handed to the task but not taken yet; nil: none
	callback error  // why a group callback failed; ends Run

	requests requests // what the task asked for, until the runner's next look
}

// sinkPartition is what the runner knows of an assigned partition.
type sinkPartition struct {
	next      int64 // offset after the last record handed to the task; -1: none yet
	committed int64 // last committed offset; -1: none by this runner
	live      bool  // its starting offset is settled; only then can it be moved
	seek      int64 // offset the task asked for; -1: none
}

// NewSink checks the configuration; nothing runs before Run.
func NewSink(cfg Config, task connect.SinkTask) (*SinkRunner, error) {
	set, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	r := &SinkRunner{cfg: cfg, set: set, task: task, maxBatch: defaultMaxBatch, open: map[connect.TopicPartition]*sinkPartition{}}
	if r.topics, r.pattern, err = sinkTopics(cfg.Props); err != nil {
		return nil, err
	}
	r.figures = cfg.Metrics.task(cfg.Connector, cfg.Task)
	r.policy = newPolicy(cfg, set, r.figures)
	return r, nil
}

// Stats may be called at any time, from any goroutine.
func (r *SinkRunner) Stats() Stats { return r.stats.get() }

// Pause stops delivery until Resume; the partitions stay assigned.
func (r *SinkRunner) Pause() { r.gate.close() }

// Resume undoes Pause.
func (r *SinkRunner) Resume() { r.gate.open() }

// Run blocks until ctx ends (then it returns nil, after flushing and
// committing what the task calls safe) or the task fails.
func (r *SinkRunner) Run(ctx context.Context) error {
	tc := newTaskContext(r.cfg)
	defer tc.registry.clear()
	defer func() {
		if err := r.task.Stop(); err != nil {
			r.cfg.Logger.Warn("stopping the task failed", "error", err)
		}
	}()
	if err := r.task.Start(ctx, &sinkContext{taskContext: tc, runner: r}, taskProps(r.cfg)); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	if err := r.openClient(ctx); err != nil {
		return err
	}
	defer r.client.CloseAllowingRebalance()
	err := r.loop(ctx)
	r.finish(ctx, err == nil)
	return err
}

func (r *SinkRunner) loop(ctx context.Context) error {
	next := time.Now().Add(r.set.commitEvery)
	for ctx.Err() == nil {
		if err := r.step(ctx); err != nil {
			return err
		}
		committed, err := r.commitDue(ctx, next)
		if committed {
			next = time.Now().Add(r.set.commitEvery)
		}
		r.client.AllowRebalance()
		if err != nil {
			return err
		}
	}
	return nil
}

// commitDue commits if it is time or the task asked for it; it also says
// whether a group callback failed.
func (r *SinkRunner) commitDue(ctx context.Context, next time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.requests.takeCommit() && time.Now().Before(next) {
		return false, r.callback
	}
	r.commit(ctx, r.assigned())
	r.applySeeks()
	return true, r.callback
}

// step gets the next batch, or takes the one that waits, and hands it over.
func (r *SinkRunner) step(ctx context.Context) error {
	r.mu.Lock()
	waiting := r.batch
	r.mu.Unlock()
	switch {
	case waiting != nil:
		r.client.AllowRebalance()
		if wait := time.Until(waiting.retryAt); wait > 0 {
			_ = sleep(ctx, min(wait, stepPause))
			return nil
		}
	case r.gate.closed():
		r.client.AllowRebalance()
		_ = sleep(ctx, stepPause)
		return nil
	}
	if waiting == nil {
		if err := r.poll(ctx); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.put(ctx)
}

// put hands the batch to the task; without one it hands over nothing, so that
// the task can look at the clock. The caller holds mu.
func (r *SinkRunner) put(ctx context.Context) error {
	b := r.batch
	if b == nil {
		err := r.task.Put(ctx, nil)
		r.applySeeks()
		if err != nil && !errors.Is(err, connect.ErrRetriable) && ctx.Err() == nil {
			return fmt.Errorf("put: %w", err)
		}
		return nil
	}
	for {
		start := time.Now()
		err := r.task.Put(ctx, b.records)
		r.figures.batchSeconds.Observe(time.Since(start).Seconds())
		var blame *connect.RecordError
		switch {
		case err == nil:
			r.taken(len(b.records))
			r.finishBatch(b)
			r.applySeeks()
			return nil
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, connect.ErrRetriable):
			r.figures.errRetries.Inc()
			b.backOff(connect.RetryWait(err), r.policy.maxDelay)
			r.cfg.Logger.Warn("put failed, will be repeated", "error", err, "records", len(b.records))
			r.applySeeks()
			return nil
		case errors.As(err, &blame) && blame.Index >= 0 && blame.Index < len(b.records):
			if err := r.policy.fail(ctx, b.failure(blame)); err != nil {
				return err
			}
			r.taken(blame.Index)
			b.drop(blame.Index + 1)
		default:
			return fmt.Errorf("put: %w", err)
		}
	}
}

func (r *SinkRunner) taken(n int) {
	r.figures.sinkSent.Add(float64(n))
	r.stats.written.Add(int64(n))
}

func (r *SinkRunner) finishBatch(b *batch) {
	for tp, end := range b.ends {
		if p := r.open[tp]; p != nil {
			p.next = end
		}
	}
	r.batch = nil
}

// poll fetches and converts the next batch.
func (r *SinkRunner) poll(ctx context.Context) error {
	turn, cancel := context.WithTimeout(ctx, sinkPollWait)
	defer cancel()
	fetches := r.client.PollRecords(turn, r.maxBatch)
	if fetches.IsClientClosed() {
		return connect.ErrStopped
	}
	fetches.EachError(func(topic string, partition int32, err error) {
		if turn.Err() == nil {
			r.cfg.Logger.Warn("fetching failed, will be repeated", "topic", topic, "partition", partition, "error", err)
		}
	})
	n := fetches.NumRecords()
	if n == 0 {
		return nil
	}
	r.figures.sinkRead.Add(float64(n))
	r.stats.read.Add(int64(n))
	b := newBatch(n)
	var err error
	fetches.EachRecord(func(k *kgo.Record) {
		if err == nil {
			err = r.convert(ctx, b, k)
		}
	})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.batch = b
	r.mu.Unlock()
	return nil
}

// convert adds one record to the batch; a skipped or dropped one only moves the end.
func (r *SinkRunner) convert(ctx context.Context, b *batch, k *kgo.Record) error {
	tp := connect.TopicPartition{Topic: k.Topic, Partition: k.Partition}
	var out *connect.Record
	var at stage
	err := r.policy.do(ctx, func() (err error) {
		out, at, err = r.decode(tp, k)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		if err := r.policy.fail(ctx, failure{stage: at, origin: tp, offset: k.Offset, record: k, err: err}); err != nil {
			return err
		}
	}
	b.add(tp, k, out)
	return nil
}

func (r *SinkRunner) decode(tp connect.TopicPartition, k *kgo.Record) (*connect.Record, stage, error) {
	rec := &connect.Record{Topic: k.Topic, Partition: k.Partition, Offset: k.Offset, Origin: tp, Timestamp: k.Timestamp, Headers: decodeHeaders(k.Headers)}
	var err error
	if rec.KeySchema, rec.Key, err = r.set.key.Decode(k.Topic, k.Key); err != nil {
		return nil, stageKey, err
	}
	if rec.ValueSchema, rec.Value, err = r.set.value.Decode(k.Topic, k.Value); err != nil {
		return nil, stageValue, err
	}
	rec, err = r.set.chain.Apply(rec)
	return rec, stageTransform, err
}

// finish makes what was put safe, commits and closes; called at the end of Run.
func (r *SinkRunner) finish(ctx context.Context, flush bool) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.set.stopTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(last, r.assigned(), flush, false)
}
