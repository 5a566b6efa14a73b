package broker

import (
	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// Log shows tests the log of a partition.
func (b *Broker) Log(topic string) *commitlog.Log {
	l, _ := b.logs.Log(record.TopicPartition{Topic: topic})
	return l
}
