package connecttest

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/leatstream/leat/connect"
)

// patience is how long a harness waits for what must come.
const patience = 10 * time.Second

// Source runs the first task of a source connector.
type Source struct {
	tb     testing.TB
	plugin connect.Plugin
	props  map[string]string
	ctx    *sourceContext
	conn   connect.SourceConnector
	task   connect.SourceTask
	stop   context.CancelFunc
}

// StartSource starts connector and task; both are stopped with the test.
func StartSource(tb testing.TB, p connect.Plugin, props map[string]string) *Source {
	tb.Helper()
	s := &Source{tb: tb, plugin: p, props: props, ctx: &sourceContext{offsets: map[string]string{}}}
	s.start()
	tb.Cleanup(s.Stop)
	return s
}

func (s *Source) start() {
	s.tb.Helper()
	s.ctx.taskContext = newTaskContext(s.tb)
	s.conn = s.plugin.Source()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	if err := s.conn.Start(ctx, connectorContext{s.ctx.taskContext}, maps.Clone(s.props)); err != nil {
		s.tb.Fatalf("start of the connector: %v", err)
	}
	configs, err := s.conn.TaskConfigs(1)
	if err != nil || len(configs) != 1 {
		s.tb.Fatalf("one task was asked for, got %d, %v", len(configs), err)
	}
	s.task = s.conn.NewTask()
	if err := s.task.Start(ctx, s.ctx, configs[0]); err != nil {
		s.tb.Fatalf("start of the task: %v", err)
	}
}

// Stop stops task and connector; a second call does nothing.
func (s *Source) Stop() {
	if s.task == nil {
		return
	}
	s.stop()
	if err := s.task.Stop(); err != nil {
		s.tb.Errorf("stop of the task: %v", err)
	}
	if err := s.conn.Stop(); err != nil {
		s.tb.Errorf("stop of the connector: %v", err)
	}
	s.task, s.conn = nil, nil
}

// Restart stops and starts; only offsets given to Store are known afterwards.
func (s *Source) Restart() {
	s.tb.Helper()
	s.Stop()
	s.start()
}

// Poll polls once, waiting at most d for records.
func (s *Source) Poll(d time.Duration) []*connect.SourceRecord {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	out, err := s.task.Poll(ctx)
	if err != nil {
		s.tb.Fatalf("poll: %v", err)
	}
	return out
}

// Next polls until there are at least n records.
func (s *Source) Next(n int) []*connect.SourceRecord {
	s.tb.Helper()
	var out []*connect.SourceRecord
	deadline := time.Now().Add(patience)
	for len(out) < n {
		if time.Now().After(deadline) {
			s.tb.Fatalf("waited in vain for %d records, got %d", n, len(out))
		}
		out = append(out, s.Poll(100*time.Millisecond)...)
	}
	return out
}

// Store keeps the offsets of records, as the runtime does after the broker has them.
func (s *Source) Store(records []*connect.SourceRecord) {
	s.tb.Helper()
	for _, r := range records {
		if err := s.ctx.store(r); err != nil {
			s.tb.Fatalf("offset is not storable: %v", err)
		}
	}
}

// SetOffset keeps an offset that another program might have left.
func (s *Source) SetOffset(partition, offset map[string]any) {
	s.Store([]*connect.SourceRecord{{SourcePartition: partition, SourceOffset: offset}})
}

// CheckSource holds a source to the promises of package connect. The
// properties must make it give at least three records.
func CheckSource(t *testing.T, p connect.Plugin, props map[string]string) {
	t.Run("plugin", func(t *testing.T) { checkPlugin(t, p, props) })
	t.Run("records have topic and source partition", func(t *testing.T) {
		s := StartSource(t, p, props)
		for _, r := range s.Next(3) {
			if r.Topic == "" || len(r.SourcePartition) == 0 {
				t.Errorf("record without topic or source partition: %+v", r)
			}
		}
	})
	t.Run("poll returns when its context ends", func(t *testing.T) {
		s := StartSource(t, p, props)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		for range 3 {
			if _, err := s.task.Poll(ctx); err != nil {
				t.Errorf("poll after the end of its context: %v", err)
			}
		}
	})
	t.Run("stop after a start that never was", func(t *testing.T) {
		if err := p.Source().NewTask().Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Run("restart goes on after the stored offset", func(t *testing.T) { checkResume(t, p, props) })
}

func checkResume(t *testing.T, p connect.Plugin, props map[string]string) {
	s := StartSource(t, p, props)
	first := s.Next(3)
	if first[0].SourceOffset == nil {
		t.Skip("the source has no offsets")
	}
	s.Store(first[:1])
	s.Restart()
	again := s.Next(2)
	for i, r := range again[:2] {
		if a, b := first[i+1].SourceOffset, r.SourceOffset; !sameOffset(a, b) {
			t.Errorf("record %d after the restart has offset %v, before it had %v", i, b, a)
		}
	}
}

func sameOffset(a, b map[string]any) bool {
	return maps.EqualFunc(a, b, func(x, y any) bool { return x == y })
}
