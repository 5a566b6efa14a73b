package hostmetrics

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// Version of the connector.
const Version = "0.1.0"

// Plugin describes the connector.
func Plugin() connect.Plugin {
	return connect.Plugin{
		Name: "hostmetrics", Aliases: []string{"host_metrics", "HostMetricsSource", "io.leatstream.connect.HostMetricsSourceConnector"},
		Version: Version, Doc: "Samples CPU, memory, disks, network, load and processes of this host.",
		Config: Config, Source: func() connect.SourceConnector { return &connector{} },
	}
}

// Config declares the settings.
func Config() *config.Def {
	return config.New(
		config.Key{Name: "topic", Type: config.String, Default: "host-metrics", Check: config.NonEmpty, Importance: config.High, Doc: "Topic to write to."},
		config.Key{Name: "interval.ms", Type: config.Long, Default: int64(10_000), Check: config.AtLeast(100), Importance: config.High, Doc: "Time between two samples."},
		config.Key{Name: "metrics", Type: config.List, Default: groupNames(), Check: checkGroups, Doc: "Groups to sample: " + strings.Join(groupNames(), ", ") + "."},
		config.Key{Name: "host", Type: config.String, Default: "", Doc: "Name of this host in the records; default the system's host name."},
		config.Key{Name: "host.proc", Type: config.String, Default: "", Importance: config.Low, Doc: "Where proc is mounted, e.g. /host/proc in a container."},
		config.Key{Name: "host.sys", Type: config.String, Default: "", Importance: config.Low, Doc: "Where sys is mounted."},
	)
}

func checkGroups(v any) error {
	for _, g := range v.([]string) {
		if !slices.Contains(groupNames(), g) {
			return fmt.Errorf("unknown group %q; there are %s", g, strings.Join(groupNames(), ", "))
		}
	}
	return config.NonEmpty(v)
}

type connector struct{ props map[string]string }

func (c *connector) Start(_ context.Context, _ connect.ConnectorContext, props map[string]string) error {
	_, err := Config().Parse(props)
	c.props = props
	return err
}

// TaskConfigs implements connect.Connector; a host needs one task.
func (c *connector) TaskConfigs(int) ([]map[string]string, error) {
	return []map[string]string{c.props}, nil
}

func (c *connector) NewTask() connect.SourceTask { return &task{} }
func (c *connector) Stop() error                 { return nil }

// task samples once per interval.
type task struct {
	sampler  sampler
	schema   *data.Schema
	topic    string
	host     string
	interval time.Duration
	next     time.Time
	complain func(error) // logs a failed group
}

// Start implements connect.SourceTask. The first sample is due at once.
func (t *task) Start(ctx context.Context, tc connect.SourceContext, props map[string]string) error {
	v, err := Config().Parse(props)
	if err != nil {
		return err
	}
	t.schema, t.topic, t.interval = Schema(), v.String("topic"), v.Millis("interval.ms")
	t.sampler = sampler{proc: v.String("host.proc"), sys: v.String("host.sys"), groups: v.List("metrics")}
	if t.host = v.String("host"); t.host == "" {
		if t.host, err = os.Hostname(); err != nil {
			return fmt.Errorf("hostmetrics: host name: %w", err)
		}
	}
	t.complain = complainOnce(tc)
	t.next = time.Now()
	return nil
}

// complainOnce logs an error only when it differs from the one before.
func complainOnce(tc connect.SourceContext) func(error) {
	last := ""
	return func(err error) {
		if text := err.Error(); text != last {
			last = text
			tc.Logger().Warn("some host metrics cannot be read", "error", err)
		}
	}
}

// Poll implements connect.SourceTask.
func (t *task) Poll(ctx context.Context) ([]*connect.SourceRecord, error) {
	timer := time.NewTimer(time.Until(t.next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil, nil
	case <-timer.C:
	}
	at := time.Now().Truncate(time.Millisecond)
	ms, err := t.sampler.sample(ctx)
	if err != nil && ctx.Err() == nil {
		t.complain(err)
	}
	t.next = nextSample(at, t.interval)
	out := make([]*connect.SourceRecord, len(ms))
	for i, m := range ms {
		out[i] = t.record(m, at)
	}
	return out, nil
}

func (t *task) record(m metric, at time.Time) *connect.SourceRecord {
	return &connect.SourceRecord{Record: connect.Record{
		Topic: t.topic, Partition: connect.AnyPartition,
		Key: t.host, KeySchema: data.StringSchema,
		Value: m.record(t.schema, t.host, at), ValueSchema: t.schema,
		Timestamp: at,
	}, SourcePartition: map[string]any{"host": t.host}}
}

// Stop implements connect.SourceTask.
func (t *task) Stop() error { return nil }
