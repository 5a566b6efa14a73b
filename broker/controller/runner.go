package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sender carries the controller's requests to brokers.
type Sender interface {
	// Send delivers one request (LeaderAndISR, UpdateMetadata or StopReplica) to
	// a broker and waits for its answer. It may be called concurrently for
	// different brokers; for one broker the runner calls it one at a time.
	Send(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error)
}

// RunnerConfig is what a Runner works with.
type RunnerConfig struct {
	BrokerID int32
	Tree     coordination.Tree
	Sender   Sender
	Configs  *metadata.Configs
	// RetryDelay is how long a request to a broker that failed waits; default
	// 100 ms.
	RetryDelay time.Duration
	// NewID makes ids for topics that have none; nil: random ones.
	NewID func() coordination.UUID
}

// Runner stands for election and, while elected, runs the Controller. Run is its
// only loop; the goroutines it starts wait for one watch, one write or one
// request each, and end with it.
type Runner struct {
	cfg     RunnerConfig
	logger  *slog.Logger
	metrics runnerMetrics
	notes   *configNotes
}

type runnerMetrics struct {
	active     prometheus.Gauge
	topics     prometheus.Gauge
	partitions prometheus.Gauge
	offline    prometheus.Gauge
	brokers    prometheus.Gauge
}

func newRunnerMetrics(reg prometheus.Registerer) runnerMetrics {
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
		if reg != nil {
			reg.MustRegister(g)
		}
		return g
	}
	return runnerMetrics{
		active:     gauge("leat_controller_active", "1 while this broker is the controller."),
		topics:     gauge("leat_controller_topics", "Topics the controller knows of."),
		partitions: gauge("leat_controller_partitions", "Partitions the controller knows of."),
		offline:    gauge("leat_controller_offline_partitions", "Partitions without a leader."),
		brokers:    gauge("leat_controller_live_brokers", "Brokers that are registered."),
	}
}

// NewRunner checks the config and builds a Runner.
func NewRunner(cfg RunnerConfig, logger *slog.Logger, reg prometheus.Registerer) (*Runner, error) {
	if cfg.Tree == nil || cfg.Sender == nil || cfg.Configs == nil {
		return nil, errors.New("controller: runner needs a tree, a sender and configs")
	}
	if cfg.RetryDelay <= 0 {
		cfg.RetryDelay = 100 * time.Millisecond
	}
	if cfg.NewID == nil {
		cfg.NewID = RandomUUID
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r := &Runner{cfg: cfg, logger: logger, metrics: newRunnerMetrics(reg), notes: newConfigNotes()}
	cfg.Configs.OnTopicChange(r.notes.add)
	return r, nil
}

// Run stands for election until the context ends (nil) or the session does (an
// error that wraps coordination.ErrSessionExpired or ErrClosed). All goroutines
// it started have ended when it returns.
func (r *Runner) Run(ctx context.Context) error {
	for {
		won, watch, err := r.elect(ctx)
		if err == nil && won != nil {
			err = r.serve(ctx, *won)
		} else if err == nil {
			select {
			case <-watch:
			case <-ctx.Done():
			case <-r.cfg.Tree.Session().Done():
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case r.cfg.Tree.Session().Err() != nil:
			return fmt.Errorf("controller: %w", r.cfg.Tree.Session().Err())
		case errors.Is(err, coordination.ErrSessionExpired) || errors.Is(err, coordination.ErrClosed):
			return fmt.Errorf("controller: %w", err)
		case err != nil:
			r.logger.Warn("controller stopped, standing for election again", "error", err)
			if !sleep(ctx, r.cfg.RetryDelay) {
				return nil
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// term names one term of this broker as controller.
type term struct {
	epoch        int32
	epochVersion int32
}

// elect tries to become controller. Without success it returns a watch that
// fires when it is worth trying again.
func (r *Runner) elect(ctx context.Context) (*term, <-chan coordination.Event, error) {
	tree := r.cfg.Tree
	_, taken, watch, err := tree.ExistsW(ctx, coordination.ControllerPath)
	if err != nil || taken {
		return nil, watch, err
	}
	epoch, version, err := r.readEpoch(ctx)
	if err != nil {
		return nil, nil, err
	}
	node := coordination.ControllerNode{BrokerID: r.cfg.BrokerID, TimestampMs: time.Now().UnixMilli(), KRaftEpoch: -1}
	results, err := tree.Multi(ctx,
		coordination.Create(coordination.ControllerPath, node.Encode(), coordination.Ephemeral),
		coordination.Set(coordination.ControllerEpochPath, coordination.EncodeControllerEpoch(epoch+1), version))
	switch {
	case errors.Is(err, coordination.ErrNodeExists) || errors.Is(err, coordination.ErrBadVersion):
		return nil, watch, nil // somebody else won; the watch has fired or will
	case err != nil:
		return nil, nil, err
	}
	return &term{epoch: epoch + 1, epochVersion: results[1].Stat.Version}, nil, nil
}

// readEpoch reads /controller_epoch and makes it where it is missing.
func (r *Runner) readEpoch(ctx context.Context) (epoch, version int32, err error) {
	tree := r.cfg.Tree
	data, stat, err := tree.Get(ctx, coordination.ControllerEpochPath)
	if errors.Is(err, coordination.ErrNoNode) {
		_, _, err = tree.Create(ctx, coordination.ControllerEpochPath, coordination.EncodeControllerEpoch(0), coordination.Persistent)
		if err != nil && !errors.Is(err, coordination.ErrNodeExists) {
			return 0, 0, err
		}
		data, stat, err = tree.Get(ctx, coordination.ControllerEpochPath)
	}
	if err != nil {
		return 0, 0, err
	}
	epoch, err = coordination.DecodeControllerEpoch(data)
	return epoch, stat.Version, err
}

// serve runs one term.
func (r *Runner) serve(ctx context.Context, won term) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &shift{
		Runner: r,
		reader: reader{ctx: ctx, tree: r.cfg.Tree, configs: r.cfg.Configs, logger: r.logger, watched: map[string]bool{}},
		inbox:  make(chan any, 64),
		writes: make(chan struct{}, maxWrites),
		core:   NewController(Options{BrokerID: r.cfg.BrokerID, DeleteTopic: r.cfg.Configs.Broker().DeleteTopicEnable, NewID: r.cfg.NewID}),
	}
	s.reader.await = s.awaitChange
	r.logger.Info("elected as controller", "epoch", won.epoch)
	r.metrics.active.Set(1)
	err := s.run(won)
	cancel()
	s.wg.Wait()
	r.release(ctx, won)
	r.metrics.active.Set(0)
	r.logger.Info("no longer controller", "epoch", won.epoch, "reason", s.reason)
	return err
}

// release gives /controller up if this term still holds it, so that the next
// election need not wait for the session to end.
func (r *Runner) release(ctx context.Context, won term) {
	if r.cfg.Tree.Session().Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer cancel()
	_, err := r.cfg.Tree.Multi(ctx,
		coordination.Check(coordination.ControllerEpochPath, won.epochVersion),
		coordination.Delete(coordination.ControllerPath, coordination.AnyVersion))
	if err != nil && !errors.Is(err, coordination.ErrNoNode) && !errors.Is(err, coordination.ErrBadVersion) {
		r.logger.Warn("giving up /controller failed", "error", err)
	}
}

// releaseTimeout bounds how long a controller that stops waits for the tree.
const releaseTimeout = 2 * time.Second

// maxWrites bounds the writes to the tree that are under way.
const maxWrites = 64

// shift is one term at work. Its fields belong to run's goroutine; the others
// only put into inbox.
type shift struct {
	*Runner
	reader
	core     *Controller
	inbox    chan any      // Event or change
	writes   chan struct{} // one element per write under way
	wg       sync.WaitGroup
	resigned bool
	reason   string
}

// change is a fired watch.
type change struct {
	path  string
	event coordination.Event
}

func (s *shift) run(won term) error {
	elected, err := s.loadAll(won)
	if err != nil {
		return err
	}
	_, held, gone, err := s.cfg.Tree.ExistsW(s.ctx, coordination.ControllerPath)
	if err != nil || !held {
		return err
	}
	s.step(*elected)
	for !s.resigned {
		select {
		case <-s.ctx.Done():
			s.reason = "stopping"
			return nil
		case <-s.cfg.Tree.Session().Done():
			s.reason = "session ended"
			return s.cfg.Tree.Session().Err()
		case ev := <-gone:
			if ev.Type == coordination.NodeDeleted || ev.Type == coordination.SessionEnded {
				s.reason = "/controller is gone"
				return nil
			}
			if _, held, gone, err = s.cfg.Tree.ExistsW(s.ctx, coordination.ControllerPath); err != nil || !held {
				return err
			}
		case <-s.notes.wake:
			s.configsChanged()
		case in := <-s.inbox:
			// Watches fire in the order of changes: what happened after the loss of
			// /controller must not be acted on, so the loss is looked for first.
			if len(gone) > 0 {
				s.later(in)
				continue
			}
			if err := s.take(in); err != nil {
				return err
			}
		}
	}
	return nil
}

// later puts something back into the inbox.
func (s *shift) later(in any) { s.spawn(func() { s.put(in) }) }

func (s *shift) take(in any) error {
	if c, ok := in.(change); ok {
		delete(s.watched, c.path)
		if c.event.Type == coordination.SessionEnded {
			return c.event.Err
		}
		return s.changed(c.path)
	}
	s.step(in.(Event))
	return nil
}

// step feeds the core and carries out what it asks for.
func (s *shift) step(ev Event) {
	for _, e := range s.core.Step(ev) {
		s.carryOut(e)
	}
	s.report()
}

func (s *shift) report() {
	partitions, offline := s.core.Counts()
	s.metrics.topics.Set(float64(len(s.core.topics)))
	s.metrics.partitions.Set(float64(partitions))
	s.metrics.offline.Set(float64(offline))
	s.metrics.brokers.Set(float64(len(s.core.live)))
}

func (s *shift) carryOut(e Effect) {
	switch e := e.(type) {
	case Write:
		s.spawn(func() { s.write(e) })
	case Send:
		s.spawn(func() { s.send(e) })
	case Load:
		if err := s.loadInto(e.Topic); err != nil {
			// A new term reads everything again.
			s.Runner.logger.Error("reading a topic failed", "topic", e.Topic, "error", err)
			s.resigned, s.reason = true, "the tree cannot be read"
		}
	case Resign:
		s.resigned, s.reason = true, e.Reason
	}
}

func (s *shift) spawn(fn func()) {
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		fn()
	}()
}

// put hands something to run. It gives up when the term ends.
func (s *shift) put(in any) {
	select {
	case s.inbox <- in:
	case <-s.ctx.Done():
	}
}

func (s *shift) write(w Write) {
	select {
	case s.writes <- struct{}{}:
	case <-s.ctx.Done():
		return
	}
	results, err := s.cfg.Tree.Multi(s.ctx, w.Ops...)
	<-s.writes
	if err != nil {
		s.Runner.logger.Warn("controller's write failed", "topic", w.Topic, "error", err)
	}
	s.put(WriteDone{Topic: w.Topic, Mark: w.Mark, Results: results, Err: err})
}

func (s *shift) send(e Send) {
	if e.Again && !sleep(s.ctx, s.cfg.RetryDelay) {
		return
	}
	resp, err := s.cfg.Sender.Send(s.ctx, e.Broker, e.Request)
	if err != nil && s.ctx.Err() == nil {
		s.Runner.logger.Warn("request to a broker failed", "broker", e.Broker, "api", e.Request.Key(), "error", err)
	}
	s.put(Replied{Broker: e.Broker, Epoch: e.Epoch, Request: e.Request, Response: resp, Err: err})
}

// awaitChange puts a change into the inbox when a watch fires.
func (s *shift) awaitChange(path string, watch <-chan coordination.Event) {
	s.spawn(func() {
		select {
		case ev := <-watch:
			s.put(change{path, ev})
		case <-s.ctx.Done():
		}
	})
}
