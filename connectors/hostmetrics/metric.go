package hostmetrics

import (
	"time"

	"github.com/leatstream/leat/connect/data"
)

// Schema is the schema of the records.
func Schema() *data.Schema {
	return data.NewRecord("leat.HostMetric",
		data.Field{Name: "host", Schema: data.StringSchema},
		data.Field{Name: "name", Schema: data.StringSchema},
		data.Field{Name: "value", Schema: data.Float64Schema},
		data.Field{Name: "unit", Schema: data.StringSchema}, // 1 (a share), By, s, or {thing}
		data.Field{Name: "type", Schema: data.StringSchema}, // gauge, or counter: a total since boot
		data.Field{Name: "at", Schema: data.TimestampSchema},
		data.Field{Name: "labels", Schema: data.NewMap(data.StringSchema, data.StringSchema)},
	)
}

// metric is one figure of one sample.
type metric struct {
	name, unit string
	counter    bool
	value      float64
	labels     map[string]any // values are strings
}

func gauge(name, unit string, v float64, labels ...string) metric {
	return metric{name: name, unit: unit, value: v, labels: labelMap(labels)}
}

func counter(name, unit string, v float64, labels ...string) metric {
	return metric{name: name, unit: unit, counter: true, value: v, labels: labelMap(labels)}
}

// labelMap pairs up names and values.
func labelMap(labels []string) map[string]any {
	m := make(map[string]any, len(labels)/2)
	for i := 0; i+1 < len(labels); i += 2 {
		m[labels[i]] = labels[i+1]
	}
	return m
}

func (m metric) record(s *data.Schema, host string, at time.Time) *data.Struct {
	kind := "gauge"
	if m.counter {
		kind = "counter"
	}
	return data.StructOf(s, host, m.name, m.value, m.unit, kind, at, m.labels)
}
