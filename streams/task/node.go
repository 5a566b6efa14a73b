package task

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/topology"
)

// node is one node of a running task and the Context of its processor.
type node struct {
	t        *Task
	name     string
	proc     processor.Processor // of a processor
	sink     *topology.Sink      // of a sink
	topic    string              // full name of the sink's topic
	children []*node             // reached by Forward
	sides    []*node             // reached by ForwardTo only
	stores   []string
	buf      []byte
}

func (t *Task) addNode(n *topology.Node) {
	out := &node{t: t, name: n.Name, sink: n.Sink, stores: n.Stores}
	if n.Supplier != nil {
		out.proc = n.Supplier()
	}
	if n.Sink != nil {
		out.topic = n.Sink.Topic
		if n.Sink.Repartition {
			out.topic = topology.InternalName(t.cfg.App, n.Sink.Topic)
		}
	}
	for _, p := range n.Parents { // built before their children
		parent := t.byName[p]
		if n.Sink != nil && n.Sink.Side {
			parent.sides = append(parent.sides, out)
		} else {
			parent.children = append(parent.children, out)
		}
	}
	t.nodes = append(t.nodes, out)
	t.byName[n.Name] = out
}

var _ processor.Context = (*node)(nil)

func (n *node) Ctx() context.Context    { return n.t.cfg.Ctx }
func (n *node) Task() processor.TaskID  { return n.t.cfg.ID }
func (n *node) Node() string            { return n.name }
func (n *node) StreamTime() int64       { return n.t.streamTime }
func (n *node) WallTime() int64         { return n.t.now }
func (n *node) Current() processor.Meta { return n.t.current }
func (n *node) Logger() *slog.Logger    { return n.t.cfg.Logger }

func (n *node) Drop(reason processor.Reason) { n.t.stats.Drops[reason]++ }

func (n *node) Store(name string) (any, error) {
	if !slices.Contains(n.stores, name) {
		return nil, fmt.Errorf("task: %s is not connected to store %s", n.name, name)
	}
	return n.t.cfg.Stores.Store(name)
}

func (n *node) Forward(m processor.Message) error {
	for _, c := range n.children {
		if err := c.receive(m); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) ForwardTo(child string, m processor.Message) error {
	for _, list := range [2][]*node{n.children, n.sides} {
		for _, c := range list {
			if c.name == child {
				return c.receive(m)
			}
		}
	}
	return processor.Fail(fmt.Errorf("task: %s has no child %s", n.name, child))
}

// receive handles one record at the node; an error of it is dealt with here,
// and comes back only if the task has to stop.
func (n *node) receive(m processor.Message) error {
	if n.sink != nil {
		if err := n.send(m); err != nil {
			return n.t.failed(n, processor.PhaseProduce, err, nil)
		}
		return nil
	}
	if err := n.proc.Process(m); err != nil {
		return n.t.failed(n, processor.PhaseProcess, err, func() error { return n.proc.Process(m) })
	}
	return nil
}

// send encodes a record for the sink's topic.
func (n *node) send(m processor.Message) error {
	info := m.Info()
	out := Output{Topic: n.topic, Partition: -1, Time: info.Time, Headers: info.Headers}
	if n.sink.TopicOf != nil {
		if out.Topic = n.sink.TopicOf(m); out.Topic == "" {
			return errors.New("no topic for the record")
		}
	}
	var isNull bool
	var err error
	if n.buf, isNull, err = n.sink.Encode.AppendKey(n.buf[:0], m); err != nil {
		return fmt.Errorf("key: %w", err)
	} else if !isNull {
		out.Key = n.t.arena.copyNonNil(n.buf)
	}
	if n.buf, isNull, err = n.sink.Encode.AppendValue(n.buf[:0], m); err != nil {
		return fmt.Errorf("value: %w", err)
	} else if !isNull {
		out.Value = n.t.arena.copyNonNil(n.buf)
	}
	if n.sink.Partition != nil {
		out.Partition = n.sink.Partition(m, n.t.cfg.Partitions(out.Topic))
	}
	n.t.outs = append(n.t.outs, out)
	return nil
}

// arena hands out bytes that are never reused, from large blocks.
type arena struct{ free []byte }

const arenaBlock = 64 << 10

// copy copies b; nil stays nil.
func (a *arena) copy(b []byte) []byte {
	if b == nil {
		return nil
	}
	return a.copyNonNil(b)
}

func (a *arena) copyNonNil(b []byte) []byte {
	if len(b) > arenaBlock/8 {
		return append(make([]byte, 0, len(b)), b...)
	}
	if len(b) > cap(a.free)-len(a.free) || a.free == nil {
		a.free = make([]byte, 0, arenaBlock)
	}
	n := len(a.free)
	a.free = append(a.free, b...)
	return a.free[n:len(a.free):len(a.free)]
}

// timer is one scheduled punctuation.
type timer struct {
	node      *node
	clock     processor.Clock
	every     int64
	origin    int64 // the grid: origin + k*every
	next      int64
	fn        func(at int64) error
	cancelled bool
}

// Schedule adds a punctuation. By stream time it is first due with the first
// record, by the wall clock one interval from now.
func (n *node) Schedule(every time.Duration, clock processor.Clock, fn func(at int64) error) (cancel func()) {
	tm := &timer{node: n, clock: clock, every: max(1, every.Milliseconds()), fn: fn}
	if clock == processor.WallClock {
		tm.origin = n.t.now
		tm.next = n.t.now + tm.every
	}
	n.t.timers = append(n.t.timers, tm)
	return func() { tm.cancelled = true }
}

// punctuate runs what is due, each punctuation at most once.
func (t *Task) punctuate(clock processor.Clock, at int64) error {
	if len(t.timers) == 0 {
		return nil
	}
	for i := 0; i < len(t.timers); i++ { // fn may add timers
		tm := t.timers[i]
		if tm.cancelled || tm.clock != clock || at < tm.next {
			continue
		}
		tm.next = tm.origin + ((at-tm.origin)/tm.every+1)*tm.every
		t.current = processor.Meta{Time: at}
		t.stats.Punctuation++
		if err := tm.fn(at); err != nil {
			if err = t.failed(tm.node, processor.PhaseProcess, err, nil); err != nil {
				return err
			}
		}
		t.current = processor.Meta{}
	}
	t.timers = slices.DeleteFunc(t.timers, func(tm *timer) bool { return tm.cancelled })
	return nil
}
