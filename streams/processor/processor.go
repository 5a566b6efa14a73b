package processor

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Processor handles the records that reach one node of one task.
//
// Init is called once before the first record, with stores already restored.
// Process must not keep m. An error of Process is classed with [ClassOf] and
// handled by the task: the record is skipped, retried or sent to the dead
// letter topic, or the application stops. Close is called once, also after a
// failure, and must not forward.
type Processor interface {
	Init(ctx Context) error
	Process(m Message) error
	Close() error
}

// Supplier makes the processor of a node for one task. It is called once per
// task, so that tasks share nothing.
type Supplier func() Processor

// Idler is a processor whose clock moves on when the input is quiet. When all
// inputs of the task have been read to their ends and nothing has arrived for
// IdleAfter, the task calls AdvanceIdle with the wall clock, and again while
// the quiet lasts. IdleAfter 0 switches it off.
type Idler interface {
	IdleAfter() time.Duration
	AdvanceIdle(wall int64) (moved bool, err error)
}

// Clock selects what a punctuation goes by.
type Clock int

// The clocks of punctuations.
const (
	// StreamClock is the highest record time the task has seen.
	StreamClock Clock = iota
	// WallClock is the machine's clock.
	WallClock
)

// Reason says why a record was dropped; it is a label of the drop counter.
type Reason string

// The reasons of drops.
const (
	DropLate     Reason = "late"
	DropNullKey  Reason = "null_key"
	DropNull     Reason = "null_value"
	DropNegative Reason = "negative_timestamp"
	DropSkipped  Reason = "skipped"
	DropDead     Reason = "dead_letter"
)

// TaskID names a task: the sub-topology and the partition it works on.
type TaskID struct {
	Sub       int
	Partition int32
}

// String is the id in Kafka Streams' form, such as "0_3".
func (t TaskID) String() string { return fmt.Sprintf("%d_%d", t.Sub, t.Partition) }

// Context is what a processor sees of its task. It may be used from Init until
// Close, only on the task's goroutine.
type Context interface {
	// Ctx is cancelled when the task is revoked or the application stops.
	Ctx() context.Context
	Task() TaskID
	// Node is the name of the processor's node.
	Node() string
	// Forward hands m to every child in the order in which they were built,
	// depth first. m may be reused as soon as it returns.
	Forward(m Message) error
	// ForwardTo hands m to one child. An unknown name is an error.
	ForwardTo(child string, m Message) error
	// Store is the open store of that name; use the typed handles of package
	// state instead. The node must be connected to the store.
	Store(name string) (any, error)
	// StreamTime is the highest time of the records the task has read.
	StreamTime() int64
	WallTime() int64
	// Source and Headers of the record at hand; empty in a punctuation.
	Current() Meta
	// Schedule calls fn whenever the clock passes another multiple of every.
	Schedule(every time.Duration, clock Clock, fn func(at int64) error) (cancel func())
	// Drop counts a record as dropped.
	Drop(reason Reason)
	Logger() *slog.Logger
}

// Typed is a Processor for records of known types.
type Typed[KI, VI, KO, VO any] interface {
	Init(out *Out[KO, VO]) error
	Process(r *Record[KI, VI]) error
	Close() error
}

// Out is a Context whose children take records of known types.
type Out[K, V any] struct {
	Context
	rec Record[K, V]
}

// Emit hands a copy of r to every child.
func (o *Out[K, V]) Emit(r Record[K, V]) error {
	o.rec = r
	return o.Context.Forward(&o.rec)
}

// EmitTo hands a copy of r to one child.
func (o *Out[K, V]) EmitTo(child string, r Record[K, V]) error {
	o.rec = r
	return o.Context.ForwardTo(child, &o.rec)
}

// NewOut wraps a context; processors written against [Processor] use it to
// forward without allocating.
func NewOut[K, V any](ctx Context) *Out[K, V] { return &Out[K, V]{Context: ctx} }

// Of makes a Supplier of typed processors. A record of other types is a
// mistake in the topology and fails the application.
func Of[KI, VI, KO, VO any](supply func() Typed[KI, VI, KO, VO]) Supplier {
	return func() Processor { return &typed[KI, VI, KO, VO]{p: supply()} }
}

type typed[KI, VI, KO, VO any] struct{ p Typed[KI, VI, KO, VO] }

func (t *typed[KI, VI, KO, VO]) Init(ctx Context) error { return t.p.Init(NewOut[KO, VO](ctx)) }
func (t *typed[KI, VI, KO, VO]) Close() error           { return t.p.Close() }

func (t *typed[KI, VI, KO, VO]) Process(m Message) error {
	r, ok := m.(*Record[KI, VI])
	if !ok {
		return WrongType[KI, VI](m)
	}
	return t.p.Process(r)
}

// IdleAfter passes on the inner processor's idle policy.
func (t *typed[KI, VI, KO, VO]) IdleAfter() time.Duration {
	if i, ok := t.p.(Idler); ok {
		return i.IdleAfter()
	}
	return 0
}

// AdvanceIdle passes on to the inner processor.
func (t *typed[KI, VI, KO, VO]) AdvanceIdle(wall int64) (bool, error) {
	if i, ok := t.p.(Idler); ok {
		return i.AdvanceIdle(wall)
	}
	return false, nil
}

// WrongType is the error of a node that was handed m instead of *Record[K, V].
func WrongType[K, V any](m Message) error {
	var want *Record[K, V]
	return Fail(fmt.Errorf("processor: got %T, want %T", m, want))
}
