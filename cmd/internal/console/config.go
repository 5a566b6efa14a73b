package console

import (
	"log/slog"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/pipelines"
)

// Config says what a console shows. Only Client is needed.
type Config struct {
	// Bootstrap is how users reach the cluster: it is part of the command
	// lines on the pages.
	Bootstrap string
	// Client are the options of every Kafka client: brokers, TLS, SASL.
	Client []kgo.Opt
	// Pipelines are those that run in this process.
	Pipelines []Pipeline
	// Connectors lists those that run in this process; nil where none do. It
	// is called once a second.
	Connectors func() []Connector
	// Files is the folder of Parquet files; empty where there is none.
	Files string
	// Trial breaks parts of what is shown when a user asks for it; nil where
	// nothing may be broken.
	Trial admin.Trial
	// Hosts are names under which the console may be asked for, besides
	// localhost and plain addresses.
	Hosts []string
	Log   *slog.Logger
}

// Pipeline is a pipeline with its document.
type Pipeline struct {
	App  *pipelines.App
	Text string
}

// Connector is a connector, the topics it writes or reads, and how many
// records it has moved.
type Connector struct {
	admin.Connector
	Topics  []string
	Records int64
}
