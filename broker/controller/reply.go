package controller

import (
	"github.com/leatstream/leat/broker/coordination"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// replied takes a broker's answer. Answers of an earlier life of the broker say
// nothing about this one.
func (c *Controller) replied(ev *Replied) {
	m := c.live[ev.Broker]
	if m == nil || m.Epoch != ev.Epoch || !m.busy {
		return
	}
	m.busy = false
	sent := m.sent
	m.sent = sentItems{}
	code := errNone
	if ev.Err == nil {
		code = topLevelCode(ev.Response)
	}
	switch {
	case code == errStaleControllerEpoch:
		c.resign("a broker knows a newer controller")
	case ev.Err != nil || code != errNone:
		c.putBack(m, sent)
		c.send(m, true)
	default:
		c.accept(m, sent, ev)
	}
}

func topLevelCode(resp kmsg.Response) int16 {
	switch resp := resp.(type) {
	case *kmsg.LeaderAndISRResponse:
		return resp.ErrorCode
	case *kmsg.UpdateMetadataResponse:
		return resp.ErrorCode
	case *kmsg.StopReplicaResponse:
		return resp.ErrorCode
	default:
		return errUnknownServer
	}
}

// putBack returns what a failed request carried to the outbox, unless the topic
// has changed its fate since.
func (c *Controller) putBack(m *member, sent sentItems) {
	for tp, isNew := range sent.leaderISR {
		if t, p := c.find(tp); p != nil && p.state != nil && t.deletion == nil {
			m.leaderISR[tp] = m.leaderISR[tp] || isNew
		}
	}
	for tp := range sent.metadata {
		if t, p := c.find(tp); p != nil && p.state != nil && t.deletion == nil {
			m.metadata[tp] = struct{}{}
		}
	}
	for tp, id := range sent.gone {
		if t := c.topics[tp.topic]; t == nil || t.deletion != nil {
			m.gone[tp] = id
		}
	}
	for tp := range sent.stop {
		if t := c.topics[tp.topic]; t != nil && t.deletion != nil {
			m.stop[tp] = struct{}{}
		}
	}
	m.brokersChanged = m.brokersChanged || sent.brokers
}

// accept takes the answers for single partitions.
func (c *Controller) accept(m *member, sent sentItems, ev *Replied) {
	switch resp := ev.Response.(type) {
	case *kmsg.LeaderAndISRResponse:
		c.acceptLeaderAndISR(m, resp)
	case *kmsg.UpdateMetadataResponse:
		told := map[string]struct{}{}
		for tp := range sent.gone {
			told[tp.topic] = struct{}{}
		}
		for _, name := range sortedNames(told) {
			if t := c.topics[name]; t != nil {
				c.reconcile(t)
			}
		}
	case *kmsg.StopReplicaResponse:
		failed := make(map[topicPartition]bool)
		for _, p := range resp.Partitions {
			failed[topicPartition{p.Topic, p.Partition}] = p.ErrorCode != errNone && p.ErrorCode != errUnknownTopicOrPartition
		}
		for tp := range sent.stop {
			// A replica whose log dir failed is deleted when its broker starts again.
			if !failed[tp] {
				c.replicaDeleted(m.ID, tp)
			}
		}
	}
}

// acceptLeaderAndISR notes the replicas whose log dir failed: they cannot lead.
func (c *Controller) acceptLeaderAndISR(m *member, resp *kmsg.LeaderAndISRResponse) {
	touched := map[string]*topic{}
	note := func(t *topic, partition int32, code int16) {
		if t == nil || code != errStorage {
			return
		}
		m.offline[topicPartition{t.name, partition}] = struct{}{}
		touched[t.name] = t
	}
	for _, p := range resp.Partitions {
		note(c.topics[p.Topic], p.Partition, p.ErrorCode)
	}
	if len(resp.Topics) > 0 {
		byID := make(map[coordination.UUID]*topic, len(c.topics))
		for _, t := range c.topics {
			byID[t.id] = t
		}
		for _, rt := range resp.Topics {
			for _, p := range rt.Partitions {
				note(byID[rt.TopicID], p.Partition, p.ErrorCode)
			}
		}
	}
	for _, name := range sortedNames(touched) {
		c.reconcile(touched[name])
	}
}
