package foreign

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leatstream/leat/deploy/testbed"
)

// step is one call of a tool and what its output has to show: regular
// expressions, each of which matches some line.
type step struct {
	tool string
	args string
	want []string
	not  string // no line may match; "" for none
}

// versions of Apache Kafka whose tools are run.
func versions() []string { return []string{"3.9", "4.3"} }

// Kafka's own tools administer the broker, in the order in which somebody
// might use them.
func TestKafkaTools(t *testing.T) {
	if testing.Short() {
		t.Skip("each tool starts a Java process")
	}
	s := testbed.StartServer(t, t.TempDir(), testbed.FreePort(t))
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			testbed.Require(t, "kafka-"+version)
			topic, group := "river-"+strings.ReplaceAll(version, ".", "-"), "mill-"+version
			for _, step := range script(t, topic, group) {
				t.Run(step.tool+" "+strings.Fields(step.args + " plain")[0], func(t *testing.T) { step.run(t, s.Addr, version) })
			}
		})
	}
}

func (s step) run(t *testing.T, addr, version string) {
	if s.tool == "kcat" {
		testbed.Kcat(t, "one\ntwo\nthree\nfour\n", append([]string{"-b", addr}, strings.Fields(s.args)...)...)
		return
	}
	args := []string{"--bootstrap-server", addr}
	if s.tool == "kafka-producer-perf-test" {
		args = []string{"--producer-props", "bootstrap.servers=" + addr, "acks=all"}
	}
	out := testbed.KafkaTool(t, version, "", s.tool, append(args, strings.Fields(s.args)...)...)
	for _, want := range s.want {
		if !regexp.MustCompile("(?m)" + want).MatchString(out) {
			t.Errorf("%s %s: no line matches %s in:\n%s", s.tool, s.args, want, out)
		}
	}
	if s.not != "" && regexp.MustCompile("(?m)"+s.not).MatchString(out) {
		t.Errorf("%s %s: a line matches %s in:\n%s", s.tool, s.args, s.not, out)
	}
}

// script is what is done with a topic of one partition at first and a group
// that reads it.
func script(t *testing.T, topic, group string) []step {
	deletion := filepath.Join(t.TempDir(), "delete.json")
	text := fmt.Sprintf(`{"partitions":[{"topic":%q,"partition":0,"offset":3}],"version":1}`, topic)
	if err := os.WriteFile(deletion, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	line := func(words ...string) string { return `(^|\s)` + strings.Join(words, `\s+`) + `\b` }
	return []step{
		{"kafka-broker-api-versions", "", []string{`^localhost:\d+ \(id: 0 rack: null`, `Produce\(0\): 0 to 13`, `Fetch\(1\): 0 to 18`}, ""},
		{"kafka-topics", "--create --topic " + topic + " --partitions 1 --config retention.ms=3600000", []string{"^Created topic " + topic}, ""},
		{"kafka-topics", "--list", []string{"^" + topic + "$"}, ""},
		{"kafka-topics", "--describe --topic " + topic, []string{
			"Topic: " + topic + ".*PartitionCount: 1.*ReplicationFactor: 1.*Configs: .*retention.ms=3600000", "Partition: 0.*Leader: 0.*Replicas: 0.*Isr: 0",
		}, ""},
		{"kcat", "-P -t " + topic + " -p 0", nil, ""},
		{"kafka-get-offsets", "--topic " + topic, []string{"^" + topic + ":0:4$"}, ""},
		{"kafka-get-offsets", "--topic " + topic + " --time -2", []string{"^" + topic + ":0:0$"}, ""},
		{"kafka-get-offsets", "--topic " + topic + " --time -3", []string{"^" + topic + `:0:[0-3]$`}, ""},
		{"kafka-console-consumer", "--topic " + topic + " --group " + group + " --from-beginning --max-messages 4", []string{"^one$", "^four$"}, ""},
		{"kafka-consumer-groups", "--list", []string{"^" + group + "$"}, ""},
		{"kafka-consumer-groups", "--describe --group " + group, []string{line(group, topic, "0", "4", "4", "0")}, ""},
		{"kafka-consumer-groups", "--describe --group " + group + " --state", []string{`Empty\s+0$`}, ""},
		{"kafka-consumer-groups", "--reset-offsets --group " + group + " --topic " + topic + " --to-offset 1 --execute", []string{line(group, topic, "0", "1")}, ""},
		{"kafka-consumer-groups", "--describe --group " + group, []string{line(group, topic, "0", "1", "4", "3")}, ""},
		{"kafka-consumer-groups", "--reset-offsets --group " + group + " --topic " + topic + " --to-latest --dry-run", []string{line(group, topic, "0", "4")}, ""},
		{"kafka-delete-records", "--offset-json-file " + deletion, []string{`partition: ` + topic + `-0\s+low_watermark: 3`}, "error"},
		{"kafka-get-offsets", "--topic " + topic + " --time -2", []string{"^" + topic + ":0:3$"}, ""},
		{"kafka-console-consumer", "--topic " + topic + " --from-beginning --max-messages 1", []string{"^four$"}, ""},
		{"kafka-topics", "--alter --topic " + topic + " --partitions 3", nil, "[Ee]rror"},
		{"kafka-topics", "--describe --topic " + topic, []string{"PartitionCount: 3", "Partition: 2.*Leader: 0"}, ""},
		{"kafka-configs", "--alter --topic " + topic + " --add-config retention.bytes=123456", []string{"^Completed updating config for topic " + topic}, ""},
		{"kafka-configs", "--describe --topic " + topic, []string{"retention.bytes=123456 sensitive=false synonyms=.DYNAMIC_TOPIC_CONFIG:retention.bytes=123456"}, ""},
		{"kafka-configs", "--alter --topic " + topic + " --delete-config retention.bytes", []string{"^Completed"}, ""},
		{"kafka-configs", "--describe --topic " + topic, []string{"retention.ms=3600000"}, "retention.bytes"},
		{"kafka-configs", "--describe --broker 0 --all", []string{"group.initial.rebalance.delay.ms=0.*STATIC_BROKER_CONFIG"}, ""},
		{"kafka-log-dirs", "--describe --topic-list " + topic, []string{`"partition":"` + topic + `-0","size":\d+,"offsetLag":0,"isFuture":false`}, ""},
		{"kafka-producer-perf-test", "--topic " + topic + " --num-records 20000 --record-size 100 --throughput -1", []string{"^20000 records sent"}, "(?i)exception|error"},
		{"kafka-consumer-perf-test", "--topic " + topic + " --messages 10000", []string{`, \d{5}, `}, "(?i)exception"},
		{"kafka-consumer-groups", "--delete --group " + group, []string{"Deletion of requested consumer groups .* was successful"}, ""},
		{"kafka-consumer-groups", "--list", nil, "^" + group + "$"},
		{"kafka-topics", "--delete --topic " + topic, nil, "(?i)error"},
		{"kafka-topics", "--list", nil, "^" + topic + "$"},
	}
}
