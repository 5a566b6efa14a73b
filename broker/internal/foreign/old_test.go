package foreign

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/deploy/testbed"
)

// oldCodecs are the codecs that messages of format 0 and 1 may have.
func oldCodecs() []string { return []string{"none", "gzip", "snappy", "lz4"} }

func oldTopicOf(codec string) string { return "old-codec-" + codec }

// oldPeer is a client that knows only older message formats: 0 up to 0.9,
// 1 from 0.10 on.
type oldPeer struct {
	peer
	without string // a codec that it does not have
	grouped bool   // commits the offsets of its group
}

func oldPeers() []oldPeer {
	return []oldPeer{
		{peer: peer{"kcat-0.8.2.1", "kcat", oldKcatProduce("0.8.2.1"), oldKcatConsume("0.8.2.1")}},
		{peer: peer{"kcat-0.9.0.1", "kcat", oldKcatProduce("0.9.0.1"), oldKcatGroup("0.9.0.1")}, grouped: true},
		{peer: peer{"kcat-0.10.0.0", "kcat", oldKcatProduce("0.10.0.0"), oldKcatGroup("0.10.0.0")}, grouped: true},
		{peer: peer{"sarama-0.8.2", "", oldSaramaProduce(sarama.V0_8_2_0), oldSaramaConsume(sarama.V0_8_2_0)}, without: "lz4"},
		{peer: peer{"sarama-0.10.0", "", oldSaramaProduce(sarama.V0_10_0_0), oldSaramaConsume(sarama.V0_10_0_0)}},
		{peer: peer{"java-0.8.2.2", "kafka-0.8", oldJavaProduce("0.8", "--new-producer"), java08Consume}},
		{peer: peer{"scala-0.8.2.2", "kafka-0.8", oldJavaProduce("0.8"), nil}},
		{peer: peer{"java-0.9.0.1", "kafka-0.9", oldJavaProduce("0.9"), oldJavaConsume("0.9")}, grouped: true},
		{peer: peer{"java-0.10.2.2", "kafka-0.10", oldJavaProduce("0.10"), oldJavaConsume("0.10")}, grouped: true},
	}
}

// Clients of 0.8, 0.9 and 0.10 read what each of them and what a new client
// wrote, with every codec that their formats have, and a new client reads it
// all.
func TestOldPeersReadEachOther(t *testing.T) {
	dir := t.TempDir()
	s := testbed.StartServer(t, dir, testbed.FreePort(t))
	adm := admin(t, s.Addr)
	var topics []string
	for _, codec := range oldCodecs() {
		topics = append(topics, oldTopicOf(codec))
	}
	if _, err := adm.CreateTopics(t.Context(), 1, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	all := oldPeers()
	if testing.Short() {
		all = slices.DeleteFunc(all, func(p oldPeer) bool { return strings.HasPrefix(p.component, "kafka-") })
	}
	var written []string
	write := func(t *testing.T, p peer, codec string) {
		values := lines(p.name, codec)
		p.produce(t, s.Addr, oldTopicOf(codec), codec, values)
		written = append(written, values...)
	}
	for _, p := range append([]oldPeer{{peer: peer{name: "franz-go", produce: newProduce}}}, all...) {
		t.Run("produce/"+p.name, func(t *testing.T) {
			require(t, p.peer)
			for _, codec := range oldCodecs() {
				if codec != p.without {
					write(t, p.peer, codec)
				}
			}
		})
	}
	slices.Sort(written)
	t.Run("stored", func(t *testing.T) { checkStored(t, s.Addr, topics, len(written)) })
	for _, p := range all {
		if p.consume == nil {
			continue
		}
		t.Run("consume/"+p.name, func(t *testing.T) {
			require(t, p.peer)
			from, want := topics, written
			if p.without != "" {
				from, want = without(topics, written, p.without)
			}
			got := p.consume(t, s.Addr, "group-"+p.name, from, len(want))
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("%d records read, %d written; %.300s", len(got), len(want), firstDifference(got, want))
			}
			if p.grouped {
				checkCommitted(t, adm, "group-"+p.name, topics)
			}
		})
	}
	t.Run("verify", func(t *testing.T) {
		testbed.Output(t, "", testbed.Binary(t), "log", "verify", "--no-gaps", filepath.Join(dir, "log"))
	})
	t.Run("kafka-dump-log", func(t *testing.T) { dumpConverted(t, filepath.Join(dir, "log"), len(written)) })
}

// dumpConverted lets Kafka's own tool read what was made of old messages.
func dumpConverted(t *testing.T, dir string, count int) {
	if testing.Short() {
		t.Skip("the tool is a Java process")
	}
	var files []string
	for _, codec := range oldCodecs() {
		files = append(files, filepath.Join(dir, oldTopicOf(codec)+"-0", "00000000000000000000.log"))
	}
	out := testbed.KafkaTool(t, "3.9", "", "kafka-dump-log", "--deep-iteration", "--files", strings.Join(files, ","))
	if records := strings.Count(out, "| offset: "); records != count || !strings.Contains(out, "isvalid: true") {
		t.Errorf("%d records, want %d", records, count)
	}
	if strings.Contains(out, "isvalid: false") || strings.Contains(out, "Found") {
		t.Errorf("damage: %.2000s", out)
	}
}

// without leaves out a codec's topic and what was written to it.
func without(topics, written []string, codec string) (from, want []string) {
	from = slices.DeleteFunc(slices.Clone(topics), func(topic string) bool { return topic == oldTopicOf(codec) })
	want = slices.DeleteFunc(slices.Clone(written), func(value string) bool { return strings.Split(value, "/")[1] == codec })
	return from, want
}

// newProduce writes batches of format 2 with headers, which old formats have no
// room for.
func newProduce(t *testing.T, addr, topic, codec string, values []string) {
	cl, err := client.New(client.Config{Brokers: []string{addr}}, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgoCodec(codec)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, &kgo.Record{Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "dropped", Value: []byte("for old clients")}}})
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// asBrokerOf makes librdkafka speak as to a broker of that version.
func asBrokerOf(addr, version string) []string {
	return []string{"-b", addr, "-X", "api.version.request=false", "-X", "broker.version.fallback=" + version}
}

func oldKcatProduce(version string) func(*testing.T, string, string, string, []string) {
	return func(t *testing.T, addr, topic, codec string, values []string) {
		testbed.Kcat(t, text(values), append(asBrokerOf(addr, version), "-P", "-t", topic, "-z", codec)...)
	}
}

// oldKcatConsume reads without a group, which brokers of 0.8 kept in ZooKeeper.
func oldKcatConsume(version string) func(*testing.T, string, string, []string, int) []string {
	return func(t *testing.T, addr, _ string, topics []string, _ int) (values []string) {
		for _, topic := range topics {
			out := testbed.Kcat(t, "", append(asBrokerOf(addr, version), "-C", "-e", "-q", "-t", topic, "-o", "beginning", "-f", `%o %s\n`)...)
			values = append(values, numbered(t, split(out))...)
		}
		return values
	}
}

// numbered takes the offsets off lines "offset value" of one partition, after it
// has checked that none is missing.
func numbered(t *testing.T, lines []string) (values []string) {
	t.Helper()
	for i, line := range lines {
		offset, value, _ := strings.Cut(line, " ")
		if offset != strconv.Itoa(i) {
			t.Errorf("record %d has offset %.20s", i, offset)
		}
		values = append(values, value)
	}
	return values
}

func oldKcatGroup(version string) func(*testing.T, string, string, []string, int) []string {
	return func(t *testing.T, addr, group string, topics []string, _ int) []string {
		args := append(asBrokerOf(addr, version), "-q", "-e", "-X", "auto.offset.reset=earliest", "-f", "%s\n", "-G", group)
		return split(testbed.Kcat(t, "", append(args, topics...)...))
	}
}

// oldSaramaConfig is that of a client as old as version.
func oldSaramaConfig(version sarama.KafkaVersion, codec string) *sarama.Config {
	c := saramaConfig(codec)
	c.Version = version
	return c
}

func oldSaramaProduce(version sarama.KafkaVersion) func(*testing.T, string, string, string, []string) {
	return func(t *testing.T, addr, topic, codec string, values []string) {
		saramaSend(t, addr, topic, oldSaramaConfig(version, codec), values)
	}
}

// oldSaramaConsume reads partitions: sarama's groups need 0.10.2.
func oldSaramaConsume(version sarama.KafkaVersion) func(*testing.T, string, string, []string, int) []string {
	return func(t *testing.T, addr, _ string, topics []string, _ int) (values []string) {
		c, err := sarama.NewConsumer([]string{addr}, oldSaramaConfig(version, ""))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for _, topic := range topics {
			values = append(values, saramaPartition(t, c, topic)...)
		}
		return values
	}
}

// saramaPartition reads partition 0 of a topic from start to end.
func saramaPartition(t *testing.T, c sarama.Consumer, topic string) (values []string) {
	t.Helper()
	part, err := c.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	for {
		select {
		case m := <-part.Messages():
			if m.Offset != int64(len(values)) {
				t.Errorf("record %d of %s has offset %d", len(values), topic, m.Offset)
			}
			values = append(values, string(m.Value))
			if m.Offset+1 == part.HighWaterMarkOffset() {
				return values
			}
		case err := <-part.Errors():
			t.Fatal(err)
		case <-t.Context().Done():
			t.Fatalf("no more than %d records of %s", len(values), topic)
		}
	}
}

func oldJavaProduce(version string, more ...string) func(*testing.T, string, string, string, []string) {
	return func(t *testing.T, addr, topic, codec string, values []string) {
		args := []string{"--broker-list", addr, "--topic", topic, "--compression-codec", codec, "--request-required-acks", "-1"}
		testbed.KafkaTool(t, version, text(values), "kafka-console-producer", append(args, more...)...)
	}
}

// java08Consume reads without a group, which needs ZooKeeper in 0.8.
func java08Consume(t *testing.T, addr, _ string, topics []string, _ int) (values []string) {
	for _, topic := range topics {
		out := testbed.KafkaTool(t, "0.8", "", "kafka-console-consumer", "--broker-list", addr, "--topic", topic,
			"--partition", "0", "--offset", "-2", "--no-wait-at-logend")
		for _, line := range split(out) {
			if !strings.HasPrefix(line, "Terminating. ") {
				values = append(values, line)
			}
		}
	}
	return values
}

// oldJavaConsume reads topic by topic: the console consumer of 0.9 takes only
// one, all as members of the same group.
func oldJavaConsume(version string) func(*testing.T, string, string, []string, int) []string {
	return func(t *testing.T, addr, group string, topics []string, count int) (values []string) {
		config := filepath.Join(t.TempDir(), "consumer.properties")
		if err := os.WriteFile(config, []byte("group.id="+group+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, topic := range topics {
			n := endOf(t, addr, topic)
			out := testbed.KafkaTool(t, version, "", "kafka-console-consumer", "--new-consumer", "--bootstrap-server", addr, "--consumer.config", config,
				"--topic", topic, "--from-beginning", "--max-messages", fmt.Sprint(n), "--timeout-ms", "60000")
			values = append(values, split(out)...)
		}
		return values
	}
}

// endOf is the end of partition 0 of a topic.
func endOf(t *testing.T, addr, topic string) int64 {
	t.Helper()
	ends, err := admin(t, addr).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := ends.Lookup(topic, 0)
	return o.Offset
}
