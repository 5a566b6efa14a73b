package herder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/leatstream/leat/connect"
)

// signal is why a running connector should look up from its work.
type signal int

const (
	signalReconfigure signal = iota // its tasks may have changed
	signalRestart                   // someone asked for a fresh start
)

// runningConnector is one connector and its tasks. One goroutine, run, drives
// it; everything under mu is shared with those who ask and steer.
type runningConnector struct {
	herder   *Standalone
	name     string
	maxTasks int
	plugin   connect.Plugin
	props    map[string]string
	log      *slog.Logger
	signals  chan signal // holds at most one of what is still to be seen
	failures chan error  // from ConnectorContext.Fail

	mu     sync.Mutex
	state  State
	trace  string
	paused bool
	tasks  []*runningTask
}

func newConnector(h *Standalone, name string, maxTasks int, plugin connect.Plugin, props map[string]string) *runningConnector {
	return &runningConnector{herder: h, name: name, maxTasks: maxTasks, plugin: plugin, props: props,
		log: h.cfg.Logger.With("connector", name), state: Unassigned,
		signals: make(chan signal, 1), failures: make(chan error, 1)}
}

// run starts the connector again and again until ctx ends.
func (c *runningConnector) run(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		started := time.Now()
		err := c.once(ctx)
		if ctx.Err() != nil {
			break
		}
		if err == nil {
			c.set(Restarting, nil)
			continue
		}
		failures = countFailures(failures, time.Since(started), c.herder.restart)
		c.set(Failed, err)
		c.log.Error("connector failed", "error", err, "failures", failures)
		c.awaitRestart(ctx, c.herder.restart.after(failures))
		c.set(Restarting, nil)
	}
	c.set(Stopped, nil)
}

// countFailures starts from one again when the last run was long.
func countFailures(before int, ran time.Duration, b backoff) int {
	if ran > 2*b.most {
		return 1
	}
	return before + 1
}

func (c *runningConnector) awaitRestart(ctx context.Context, pause time.Duration) {
	var timer <-chan time.Time
	if pause >= 0 {
		t := time.NewTimer(pause)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
	case <-timer:
	case <-c.signals:
	}
}

// once runs the connector until it fails, is to be restarted (nil) or ctx ends.
func (c *runningConnector) once(ctx context.Context) (err error) {
	inst := c.instance()
	defer func() {
		if serr := inst.Stop(); serr != nil {
			c.log.Warn("stopping the connector failed", "error", serr)
		}
	}()
	if err := inst.Start(ctx, connectorContext{c}, maps.Clone(c.props)); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	for {
		configs, err := inst.TaskConfigs(c.maxTasks)
		if err != nil {
			return fmt.Errorf("task configurations: %w", err)
		}
		if len(configs) > c.maxTasks {
			return fmt.Errorf("connector made %d task configurations, tasks.max is %d", len(configs), c.maxTasks)
		}
		sig, err := c.runTasks(ctx, inst, configs)
		if err != nil || ctx.Err() != nil || sig == signalRestart {
			return err
		}
	}
}

func (c *runningConnector) instance() connect.Connector {
	if c.plugin.Source != nil {
		return c.plugin.Source()
	}
	return c.plugin.Sink()
}

// runTasks runs one set of tasks until a signal, a failure of the connector or
// the end of ctx; all tasks have stopped when it returns.
func (c *runningConnector) runTasks(ctx context.Context, inst connect.Connector, configs []map[string]string) (signal, error) {
	run, cancel := context.WithCancel(ctx)
	tasks := make([]*runningTask, len(configs))
	for i, props := range configs {
		tasks[i] = newTask(c, i, props)
	}
	c.mu.Lock()
	c.tasks, c.state = tasks, Running
	c.trace = ""
	if c.paused {
		c.state = Paused
	}
	c.mu.Unlock()
	var wg sync.WaitGroup
	for _, t := range tasks {
		wg.Go(func() { t.run(run, inst) })
	}
	defer wg.Wait()
	defer cancel()
	select {
	case <-ctx.Done():
		return signalRestart, nil
	case sig := <-c.signals:
		return sig, nil
	case err := <-c.failures:
		return signalRestart, err
	}
}

// wake leaves a signal; a restart is not forgotten for a reconfiguration.
func (c *runningConnector) wake(s signal) {
	for {
		select {
		case c.signals <- s:
			return
		default:
		}
		select {
		case old := <-c.signals:
			s = max(s, old)
		default:
		}
	}
}

func (c *runningConnector) set(s State, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = s
	if err != nil {
		c.trace = err.Error()
	}
}

func (c *runningConnector) setPaused(paused bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.paused = paused
	if c.state == Running || c.state == Paused {
		c.state = Running
		if paused {
			c.state = Paused
		}
	}
	for _, t := range c.tasks {
		t.setPaused(paused)
	}
}

func (c *runningConnector) restartTask(id int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id < 0 || id >= len(c.tasks) {
		return false
	}
	c.tasks[id].restart()
	return true
}

func (c *runningConnector) status() ConnectorStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := ConnectorStatus{Name: c.name, Type: c.plugin.Type(), Tasks: []TaskStatus{},
		Connector: Status{State: c.state, WorkerID: c.herder.cfg.WorkerID, Version: c.plugin.Version}}
	if c.state == Failed {
		s.Connector.Trace = c.trace
	}
	for _, t := range c.tasks {
		s.Tasks = append(s.Tasks, t.status())
	}
	return s
}

func (c *runningConnector) info() Info {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := Info{Name: c.name, Config: maps.Clone(c.props), Type: c.plugin.Type(), Tasks: []TaskID{}}
	for n := range c.tasks {
		i.Tasks = append(i.Tasks, TaskID{c.name, n})
	}
	return i
}

// connectorContext implements connect.ConnectorContext.
type connectorContext struct{ c *runningConnector }

func (x connectorContext) Name() string         { return x.c.name }
func (x connectorContext) Logger() *slog.Logger { return x.c.log }
func (x connectorContext) Reconfigure()         { x.c.wake(signalReconfigure) }

func (x connectorContext) Fail(err error) {
	if err == nil {
		err = errors.New("connector failed without a reason")
	}
	select {
	case x.c.failures <- err:
	default: // one reason is enough
	}
}
