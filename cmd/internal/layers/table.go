package layers

// Rule says what one package, or a family of packages, may import besides the
// standard library. Paths are relative to the module; a pattern that ends in
// "/..." stands for its stem and everything below.
type Rule struct {
	Package  string
	Internal []string // packages of this module
	Modules  []string // packages of other modules, by path prefix; "*": any
}

// light lists modules so small and so close to the standard library that every
// package may use them. Rows name the heavy ones.
func light() []string {
	return []string{"github.com/cespare/xxhash/v2", "github.com/google/uuid", "golang.org/x/sync", "golang.org/x/sys"}
}

// Prefixes of third-party packages that the table names often.
const (
	prom    = "github.com/prometheus/client_golang/prometheus"
	kgo     = "github.com/twmb/franz-go/pkg/kgo"
	kadm    = "github.com/twmb/franz-go/pkg/kadm"
	kmsg    = "github.com/twmb/franz-go/pkg/kmsg"
	kerr    = "github.com/twmb/franz-go/pkg/kerr"
	anyPath = "*"
)

// Table is the house: imports go only down. Where several rules match a
// package, its own row counts before the longest family; a package without a rule is a breach, so
// that a new folder is placed deliberately.
func Table() []Rule {
	return append(append(append(brokerRules(), streamsRules()...), connectRules()...), topRules()...)
}

// brokerRules: the engine never imports broker/client, and only broker wires
// server and api together. server sees nothing but wire.
func brokerRules() []Rule {
	return []Rule{
		{"broker/wire", nil, []string{kmsg}},
		{"broker/record", nil, []string{"github.com/klauspost/compress", "github.com/pierrec/lz4/v4"}},
		{"broker/vfs", nil, nil},
		{"broker/keystore", nil, []string{"software.sslmate.com/src/go-pkcs12", "github.com/pavlo-v-chernykh/keystore-go/v4"}},

		{"broker/auth", nil, nil},
		{"broker/commitlog/damage", []string{"broker/record"}, nil},
		{"broker/commitlog/epoch", []string{"broker/commitlog/format", "broker/vfs"}, nil},
		{"broker/commitlog/format", []string{"broker/record", "broker/vfs"}, nil},
		{"broker/commitlog/index", []string{"broker/commitlog/format", "broker/vfs"}, nil},
		{"broker/commitlog/inspect", []string{
			"broker/commitlog/damage", "broker/commitlog/epoch", "broker/commitlog/format", "broker/commitlog/index",
			"broker/commitlog/producer", "broker/commitlog/scan", "broker/record", "broker/vfs",
		}, nil},
		{"broker/commitlog/logfile", []string{"broker/commitlog/volume", "broker/vfs"}, nil},
		{"broker/commitlog/producer", []string{"broker/commitlog/format", "broker/commitlog/index", "broker/record"}, nil},
		{"broker/commitlog/scan", []string{"broker/record"}, nil},
		{"broker/commitlog/swap", []string{"broker/commitlog/format", "broker/commitlog/scan", "broker/record", "broker/vfs"}, nil},
		{"broker/commitlog/volume", []string{"broker/vfs"}, nil},
		{"broker/commitlog", []string{
			"broker/commitlog/damage", "broker/commitlog/epoch", "broker/commitlog/format", "broker/commitlog/index", "broker/commitlog/inspect",
			"broker/commitlog/logfile", "broker/commitlog/producer", "broker/commitlog/scan", "broker/commitlog/swap", "broker/commitlog/volume",
			"broker/record", "broker/vfs",
		}, []string{prom}},
		{"broker/coordination", []string{"broker/record"}, nil},
		{"broker/coordination/embedded", []string{"broker/coordination", "broker/vfs"}, []string{prom}},
		{"broker/coordination/zookeeper", []string{"broker/coordination"}, []string{prom, "github.com/go-zookeeper/zk"}},
		{"broker/coordination/transfer", []string{"broker/coordination"}, nil},
		{"broker/metadata", []string{"broker/coordination", "broker/record"}, []string{kmsg}},
		{"broker/server", []string{"broker/wire"}, []string{prom}},
		{"broker/peer", []string{"broker/wire", "broker/record"}, []string{kmsg, prom}},

		{"broker/commitlog/clean", []string{"broker/commitlog", "broker/record", "broker/vfs"}, []string{prom}},
		{"broker/commitlog/scrub", []string{"broker/commitlog", "broker/commitlog/inspect", "broker/record", "broker/vfs"}, []string{prom}},
		{"broker/replica", []string{"broker/commitlog", "broker/record", "broker/vfs", "broker/metadata", "broker/peer"}, []string{kmsg, prom}},
		{"broker/coordinator", []string{"broker/commitlog", "broker/record", "broker/replica", "broker/metadata"}, []string{kmsg, prom}},

		{"broker/coordinator/group", []string{"broker/coordinator", "broker/commitlog", "broker/record", "broker/replica", "broker/metadata"}, []string{kmsg, prom}},
		{"broker/coordinator/txn", []string{"broker/coordinator", "broker/commitlog", "broker/record", "broker/replica", "broker/metadata"}, []string{kmsg, prom}},
		{"broker/controller", []string{"broker/coordination", "broker/metadata", "broker/peer"}, []string{kmsg, prom}},

		{"broker/api", []string{
			"broker/auth", "broker/commitlog", "broker/controller", "broker/coordination", "broker/coordinator/...",
			"broker/metadata", "broker/peer", "broker/record", "broker/replica", "broker/server", "broker/wire",
		}, []string{kmsg, kerr, prom}},

		{"broker", []string{
			"broker/api", "broker/auth", "broker/commitlog/...", "broker/controller", "broker/coordination/...", "broker/coordinator/...",
			"broker/keystore", "broker/metadata", "broker/peer", "broker/record", "broker/replica", "broker/server", "broker/vfs", "broker/wire",
		}, []string{kmsg, kerr, prom}},

		{"broker/client", []string{"broker/keystore"}, []string{kgo, kadm, kmsg, kerr, "github.com/twmb/franz-go/pkg/sasl"}},
	}
}

// streamsRules: only the runtime talks to a cluster.
func streamsRules() []Rule {
	return []Rule{
		{"streams/serde", nil, nil},
		{"streams/window", nil, nil},
		{"streams/windowed", []string{"streams/serde", "streams/window"}, nil},
		{"streams/processor", []string{"streams/serde"}, nil},
		{"streams/topology", []string{"streams/processor", "streams/serde"}, nil},
		{"streams/state", []string{"streams/processor", "streams/serde", "streams/window", "streams/windowed"}, []string{"github.com/cockroachdb/pebble/v2"}},
		{"streams/task", []string{"streams/state", "streams/topology", "streams/processor", "streams/serde"}, nil},
		{"streams/runtime", []string{
			"streams/task", "streams/topology", "streams/state", "streams/processor", "streams/serde", "broker/client",
		}, []string{kgo, kadm, kmsg, kerr, prom}},
		{"streams", []string{
			"streams/runtime", "streams/topology", "streams/task", "streams/state", "streams/processor", "streams/serde",
			"streams/window", "streams/windowed", "broker/client",
		}, []string{prom}},
	}
}

// connectRules: connectors see the SPI and never worker, herder or a Kafka
// client. herder hands client options through to its workers.
func connectRules() []Rule {
	spi := []string{"connect", "connect/data", "connect/config"}
	below := func(more ...string) []string { return append(more, spi...) }
	return []Rule{
		{"connect/data", nil, nil},
		{"connect/config", nil, nil},
		{"connect", []string{"connect/data", "connect/config"}, []string{prom}},
		{"connect/convert", spi, nil},
		{"connect/transform", spi, nil},
		{"connect/store", below("broker/client"), []string{kgo, kadm, kmsg, kerr}},
		{"connect/worker", below("connect/convert", "connect/transform", "connect/store", "broker/client"), []string{kgo, kadm, kmsg, kerr, prom}},
		{"connect/herder", below("connect/worker", "connect/convert", "connect/transform", "connect/store", "broker/client"), []string{kgo, prom}},
		{"connect/rest", below("connect/herder", "connect/worker"), []string{prom}},

		{"connectors/...", spi, []string{
			prom, "github.com/fsnotify/fsnotify", "github.com/shirou/gopsutil/v4",
			"github.com/parquet-go/parquet-go", "github.com/colinmarc/hdfs/v2",
		}},
		{"connectors/all", below("connectors/...", "connect/convert", "connect/transform"), nil},
	}
}

func topRules() []Rule {
	streams := []string{
		"streams", "streams/processor", "streams/runtime", "streams/serde", "streams/state", "streams/topology", "streams/window", "streams/windowed", "streams/streamstest",
	}
	pipeline := append([]string{"connect", "connect/config", "connect/data", "broker/client"}, streams...)
	command := append([]string{
		"broker", "broker/client", "broker/commitlog/epoch", "broker/commitlog/format", "broker/commitlog/index",
		"broker/commitlog/inspect", "broker/commitlog/producer", "broker/commitlog/scan", "broker/metadata", "broker/record", "broker/vfs", "broker/wire",
		"connect/...", "connectors/...", "pipelines/...", "cmd/internal/...",
	}, streams...)
	return []Rule{
		{"pipelines", pipeline, []string{
			"github.com/expr-lang/expr", "github.com/go-json-experiment/json", "go.yaml.in/yaml/v3", prom, kgo, kadm, kerr,
		}},
		{"pipelines/...", append([]string{"pipelines"}, pipeline...), nil},
		{"cmd/...", command, []string{anyPath}},
		{"examples/...", append([]string{"connectors/...", "pipelines"}, pipeline...), []string{kgo, kadm}},
		{"deploy/...", nil, []string{anyPath}},
	}
}
