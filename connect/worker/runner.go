package worker

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Stats are figures of one task since its runner was made.
type Stats struct {
	Read      int64 `json:"read"`      // records polled from the source or read from topics
	Written   int64 `json:"written"`   // records acknowledged by the broker or taken by the sink
	Committed int64 `json:"committed"` // successful offset commits
}

// stats is the concurrent form of Stats.
type stats struct{ read, written, committed atomic.Int64 }

func (s *stats) get() Stats {
	return Stats{Read: s.read.Load(), Written: s.written.Load(), Committed: s.committed.Load()}
}

// taskContext implements connect.TaskContext.
type taskContext struct {
	cfg      Config
	registry *scopedRegistry
}

func newTaskContext(cfg Config) taskContext {
	return taskContext{cfg: cfg, registry: &scopedRegistry{inner: cfg.Registry}}
}

func (t taskContext) Connector() string              { return t.cfg.Connector }
func (t taskContext) Task() int                      { return t.cfg.Task }
func (t taskContext) Logger() *slog.Logger           { return t.cfg.Logger }
func (t taskContext) Metrics() prometheus.Registerer { return t.registry }

// scopedRegistry remembers what a task registered, to remove it afterwards.
// With a nil inner registry it accepts and forgets.
type scopedRegistry struct {
	inner prometheus.Registerer

	mu   sync.Mutex
	done []prometheus.Collector
}

// Register implements prometheus.Registerer.
func (s *scopedRegistry) Register(c prometheus.Collector) error {
	if s.inner == nil {
		return nil
	}
	if err := s.inner.Register(c); err != nil {
		return err
	}
	s.mu.Lock()
	s.done = append(s.done, c)
	s.mu.Unlock()
	return nil
}

// MustRegister implements prometheus.Registerer.
func (s *scopedRegistry) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := s.Register(c); err != nil {
			panic(err)
		}
	}
}

// Unregister implements prometheus.Registerer.
func (s *scopedRegistry) Unregister(c prometheus.Collector) bool {
	return s.inner != nil && s.inner.Unregister(c)
}

func (s *scopedRegistry) clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.done {
		s.inner.Unregister(c)
	}
	s.done = nil
}
