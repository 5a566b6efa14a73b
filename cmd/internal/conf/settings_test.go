package conf

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

type tableOf []string

func (t tableOf) Known(key string) bool {
	return slices.Contains(t, key) || strings.HasPrefix(key, "listener.name.")
}
func (t tableOf) Keys() []string { return t }

var brokerKeys = tableOf{"broker.id", "broker.id.generation.enable", "log.retention.ms", "log.dirs", "listeners", "broker.rack"}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFromEnv(t *testing.T) {
	tests := []struct {
		entry, key, value string // key "" when the entry must be dropped
	}{
		{"KAFKA_BROKER_ID=3", "broker.id", "3"},
		{"KAFKA_CFG_LOG_DIRS=/a", "log.dirs", "/a"},
		{"KAFKA_LISTENER_NAME_SASL__SSL_SCRAM___SHA___512_SASL_JAAS_CONFIG=x", "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config", "x"},
		{"KAFKA_LISTENERS=PLAINTEXT://:9092", "listeners", "PLAINTEXT://:9092"},
		{"KAFKA_LOG_DIRS=a=b", "log.dirs", "a=b"},
		{"LEAT_LOG_DIRS=/l", "log.dirs", "/l"},
		{"LEAT_BOOTSTRAP_SERVER=h:1", "", ""},
		{"KAFKA_PORT=tcp://10.0.0.1:9092", "", ""},
		{"KAFKA_PORT_9092_TCP_ADDR=10.0.0.1", "", ""},
		{"KAFKA_PORT_9092_TCP=tcp://10.0.0.1:9092", "", ""},
		{"KAFKA_SERVICE_HOST=10.0.0.1", "", ""},
		{"KAFKA_SERVICE_PORT_BROKER=9092", "", ""},
		{"KAFKA_HEADLESS_SERVICE_HOST=10.0.0.1", "", ""},
		{"KAFKA_VERSION=3.9", "", ""}, {"KAFKA_HOME=/opt", "", ""}, {"KAFKA_HEAP_OPTS=-Xmx1g", "", ""},
		{"KAFKA_OPTS=-D", "", ""}, {"KAFKA_JMX_OPTS=", "", ""}, {"KAFKA_JMX_PORT=1", "", ""},
		{"KAFKA_LOG4J_ROOT_LOGLEVEL=INFO", "", ""}, {"KAFKA_GC_LOG_OPTS=", "", ""}, {"KAFKA_DEBUG=y", "", ""},
		{"KAFKA_JVM_PERFORMANCE_OPTS=", "", ""}, {"KAFKA_CREATE_TOPICS=a:1:1", "", ""}, {"KAFKA_CFG_=x", "", ""},
		{"KAFKA_BROKER_ID=", "", ""}, {"KAFKA_BROKER_RACK=", "", ""},
		{"KAFKA_AUTHORIZER_CLASS_NAME=", "authorizer.class.name", ""},
		{"HOSTNAME=x", "", ""}, {"KAFKA", "", ""}, {"BROKER_ID_COMMAND=x", "", ""}, {"KAFKA_RACK_COMMAND=x", "", ""},
	}
	for _, tt := range tests {
		want := map[string]string{}
		if tt.key != "" {
			want[tt.key] = tt.value
		}
		if got := FromEnv([]string{tt.entry}, brokerKeys.Known); !maps.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", tt.entry, got, want)
		}
	}
	both := FromEnv([]string{"LEAT_BROKER_ID=3", "KAFKA_CFG_BROKER_ID=2", "KAFKA_BROKER_ID=1"}, brokerKeys.Known)
	if both["broker.id"] != "3" {
		t.Errorf("LEAT_ must win over KAFKA_CFG_ over KAFKA_: got %v", both)
	}
}

func TestLayers(t *testing.T) {
	file := write(t, "server.properties", "broker.id=2\nbroker.id.generation.enable=false \nlog.retention.ms=10\nlog.dirs=/file\nlisteners=L")
	s, err := Load(Source{
		Defaults:  map[string]string{"broker.id": "-1", "broker.rack": "r0"},
		File:      file,
		Environ:   []string{"KAFKA_LOG_RETENTION_MS=20", "KAFKA_LOG_DIRS=/env", "KAFKA_LISTENERS=E"},
		Overrides: []string{"log.dirs=/override", "listeners=O"},
		Flags:     map[string]string{"listeners": "F"},
		Table:     brokerKeys,
		Strict:    true,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ key, value, layer string }{
		{"broker.rack", "r0", LayerDefault},
		{"broker.id", "2", "file " + file},
		{"broker.id.generation.enable", "false", "file " + file},
		{"log.retention.ms", "20", LayerEnv},
		{"log.dirs", "/override", LayerOverride},
		{"listeners", "F", LayerFlag},
	}
	for _, w := range want {
		if got, ok := s.Get(w.key); !ok || got != w.value || s.Layer(w.key) != w.layer {
			t.Errorf("%s: got %q from %q, want %q from %q", w.key, got, s.Layer(w.key), w.value, w.layer)
		}
	}
	if len(s.All()) != len(want) {
		t.Errorf("All() = %v", s.All())
	}
	if _, ok := s.Get("absent"); ok {
		t.Error("an absent key is reported as set")
	}
}

func TestUnknownKeys(t *testing.T) {
	src := Source{Overrides: []string{"log.retention.sm=1", "zzz=1", "listener.name.x.y=1"}, Table: brokerKeys}
	s, err := Load(src)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s.WarnUnknown(slog.New(slog.NewTextHandler(&out, nil)))
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "did_you_mean=log.retention.ms") || !strings.Contains(got, "key=zzz") {
		t.Errorf("warnings:\n%s", got)
	}
	src.Strict = true
	if _, err := Load(src); !errors.Is(err, ErrUnknownKey) || !strings.Contains(err.Error(), "did you mean log.retention.ms?") {
		t.Errorf("strict: got %v", err)
	}
}

func TestYAMLFile(t *testing.T) {
	file := write(t, "leat.yaml", "broker.id: 7\nbroker:\n  id.generation.enable: true\nlog:\n  dirs: [/a, /b]\n  retention.ms:\n")
	s, err := Load(Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"broker.id": "7", "broker.id.generation.enable": "true", "log.dirs": "/a,/b", "log.retention.ms": ""}
	if got := s.All(); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLoadErrors(t *testing.T) {
	tests := []struct {
		name string
		src  Source
		want error
	}{
		{"missing file", Source{File: filepath.Join(t.TempDir(), "none")}, os.ErrNotExist},
		{"bad properties", Source{File: write(t, "a.properties", `a=\u1`)}, ErrSyntax},
		{"bad yaml", Source{File: write(t, "a.yaml", "a: [")}, ErrSyntax},
		{"override without =", Source{Overrides: []string{"a"}}, ErrOverride},
		{"override without key", Source{Overrides: []string{"=a"}}, ErrOverride},
	}
	for _, tt := range tests {
		if _, err := Load(tt.src); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestNearest(t *testing.T) {
	tests := []struct{ name, want string }{
		{"log.retention.sm", "log.retention.ms"},
		{"log.dir", "log.dirs"},
		{"listners", "listeners"},
		{"brokerid", "broker.id"},
		{"completely.different", ""},
		{"x", ""},
		{"listener", "listeners"},
		{"log.retention", "log.retention.ms"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := Nearest(tt.name, brokerKeys); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.name, got, tt.want)
		}
	}
}
