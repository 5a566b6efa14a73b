package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
)

// stage names the step in which a record failed, as Kafka Connect names it.
type stage string

const (
	stageTransform stage = "TRANSFORMATION"
	stageKey       stage = "KEY_CONVERTER"
	stageValue     stage = "VALUE_CONVERTER"
	stageHeader    stage = "HEADER_CONVERTER"
	stageProduce   stage = "KAFKA_PRODUCE"
	stagePut       stage = "TASK_PUT"
)

// firstRetryDelay is the pause before the second try; each further one doubles it.
const firstRetryDelay = 300 * time.Millisecond

// failure is one record that failed for good.
type failure struct {
	stage  stage
	origin connect.TopicPartition
	offset int64
	record *kgo.Record // what the dead letter queue gets; nil: nothing to send
	err    error
}

// policy decides what a failed record means: repeat, skip (to the dead letter
// queue if there is one) or fail the task.
type policy struct {
	cfg      Config
	figures  taskMetrics
	log      *slog.Logger
	tolerate bool
	// retry is how long a step is repeated; negative is for ever.
	retry, maxDelay        time.Duration
	logErrors, logMessages bool
	deadTopic              string
	deadReplicas           int
	deadHeaders            bool
	produce                func(context.Context, *kgo.Record) error // to the dead letter queue
}

func newPolicy(cfg Config, s *settings, figures taskMetrics) *policy {
	e := s.errors
	return &policy{
		cfg: cfg, figures: figures, log: cfg.Logger,
		tolerate:     strings.EqualFold(e.String("errors.tolerance"), "all"),
		retry:        e.Millis("errors.retry.timeout"),
		maxDelay:     e.Millis("errors.retry.delay.max.ms"),
		logErrors:    e.Bool("errors.log.enable"),
		logMessages:  e.Bool("errors.log.include.messages"),
		deadTopic:    e.String("errors.deadletterqueue.topic.name"),
		deadReplicas: e.Int("errors.deadletterqueue.topic.replication.factor"),
		deadHeaders:  e.Bool("errors.deadletterqueue.context.headers.enable"),
	}
}

// do runs one step of one record, repeating it while it fails with a retriable
// error and errors.retry.timeout allows.
func (p *policy) do(ctx context.Context, f func() error) error {
	err := f()
	if err == nil {
		return nil
	}
	p.figures.errRecords.Inc()
	deadline := time.Now().Add(p.retry)
	for delay := firstRetryDelay; errors.Is(err, connect.ErrRetriable); delay = min(2*delay, p.maxDelay) {
		if p.retry >= 0 && time.Now().Add(delay).After(deadline) {
			return err
		}
		if sleep(ctx, delay) != nil {
			return err
		}
		p.figures.errRetries.Inc()
		if err = f(); err == nil {
			return nil
		}
		p.figures.errRecords.Inc()
	}
	return err
}

// fail judges a record that failed for good: nil means it was skipped, an
// error that the task must stop.
func (p *policy) fail(ctx context.Context, f failure) error {
	p.figures.errFailures.Inc()
	p.figures.lastError.Set(float64(time.Now().UnixMilli()))
	if p.logErrors || p.tolerate && p.deadTopic == "" {
		p.logFailure(f)
	}
	if !p.tolerate {
		return fmt.Errorf("%s: %w", f.stage, f.err)
	}
	if p.deadTopic != "" && f.record != nil && p.produce != nil {
		if err := p.bury(ctx, f); err != nil {
			return err
		}
	}
	p.figures.errSkipped.Inc()
	return nil
}

func (p *policy) logFailure(f failure) {
	p.figures.errLogged.Inc()
	attrs := []any{"stage", string(f.stage), "error", f.err}
	if p.logMessages {
		attrs = append(attrs, "topic", f.origin.Topic, "partition", f.origin.Partition, "offset", f.offset)
	}
	p.log.Error("record failed", attrs...)
}

// bury sends the record to the dead letter queue and waits for the broker.
func (p *policy) bury(ctx context.Context, f failure) error {
	dead := &kgo.Record{Topic: p.deadTopic, Partition: connect.AnyPartition, Key: f.record.Key, Value: f.record.Value,
		Headers: append([]kgo.RecordHeader(nil), f.record.Headers...), Timestamp: f.record.Timestamp}
	if p.deadHeaders {
		dead.Headers = append(dead.Headers, p.context(f)...)
	}
	p.figures.dlqRequests.Inc()
	if err := p.produce(ctx, dead); err != nil {
		p.figures.dlqFailures.Inc()
		return fmt.Errorf("dead letter queue %s: %w", p.deadTopic, err)
	}
	return nil
}

// context makes the headers that say where the record came from and why it failed.
func (p *policy) context(f failure) []kgo.RecordHeader {
	const prefix = "__connect.errors."
	h := func(name, value string) kgo.RecordHeader {
		return kgo.RecordHeader{Key: prefix + name, Value: []byte(value)}
	}
	return []kgo.RecordHeader{
		h("topic", f.origin.Topic),
		h("partition", fmt.Sprint(f.origin.Partition)),
		h("offset", fmt.Sprint(f.offset)),
		h("connector.name", p.cfg.Connector),
		h("task.id", fmt.Sprint(p.cfg.Task)),
		h("stage", string(f.stage)),
		h("class.name", p.cfg.Props["connector.class"]),
		h("exception.class.name", fmt.Sprintf("%T", f.err)),
		h("exception.message", f.err.Error()),
		h("exception.stacktrace", f.err.Error()),
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
