package pipelines

import (
	"strconv"
	"strings"
	"time"
)

// connectors are the properties of the connectors of the Parquet sinks. They
// are those of the parquet plugin, with the schema that the pipeline knows.
func (p *program) connectors() []map[string]string {
	var out []map[string]string
	for _, o := range p.sinks {
		if o.spec.kind != "parquet" {
			continue
		}
		out = append(out, map[string]string{
			"name": p.spec.Name + "-" + o.spec.name, "connector.class": "parquet", "topics": o.topic,
			"key.converter": "string", "value.converter": "json", "value.converter.schemas.enable": "false",
			"schema": connectSchema(o.stage.typ),
		})
		o.spec.connectorRoll(out[len(out)-1])
	}
	return out
}

func (k *sinkSpec) connectorRoll(props map[string]string) {
	props["path"] = k.path
	props["compression"] = k.compression
	ms := func(name string, d time.Duration) {
		if d > 0 {
			props[name] = strconv.FormatInt(d.Milliseconds(), 10)
		}
	}
	if k.roll.rowsSet {
		props["flush.size"] = strconv.Itoa(k.roll.rows)
	}
	if k.roll.size > 0 {
		props["rotate.bytes"] = strconv.FormatInt(k.roll.size, 10)
	}
	ms("rotate.interval.ms", k.roll.age)
	ms("rotate.idle.ms", k.roll.onIdle)
}

// connectSchema is the schema in the connector's own form: field:type,…
func connectSchema(t Type) string {
	names := map[Kind]string{KindInt: "long", KindFloat: "double", KindString: "string", KindBool: "boolean", KindTimestamp: "timestamp"}
	parts := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		kind, ok := names[f.Type.Kind]
		if !ok {
			kind = "json"
		}
		parts[i] = f.Name + ":" + kind
	}
	return strings.Join(parts, ",")
}
