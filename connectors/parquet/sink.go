package parquet

import (
	"context"
	"fmt"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
)

// Version of the connector; it is also the version that the files name as their maker.
const Version = "0.1.0"

// Plugin describes the connector.
func Plugin() connect.Plugin {
	return connect.Plugin{
		Name: "parquet", Aliases: []string{"ParquetSink", "io.leatstream.connect.ParquetSinkConnector"},
		Version: Version, Doc: "Writes topics to typed Parquet files in a folder, each record exactly once.",
		Config: Config, Sink: func() connect.SinkConnector { return &connector{} },
	}
}

// Config declares the settings.
func Config() *config.Def {
	return config.New(
		config.Key{Name: "path", Type: config.String, Required: true, Check: config.NonEmpty, Importance: config.High, Doc: "Folder to write to."},
		config.Key{Name: "topics.dir", Type: config.String, Default: "", Doc: "Folder below path that gets the topics' folders."},
		config.Key{Name: "flush.size", Type: config.Int, Default: 1_000_000, Check: config.AtLeast(1), Importance: config.High, Doc: "Rows after which a file is finished."},
		config.Key{Name: "rotate.bytes", Type: config.Long, Default: int64(128 << 20), Check: config.AtLeast(1), Importance: config.High, Doc: "Size in bytes after which a file is finished."},
		config.Key{Name: "rotate.interval.ms", Type: config.Long, Default: int64(600_000), Importance: config.High, Doc: "Time after its first row at which a file is finished; -1 for never."},
		config.Key{Name: "rotate.idle.ms", Type: config.Long, Default: int64(60_000), Doc: "Time without a new row after which a file is finished; -1 for never."},
		config.Key{Name: "compression", Type: config.String, Default: "zstd", Check: config.OneOf("zstd", "snappy", "gzip", "none"), Doc: "Compression of the pages."},
		config.Key{Name: "schema", Type: config.List, Default: []string{}, Check: checkSchema, Importance: config.High,
			Doc: "Columns as field:type, with types string, bytes, int, long, float, double, boolean, timestamp (milliseconds or RFC 3339), date, json. Default: the records' own schema, or else what the first rows of each file show. Fields without a column are kept as JSON in _extra."},
		config.Key{Name: "memory.bytes", Type: config.Long, Default: int64(256 << 20), Check: config.AtLeast(1 << 20), Importance: config.Low, Doc: "Most memory that the open files of a task may hold; the largest is written out first."},
	)
}

func checkSchema(v any) error {
	_, err := parseColumns(v.([]string))
	return err
}

type connector struct{ props map[string]string }

func (c *connector) Start(_ context.Context, _ connect.ConnectorContext, props map[string]string) error {
	if _, err := Config().Parse(props); err != nil {
		return fmt.Errorf("parquet: %w", err)
	}
	c.props = props
	return nil
}

// TaskConfigs implements connect.Connector; the group divides the partitions among the tasks.
func (c *connector) TaskConfigs(n int) ([]map[string]string, error) {
	out := make([]map[string]string, n)
	for i := range out {
		out[i] = c.props
	}
	return out, nil
}

func (c *connector) NewTask() connect.SinkTask { return &task{} }
func (c *connector) Stop() error               { return nil }
