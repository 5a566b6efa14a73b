package replica

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/leatstream/leat/broker/record"
)

// prepareWorkers bounds how many logs are made at the same time. The system makes
// the folders of one log directory one after the other anyway.
const prepareWorkers = 4

// prepareLogs makes the logs of partitions that are new here, so that
// one sync makes the folders of all durable. An error is left to the
// partition's turn, where it is met again and answered; called under stateMu.
func (m *Manager) prepareLogs(req *kmsg.LeaderAndISRRequest) {
	var workers errgroup.Group
	workers.SetLimit(prepareWorkers)
	prepare := func(topic string, id TopicID, p *kmsg.LeaderAndISRRequestTopicPartition) {
		tp := record.TopicPartition{Topic: topic, Partition: p.Partition}
		if _, err := m.find(tp, id); m.closed || !errors.Is(err, ErrUnknownPartition) || !m.mayHost(tp, p.Replicas) || !m.mayCreate(tp, p.IsNew) {
			return
		}
		workers.Go(func() error {
			return m.logs.Prepare(tp, id, m.cfg.TopicConfig(topic).Log)
		})
	}
	for i := range req.PartitionStates {
		prepare(req.PartitionStates[i].Topic, TopicID{}, &req.PartitionStates[i])
	}
	for i := range req.TopicStates {
		t := &req.TopicStates[i]
		for j := range t.PartitionStates {
			prepare(t.Topic, t.TopicID, &t.PartitionStates[j])
		}
	}
	_ = workers.Wait() // see above
}

// mayHost reports whether a partition can be one of this broker's.
func (m *Manager) mayHost(tp record.TopicPartition, replicas []int32) bool {
	return tp.Topic != "" && 0 <= tp.Partition && tp.Partition < maxPartitions && slices.Contains(replicas, m.cfg.BrokerID)
}
