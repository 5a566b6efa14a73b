package herder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/store"
	"github.com/leatstream/leat/connect/worker"
)

// Errors of this package.
var (
	ErrNotFound = errors.New("herder: no such connector or task")
	ErrNoPlugin = errors.New("herder: no such connector plugin")
)

// Config is what a Standalone needs.
type Config struct {
	// Worker holds the worker's properties; see worker.WorkerDef and RestartDef.
	Worker map[string]string
	// Connectors holds the properties of each connector, "name" and
	// "connector.class" included.
	Connectors []map[string]string
	Plugins    []connect.Plugin
	// Client holds the options of every Kafka client: brokers, security.
	Client []kgo.Opt
	// Offsets keeps source offsets; nil opens offset.storage.file.filename.
	Offsets  store.Offsets
	WorkerID string // host:port; "" is "standalone"
	Logger   *slog.Logger
	Registry prometheus.Registerer // nil: no metrics
}

// ConnectorDef declares the settings that every connector has.
func ConnectorDef() *config.Def {
	return config.New(
		config.Key{Name: "name", Type: config.String, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Name of the connector; unique on a worker."},
		config.Key{Name: "connector.class", Type: config.Class, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Plugin to run: its name or Java class."},
		config.Key{Name: "tasks.max", Type: config.Int, Default: 1, Check: config.AtLeast(1), Importance: config.High, Doc: "The most tasks to run."},
	)
}

// RestartDef declares how failed tasks are started again.
func RestartDef() *config.Def {
	return config.New(
		config.Key{Name: "task.restart.backoff.ms", Type: config.Long, Default: int64(1000), Check: config.AtLeast(-1), Doc: "Pause before a failed task is started again; doubles with each failure. -1 leaves it FAILED."},
		config.Key{Name: "task.restart.backoff.max.ms", Type: config.Long, Default: int64(300_000), Check: config.AtLeast(1), Doc: "Longest such pause."},
	)
}

// Standalone runs connectors in this process.
type Standalone struct {
	cfg     Config
	metrics *worker.Metrics
	restart backoff

	connectors []*runningConnector // in the order given; fixed
}

// NewStandalone checks every configuration; nothing runs before Run.
func NewStandalone(cfg Config) (*Standalone, error) {
	if cfg.WorkerID == "" {
		cfg.WorkerID = "standalone"
	}
	if _, err := worker.WorkerDef().Parse(cfg.Worker); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	v, err := RestartDef().Parse(cfg.Worker)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	h := &Standalone{cfg: cfg, restart: backoff{first: v.Millis("task.restart.backoff.ms"), most: v.Millis("task.restart.backoff.max.ms")}}
	for _, props := range cfg.Connectors {
		c, err := h.build(props)
		if err != nil {
			return nil, err
		}
		h.connectors = append(h.connectors, c)
	}
	if err := h.openOffsets(); err != nil {
		return nil, err
	}
	h.metrics = worker.NewMetrics(cfg.Registry)
	return h, nil
}

func (h *Standalone) openOffsets() error {
	if h.cfg.Offsets != nil {
		return nil
	}
	path := strings.TrimSpace(h.cfg.Worker["offset.storage.file.filename"])
	if path == "" {
		if slices.ContainsFunc(h.connectors, func(c *runningConnector) bool { return c.plugin.Source != nil }) {
			return fmt.Errorf("%w: source connectors need offset.storage.file.filename", config.ErrInvalid)
		}
		return nil
	}
	f, err := store.OpenFile(path)
	if err != nil {
		return err
	}
	h.cfg.Offsets = f
	return nil
}

func (h *Standalone) build(props map[string]string) (*runningConnector, error) {
	v, err := ConnectorDef().Parse(props)
	if err != nil {
		return nil, fmt.Errorf("connector %s: %w", props["name"], err)
	}
	name := v.String("name")
	if h.find(name) != nil {
		return nil, fmt.Errorf("%w: connector %s is configured twice", config.ErrInvalid, name)
	}
	plugin, err := FindPlugin(h.cfg.Plugins, v.String("connector.class"))
	if err != nil {
		return nil, fmt.Errorf("connector %s: %w", name, err)
	}
	if plugin.Config != nil {
		def := plugin.Config()
		if _, err := def.Parse(props); err != nil {
			return nil, fmt.Errorf("connector %s: %w", name, err)
		}
		for _, key := range unknownKeys(def, props) {
			h.cfg.Logger.Warn("no such setting, ignored", "connector", name, "key", key)
		}
	}
	return newConnector(h, name, v.Int("tasks.max"), plugin, maps.Clone(props)), nil
}

// unknownKeys lists the settings that neither the plugin nor the worker reads:
// most likely mistyped ones.
func unknownKeys(plugin *config.Def, props map[string]string) []string {
	others := config.New(config.Key{Name: "topics"}, config.Key{Name: "topics.regex"}).
		With(ConnectorDef().Keys()...).With(worker.ErrorDef().Keys()...)
	unknown := plugin.Unknown(props, "key.converter", "value.converter", "header.converter", "transforms", "predicates",
		"consumer.override.", "producer.override.", "admin.override.")
	return slices.DeleteFunc(unknown, func(key string) bool { _, ok := others.Lookup(key); return ok })
}

// FindPlugin finds a connector plugin by its name or one of its aliases.
func FindPlugin(plugins []connect.Plugin, class string) (connect.Plugin, error) {
	var names []string
	for _, p := range plugins {
		if p.Is(class) {
			return p, nil
		}
		names = append(names, p.Name)
	}
	return connect.Plugin{}, fmt.Errorf("%w: %q; there are %s", ErrNoPlugin, class, strings.Join(names, ", "))
}

// Run runs all connectors until ctx ends, then stops them in order and returns
// nil. Failures of connectors and tasks are shown by Status and do not end it.
func (h *Standalone) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, c := range h.connectors {
		wg.Go(func() { c.run(ctx) })
	}
	wg.Wait()
	return nil
}

// List gives the status of every connector, in the order they were given.
func (h *Standalone) List() []ConnectorStatus {
	out := make([]ConnectorStatus, 0, len(h.connectors))
	for _, c := range h.connectors {
		out = append(out, c.status())
	}
	return out
}

// Status gives the status of one connector.
func (h *Standalone) Status(name string) (ConnectorStatus, error) {
	c := h.find(name)
	if c == nil {
		return ConnectorStatus{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return c.status(), nil
}

// Info gives the configuration and tasks of one connector.
func (h *Standalone) Info(name string) (Info, error) {
	c := h.find(name)
	if c == nil {
		return Info{}, fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	return c.info(), nil
}

// Pause stops the work of a connector's tasks until Resume; they keep what they hold.
func (h *Standalone) Pause(name string) error { return h.setPaused(name, true) }

// Resume undoes Pause.
func (h *Standalone) Resume(name string) error { return h.setPaused(name, false) }

func (h *Standalone) setPaused(name string, paused bool) error {
	c := h.find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	c.setPaused(paused)
	return nil
}

// Restart stops a connector with its tasks and starts it again at once.
func (h *Standalone) Restart(name string) error {
	c := h.find(name)
	if c == nil {
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	}
	c.wake(signalRestart)
	return nil
}

// RestartTask stops one task and starts it again at once.
func (h *Standalone) RestartTask(name string, task int) error {
	c := h.find(name)
	if c == nil || !c.restartTask(task) {
		return fmt.Errorf("%w: %s-%d", ErrNotFound, name, task)
	}
	return nil
}

func (h *Standalone) find(name string) *runningConnector {
	for _, c := range h.connectors {
		if c.name == name {
			return c
		}
	}
	return nil
}

// backoff is the pause between failures.
type backoff struct{ first, most time.Duration }

// after gives the pause after n failures in a row; negative: never again.
func (b backoff) after(n int) time.Duration {
	if b.first < 0 {
		return -1
	}
	return min(max(b.first, 1)<<min(n-1, 20), b.most)
}
