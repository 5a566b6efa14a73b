package pipelines

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/runtime"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
)

// Config says how a pipeline runs.
type Config struct {
	// Client are the options of every Kafka client: brokers, TLS, SASL.
	Client []kgo.Opt
	// StateDir keeps the stores; empty keeps them in memory, to be restored
	// from their changelogs at each start.
	StateDir string
	// Threads, CommitInterval, PollWait and SessionTimeout are those of the
	// streams runtime; zero takes its defaults.
	Threads        int
	CommitInterval time.Duration
	PollWait       time.Duration
	SessionTimeout time.Duration
	// InstanceID makes the threads static members of the pipeline's group, so
	// that a process which starts again has its tasks back at once.
	InstanceID string
	// Connectors runs connectors until the context ends. It may be nil if the
	// pipeline needs none.
	Connectors func(ctx context.Context, name string, properties []map[string]string) error
	Logger     *slog.Logger
	Registry   prometheus.Registerer // nil: no metrics
}

// ErrNoConnectors is returned for a pipeline with connectors and no runner.
var ErrNoConnectors = errors.New("the pipeline needs connectors, and there is nothing to run them")

// App is a running pipeline.
type App struct {
	plan *Plan
	cfg  Config
	app  *runtime.App // nil without a topology
}

// New prepares a pipeline to run.
func New(plan *Plan, cfg Config) (*App, error) {
	a := &App{plan: plan, cfg: cfg}
	if len(plan.Connectors) > 0 && cfg.Connectors == nil {
		return nil, fmt.Errorf("pipeline %s: %w", plan.Name, ErrNoConnectors)
	}
	if a.cfg.Logger == nil {
		a.cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if plan.Topology == nil {
		return a, nil
	}
	var err error
	a.app, err = runtime.New(plan.Topology, runtime.Config{
		App: plan.Name, Client: cfg.Client, StateDir: cfg.StateDir, Threads: cfg.Threads, CommitInterval: cfg.CommitInterval,
		PollWait: cfg.PollWait, SessionTimeout: cfg.SessionTimeout, InstanceID: cfg.InstanceID, Handler: plan.Handler, DeadLetter: plan.DeadLetter,
	}, a.cfg.Logger, cfg.Registry)
	if err != nil {
		return nil, fmt.Errorf("pipeline %s: %w", plan.Name, err)
	}
	return a, nil
}

// Plan is what the pipeline runs.
func (a *App) Plan() *Plan { return a.plan }

// State is what the pipeline is doing, in the words of the streams runtime.
func (a *App) State() string {
	if a.app == nil {
		return string(runtime.Running)
	}
	return string(a.app.State())
}

// Topology is the pipeline's graph, nil if it only connects.
func (a *App) Topology() *topology.Topology { return a.plan.Topology }

// Run creates the topics that do not exist, and runs until ctx ends, which is
// no error, or until something fails that a restart of the pipeline may mend.
func (a *App) Run(ctx context.Context) error {
	if err := a.createTopics(ctx); err != nil {
		return fmt.Errorf("pipeline %s: %w", a.plan.Name, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var jobs []func(context.Context) error
	if a.app != nil {
		jobs = append(jobs, a.app.Run)
	}
	if len(a.plan.Connectors) > 0 {
		jobs = append(jobs, func(ctx context.Context) error { return a.cfg.Connectors(ctx, a.plan.Name, a.plan.Connectors) })
	}
	results := make(chan error, len(jobs))
	for _, job := range jobs {
		go func() { results <- job(ctx) }()
	}
	var errs []error
	for range jobs {
		err := <-results
		if err != nil {
			errs = append(errs, fmt.Errorf("pipeline %s: %w", a.plan.Name, err))
		}
		cancel() // one that ends takes the others with it
	}
	return errors.Join(errs...)
}

// createTopics makes the pipeline's topics as far as they are missing. A
// source that is missing, too, so that pipeline and producers may start in any
// order.
func (a *App) createTopics(ctx context.Context) error {
	cl, err := kgo.NewClient(a.cfg.Client...)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, t := range a.plan.Topics {
		partitions := int32(t.Partitions)
		if partitions == 0 {
			partitions = -1
		}
		resp, err := adm.CreateTopic(ctx, partitions, -1, nil, t.Name)
		switch {
		case errors.Is(resp.Err, kerr.TopicAlreadyExists) || errors.Is(err, kerr.TopicAlreadyExists):
		case err != nil:
			return fmt.Errorf("create topic %s: %w", t.Name, err)
		default:
			a.cfg.Logger.Info("topic created", "topic", t.Name, "role", string(t.Role))
		}
	}
	return nil
}

// OpenWindow is one window of an aggregate that has not been emitted yet, or
// is kept after it.
type OpenWindow struct {
	Step  string         `json:"step"`
	Key   string         `json:"key"`
	Start time.Time      `json:"start"`
	Value map[string]any `json:"value"`
}

// Windows calls fn for the committed windows of an aggregate step that this
// process holds.
func (a *App) Windows(step string, fn func(OpenWindow) bool) error {
	for _, s := range a.plan.Stores {
		if s.Name == step && a.app != nil {
			return a.windows(s, fn)
		}
	}
	return fmt.Errorf("pipeline %s: step %s has no windows", a.plan.Name, step)
}

func (a *App) windows(s Store, fn func(OpenWindow) bool) error {
	var failed error
	err := a.app.Each(s.Name, func(_ processor.TaskID, it state.Item) bool {
		value, err := s.Read(it.Value)
		if err != nil {
			failed = fmt.Errorf("store %s: %w", s.Name, err)
			return false
		}
		return fn(OpenWindow{Step: s.Name, Key: keyText(it.Key), Start: time.UnixMilli(it.Start).UTC(), Value: value})
	})
	return errors.Join(failed, err)
}

// keyText is the text of a stored key, with or without a window of its own.
func keyText(b []byte) string {
	if k, err := storeKeySerde.Decode(b); err == nil {
		return k.Text
	}
	return string(b)
}
