package task

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/leatstream/leat/streams/processor"
)

// StopError is the error of a record that stops the application.
type StopError struct {
	Failure processor.Failure
}

// Error tells where the record came from and where it failed.
func (e *StopError) Error() string {
	f := e.Failure
	return fmt.Sprintf("task %v: %s of %s-%d offset %d failed at %s: %v",
		f.Task, f.Phase, f.Input.Topic, f.Input.Partition, f.Input.Offset, f.Node, f.Err)
}

// Unwrap is the cause.
func (e *StopError) Unwrap() error { return e.Failure.Err }

// errNoDeadLetter is added to failures that should go to a topic there is not.
var errNoDeadLetter = errors.New("no dead letter topic is configured")

// failed decides about a failed record. It returns nil if the record is done
// with, else a *StopError. again processes the record once more; nil if that
// cannot be.
func (t *Task) failed(n *node, phase processor.Phase, err error, again func() error) error {
	for attempt := 0; ; attempt++ {
		var stop *StopError
		if errors.As(err, &stop) {
			return err // decided further down
		}
		f := processor.Failure{Phase: phase, Task: t.cfg.ID, Node: n.name, Input: t.current.Source, Err: err}
		class, backoff := t.cfg.Handler(f)
		switch class {
		case processor.ClassSkip:
			t.stats.Drops[processor.DropSkipped]++
			t.cfg.Logger.Debug("record skipped", "task", t.cfg.ID.String(), "node", n.name, "error", err)
			return nil
		case processor.ClassDeadLetter:
			if t.cfg.DeadLetter == "" || t.input == nil {
				f.Err = errors.Join(err, errNoDeadLetter)
				return &StopError{f}
			}
			t.deadLetter(f)
			return nil
		case processor.ClassRetry:
			if again == nil || attempt >= t.cfg.MaxRetries {
				return &StopError{f}
			}
			t.stats.Retries++
			if err := t.cfg.Pause(t.cfg.Ctx, backoff); err != nil {
				f.Err = errors.Join(f.Err, err)
				return &StopError{f}
			}
			if err = again(); err == nil {
				return nil
			}
		default:
			return &StopError{f}
		}
	}
}

// deadLetter sends the input record as it was read, with the reason in headers
// of the names Kafka Streams uses.
func (t *Task) deadLetter(f processor.Failure) {
	t.stats.Drops[processor.DropDead]++
	add := []processor.Header{
		{Key: "__streams.errors.exception", Value: []byte(fmt.Sprintf("%T", f.Err))},
		{Key: "__streams.errors.message", Value: []byte(f.Err.Error())},
		{Key: "__streams.errors.topic", Value: []byte(f.Input.Topic)},
		{Key: "__streams.errors.partition", Value: []byte(strconv.Itoa(int(f.Input.Partition)))},
		{Key: "__streams.errors.offset", Value: strconv.AppendInt(nil, f.Input.Offset, 10)},
	}
	t.outs = append(t.outs, Output{
		Topic: t.cfg.DeadLetter, Partition: -1, Time: max(0, t.input.Time),
		Key: t.arena.copy(t.input.Key), Value: t.arena.copy(t.input.Value),
		Headers: append(slices.Clone(t.input.Headers), add...),
	})
}
