package connect

import (
	"errors"
	"fmt"
	"time"
)

// ErrRetriable marks errors after which the same call may be repeated.
var ErrRetriable = errors.New("connect: retriable")

// ErrStopped is returned by calls into the runtime after the task was stopped.
var ErrStopped = errors.New("connect: stopped")

// Retriable marks err as passing: the runtime repeats the call with its own
// back-off. Retriable(nil) is nil.
func Retriable(err error) error { return RetriableAfter(err, 0) }

// RetriableAfter is Retriable with the least time to wait before the next try.
func RetriableAfter(err error, wait time.Duration) error {
	if err == nil {
		return nil
	}
	return &retriable{err: err, wait: wait}
}

// RetryWait is the wait that RetriableAfter asked for; 0 if none.
func RetryWait(err error) time.Duration {
	var r *retriable
	if errors.As(err, &r) {
		return r.wait
	}
	return 0
}

type retriable struct {
	err  error
	wait time.Duration
}

func (r *retriable) Error() string        { return r.err.Error() }
func (r *retriable) Unwrap() error        { return r.err }
func (r *retriable) Is(target error) bool { return target == ErrRetriable }

// RecordError says that SinkTask.Put could not take one record of the batch.
// Index is its place in the batch: all records before it were taken, it and
// all records after it were not.
type RecordError struct {
	Index int
	Err   error
}

// Error names the record's place and the cause.
func (e *RecordError) Error() string {
	return fmt.Sprintf("record %d of the batch: %v", e.Index, e.Err)
}

// Unwrap gives the cause.
func (e *RecordError) Unwrap() error { return e.Err }
