package herder

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/worker"
)

// runner is what worker.SourceRunner and worker.SinkRunner have in common.
type runner interface {
	Run(ctx context.Context) error
	Pause()
	Resume()
	Stats() worker.Stats
}

// runningTask is one task with its restarts. One goroutine, run, drives it.
type runningTask struct {
	connector *runningConnector
	id        int
	props     map[string]string
	again     chan struct{} // asks for a restart; holds at most one

	mu       sync.Mutex
	state    State
	trace    string
	paused   bool
	restarts int
	runner   runner // nil between runs
	last     worker.Stats
}

func newTask(c *runningConnector, id int, props map[string]string) *runningTask {
	return &runningTask{connector: c, id: id, props: props, again: make(chan struct{}, 1), state: Unassigned, paused: c.isPaused()}
}

func (c *runningConnector) isPaused() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused
}

// run starts the task again and again until ctx ends.
func (t *runningTask) run(ctx context.Context, inst connect.Connector) {
	restart := t.connector.herder.restart
	for failures := 0; ctx.Err() == nil; {
		started := time.Now()
		err := t.once(ctx, inst)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			failures = countFailures(failures, time.Since(started), restart)
			t.setState(Failed, err)
			pause := restart.after(failures)
			t.connector.log.Error("task failed", "task", t.id, "error", err, "failures", failures, "restart_in", pause)
			t.awaitRestart(ctx, pause)
		}
		t.setState(Restarting, nil)
	}
	t.connector.herder.metrics.Forget(t.connector.name, t.id)
	t.setState(Unassigned, nil)
}

func (t *runningTask) awaitRestart(ctx context.Context, pause time.Duration) {
	var timer <-chan time.Time
	if pause >= 0 {
		tm := time.NewTimer(pause)
		defer tm.Stop()
		timer = tm.C
	}
	select {
	case <-ctx.Done():
	case <-timer:
	case <-t.again:
	}
}

// once runs the task until it fails, is to be restarted (nil) or ctx ends.
// A panic in connector code fails this task only.
func (t *runningTask) once(ctx context.Context, inst connect.Connector) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	r, err := t.build(inst)
	if err != nil {
		return err
	}
	t.begin(r)
	defer t.end(r)
	run, cancel := context.WithCancel(ctx)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-t.again:
			cancel()
		case <-stop:
		}
	})
	defer wg.Wait()
	defer close(stop)
	defer cancel()
	return r.Run(run)
}

func (t *runningTask) build(inst connect.Connector) (runner, error) {
	c := t.connector
	h := c.herder
	cfg := worker.Config{Connector: c.name, Task: t.id, Worker: h.cfg.Worker, Props: c.props, TaskProps: t.props,
		Client: h.cfg.Client, Logger: c.log.With("task", t.id), Metrics: h.metrics}
	if h.cfg.Registry != nil {
		cfg.Registry = prometheus.WrapRegistererWith(prometheus.Labels{"connector": c.name, "task": strconv.Itoa(t.id)}, h.cfg.Registry)
	}
	switch inst := inst.(type) {
	case connect.SourceConnector:
		return worker.NewSource(cfg, inst.NewTask(), h.cfg.Offsets)
	case connect.SinkConnector:
		return worker.NewSink(cfg, inst.NewTask())
	}
	return nil, fmt.Errorf("%w: %s makes no tasks", ErrNoPlugin, c.plugin.Name)
}

func (t *runningTask) begin(r runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runner = r
	t.state = Running
	if t.paused {
		t.state = Paused
		r.Pause()
	}
}

func (t *runningTask) end(r runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runner = nil
	t.last = addStats(t.last, r.Stats())
}

func addStats(a, b worker.Stats) worker.Stats {
	return worker.Stats{Read: a.Read + b.Read, Written: a.Written + b.Written, Committed: a.Committed + b.Committed}
}

func (t *runningTask) setState(s State, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s == Restarting {
		t.restarts++
	}
	t.state = s
	if err != nil {
		t.trace = err.Error()
	}
}

func (t *runningTask) setPaused(paused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = paused
	if t.runner == nil {
		return
	}
	if paused {
		t.runner.Pause()
		t.state = Paused
	} else {
		t.runner.Resume()
		t.state = Running
	}
}

func (t *runningTask) restart() {
	select {
	case t.again <- struct{}{}:
	default: // already asked
	}
}

func (t *runningTask) status() TaskStatus {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := TaskStatus{ID: t.id, Restarts: t.restarts, Stats: t.last,
		Status: Status{State: t.state, WorkerID: t.connector.herder.cfg.WorkerID, Version: t.connector.plugin.Version}}
	if t.state == Failed {
		s.Trace = t.trace
	}
	if t.runner != nil {
		s.Stats = addStats(t.last, t.runner.Stats())
	}
	return s
}
