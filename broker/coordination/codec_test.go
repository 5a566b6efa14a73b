package coordination

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestEncode compares with bytes that Kafka 3.9 wrote.
func TestEncode(t *testing.T) {
	broker := BrokerRegistration{Endpoints: []Endpoint{{"PLAINTEXT", "PLAINTEXT", "h", 9092}}, JMXPort: -1, TimestampMs: 1}
	racked := broker
	racked.Rack = "r"
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"broker", broker.Encode(), `{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://h:9092"],"jmx_port":-1,"port":9092,"host":"h","version":5,"timestamp":"1"}`},
		{"broker with rack", racked.Encode(), `{"features":{},"listener_security_protocol_map":{"PLAINTEXT":"PLAINTEXT"},"endpoints":["PLAINTEXT://h:9092"],"rack":"r","jmx_port":-1,"port":9092,"host":"h","version":5,"timestamp":"1"}`},
		{"broker without PLAINTEXT", (&BrokerRegistration{Endpoints: []Endpoint{{"OUT", "SSL", "::1", 1}}, JMXPort: 7, TimestampMs: 2}).Encode(),
			`{"features":{},"listener_security_protocol_map":{"OUT":"SSL"},"endpoints":["OUT://[::1]:1"],"jmx_port":7,"port":-1,"host":null,"version":5,"timestamp":"2"}`},
		{"topic in reassignment", (&TopicAssignment{Partitions: map[int32][]int32{0: {1, 2, 3}}, AddingReplicas: map[int32][]int32{0: {3}}, RemovingReplicas: map[int32][]int32{0: {1}}}).Encode(),
			`{"partitions":{"0":[1,2,3]},"adding_replicas":{"0":[3]},"removing_replicas":{"0":[1]},"version":3}`},
		{"state", (&PartitionState{5, 1, 8, []int32{1, 2, 3}, 0}).Encode(), `{"controller_epoch":5,"leader":1,"version":1,"leader_epoch":8,"isr":[1,2,3]}`},
		{"recovering state", (&PartitionState{5, 1, 8, []int32{1, 2, 3}, 1}).Encode(), `{"controller_epoch":5,"leader":1,"version":1,"leader_recovery_state":1,"leader_epoch":8,"isr":[1,2,3]}`},
		{"controller", (&ControllerNode{1, 5, -1}).Encode(), `{"version":2,"brokerid":1,"timestamp":"5","kraftControllerEpoch":-1}`},
		{"cluster id", EncodeClusterID("abc"), `{"version":"1","id":"abc"}`},
		{"producer ids", (&ProducerIDBlock{1, 1000, 1999}).Encode(), `{"version":1,"broker":1,"block_start":"1000","block_end":"1999"}`},
		{"no config", EncodeConfig(nil), `{"version":1,"config":{}}`},
		{"config", EncodeConfig(configOf("cleanup.policy retention.ms segment.bytes min.insync.replicas compression.type")),
			`{"version":1,"config":{"compression.type":"v","cleanup.policy":"v","min.insync.replicas":"v","retention.ms":"v","segment.bytes":"v"}}`},
		{"escapes", EncodeConfig(map[string]string{"k\"é\x01/<>&\u2028": "v\\\n"}), "{\"version\":1,\"config\":{\"k\\\"é\\u0001/<>&\u2028\":\"v\\\\\\n\"}}"},
		{"config change", EncodeConfigChange(ConfigTopics, "t"), `{"version":2,"entity_path":"topics/t"}`},
		{"reassignment", EncodeReassignments([]Reassignment{{TopicPartition{Topic: "t", Partition: 0}, []int32{1, 2}}}), `{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[1,2]}]}`},
		{"partitions", EncodePartitions([]TopicPartition{{Topic: "t", Partition: 0}}), `{"version":1,"partitions":[{"topic":"t","partition":0}]}`},
		{"log dir", EncodeLogDirEvent(1), `{"version":1,"broker":1,"event":1}`},
		{"feature", (&Feature{true, map[string]int16{"f": 1}}).Encode(), `{"version":2,"status":1,"features":{"f":{"max_version_level":1}}}`},
		{"epoch", EncodeControllerEpoch(5), "5"},
	} {
		if string(c.got) != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, c.got, c.want)
		}
	}
}

func configOf(keys string) map[string]string {
	m := map[string]string{}
	for _, k := range strings.Fields(keys) {
		m[k] = "v"
	}
	return m
}

// TestEncodeTopicBySize compares with Kafka's bytes for topics of 1 to 60
// partitions: the order of partitions is that of its hash table.
func TestEncodeTopicBySize(t *testing.T) {
	golden, err := os.ReadFile("testdata/topics_by_size.txt")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(golden)), "\n")
	for i, n := range []int32{1, 3, 11, 12, 13, 23, 24, 25, 60} {
		a := TopicAssignment{Partitions: map[int32][]int32{}}
		for p := range n {
			a.Partitions[p] = []int32{p}
		}
		// The zero id is not written; the golden lines carry one in text.
		got := strings.Replace(string(a.Encode()), `,"adding`, `,"topic_id":"AAAAAAAAAAAAAAAAAAAAAA","adding`, 1)
		if got != lines[i] {
			t.Errorf("%d partitions:\n got %s\nwant %s", n, got, lines[i])
		}
	}
}

func TestDecodeOlderVersions(t *testing.T) {
	for payload, want := range map[string]BrokerRegistration{
		`{"version":1,"host":"h","port":1,"jmx_port":9999,"timestamp":"2233345666"}`:                                                                           {Endpoints: []Endpoint{{"PLAINTEXT", "PLAINTEXT", "h", 1}}, JMXPort: 9999, TimestampMs: 2233345666},
		`{"version":2,"host":"h","port":1,"jmx_port":-1,"timestamp":"1","endpoints":["PLAINTEXT://h:1","SSL://h:2"]}`:                                          {Endpoints: []Endpoint{{"PLAINTEXT", "PLAINTEXT", "h", 1}, {"SSL", "SSL", "h", 2}}, JMXPort: -1, TimestampMs: 1},
		`{"version":4,"host":null,"port":-1,"timestamp":7,"endpoints":["A://h:1"],"listener_security_protocol_map":{"A":"SASL_SSL"},"rack":"x","unknown":[1]}`: {Endpoints: []Endpoint{{"A", "SASL_SSL", "h", 1}}, JMXPort: -1, TimestampMs: 7, Rack: "x"},
		`{"version":5,"endpoints":[],"features":{"f":{"min_version":1,"max_version":3}}}`:                                                                      {JMXPort: -1, Features: map[string]FeatureRange{"f": {1, 3}}},
	} {
		got, err := DecodeBrokerRegistration([]byte(payload))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", payload, got, err, want)
		}
	}
	topic, err := DecodeTopicAssignment([]byte(`{"version":1,"partitions":{"0":[1],"1":[2]}}`))
	if err != nil || topic.ID != (UUID{}) || len(topic.Partitions) != 2 || topic.Partitions[1][0] != 2 {
		t.Errorf("%+v, %v", topic, err)
	}
	c, err := DecodeControllerNode([]byte(`{"version":1,"brokerid":3,"timestamp":"9"}`))
	if err != nil || c != (ControllerNode{3, 9, -1}) {
		t.Errorf("%+v, %v", c, err)
	}
	kind, name, err := DecodeConfigChange([]byte(`{"version":1,"entity_type":"topics","entity_name":"t"}`))
	if err != nil || kind != ConfigTopics || name != "t" {
		t.Error(kind, name, err)
	}
	f, err := DecodeFeature([]byte(`{"version":1,"status":0,"features":{"f":{"min_version_level":1,"max_version_level":2}}}`))
	if err != nil || f.Enabled || !maps.Equal(f.Levels, map[string]int16{"f": 2}) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, decode := range decoders() {
		for _, bad := range []string{"", "x", "null1", "[]", `"s"`, `{"version":"x"`, `{"partitions":{"-1":[1]}}`, `{"partitions":[{"topic":"t","partition":-1}]}`, `{"leader":1}`, `{"block_start":"5","block_end":"1","broker":1}`} {
			if name == "config" && bad == "" || (name == "topic" || name == "partitions" || name == "reassignment") && bad == `{"leader":1}` ||
				(name == "topic" || name == "partitions" || name == "reassignment") && strings.Contains(bad, "block") ||
				name == "logdir" && strings.Contains(bad, "broker") {
				continue // empty, but readable
			}
			if _, err := decode([]byte(bad)); !errors.Is(err, ErrBadPayload) {
				t.Errorf("%s takes %q: %v", name, bad, err)
			}
		}
	}
}

// decoders are all decoders; each returns what it read, encoded again.
func decoders() map[string]func([]byte) ([]byte, error) {
	return map[string]func([]byte) ([]byte, error){
		"broker":       again(DecodeBrokerRegistration, func(v BrokerRegistration) []byte { return v.Encode() }),
		"topic":        again(DecodeTopicAssignment, func(v TopicAssignment) []byte { return v.Encode() }),
		"state":        again(DecodePartitionState, func(v PartitionState) []byte { return v.Encode() }),
		"controller":   again(DecodeControllerNode, func(v ControllerNode) []byte { return v.Encode() }),
		"epoch":        again(DecodeControllerEpoch, EncodeControllerEpoch),
		"offset":       again(DecodeOffset, EncodeOffset),
		"cluster":      again(DecodeClusterID, EncodeClusterID),
		"producer":     again(DecodeProducerIDBlock, func(v ProducerIDBlock) []byte { return v.Encode() }),
		"config":       again(DecodeConfig, EncodeConfig),
		"partitions":   again(DecodePartitions, EncodePartitions),
		"reassignment": again(DecodeReassignments, EncodeReassignments),
		"logdir":       again(DecodeLogDirEvent, EncodeLogDirEvent),
		"feature":      again(DecodeFeature, func(v Feature) []byte { return v.Encode() }),
		"change": func(b []byte) ([]byte, error) {
			kind, name, err := DecodeConfigChange(b)
			return EncodeConfigChange(kind, name), err
		},
	}
}

func again[T any](decode func([]byte) (T, error), encode func(T) []byte) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) {
		v, err := decode(b)
		if err != nil {
			return nil, err
		}
		return encode(v), nil
	}
}

// FuzzDecode: no payload panics, and what was read survives being written.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":5,"host":"h","port":1,"endpoints":["A://h:1"],"timestamp":"1"}`))
	f.Add([]byte(`{"version":3,"partitions":{"0":[1,2]},"topic_id":"AAAAAAAAAAAAAAAAAAAAAQ"}`))
	f.Add([]byte(`{"controller_epoch":5,"leader":1,"version":1,"leader_epoch":7,"isr":[1]}`))
	f.Add([]byte(`{"version":1,"config":{"a":"b"}}`))
	f.Add([]byte("12"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, decode := range decoders() {
			once, err := decode(b)
			if err != nil {
				if !errors.Is(err, ErrBadPayload) {
					t.Fatalf("%s: error %v", name, err)
				}
				continue
			}
			twice, err := decode(once)
			if err != nil || !bytes.Equal(once, twice) {
				t.Fatalf("%s: %q was written as %q, then as %q: %v", name, b, once, twice, err)
			}
		}
	})
}

func TestPathHelpers(t *testing.T) {
	for name, want := range map[string]string{"a b": "a%20b", "a*": "a%2A", "ü+/~": "%C3%BC%2B%2F~", "<default>": "%3Cdefault%3E"} {
		got := Sanitize(name)
		back, err := Desanitize(got)
		if got != want || back != name || err != nil {
			t.Errorf("%q: %q, want %q; back %q %v", name, got, want, back, err)
		}
	}
	if n, ok := SequenceNumber("config_change_0000000042"); n != 42 || !ok {
		t.Error(n, ok)
	}
	if _, ok := SequenceNumber("config_change_42"); ok {
		t.Error("too few digits were taken for a counter")
	}
	if _, err := ParseUUID(strings.Repeat("A", 21)); !errors.Is(err, ErrBadPayload) {
		t.Error(err)
	}
	if id, err := ParseUUID("AAAAAAAAAAAAAAAAAAAAAQ=="); err != nil || id[15] != 1 || FormatUUID(id) != "AAAAAAAAAAAAAAAAAAAAAQ" {
		t.Error(id, err)
	}
}
