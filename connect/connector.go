package connect

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/connect/config"
)

// Connector is one configured use of a plugin. The runtime calls Start once,
// then TaskConfigs as often as it wants, then Stop once, never two calls at a time.
type Connector interface {
	// Start checks the configuration against the world (does the folder
	// exist) and prepares. It must return within seconds; long waits belong
	// into tasks. Goroutines it starts end with Stop.
	Start(ctx context.Context, cc ConnectorContext, props map[string]string) error
	// TaskConfigs divides the work into at most max configurations. None means
	// there is nothing to do now. The runtime owns the maps.
	TaskConfigs(max int) ([]map[string]string, error)
	// Stop frees what Start took. It is called after a failed Start too.
	Stop() error
}

// SourceConnector makes tasks that read from a system.
type SourceConnector interface {
	Connector
	// NewTask makes an idle task; its Start gets one of TaskConfigs' results.
	NewTask() SourceTask
}

// SinkConnector makes tasks that write to a system.
type SinkConnector interface {
	Connector
	// NewTask makes an idle task; its Start gets one of TaskConfigs' results.
	NewTask() SinkTask
}

// Validator is for connectors that check more than their Def can say.
type Validator interface {
	// Validate judges props before Start; the answers are laid over the Def's.
	Validate(props map[string]string) []config.Value
}

// ConnectorContext is the runtime as a connector sees it. Its methods may be
// called from any goroutine until Stop returns.
type ConnectorContext interface {
	Name() string
	Logger() *slog.Logger
	// Reconfigure asks the runtime to call TaskConfigs again soon.
	Reconfigure()
	// Fail ends the connector and its tasks with an error.
	Fail(err error)
}

// TaskContext is the runtime as any task sees it. Its methods may be called
// from any goroutine from Start until Stop returns.
type TaskContext interface {
	Connector() string
	Task() int
	Logger() *slog.Logger
	// Metrics takes the task's own collectors; they are labelled with
	// connector and task and removed when the task has stopped.
	Metrics() prometheus.Registerer
}

// Plugin describes a connector to the runtime. Exactly one of Source and Sink is set.
type Plugin struct {
	Name    string   // the short name, e.g. "file"
	Aliases []string // other accepted values of connector.class, e.g. Java class names
	Version string
	Doc     string // one sentence
	Config  func() *config.Def
	Source  func() SourceConnector
	Sink    func() SinkConnector
}

// Type is "source" or "sink".
func (p Plugin) Type() string {
	if p.Source != nil {
		return "source"
	}
	return "sink"
}

// Is reports whether class names the plugin.
func (p Plugin) Is(class string) bool {
	if p.Name == class {
		return true
	}
	for _, a := range p.Aliases {
		if a == class {
			return true
		}
	}
	return false
}
