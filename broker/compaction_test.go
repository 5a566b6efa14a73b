package broker_test

import (
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/deploy/testbed"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A topic that becomes compacted at run time loses its superseded records and
// keeps each key's last value, across a restart too.
func TestCompaction(t *testing.T) {
	dir, properties := t.TempDir(), map[string]string{"log.cleaner.backoff.ms": "20", "log.cleaner.threads": "2"}
	b := brokertest.StartIn(t, dir, properties)
	b.CreateTopic("a", 1, "segment.bytes", "1000", "min.cleanable.dirty.ratio", "0")
	cl := b.Client(kgo.DefaultProduceTopic("a"))
	want := map[string]string{}
	const count = 300
	for i := range count {
		r := kgo.KeySliceRecord(fmt.Append(nil, "key ", i%7), fmt.Append(nil, i))
		want[string(r.Key)] = string(r.Value)
		if err := cl.ProduceSync(brokertest.Context(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	policy := "compact"
	if _, err := b.Admin().AlterTopicConfigs(brokertest.Context(t), []kadm.AlterConfig{{Name: "cleanup.policy", Value: &policy}}, "a"); err != nil {
		t.Fatal(err)
	}
	testbed.Until(t, "the log is compacted", func() bool {
		return gauge(t, b, "kafka_log_logcleaner_dropped_records_total") > count*3/4
	})
	for range 2 {
		got, records, offset := map[string]string{}, 0, int64(-1)
		reader := b.Client(kgo.ConsumeTopics("a"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		for offset < count-1 {
			fetches := reader.PollFetches(brokertest.Context(t))
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			fetches.EachRecord(func(r *kgo.Record) {
				got[string(r.Key)], offset = string(r.Value), r.Offset
				records++
			})
		}
		reader.Close()
		if fmt.Sprint(got) != fmt.Sprint(want) || records > count/4 {
			t.Errorf("of %d records %d are left, with the values %v, want %v", count, records, got, want)
		}
		b.Stop()
		b = brokertest.StartIn(t, dir, properties)
	}
}
