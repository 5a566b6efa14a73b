package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
)

// ErrUnknownTopic is returned for records of a topic the task does not read.
var ErrUnknownTopic = errors.New("task does not read this topic")

// Input is one record of an input topic. A nil Key or Value is null.
type Input struct {
	Offset  int64
	Time    int64
	Key     []byte
	Value   []byte
	Headers []processor.Header
	// Control marks an entry of the log that is no record (the end of a
	// transaction): only the position moves.
	Control bool
}

// Output is one record to be written. A nil Key or Value is null. The bytes
// are the receiver's.
type Output struct {
	Topic     string
	Partition int32 // -1: by the hash of the key
	Key       []byte
	Value     []byte
	Time      int64
	Headers   []processor.Header
	Store     string // of a changelog record: its store
	// Clock marks the changelog record of an operator's clock and emission
	// progress.
	Clock bool
}

// Config is what a task is made of.
type Config struct {
	App      string
	ID       processor.TaskID
	Topology *topology.Topology
	Stores   *state.Set
	// Topics limits the inputs to these topics (full names); nil takes all of
	// the sub-topology. Topics with fewer partitions than the task's have no
	// part in it.
	Topics []string
	// Partitions tells how many partitions an output topic has; needed only
	// for sinks with a partitioner of their own.
	Partitions func(topic string) int32
	Handler    processor.Handler // nil: processor.DefaultHandler
	// DeadLetter is the topic of records classed so; without one they fail.
	DeadLetter string
	// Pause waits before a retry; nil does not wait.
	Pause func(ctx context.Context, d time.Duration) error
	// MaxRetries bounds the retries of one record; 0 means 10.
	MaxRetries int
	// MaxWait is how long the task waits for an input that is known to have
	// more records while others are queued, in milliseconds; 0 does not wait.
	// It is not waited for again before records of it came.
	MaxWait int64
	// Ctx is cancelled when the task is to stop.
	Ctx    context.Context
	Logger *slog.Logger
}

// Stats counts what a task has done since it was made.
type Stats struct {
	In, Out     int64
	Drops       map[processor.Reason]int64
	Retries     int64
	Punctuation int64
}

// Task executes one sub-topology on one partition. It is not safe for
// concurrent use.
type Task struct {
	cfg    Config
	sub    *topology.Sub
	nodes  []*node // in build order
	byName map[string]*node
	queues []*queue
	idlers []idler

	now        int64
	streamTime int64
	current    processor.Meta
	input      *Input // raw form of the record at hand, nil in punctuations
	outs       []Output
	arena      arena
	timers     []*timer
	quietSince int64
	moved      bool // positions have moved since the last commit
	stats      Stats
	started    bool
}

type idler struct {
	node *node
	processor.Idler
}

// New makes a task. Its stores are open but need not be restored yet.
func New(c Config) (*Task, error) {
	if c.ID.Sub < 0 || c.ID.Sub >= len(c.Topology.Subs()) {
		return nil, fmt.Errorf("task %v: there is no sub-topology %d", c.ID, c.ID.Sub)
	}
	c = withDefaults(c)
	t := &Task{
		cfg: c, sub: c.Topology.Subs()[c.ID.Sub], byName: map[string]*node{},
		streamTime: processor.NoTime,
		stats:      Stats{Drops: map[processor.Reason]int64{}},
	}
	for _, n := range t.sub.Nodes {
		t.addNode(n)
	}
	for _, n := range t.sub.Sources {
		for _, topic := range n.Source.Topics {
			if n.Source.Repartition {
				topic = topology.InternalName(c.App, topic)
			}
			if c.Topics == nil || slices.Contains(c.Topics, topic) {
				t.queues = append(t.queues, newQueue(topic, n.Source, t.byName[n.Name]))
			}
		}
	}
	return t, nil
}

func withDefaults(c Config) Config {
	if c.Handler == nil {
		c.Handler = processor.DefaultHandler
	}
	if c.MaxRetries == 0 {
		c.MaxRetries = 10
	}
	if c.Pause == nil {
		c.Pause = func(context.Context, time.Duration) error { return nil }
	}
	if c.Ctx == nil {
		c.Ctx = context.Background()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Partitions == nil {
		c.Partitions = func(string) int32 { return 0 }
	}
	return c
}

// ID is the task's id.
func (t *Task) ID() processor.TaskID { return t.cfg.ID }

// Stores are the task's stores.
func (t *Task) Stores() *state.Set { return t.cfg.Stores }

// Stats are the task's counters; the map is the task's own.
func (t *Task) Stats() *Stats { return &t.stats }

// Start calls Init of all processors. The stores must be restored.
func (t *Task) Start(now int64) error {
	t.now, t.quietSince = now, now
	t.started = true
	for _, n := range t.nodes {
		if n.proc == nil {
			continue
		}
		if err := n.proc.Init(n); err != nil {
			return fmt.Errorf("task %v: init of %s: %w", t.cfg.ID, n.name, err)
		}
		if i, ok := n.proc.(processor.Idler); ok && i.IdleAfter() > 0 {
			t.idlers = append(t.idlers, idler{n, i})
		}
	}
	return nil
}

// Close calls Close of all processors, whatever each returns. It does not
// close the stores.
func (t *Task) Close() error {
	if !t.started {
		return nil
	}
	t.started = false
	var errs []error
	for _, n := range t.nodes {
		if n.proc != nil {
			errs = append(errs, n.proc.Close())
		}
	}
	return errors.Join(errs...)
}

// NextTime is the time of the record that Process would handle now; ok is false if
// it would handle none. An error means that the task must be closed without a
// commit.
func (t *Task) NextTime(now int64) (at int64, ok bool, err error) {
	t.now = now
	q, err := t.next()
	if err != nil || q == nil {
		return 0, false, err
	}
	return q.head.Info().Time, true, nil
}

// StreamTime is the highest time of the records processed so far,
// [processor.NoTime] if there are none.
func (t *Task) StreamTime() int64 { return t.streamTime }

// Process handles one record: the queued one with the lowest time. It returns
// false if there is none, or if an input known to have more is empty. An error
// means that the task must be closed without a commit.
func (t *Task) Process(now int64) (bool, error) { return t.ProcessUntil(now, math.MaxInt64) }

// ProcessUntil is Process, but leaves a record with a time after limit.
func (t *Task) ProcessUntil(now, limit int64) (bool, error) {
	t.now = now
	q, err := t.next()
	if err != nil || q == nil || q.head.Info().Time > limit {
		return false, err
	}
	in := q.take()
	t.input, t.current = in, *q.head.Info()
	t.quietSince, t.moved = now, true
	t.streamTime = max(t.streamTime, t.current.Time)
	t.stats.In++
	err = q.node.Forward(q.head)
	q.head = nil
	t.input, t.current = nil, processor.Meta{}
	if err != nil {
		return false, err
	}
	q.position = in.Offset + 1
	return true, t.punctuate(processor.StreamClock, t.streamTime)
}

// next is the queue whose head has the lowest time, nil if it is not time yet.
func (t *Task) next() (*queue, error) {
	var best *queue
	for _, q := range t.queues {
		if err := t.loadHead(q); err != nil {
			return nil, err
		}
		if q.head != nil && (best == nil || q.head.Info().Time < best.head.Info().Time) {
			best = q
		}
	}
	if best == nil || t.cfg.MaxWait == 0 {
		return best, nil
	}
	waiting := false
	for _, q := range t.queues {
		if q.head == nil && q.behind {
			waiting = t.missing(q) || waiting
		}
	}
	if waiting {
		return nil, nil
	}
	return best, nil
}

// missing tells whether a queue, empty though there is more, is waited for.
func (t *Task) missing(q *queue) bool {
	if q.missingSince < 0 {
		q.missingSince = t.now
	}
	return t.now-q.missingSince < t.cfg.MaxWait
}

// loadHead decodes the first record of a queue that can be.
func (t *Task) loadHead(q *queue) error {
	for q.head == nil && q.len() > 0 {
		in := q.peek()
		if in.Control {
			q.position = q.take().Offset + 1
			t.moved = true
			continue
		}
		meta := processor.Meta{
			Time: in.Time, Headers: in.Headers,
			Source: processor.Source{Topic: q.topic, Partition: t.cfg.ID.Partition, Offset: in.Offset},
		}
		m, err := q.decode.Decode(in.Key, in.Value, meta)
		if err != nil {
			t.input, t.current = in, meta
			err = t.failed(q.node, processor.PhaseDeserialize, fmt.Errorf("%s: %w", q.topic, err), nil)
			t.input, t.current = nil, processor.Meta{}
			if err != nil {
				return err
			}
			t.skip(q)
			continue
		}
		if t.setTime(q, m); m.Info().Time < 0 {
			t.stats.Drops[processor.DropNegative]++
			t.skip(q)
			continue
		}
		q.head = m
	}
	return nil
}

func (t *Task) setTime(q *queue, m processor.Message) {
	info := m.Info()
	if q.source.Time != nil {
		info.Time = q.source.Time(m, q.partitionTime)
	}
	if limit := q.source.MaxFuture; limit > 0 && info.Time > t.now+limit {
		info.Time = t.now
	}
	q.partitionTime = max(q.partitionTime, info.Time)
}

// skip passes over the first record of a queue.
func (t *Task) skip(q *queue) {
	t.stats.In++
	q.position = q.take().Offset + 1
	t.moved = true
	t.quietSince = t.now
}

// Quiet is what the shell knows about the task's inputs.
type Quiet int

// The degrees of quiet.
const (
	// Busy inputs have records that have not been fetched.
	Busy Quiet = iota
	// Unsure: no record is known to wait, and none is known not to.
	Unsure
	// Confirmed: all inputs have been read to their ends.
	Confirmed
)

// Tick lets time pass: punctuations by the wall clock run and, if quiet is
// Confirmed, operators whose windows close on quiet input move on. It tells
// whether an operator's clock moved; a commit should follow soon then.
func (t *Task) Tick(now int64, quiet Quiet) (moved bool, err error) {
	t.now = now
	if err := t.punctuate(processor.WallClock, now); err != nil {
		return false, err
	}
	if quiet == Busy || t.Queued() > 0 {
		t.quietSince = now
	}
	if quiet != Confirmed || t.Queued() > 0 {
		return false, nil
	}
	for _, i := range t.idlers {
		if now-t.quietSince < i.IdleAfter().Milliseconds() {
			continue
		}
		m, err := i.AdvanceIdle(now)
		if err != nil {
			if err = t.failed(i.node, processor.PhaseProcess, err, nil); err != nil {
				return moved, err
			}
		}
		moved = moved || m
	}
	return moved, nil
}

// IdleDue tells whether an operator would move on if the inputs are quiet, so
// that the shell can make sure they are before it says so to Tick.
func (t *Task) IdleDue(now int64) bool {
	for _, i := range t.idlers {
		if now-t.quietSince >= i.IdleAfter().Milliseconds() {
			return true
		}
	}
	return false
}

// Outputs returns the records for sinks since the last call. The slice is
// valid until the next call to the task, the bytes for good.
func (t *Task) Outputs() []Output {
	out := t.outs
	t.outs = t.outs[:0]
	t.stats.Out += int64(len(out))
	return out
}

// Pending is the number of records Outputs would return.
func (t *Task) Pending() int { return len(t.outs) }

// NeedsCommit tells whether anything has happened since the last commit.
func (t *Task) NeedsCommit() bool { return t.moved || t.cfg.Stores.Dirty() }

// Uncommitted is the size of uncommitted state in bytes, roughly.
func (t *Task) Uncommitted() int64 { return t.cfg.Stores.Uncommitted() }

// Changes returns the records for the changelog topics, those of clocks last.
// All Outputs must have been delivered before. With several stores, the clocks
// must be delivered after the rest: the clock of one says that its results are
// final and have been taken in, maybe by another.
func (t *Task) Changes(now int64) ([]Output, error) {
	var out []Output
	err := t.cfg.Stores.Changes(now, func(store string, c state.Change) error {
		out = append(out, Output{
			Topic: topology.ChangelogTopic(t.cfg.App, store), Partition: t.cfg.ID.Partition,
			Key: t.arena.copy(c.Key), Value: t.arena.copy(c.Value), Time: c.Time, Store: store, Clock: c.Clock,
		})
		return nil
	})
	return out, err
}

// Commit makes the changes part of the stores. next is, for each store that
// had any, the changelog offset after the last of them.
func (t *Task) Commit(next map[string]int64) error {
	checkpoints := make(map[string]state.Checkpoint, len(next))
	for store, offset := range next {
		s, err := t.cfg.Stores.Store(store)
		if err != nil {
			return err
		}
		checkpoints[store] = state.Checkpoint{Offset: offset, TopicID: s.Checkpoint().TopicID}
	}
	if err := t.cfg.Stores.Apply(checkpoints); err != nil {
		return fmt.Errorf("task %v: %w", t.cfg.ID, err)
	}
	t.moved = false
	return nil
}
