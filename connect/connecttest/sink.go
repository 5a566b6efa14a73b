package connecttest

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/leatstream/leat/connect"
)

// Sink plays the runtime for one sink task: it delivers from logs in memory,
// honours RequestOffset, and keeps committed offsets.
type Sink struct {
	tb        testing.TB
	New       func() connect.SinkTask // makes the task; called at every start
	props     map[string]string
	logs      map[connect.TopicPartition][]*connect.Record // by offset order
	committed map[connect.TopicPartition]int64             // absent: start at the first record
	batch     int

	task     connect.SinkTask
	position map[connect.TopicPartition]int64 // next offset to deliver
	given    map[connect.TopicPartition]int64 // offset after the last delivered one
	seeks    map[connect.TopicPartition]int64
	paused   map[connect.TopicPartition]bool
	stop     context.CancelFunc
	// Reported are the records given to SinkContext.Report.
	Reported []*connect.Record
}

// NewSink makes a harness that delivers logs in batches of at most batch records.
func NewSink(tb testing.TB, newTask func() connect.SinkTask, props map[string]string, logs map[connect.TopicPartition][]*connect.Record, batch int) *Sink {
	return &Sink{tb: tb, New: newTask, props: props, logs: logs, batch: batch, committed: map[connect.TopicPartition]int64{}}
}

// Start makes a task and opens all partitions.
func (s *Sink) Start() error {
	s.task = s.New()
	s.position, s.given = map[connect.TopicPartition]int64{}, map[connect.TopicPartition]int64{}
	s.seeks, s.paused = map[connect.TopicPartition]int64{}, map[connect.TopicPartition]bool{}
	for tp := range s.logs {
		s.position[tp] = s.committed[tp]
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	if err := s.task.Start(ctx, &sinkContext{newTaskContext(s.tb), s}, maps.Clone(s.props)); err != nil {
		return err
	}
	if p, ok := s.task.(connect.Partitioned); ok {
		if err := p.Open(ctx, s.parts()); err != nil {
			return err
		}
	}
	s.applySeeks()
	return nil
}

func (s *Sink) parts() []connect.TopicPartition {
	var out []connect.TopicPartition
	for tp := range s.logs {
		out = append(out, tp)
	}
	return out
}

// Step delivers one batch (an empty one if there is nothing to deliver). It
// returns how many records it delivered.
func (s *Sink) Step() (int, error) {
	var batch []*connect.Record
	for _, tp := range s.parts() {
		if s.paused[tp] {
			continue
		}
		for _, r := range s.logs[tp] {
			if r.Offset >= s.position[tp] && len(batch) < s.batch {
				batch = append(batch, r.Clone())
				s.position[tp] = r.Offset + 1
			}
		}
	}
	if err := s.task.Put(context.Background(), batch); err != nil {
		if errors.Is(err, connect.ErrRetriable) {
			for _, r := range batch { // the same records come again
				s.position[r.Origin] = min(s.position[r.Origin], r.Offset)
			}
			s.applySeeks()
			return 0, nil
		}
		return 0, err
	}
	maps.Copy(s.given, s.position)
	s.applySeeks()
	return len(batch), nil
}

// Commit asks the task what is safe and keeps it.
func (s *Sink) Commit() error {
	safe, err := s.task.PreCommit(context.Background(), maps.Clone(s.given))
	if err != nil {
		return err
	}
	for tp, o := range safe {
		if o > s.given[tp] {
			s.tb.Errorf("offset %d of %v called safe, given up to %d", o, tp, s.given[tp])
		}
		s.committed[tp] = o
	}
	s.applySeeks()
	return nil
}

// Finish ends in order: flush, commit, close, stop.
func (s *Sink) Finish() error {
	ctx := context.Background()
	var err error
	if f, ok := s.task.(connect.Flusher); ok {
		err = f.Flush(ctx, s.parts())
	}
	err = errors.Join(err, s.Commit())
	if p, ok := s.task.(connect.Partitioned); ok {
		err = errors.Join(err, p.Close(ctx, s.parts(), false))
	}
	s.stop()
	return errors.Join(err, s.task.Stop())
}

// Crash forgets the task without a word to it.
func (s *Sink) Crash() {
	if s.stop != nil {
		s.stop()
	}
	s.task = nil
}

// Committed is the committed offset of a partition.
func (s *Sink) Committed(tp connect.TopicPartition) int64 { return s.committed[tp] }

func (s *Sink) applySeeks() {
	for tp, o := range s.seeks {
		s.position[tp], s.given[tp] = o, o
	}
	clear(s.seeks)
}

// sinkContext implements connect.SinkContext.
type sinkContext struct {
	taskContext
	s *Sink
}

func (c *sinkContext) RequestOffset(tp connect.TopicPartition, offset int64) { c.s.seeks[tp] = offset }
func (c *sinkContext) RequestCommit()                                        {}

func (c *sinkContext) Pause(parts ...connect.TopicPartition) {
	for _, tp := range parts {
		c.s.paused[tp] = true
	}
}

func (c *sinkContext) Resume(parts ...connect.TopicPartition) {
	for _, tp := range parts {
		delete(c.s.paused, tp)
	}
}

func (c *sinkContext) Report(_ context.Context, r *connect.Record, _ error) error {
	c.s.Reported = append(c.s.Reported, r)
	return nil
}

// CheckSink holds a sink to the promises of package connect. newTask makes
// tasks that all write to one target; logs are what they get. Afterwards
// everything must have been called safe.
func CheckSink(t *testing.T, p connect.Plugin, newTask func() connect.SinkTask, props map[string]string, logs map[connect.TopicPartition][]*connect.Record) {
	t.Run("plugin", func(t *testing.T) { checkPlugin(t, p, props) })
	t.Run("stop after a start that never was", func(t *testing.T) {
		if err := p.Sink().NewTask().Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("everything is safe after an orderly stop", func(t *testing.T) {
		s := NewSink(t, newTask, props, logs, 7)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := s.Step()
			if err != nil {
				t.Fatal(err)
			}
			if n == 0 {
				break
			}
		}
		if err := s.Finish(); err != nil {
			t.Fatal(err)
		}
		for tp, log := range logs {
			if want := log[len(log)-1].Offset + 1; s.Committed(tp) != want {
				t.Errorf("committed %d of %v, want %d", s.Committed(tp), tp, want)
			}
		}
	})
}

// Task is the running task, for tests that look inside.
func (s *Sink) Task() connect.SinkTask { return s.task }
