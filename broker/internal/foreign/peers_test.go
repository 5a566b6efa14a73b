package foreign

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/deploy/testbed"
)

func text(values []string) string { return strings.Join(values, "\n") + "\n" }

// split is what a console client printed, a record a line.
func split(out string) []string {
	if out = strings.TrimSuffix(out, "\n"); out == "" {
		return nil
	}
	return strings.Split(out, "\n")
}

func kcatProduce(t *testing.T, addr, topic, codec string, values []string) {
	testbed.Kcat(t, text(values), "-P", "-b", addr, "-t", topic, "-z", codec, "-X", "acks=all")
}

func kcatConsume(t *testing.T, addr, group string, topics []string, count int) []string {
	args := []string{"-b", addr, "-q", "-e", "-X", "auto.offset.reset=earliest", "-f", "%s\n", "-G", group}
	return split(testbed.Kcat(t, "", append(args, topics...)...))
}

func javaProduce(version string) func(*testing.T, string, string, string, []string) {
	return func(t *testing.T, addr, topic, codec string, values []string) {
		testbed.KafkaTool(t, version, text(values), "kafka-console-producer",
			"--bootstrap-server", addr, "--topic", topic, "--compression-codec", codec, "--request-required-acks", "all")
	}
}

func javaConsume(version string) func(*testing.T, string, string, []string, int) []string {
	return func(t *testing.T, addr, group string, topics []string, count int) []string {
		return split(testbed.KafkaTool(t, version, "", "kafka-console-consumer", "--bootstrap-server", addr, "--group", group,
			"--include", strings.Join(topics, "|"), "--from-beginning", "--max-messages", strconv.Itoa(count), "--timeout-ms", "60000"))
	}
}

func kgoCodec(codec string) kgo.CompressionCodec {
	switch codec {
	case "gzip":
		return kgo.GzipCompression()
	case "snappy":
		return kgo.SnappyCompression()
	case "lz4":
		return kgo.Lz4Compression()
	case "zstd":
		return kgo.ZstdCompression()
	}
	return kgo.NoCompression()
}

func kgoProduce(t *testing.T, addr, topic, codec string, values []string) {
	cl, err := client.New(client.Config{Brokers: []string{addr}}, kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(kgoCodec(codec)))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for _, v := range values {
		records = append(records, kgo.StringRecord(v))
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func kgoConsume(t *testing.T, addr, group string, topics []string, count int) []string {
	cl, err := client.New(client.Config{Brokers: []string{addr}}, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topics...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.DisableAutoCommit())
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var values []string
	for _, r := range poll(t, cl, count) {
		values = append(values, string(r.Value))
	}
	if err := cl.CommitUncommittedOffsets(t.Context()); err != nil {
		t.Error(err)
	}
	return values
}

func saramaConfig(codec string) *sarama.Config {
	c := sarama.NewConfig()
	c.Producer.RequiredAcks = sarama.WaitForAll
	c.Producer.Return.Successes = true
	c.Consumer.Offsets.Initial = sarama.OffsetOldest
	c.Consumer.Offsets.AutoCommit.Enable = false
	switch codec {
	case "gzip":
		c.Producer.Compression = sarama.CompressionGZIP
	case "snappy":
		c.Producer.Compression = sarama.CompressionSnappy
	case "lz4":
		c.Producer.Compression = sarama.CompressionLZ4
	case "zstd":
		c.Producer.Compression = sarama.CompressionZSTD
	}
	return c
}

func saramaProduce(t *testing.T, addr, topic, codec string, values []string) {
	saramaSend(t, addr, topic, saramaConfig(codec), values)
}

func saramaSend(t *testing.T, addr, topic string, c *sarama.Config, values []string) {
	t.Helper()
	p, err := sarama.NewSyncProducer([]string{addr}, c)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for half := range 2 { // in two calls, so that a partition gets several batches
		var messages []*sarama.ProducerMessage
		for _, v := range values[half*len(values)/2 : (half+1)*len(values)/2] {
			messages = append(messages, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)})
		}
		if err := p.SendMessages(messages); err != nil {
			t.Fatal(err)
		}
	}
}

func saramaConsume(t *testing.T, addr, group string, topics []string, count int) []string {
	g, err := sarama.NewConsumerGroup([]string{addr}, group, saramaConfig(""))
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	h := &saramaHandler{values: make(chan string)}
	ended := make(chan error, 1)
	go func() { ended <- g.Consume(ctx, topics, h) }()
	var values []string
	for len(values) < count {
		select {
		case v := <-h.values:
			values = append(values, v)
		case err := <-ended:
			t.Fatalf("after %d records: %v", len(values), err)
		case <-ctx.Done():
			t.Fatalf("no more than %d of %d records", len(values), count)
		}
	}
	select {
	case v := <-h.values:
		t.Errorf("one record too many: %s", v)
	case <-time.After(50 * time.Millisecond): // all that were fetched with the last have come by now
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return values
}

// saramaHandler hands values on and commits when the session ends.
type saramaHandler struct{ values chan string }

func (h *saramaHandler) Setup(sarama.ConsumerGroupSession) error { return nil }

func (h *saramaHandler) Cleanup(s sarama.ConsumerGroupSession) error {
	s.Commit()
	return nil
}

func (h *saramaHandler) ConsumeClaim(s sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-claim.Messages():
			if !ok {
				return nil
			}
			select {
			case h.values <- string(m.Value):
				s.MarkMessage(m, "")
			case <-s.Context().Done():
				return nil
			}
		case <-s.Context().Done():
			return nil
		}
	}
}
