package broker_test

import (
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kgo"
)

// gauge reads one series of the broker; labels are names and values in turn.
func gauge(t *testing.T, b *brokertest.Broker, name string, labels ...string) float64 {
	t.Helper()
	families, err := b.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			have := make(map[string]string)
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			same := true
			for i := 0; i+1 < len(labels); i += 2 {
				same = same && have[labels[i]] == labels[i+1]
			}
			if same {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Errorf("there is no %s %v", name, labels)
	return 0
}

func TestFigures(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	produce(t, b, "a", values("v", 10)...)
	reader := b.Client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("a"), kgo.DisableAutoCommit(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	poll(t, reader, 4)
	if err := reader.CommitUncommittedOffsets(brokertest.Context(t)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"kafka_brokers", nil, 1},
		{"kafka_server_kafkaserver_brokerstate", nil, 3},
		{"kafka_controller_kafkacontroller_activecontrollercount", nil, 1},
		{"kafka_topic_partitions", []string{"topic", "a"}, 2},
		{"kafka_topic_partition_current_offset", []string{"topic", "a", "partition", "0"}, 10},
		{"kafka_topic_partition_oldest_offset", []string{"topic", "a", "partition", "0"}, 0},
		{"kafka_topic_partition_in_sync_replica", []string{"topic", "a", "partition", "1"}, 1},
		{"kafka_topic_partition_under_replicated_partition", []string{"topic", "a", "partition", "0"}, 0},
		{"kafka_consumergroup_current_offset", []string{"consumergroup", "g", "topic", "a", "partition", "0"}, 4},
		{"kafka_consumergroup_lag", []string{"consumergroup", "g", "topic", "a", "partition", "0"}, 6},
		{"kafka_consumergroup_lag_sum", []string{"consumergroup", "g", "topic", "a"}, 6},
		{"kafka_consumergroup_members", []string{"consumergroup", "g"}, 1},
		{"kafka_server_brokertopicmetrics_messagesin_total", []string{"topic", "a"}, 10},
	} {
		if got := gauge(t, b, c.name, c.labels...); got != c.want {
			t.Errorf("%s: %v, want %v", fmt.Sprint(c.name, c.labels), got, c.want)
		}
	}
}
