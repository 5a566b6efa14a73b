package processor

import (
	"errors"
	"time"
)

// Class says what becomes of a record whose processing failed.
type Class int

// The classes of errors. An error of no class is ClassFail.
const (
	// ClassFail stops the application; the record is processed again when it
	// starts anew.
	ClassFail Class = iota
	// ClassSkip leaves the record out and counts it.
	ClassSkip
	// ClassDeadLetter sends the input record to the dead letter topic.
	ClassDeadLetter
	// ClassRetry processes the record again at the same node after a pause.
	ClassRetry
)

// String is the class's name as used in configuration and metrics.
func (c Class) String() string {
	switch c {
	case ClassSkip:
		return "skip"
	case ClassDeadLetter:
		return "dead_letter"
	case ClassRetry:
		return "retry"
	default:
		return "fail"
	}
}

type classed struct {
	err     error
	class   Class
	backoff time.Duration
}

func (c *classed) Error() string { return c.err.Error() }
func (c *classed) Unwrap() error { return c.err }

// Skip classes err: leave the record out.
func Skip(err error) error { return class(err, ClassSkip, 0) }

// Fail classes err: stop the application.
func Fail(err error) error { return class(err, ClassFail, 0) }

// DeadLetter classes err: move the input record to the dead letter topic.
func DeadLetter(err error) error { return class(err, ClassDeadLetter, 0) }

// Retry classes err: try the record again after the pause.
func Retry(err error, backoff time.Duration) error { return class(err, ClassRetry, backoff) }

func class(err error, c Class, backoff time.Duration) error {
	if err == nil {
		return nil
	}
	return &classed{err: err, class: c, backoff: backoff}
}

// ClassOf returns the outermost class err was given and the pause of a retry;
// ok is false if it has none.
func ClassOf(err error) (c Class, backoff time.Duration, ok bool) {
	var k *classed
	if !errors.As(err, &k) {
		return ClassFail, 0, false
	}
	return k.class, k.backoff, true
}

// Phase is where a record failed.
type Phase string

// The phases an error handler distinguishes.
const (
	PhaseDeserialize Phase = "deserialize"
	PhaseProcess     Phase = "process"
	PhaseProduce     Phase = "produce"
)

// Failure is what an error handler gets to see.
type Failure struct {
	Phase Phase
	Task  TaskID
	Node  string
	// Input is the record of the input topic that led to the failure.
	Input Source
	Err   error
}

// Handler decides about a failed record. It is called on the task's goroutine.
// Backoff matters only for ClassRetry.
type Handler func(Failure) (c Class, backoff time.Duration)

// DefaultHandler goes by the class the error was given, and fails without one.
func DefaultHandler(f Failure) (Class, time.Duration) {
	c, backoff, _ := ClassOf(f.Err)
	return c, backoff
}
