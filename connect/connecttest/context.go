package connecttest

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/connect"
)

// taskContext implements connect.TaskContext.
type taskContext struct {
	log *slog.Logger
	reg prometheus.Registerer
}

func newTaskContext(tb testing.TB) taskContext {
	return taskContext{log: slog.New(slog.NewTextHandler(testWriter{tb}, nil)), reg: prometheus.NewRegistry()}
}

func (taskContext) Connector() string                { return "test" }
func (taskContext) Task() int                        { return 0 }
func (t taskContext) Logger() *slog.Logger           { return t.log }
func (t taskContext) Metrics() prometheus.Registerer { return t.reg }

// testWriter sends log lines to the test's log.
type testWriter struct{ tb testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.tb.Log(string(b))
	return len(b), nil
}

var _ io.Writer = testWriter{}

// sourceContext implements connect.SourceContext over offsets in memory, kept
// as JSON because that is what a real store does to them.
type sourceContext struct {
	taskContext
	offsets map[string]string // partition JSON → offset JSON
}

func (c *sourceContext) Offset(_ context.Context, partition map[string]any) (map[string]any, error) {
	key, err := json.Marshal(partition)
	if err != nil {
		return nil, err
	}
	return decode(c.offsets[string(key)])
}

func (c *sourceContext) Offsets(context.Context) ([]connect.SourceOffset, error) {
	var out []connect.SourceOffset
	for k, v := range c.offsets {
		p, err := decode(k)
		if err != nil {
			return nil, err
		}
		o, err := decode(v)
		if err != nil {
			return nil, err
		}
		out = append(out, connect.SourceOffset{Partition: p, Offset: o})
	}
	return out, nil
}

func (c *sourceContext) store(r *connect.SourceRecord) error {
	if r.SourceOffset == nil {
		return nil
	}
	key, err := json.Marshal(r.SourcePartition)
	if err != nil {
		return err
	}
	val, err := json.Marshal(r.SourceOffset)
	if err != nil {
		return err
	}
	c.offsets[string(key)] = string(val)
	return nil
}

func decode(s string) (map[string]any, error) {
	if s == "" {
		return nil, nil
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &raw); err != nil {
		return nil, err
	}
	out := make(map[string]any, len(raw))
	for k, b := range raw {
		var n int64
		if json.Unmarshal(b, &n) == nil {
			out[k] = n
			continue
		}
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			return nil, err
		}
		out[k] = v
	}
	return out, nil
}
