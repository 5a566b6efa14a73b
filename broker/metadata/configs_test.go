package metadata

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func newConfigs(t testing.TB, properties ...string) *Configs {
	t.Helper()
	m := map[string]string{}
	for i := 0; i < len(properties); i += 2 {
		m[properties[i]] = properties[i+1]
	}
	c, err := NewConfigs(1, m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTables: every key has a valid default and a documentation, every synonym
// exists and has the same type, unless it is a time in another unit.
func TestTables(t *testing.T) {
	brokers, topics := BrokerTable(), TopicTable()
	if len(brokers.Keys()) < 300 || len(topics.Keys()) < 35 {
		t.Fatalf("%d broker and %d topic keys", len(brokers.Keys()), len(topics.Keys()))
	}
	for _, table := range []*Table{brokers, topics} {
		for _, k := range table.Keys() {
			if k.Doc == "" || !strings.HasSuffix(k.Doc, ".") {
				t.Errorf("%s: documentation %q", k.Name, k.Doc)
			}
			if k.Default == nil || *k.Default == "" {
				continue
			}
			v, err := k.parse(*k.Default)
			if err != nil || v.text(k.Type) != *k.Default {
				t.Errorf("%s: default %q is read as %q: %v", k.Name, *k.Default, v.text(k.Type), err)
			}
		}
	}
	for _, k := range topics.Keys() {
		if k.Synonym == "" {
			continue
		}
		b, ok := brokers.Key(k.Synonym)
		if !ok || b.Type != k.Type {
			t.Errorf("%s: synonym %s is %+v", k.Name, k.Synonym, b)
		}
	}
}

func TestParse(t *testing.T) {
	c := newConfigs(t)
	for _, test := range []struct{ key, value, want string }{
		{"retention.ms", " 5 ", ""},
		{"retention.ms", "-1", ""},
		{"retention.ms", "-2", "Invalid value -2 for configuration retention.ms: Value must be at least -1"},
		{"retention.ms", "soon", "Invalid value soon for configuration retention.ms: Not a number of type LONG"},
		{"segment.bytes", "2147483648", "Invalid value 2147483648 for configuration segment.bytes: Not a number of type INT"},
		{"segment.bytes", "13", "Invalid value 13 for configuration segment.bytes: Value must be at least 14"},
		{"cleanup.policy", "compact , delete", ""},
		{"cleanup.policy", "", ""},
		{"cleanup.policy", "shred", "Invalid value [shred] for configuration cleanup.policy: String must be one of: compact, delete"},
		{"compression.type", "zip", "Invalid value zip for configuration compression.type: String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"compression.gzip.level", "0", "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1"},
		{"preallocate", "TRUE", ""},
		{"preallocate", "yes", "Invalid value yes for configuration preallocate: Expected value to be either true or false"},
		{"min.cleanable.dirty.ratio", "1.5", "Invalid value 1.5 for configuration min.cleanable.dirty.ratio: Value must be no more than 1"},
		{"leader.replication.throttled.replicas", "0:1,2:3", ""},
		{"leader.replication.throttled.replicas", "*", ""},
		{"leader.replication.throttled.replicas", "0", "Invalid value [0] for configuration leader.replication.throttled.replicas: must be the literal '*' or a list of replicas in the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."},
		{"max.compaction.lag.ms", "5", ""},
		{"message.format.version", "2.8", ""},
		{"message.format.version", "new", "Invalid value new for configuration message.format.version: Version new is not a valid version."},
		{"retention.msx", "5", "Unknown topic config name: retention.msx"},
		{"remote.storage.enable", "true", "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."},
	} {
		err := c.ValidateTopic(map[string]string{test.key: test.value})
		got := ""
		if err != nil {
			got = err.Error()
			if !errors.Is(err, ErrInvalidConfig) {
				t.Errorf("%s: %v is no ErrInvalidConfig", test.key, err)
			}
		}
		if got != test.want {
			t.Errorf("%s=%q:\n got %s\nwant %s", test.key, test.value, got, test.want)
		}
	}
	err := c.ValidateTopic(map[string]string{"min.compaction.lag.ms": "9", "max.compaction.lag.ms": "3"})
	if err == nil || !strings.HasPrefix(err.Error(), "conflict topic config setting") {
		t.Error(err)
	}
	var unknown *UnknownKeyError
	if err := c.ValidateTopic(map[string]string{"retentoin.ms": "5"}); !errors.As(err, &unknown) || unknown.Nearest != "retention.ms" {
		t.Errorf("%+v", unknown)
	}
}

func TestFormatDouble(t *testing.T) {
	for f, want := range map[float64]string{0.5: "0.5", 1: "1.0", 0: "0.0", 1e7: "1.0E7", 1.7976931348623157e308: "1.7976931348623157E308", 0.0001: "1.0E-4", 123456.75: "123456.75"} {
		if got := formatDouble(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
}

func TestTopicLayers(t *testing.T) {
	const hour = 60 * 60 * 1000
	for _, test := range []struct {
		name       string
		properties []string
		all, one   map[string]string
		topic      map[string]string
		want       int64
	}{
		{"default", nil, nil, nil, nil, 168 * hour},
		{"hours", []string{"log.retention.hours", "2"}, nil, nil, nil, 2 * hour},
		{"minutes beat hours", []string{"log.retention.hours", "2", "log.retention.minutes", "3"}, nil, nil, nil, 3 * 60 * 1000},
		{"ms beat minutes", []string{"log.retention.minutes", "3", "log.retention.ms", "4"}, nil, nil, nil, 4},
		{"unlimited hours", []string{"log.retention.hours", "-1"}, nil, nil, nil, -1},
		{"for all brokers", []string{"log.retention.ms", "4"}, map[string]string{"log.retention.ms": "5"}, nil, nil, 5},
		{"for this broker", []string{"log.retention.ms", "4"}, map[string]string{"log.retention.ms": "5"}, map[string]string{"log.retention.ms": "6"}, nil, 6},
		{"for the topic", []string{"log.retention.ms", "4"}, map[string]string{"log.retention.ms": "5"}, nil, map[string]string{"retention.ms": "7"}, 7},
	} {
		c := newConfigs(t, test.properties...)
		if err := errors.Join(c.SetBrokerOverrides(true, test.all), c.SetBrokerOverrides(false, test.one), c.SetTopic("t", test.topic)); err != nil {
			t.Fatal(err)
		}
		if got := c.Topic("t").RetentionMs; got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	c := newConfigs(t)
	if got := c.Topic("t"); got.TimestampAfterMaxMs != hour || !got.Delete || got.Compact || got.MaxMessageBytes != 1048588 || got.FlushMs != 1<<63-1 || got.SegmentMs != 168*hour {
		t.Errorf("%+v", got)
	}
	if err := c.SetTopic("t", map[string]string{"message.timestamp.difference.max.ms": "9"}); err != nil {
		t.Fatal(err)
	}
	if got := c.Topic("t"); got.TimestampAfterMaxMs != 9 || got.TimestampBeforeMaxMs != 9 {
		t.Errorf("%+v", got)
	}
}

// TestInvalidOverrides: what is not valid in the tree does not take effect, the
// rest does.
func TestInvalidOverrides(t *testing.T) {
	c := newConfigs(t)
	if err := c.SetTopic("t", map[string]string{"retention.ms": "x", "segment.bytes": "100"}); !errors.Is(err, ErrInvalidConfig) {
		t.Error(err)
	}
	if got := c.Topic("t"); got.SegmentBytes != 100 || got.RetentionMs != 604800000 {
		t.Errorf("%+v", got)
	}
	if err := c.SetBrokerOverrides(false, map[string]string{"listeners": "nonsense", "log.retention.ms": "5"}); !errors.Is(err, ErrInvalidConfig) {
		t.Error(err)
	}
	if len(c.Broker().Listeners) != 1 {
		t.Errorf("%+v", c.Broker().Listeners)
	}
}

func TestBrokerConfig(t *testing.T) {
	c := newConfigs(t, "listeners", "INSIDE://:0,OUTSIDE://[::1]:9093", "listener.security.protocol.map", "INSIDE:PLAINTEXT, OUTSIDE:SASL_SSL",
		"inter.broker.listener.name", "INSIDE", "log.dirs", "/a, /b", "broker.id", "1", "zookeeper.session.timeout.ms", "9", "sasl.kerberos.nonsense", "x", "log.retenton.ms", "1")
	b := c.Broker()
	if want := []Listener{{"INSIDE", "", 0, 0}, {"OUTSIDE", "::1", 9093, 3}}; !slices.Equal(b.Listeners, want) || !slices.Equal(b.AdvertisedListeners, want) {
		t.Errorf("%+v", b)
	}
	if !slices.Equal(b.LogDirs, []string{"/a", "/b"}) || b.ZooKeeperConnectionTimeout != b.ZooKeeperSessionTimeout || b.InterBrokerListener != "INSIDE" {
		t.Errorf("%+v", b)
	}
	if got := c.Unknown(); len(got) != 2 || got[0] != (UnknownKey{"log.retenton.ms", "log.retention.ms"}) {
		t.Errorf("%+v", got)
	}
	for _, bad := range [][2]string{{"listeners", ""}, {"listeners", "A://:1"}, {"listeners", "PLAINTEXT://:1,PLAINTEXT://:2"}, {"listeners", "PLAINTEXT://:99999"}, {"listener.security.protocol.map", "A:B"}, {"num.partitions", "0"}, {"broker.id", "one"}} {
		if _, err := NewConfigs(1, map[string]string{bad[0]: bad[1]}); !errors.Is(err, ErrInvalidConfig) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestInterBrokerListener(t *testing.T) {
	const protocols = "IN:PLAINTEXT,OUT:SSL,SSL:SSL,PLAINTEXT:PLAINTEXT"
	for _, c := range []struct {
		listeners, name, protocol string
		want                      string // "" for an error
	}{
		{"IN://:1,PLAINTEXT://:2", "", "", "PLAINTEXT"},
		{"SSL://:1", "", "", "SSL"},
		{"OUT://:1,IN://:2", "in", "", "IN"},
		{"PLAINTEXT://:1,SSL://:2", "", "SSL", "SSL"},
		{"OUT://:1", "", "SSL", ""},
		{"OUT://:1", "IN", "", ""},
		{"IN://:1", "IN", "PLAINTEXT", ""},
	} {
		p := map[string]string{"listeners": c.listeners, "listener.security.protocol.map": protocols}
		if c.name != "" {
			p["inter.broker.listener.name"] = c.name
		}
		if c.protocol != "" {
			p["security.inter.broker.protocol"] = c.protocol
		}
		configs, err := NewConfigs(1, p)
		if c.want == "" {
			if !errors.Is(err, ErrInvalidConfig) {
				t.Errorf("%v: %v", p, err)
			}
		} else if err != nil || configs.Broker().InterBrokerListener != c.want {
			t.Errorf("%v: %v, want %s", p, err, c.want)
		}
	}
}

func TestValidateBroker(t *testing.T) {
	c := newConfigs(t)
	for _, test := range []struct {
		key, value string
		all        bool
		want       string
	}{
		{"log.retention.ms", "5", true, ""},
		{"log.retention.ms", "x", true, "Invalid value x for configuration log.retention.ms: Not a number of type LONG"},
		{"broker.id", "5", false, "Cannot update these configs dynamically: Set(broker.id)"},
		{"ssl.keystore.location", "/x", false, "These security configs can be dynamically updated only per-listener using the listener prefix: Set(ssl.keystore.location)"},
		{"advertised.listeners", "PLAINTEXT://h:1", true, "Cannot update these configs at default cluster level, broker id must be specified: Set(advertised.listeners)"},
		{"advertised.listeners", "PLAINTEXT://h:1", false, ""},
		{"listener.name.a.max.connections", "5", true, ""},
		{"listener.name.a.ssl.keystore.location", "/x", true, "Cannot update these configs at default cluster level, broker id must be specified: Set(listener.name.a.ssl.keystore.location)"},
		{"my.plugin.key", "x", true, ""},
	} {
		err := c.ValidateBroker(map[string]string{test.key: test.value}, test.all)
		if got := fmt.Sprint(err); got != test.want && !(err == nil && test.want == "") {
			t.Errorf("%s:\n got %s\nwant %s", test.key, got, test.want)
		}
	}
}

// described makes one line of an entry: value, source, synonyms.
func described(t *testing.T, c *Configs, image *Image, kind kmsg.ConfigResourceType, name, key string) string {
	t.Helper()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kind, name, []string{key}
	out := c.Describe(context.Background(), image, &r, true, true)
	if out.ErrorCode != 0 {
		return fmt.Sprintf("error %d %s", out.ErrorCode, *out.ErrorMessage)
	}
	if len(out.Configs) == 0 {
		return "nothing"
	}
	e := out.Configs[0]
	text := func(s *string) string {
		if s == nil {
			return "null"
		}
		return *s
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", text(e.Value), e.Source)
	if e.ReadOnly {
		b.WriteString(" read-only")
	}
	if e.IsSensitive {
		b.WriteString(" sensitive")
	}
	for _, s := range e.ConfigSynonyms {
		fmt.Fprintf(&b, " | %s:%s=%s", s.Source, s.Name, text(s.Value))
	}
	return b.String()
}

func TestDescribe(t *testing.T) {
	c := newConfigs(t, "broker.id", "1", "log.retention.hours", "2", "log.segment.bytes", "1000", "sasl.jaas.config", "secret", "my.secret", "x")
	image := imageWith(t, "t")
	if err := errors.Join(c.SetBrokerOverrides(true, map[string]string{"log.segment.bytes": "2000", "log.cleaner.threads": "2"}),
		c.SetBrokerOverrides(false, map[string]string{"log.segment.bytes": "3000", "log.roll.ms": "7"}),
		c.SetTopic("t", map[string]string{"segment.bytes": "4000"})); err != nil {
		t.Fatal(err)
	}
	topic, broker := kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	for _, test := range []struct {
		kind      kmsg.ConfigResourceType
		name, key string
		want      string
	}{
		{topic, "t", "segment.bytes", "4000 DYNAMIC_TOPIC_CONFIG | DYNAMIC_TOPIC_CONFIG:segment.bytes=4000 | DYNAMIC_BROKER_CONFIG:log.segment.bytes=3000 | DYNAMIC_DEFAULT_BROKER_CONFIG:log.segment.bytes=2000 | STATIC_BROKER_CONFIG:log.segment.bytes=1000 | DEFAULT_CONFIG:log.segment.bytes=1073741824"},
		{topic, "t", "retention.ms", "7200000 DEFAULT_CONFIG"},
		{topic, "t", "segment.ms", "7 DYNAMIC_BROKER_CONFIG | DYNAMIC_BROKER_CONFIG:log.roll.ms=7 | DEFAULT_CONFIG:log.roll.hours=168"},
		{topic, "t", "cleanup.policy", "delete DEFAULT_CONFIG | DEFAULT_CONFIG:log.cleanup.policy=delete"},
		{topic, "t", "remote.storage.enable", "false DEFAULT_CONFIG"},
		{topic, "t", "min.cleanable.dirty.ratio", "0.5 DEFAULT_CONFIG | DEFAULT_CONFIG:log.cleaner.min.cleanable.ratio=0.5"},
		{topic, "t", "no.such.key", "nothing"},
		{topic, "none", "segment.bytes", "error 3 "},
		{topic, "a b", "segment.bytes", "error 17 Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{broker, "1", "log.retention.hours", "2 STATIC_BROKER_CONFIG read-only | STATIC_BROKER_CONFIG:log.retention.hours=2 | DEFAULT_CONFIG:log.retention.hours=168"},
		{broker, "1", "log.retention.ms", "null DEFAULT_CONFIG"},
		{broker, "1", "node.id", "1 STATIC_BROKER_CONFIG read-only | STATIC_BROKER_CONFIG:node.id=1 | DEFAULT_CONFIG:node.id=-1"},
		{broker, "1", "sasl.jaas.config", "null STATIC_BROKER_CONFIG sensitive | STATIC_BROKER_CONFIG:sasl.jaas.config=null"},
		{broker, "1", "my.secret", "null STATIC_BROKER_CONFIG read-only sensitive | STATIC_BROKER_CONFIG:my.secret=null"},
		{broker, "1", "log.cleaner.threads", "2 DYNAMIC_DEFAULT_BROKER_CONFIG | DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.threads=2 | DEFAULT_CONFIG:log.cleaner.threads=1"},
		{broker, "", "log.segment.bytes", "2000 DYNAMIC_DEFAULT_BROKER_CONFIG | DYNAMIC_DEFAULT_BROKER_CONFIG:log.segment.bytes=2000"},
		{broker, "", "log.retention.hours", "nothing"},
		{broker, "2", "log.segment.bytes", "error 42 Unexpected broker id, expected 1 or empty string, but received 2"},
		{broker, "x", "log.segment.bytes", "error 42 Broker id must be an integer, but it is: x"},
	} {
		if got := described(t, c, image, test.kind, test.name, test.key); got != test.want {
			t.Errorf("%v %q %s:\n got %s\nwant %s", test.kind, test.name, test.key, got, test.want)
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	c := newConfigs(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 200 {
				_ = c.SetTopic("t", map[string]string{"retention.ms": fmt.Sprint(i)})
				_ = c.SetBrokerOverrides(true, map[string]string{"log.segment.bytes": fmt.Sprint(1000 + i)})
				if c.Topic("t").RetentionMs < 0 || c.Broker() == nil || len(c.DescribeTopic(nil, true, false)) == 0 {
					t.Error("lost config")
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkTopic(b *testing.B) {
	c := newConfigs(b)
	_ = c.SetTopic("t", map[string]string{"retention.ms": "5"})
	b.ReportAllocs()
	for b.Loop() {
		_ = c.Topic("t")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("cleanup.policy", "compact,delete")
	f.Add("segment.bytes", "12345")
	f.Add("min.cleanable.dirty.ratio", "NaN")
	topics := TopicTable()
	f.Fuzz(func(t *testing.T, name, text string) {
		k, ok := topics.Key(name)
		if !ok {
			return
		}
		v, err := k.parse(text)
		if err != nil {
			return
		}
		if _, err := k.parse(v.text(k.Type)); err != nil && v.text(k.Type) != "" {
			t.Fatalf("%s=%q is shown as %q, which is not valid: %v", name, text, v.text(k.Type), err)
		}
	})
}

// A listener's own key counts before the broker's, from whatever layer.
func TestListenerTLS(t *testing.T) {
	c, err := NewConfigs(1, map[string]string{
		"listeners":                                       "SSL://:0,CLIENT://:0,PLAINTEXT://:0",
		"listener.security.protocol.map":                  "SSL:SSL,CLIENT:SSL,PLAINTEXT:PLAINTEXT",
		"ssl.keystore.type":                               "PEM",
		"ssl.keystore.location":                           "/all.pem",
		"ssl.cipher.suites":                               "A,B",
		"listener.name.client.ssl.keystore.location":      "/client.pem",
		"listener.name.client.ssl.client.auth":            "required",
		"listener.name.client.ssl.truststore.location":    "/trust.pem",
		"listener.name.plaintext.ssl.truststore.location": "/unused",
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Broker().TLS; len(got) != 2 || got["SSL"].KeyStoreLocation != "/all.pem" || got["SSL"].ClientAuth != "none" ||
		got["CLIENT"].KeyStoreLocation != "/client.pem" || got["CLIENT"].ClientAuth != "required" ||
		got["CLIENT"].KeyStoreType != "PEM" || got["CLIENT"].TrustStoreLocation != "/trust.pem" || !slices.Equal(got["CLIENT"].CipherSuites, []string{"A", "B"}) {
		t.Errorf("TLS: %+v %+v", got["SSL"], got["CLIENT"])
	}
	next := map[string]string{"listener.name.client.ssl.keystore.location": "/next.pem"}
	preview, err := c.Preview(next, false)
	if err != nil || preview.TLS["CLIENT"].KeyStoreLocation != "/next.pem" || c.Broker().TLS["CLIENT"].KeyStoreLocation != "/client.pem" {
		t.Errorf("preview: %v %+v", err, preview.TLS["CLIENT"])
	}
	if err := c.SetBrokerOverrides(false, next); err != nil || c.Broker().TLS["CLIENT"].KeyStoreLocation != "/next.pem" {
		t.Errorf("override: %v %+v", err, c.Broker().TLS["CLIENT"])
	}
}
