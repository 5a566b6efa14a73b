package broker_test

import (
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// From nothing to the first acknowledged record, through auto-creation.
func BenchmarkStartToFirstProduce(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		tb := brokertest.Start(b, nil)
		cl := tb.Client(kgo.AllowAutoTopicCreation())
		if err := cl.ProduceSync(brokertest.Context(b), &kgo.Record{Topic: "first", Value: []byte("x")}).FirstErr(); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		cl.Close()
		tb.Stop()
		b.StartTimer()
	}
}

// A start on a folder that holds a topic, after an orderly stop.
func BenchmarkRestart(b *testing.B) {
	b.ReportAllocs()
	dir := b.TempDir()
	tb := brokertest.StartIn(b, dir, nil)
	tb.CreateTopic("a", 16)
	tb.Stop()
	for b.Loop() {
		tb := brokertest.StartIn(b, dir, nil)
		b.StopTimer()
		tb.Stop()
		b.StartTimer()
	}
}
