package worker

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/convert"
	"github.com/leatstream/leat/connect/transform"
)

// Config is what a runner needs besides the task.
type Config struct {
	Connector string
	Task      int
	// Worker, Props and TaskProps are the properties of the worker, of the
	// connector, and what the connector gave this task.
	Worker, Props, TaskProps map[string]string
	// Client holds the options of every Kafka client (brokers, security). The
	// properties bootstrap.servers, producer.*, consumer.* and the overrides
	// are laid over them.
	Client  []kgo.Opt
	Logger  *slog.Logger
	Metrics *Metrics
	// Registry takes the task's own collectors.
	Registry prometheus.Registerer
}

// WorkerDef declares the worker's own settings.
func WorkerDef() *config.Def {
	return config.New(
		config.Key{Name: "bootstrap.servers", Type: config.List, Default: []string{"localhost:9092"}, Importance: config.High, Doc: "Brokers to connect to first."},
		config.Key{Name: "key.converter", Type: config.Class, Default: "json", Importance: config.High, Doc: "Converter of record keys."},
		config.Key{Name: "value.converter", Type: config.Class, Default: "json", Importance: config.High, Doc: "Converter of record values."},
		config.Key{Name: "offset.storage.file.filename", Type: config.String, Importance: config.High, Doc: "File that keeps the offsets of sources in standalone mode."},
		config.Key{Name: "offset.flush.interval.ms", Type: config.Long, Default: int64(60_000), Check: config.AtLeast(1), Doc: "How often offsets are committed."},
		config.Key{Name: "offset.flush.timeout.ms", Type: config.Long, Default: int64(5_000), Check: config.AtLeast(1), Doc: "How long a commit may take."},
		config.Key{Name: "task.shutdown.graceful.timeout.ms", Type: config.Long, Default: int64(5_000), Check: config.AtLeast(0), Doc: "How long a task may take to finish its work when it is stopped."},
		config.Key{Name: "client.id", Type: config.String, Default: "", Importance: config.Low, Doc: "Client id; default connector-producer-<name>-<task> and connector-consumer-<name>-<task>."},
	)
}

// ErrorDef declares the errors.* settings that every connector has.
func ErrorDef() *config.Def {
	return config.New(
		config.Key{Name: "errors.tolerance", Type: config.String, Default: "none", Check: config.OneOf("none", "all"), Doc: "Whether a record that fails stops the task (none) or is skipped (all)."},
		config.Key{Name: "errors.retry.timeout", Type: config.Long, Default: int64(0), Doc: "How long a failed step is repeated, in ms; -1 is for ever."},
		config.Key{Name: "errors.retry.delay.max.ms", Type: config.Long, Default: int64(60_000), Check: config.AtLeast(1), Doc: "Longest pause between two tries."},
		config.Key{Name: "errors.log.enable", Type: config.Boolean, Default: false, Doc: "Log each failed record, also when it is skipped."},
		config.Key{Name: "errors.log.include.messages", Type: config.Boolean, Default: false, Doc: "Log topic, partition and offset of failed records too."},
		config.Key{Name: "errors.deadletterqueue.topic.name", Type: config.String, Default: "", Doc: "Topic that gets failed records; empty for none."},
		config.Key{Name: "errors.deadletterqueue.topic.replication.factor", Type: config.Short, Default: 3, Doc: "Replication factor of that topic when it is created."},
		config.Key{Name: "errors.deadletterqueue.context.headers.enable", Type: config.Boolean, Default: false, Doc: "Add headers that say what went wrong where."},
	)
}

// settings are the parsed parts of a Config that both runners use.
type settings struct {
	key, value     connect.Converter
	chain          *transform.Chain
	worker, errors *config.Values
	commitEvery    time.Duration
	commitTimeout  time.Duration
	stopTimeout    time.Duration
}

func newSettings(cfg Config) (*settings, error) {
	s := &settings{}
	var err error
	if s.worker, err = WorkerDef().Parse(cfg.Worker); err != nil {
		return nil, err
	}
	if s.errors, err = ErrorDef().Parse(cfg.Props); err != nil {
		return nil, err
	}
	if s.key, err = converter(cfg, "key.converter", true); err != nil {
		return nil, err
	}
	if s.value, err = converter(cfg, "value.converter", false); err != nil {
		return nil, err
	}
	if s.chain, err = transform.Build(cfg.Props); err != nil {
		return nil, err
	}
	s.commitEvery = s.worker.Millis("offset.flush.interval.ms")
	s.commitTimeout = s.worker.Millis("offset.flush.timeout.ms")
	s.stopTimeout = s.worker.Millis("task.shutdown.graceful.timeout.ms")
	return s, nil
}

// converter builds the connector's converter, or else the worker's. As in
// Kafka Connect, a connector that names its own class inherits no setting.
func converter(cfg Config, name string, isKey bool) (connect.Converter, error) {
	props := cfg.Props
	if props[name] == "" {
		props = cfg.Worker
	}
	class := props[name]
	if class == "" {
		class = "json"
	}
	c, err := convert.New(class, below(props, name+"."), isKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// taskProps lays the task's configuration over the connector's.
func taskProps(cfg Config) map[string]string {
	props := maps.Clone(cfg.Props)
	if props == nil {
		props = map[string]string{}
	}
	maps.Copy(props, cfg.TaskProps)
	return props
}

func below(props map[string]string, prefix string) map[string]string {
	out := map[string]string{}
	for k, v := range props {
		if rest, ok := strings.CutPrefix(k, prefix); ok {
			out[rest] = v
		}
	}
	return out
}

func splitTrim(list string) []string {
	var out []string
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
