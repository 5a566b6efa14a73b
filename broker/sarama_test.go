package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/IBM/sarama"
	"github.com/leatstream/leat/broker/internal/brokertest"
)

// handler collects what a sarama group consumes.
type handler struct{ got chan string }

func (handler) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (handler) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (h handler) ConsumeClaim(s sarama.ConsumerGroupSession, c sarama.ConsumerGroupClaim) error {
	for {
		select {
		case m, ok := <-c.Messages():
			if !ok {
				return nil
			}
			s.MarkMessage(m, "")
			h.got <- string(m.Value)
		case <-s.Context().Done():
			return nil
		}
	}
}

// Sarama, in its oldest and newest ways, produces with acks=all and consumes in a
// group that commits.
func TestSarama(t *testing.T) {
	b := brokertest.Start(t, nil)
	for codec, version := range map[sarama.CompressionCodec]sarama.KafkaVersion{
		sarama.CompressionNone:   sarama.V0_11_0_0,
		sarama.CompressionGZIP:   sarama.V1_0_0_0,
		sarama.CompressionSnappy: sarama.V2_8_0_0,
		sarama.CompressionLZ4:    sarama.MaxVersion,
		sarama.CompressionZSTD:   sarama.MaxVersion,
	} {
		t.Run(fmt.Sprintf("%v/%v", version, codec), func(t *testing.T) {
			t.Parallel()
			saramaRoundTrip(t, b, version, codec)
		})
	}
}

func saramaRoundTrip(t *testing.T, b *brokertest.Broker, version sarama.KafkaVersion, codec sarama.CompressionCodec) {
	topic := fmt.Sprintf("t-%v-%v", version, codec)
	b.CreateTopic(topic, 2)
	cfg := sarama.NewConfig()
	cfg.Version = version
	cfg.Producer.RequiredAcks, cfg.Producer.Return.Successes, cfg.Producer.Compression = sarama.WaitForAll, true, codec
	cfg.Consumer.Offsets.Initial = sarama.OffsetOldest
	if version.IsAtLeast(sarama.V2_8_0_0) {
		cfg.Producer.Idempotent, cfg.Net.MaxOpenRequests = true, 1
	}
	producer, err := sarama.NewSyncProducer([]string{b.Addr}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	want := values("v", 20)
	for _, v := range want {
		if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: topic, Value: sarama.StringEncoder(v)}); err != nil {
			t.Fatal(err)
		}
	}
	group, err := sarama.NewConsumerGroup([]string{b.Addr}, "g-"+topic, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	ctx, cancel := context.WithCancel(brokertest.Context(t))
	h := handler{make(chan string, len(want))}
	done := make(chan error, 1)
	go func() { done <- group.Consume(ctx, []string{topic}, h) }()
	var got []string
	for len(got) < len(want) {
		select {
		case v := <-h.got:
			got = append(got, v)
		case err := <-done:
			t.Fatalf("after %d records the group ends: %v", len(got), err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("consume: %v", err)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
