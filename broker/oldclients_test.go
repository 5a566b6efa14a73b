package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/deploy/testbed"
	"github.com/twmb/franz-go/pkg/kgo"
)

// oldValues are values for old clients: small ones, a large one and an empty one.
func oldValues() []string {
	return append(values("v", 20), strings.Repeat("large ", 20000), "")
}

// wantModern reads a topic with a client of format 2 and compares the values, and
// the codec with the one that the old client used.
func wantModern(t *testing.T, b *brokertest.Broker, topic, codec string, want []string) {
	t.Helper()
	cl := b.Client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	var got []string
	for len(got) < len(want) {
		fetches := cl.PollFetches(brokertest.Context(t))
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", len(got), err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			got = append(got, string(r.Value))
			if stored := record.Compression(r.Attrs.CompressionType()).String(); stored != codec {
				t.Errorf("record %d is stored with codec %s, want %s", r.Offset, stored, codec)
			}
		})
	}
	if !slices.Equal(got, want) {
		t.Errorf("a new client reads %d other values", len(got))
	}
}

// produceModern writes values with a client of format 2, as one batch with
// headers, so that old clients read converted ones.
func produceModern(t *testing.T, b *brokertest.Broker, topic string, codec kgo.CompressionCodec, list []string) {
	t.Helper()
	cl := b.Client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec))
	var records []*kgo.Record
	for _, v := range list {
		records = append(records, &kgo.Record{Value: []byte(v), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("dropped")}}})
	}
	if err := cl.ProduceSync(brokertest.Context(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// oldCodecs are the codecs that messages of format 0 and 1 may have, by the
// names that clients give them.
func oldCodecs() map[string]kgo.CompressionCodec {
	return map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
	}
}

// TestOldSarama: sarama as a client of 0.8.2 (format 0) and of 0.10 (format 1)
// writes what new clients read, and reads what they wrote.
func TestOldSarama(t *testing.T) {
	b := brokertest.Start(t, nil)
	for _, version := range []sarama.KafkaVersion{sarama.V0_8_2_0, sarama.V0_10_0_0} {
		for name, codec := range oldCodecs() {
			var c sarama.CompressionCodec
			if err := c.UnmarshalText([]byte(name)); err != nil {
				t.Fatal(err)
			}
			cfg := sarama.NewConfig()
			cfg.Version, cfg.Producer.Compression = version, c
			cfg.Producer.Return.Successes = true
			cfg.Producer.Flush.Messages, cfg.Producer.Flush.Frequency = 30, 20*time.Millisecond
			if cfg.Validate() != nil {
				continue // sarama has no LZ4 before 0.10
			}
			t.Run(fmt.Sprintf("%v/%s", version, name), func(t *testing.T) {
				t.Parallel()
				oldSarama(t, b, cfg, name, codec)
			})
		}
	}
}

func oldSarama(t *testing.T, b *brokertest.Broker, cfg *sarama.Config, name string, codec kgo.CompressionCodec) {
	topic := fmt.Sprintf("sarama-%v-%s", cfg.Version, name)
	b.CreateTopic(topic, 1)
	want := oldValues()
	producer, err := sarama.NewSyncProducer([]string{b.Addr}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	var messages []*sarama.ProducerMessage
	for _, v := range want {
		messages = append(messages, &sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)})
	}
	if err := producer.SendMessages(messages); err != nil {
		t.Fatal(err)
	}
	wantModern(t, b, topic, name, want)
	produceModern(t, b, topic, codec, want)

	consumer, err := sarama.NewConsumer([]string{b.Addr}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	part, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	ctx := brokertest.Context(t)
	for i, v := range append(slices.Clone(want), want...) {
		select {
		case m := <-part.Messages():
			if string(m.Value) != v || m.Offset != int64(i) {
				t.Fatalf("message %d has offset %d and value %.20q, want %.20q", i, m.Offset, m.Value, v)
			}
			if timed := cfg.Version.IsAtLeast(sarama.V0_10_0_0); timed && time.Since(m.Timestamp) > time.Hour {
				t.Fatalf("message %d is of %v", i, m.Timestamp)
			}
		case err := <-part.Errors():
			t.Fatal(err)
		case <-ctx.Done():
			t.Fatalf("no message %d", i)
		}
	}
}

// TestOldKcat: librdkafka as it was for brokers of 0.8.2, 0.9 and 0.10.
func TestOldKcat(t *testing.T) {
	testbed.Require(t, "kcat")
	b := brokertest.Start(t, nil)
	for _, version := range []string{"0.8.2.1", "0.9.0.1", "0.10.0.0"} {
		for name, codec := range oldCodecs() {
			t.Run(version+"/"+name, func(t *testing.T) {
				t.Parallel()
				topic := "kcat-" + version + "-" + name
				b.CreateTopic(topic, 1)
				args := []string{"-b", b.Addr, "-t", topic, "-p", "0", "-X", "api.version.request=false", "-X", "broker.version.fallback=" + version, "-X", "message.max.bytes=1000000"}
				want := append(values("v", 20), strings.Repeat("large ", 20000))
				testbed.Kcat(t, strings.Join(want, "\n")+"\n", append([]string{"-P", "-z", name}, args...)...)
				wantModern(t, b, topic, name, want)
				produceModern(t, b, topic, codec, want)
				got := testbed.Kcat(t, "", append([]string{"-C", "-e", "-q", "-o", "beginning", "-f", `%o %s\n`}, args...)...)
				var lines []string
				for i, v := range append(slices.Clone(want), want...) {
					lines = append(lines, fmt.Sprintf("%d %s\n", i, v))
				}
				if got != strings.Join(lines, "") {
					t.Errorf("kcat reads %d bytes: %.100q", len(got), got)
				}
			})
		}
	}
}
