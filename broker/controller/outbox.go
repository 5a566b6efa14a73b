package controller

import (
	"maps"
	"slices"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The newest versions of the controller's requests; whoever sends them lowers
// the version to what the broker knows.
const (
	leaderAndISRVersion   = 7
	updateMetadataVersion = 8
	stopReplicaVersion    = 4
)

// maxPartitionsPerRequest bounds the size of one request to a broker.
const maxPartitionsPerRequest = 5000

// epochDuringDelete is the leader epoch of a StopReplica that deletes.
const epochDuringDelete int32 = -2

// outbox is what a broker has to be told. It names partitions, not their states:
// a request is built from the states of the moment it is sent, so that a broker
// that is slow gets the newest and the outbox never grows past the partitions.
type outbox struct {
	// leaderISR are partitions it replicates; the value tells whether the
	// replica is new.
	leaderISR map[topicPartition]bool
	// metadata are partitions whose state it should know.
	metadata map[topicPartition]struct{}
	// gone are partitions that it should forget, with their topic's id.
	gone map[topicPartition]coordination.UUID
	// stop are replicas that it should delete.
	stop map[topicPartition]struct{}
	// brokersChanged: it should know the live brokers.
	brokersChanged bool
	// busy: a request is under way; sent is what it was built from.
	busy bool
	sent sentItems
}

// sentItems is what the request under way carries, to be put back if it fails.
type sentItems struct {
	leaderISR map[topicPartition]bool
	metadata  map[topicPartition]struct{}
	gone      map[topicPartition]coordination.UUID
	stop      map[topicPartition]struct{}
	brokers   bool
}

func newOutbox() outbox {
	return outbox{
		leaderISR: map[topicPartition]bool{},
		metadata:  map[topicPartition]struct{}{},
		gone:      map[topicPartition]coordination.UUID{},
		stop:      map[topicPartition]struct{}{},
	}
}

// forgetReplica drops what is to be told about a partition.
func (o *outbox) forgetReplica(tp topicPartition) {
	delete(o.leaderISR, tp)
	delete(o.metadata, tp)
	delete(o.stop, tp)
}

// tellPartition tells everybody about a partition's state.
func (c *Controller) tellPartition(t *topic, index int32, p *partition, isNew bool) {
	if p.state == nil || t.deletion != nil {
		return
	}
	tp := topicPartition{t.name, index}
	for id, m := range c.live {
		m.metadata[tp] = struct{}{}
		delete(m.gone, tp)
		if slices.Contains(p.replicas, id) {
			m.leaderISR[tp] = m.leaderISR[tp] || isNew
		}
	}
}

// tellHolders tells everybody about the partitions of which a broker that came or
// went holds a replica: the list of offline replicas changed.
func (c *Controller) tellHolders(id int32) {
	for name, t := range c.topics {
		for index, p := range t.partitions {
			if p.state == nil || t.deletion != nil || !slices.Contains(p.replicas, id) {
				continue
			}
			for _, m := range c.live {
				m.metadata[topicPartition{name, index}] = struct{}{}
			}
		}
	}
}

// tellEverything tells a broker that has just come all there is.
func (c *Controller) tellEverything(m *member) {
	m.brokersChanged = true
	for name, t := range c.topics {
		for index, p := range t.partitions {
			tp := topicPartition{name, index}
			if t.deletion != nil {
				// A controller that did not know of its end may have told it.
				m.gone[tp] = t.id
				continue
			}
			if p.state == nil {
				continue
			}
			m.metadata[tp] = struct{}{}
			if slices.Contains(p.replicas, m.ID) {
				m.leaderISR[tp] = false
			}
		}
	}
}

// send asks for the next request to a broker, if there is something to tell and
// none is under way. LeaderAndISR goes first, then UpdateMetadata, then
// StopReplica: a broker leads before clients learn of it, and they forget a
// partition before it is deleted.
func (c *Controller) send(m *member, again bool) {
	if m.busy {
		return
	}
	var req kmsg.Request
	switch {
	case len(m.leaderISR) > 0:
		req = c.leaderAndISR(m)
	case len(m.metadata)+len(m.gone) > 0 || m.brokersChanged:
		req = c.updateMetadata(m)
	case len(m.stop) > 0:
		req = c.stopReplica(m)
	default:
		return
	}
	m.busy = true
	c.emit(Send{Broker: m.ID, Epoch: m.Epoch, Request: req, Again: again})
}

// takePartitions moves up to a request's worth of partitions out of a set, in
// order.
func takePartitions[V any](from map[topicPartition]V) (taken map[topicPartition]V, order []topicPartition) {
	order = slices.SortedFunc(maps.Keys(from), compareTP)
	if len(order) > maxPartitionsPerRequest {
		order = order[:maxPartitionsPerRequest]
	}
	taken = make(map[topicPartition]V, len(order))
	for _, tp := range order {
		taken[tp] = from[tp]
		delete(from, tp)
	}
	return taken, order
}

func (c *Controller) leaderAndISR(m *member) kmsg.Request {
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version, req.ControllerID, req.ControllerEpoch, req.BrokerEpoch = leaderAndISRVersion, c.opts.BrokerID, c.epoch, m.Epoch
	taken, order := takePartitions(m.leaderISR)
	m.sent = sentItems{leaderISR: taken}
	leaders := map[int32]struct{}{}
	for _, tp := range order {
		t, p := c.find(tp)
		if p == nil || p.state == nil {
			continue
		}
		n := len(req.TopicStates)
		if n == 0 || req.TopicStates[n-1].Topic != tp.topic {
			ts := kmsg.NewLeaderAndISRRequestTopicState()
			ts.Topic, ts.TopicID = tp.topic, t.id
			req.TopicStates = append(req.TopicStates, ts)
			n++
		}
		ps := kmsg.NewLeaderAndISRRequestTopicPartition()
		ps.Topic, ps.Partition, ps.ControllerEpoch = tp.topic, tp.partition, p.state.ControllerEpoch
		ps.Leader, ps.LeaderEpoch, ps.ISR = p.state.Leader, p.state.LeaderEpoch, slices.Clone(p.state.ISR)
		ps.ZKVersion, ps.Replicas, ps.IsNew = p.version, slices.Clone(p.replicas), taken[tp]
		ps.AddingReplicas = slices.Clone(t.assignment.AddingReplicas[tp.partition])
		ps.RemovingReplicas = slices.Clone(t.assignment.RemovingReplicas[tp.partition])
		ps.LeaderRecoveryState = p.state.RecoveryState
		req.TopicStates[n-1].PartitionStates = append(req.TopicStates[n-1].PartitionStates, ps)
		leaders[p.state.Leader] = struct{}{}
	}
	for _, id := range sortedIDs(leaders) {
		if leader := c.live[id]; leader != nil && len(leader.Endpoints) > 0 {
			ll := kmsg.NewLeaderAndISRRequestLiveLeader()
			ll.BrokerID, ll.Host, ll.Port = id, leader.Endpoints[0].Host, leader.Endpoints[0].Port
			req.LiveLeaders = append(req.LiveLeaders, ll)
		}
	}
	return req
}

func (c *Controller) find(tp topicPartition) (*topic, *partition) {
	t := c.topics[tp.topic]
	if t == nil {
		return nil, nil
	}
	return t, t.partitions[tp.partition]
}

func (c *Controller) updateMetadata(m *member) kmsg.Request {
	req := kmsg.NewPtrUpdateMetadataRequest()
	req.Version, req.ControllerID, req.ControllerEpoch, req.BrokerEpoch = updateMetadataVersion, c.opts.BrokerID, c.epoch, m.Epoch
	gone, goneOrder := takePartitions(m.gone)
	known, order := takePartitions(m.metadata)
	m.sent = sentItems{metadata: known, gone: gone, brokers: m.brokersChanged}
	m.brokersChanged = false
	for _, tp := range goneOrder {
		ps := kmsg.NewUpdateMetadataRequestTopicPartition()
		ps.Partition, ps.ControllerEpoch = tp.partition, c.epoch
		ps.Leader, ps.LeaderEpoch = metadata.LeaderDuringDelete, epochDuringDelete
		addState(req, tp.topic, gone[tp], ps)
	}
	for _, tp := range order {
		t, p := c.find(tp)
		if p == nil || p.state == nil {
			continue
		}
		ps := kmsg.NewUpdateMetadataRequestTopicPartition()
		ps.Partition, ps.ControllerEpoch = tp.partition, p.state.ControllerEpoch
		ps.Leader, ps.LeaderEpoch, ps.ISR = p.state.Leader, p.state.LeaderEpoch, slices.Clone(p.state.ISR)
		ps.ZKVersion, ps.Replicas = p.version, slices.Clone(p.replicas)
		ps.OfflineReplicas = keep(p.replicas, func(id int32) bool { return !c.replicaLive(id, tp) })
		addState(req, tp.topic, t.id, ps)
	}
	for _, id := range sortedIDs(c.live) {
		req.LiveBrokers = append(req.LiveBrokers, liveBroker(c.live[id]))
	}
	return req
}

// addState adds a partition to the last topic of the request, or begins another.
func addState(req *kmsg.UpdateMetadataRequest, topic string, id coordination.UUID, ps kmsg.UpdateMetadataRequestTopicPartition) {
	n := len(req.TopicStates)
	if n == 0 || req.TopicStates[n-1].Topic != topic || req.TopicStates[n-1].TopicID != id {
		ts := kmsg.NewUpdateMetadataRequestTopicState()
		ts.Topic, ts.TopicID = topic, id
		req.TopicStates = append(req.TopicStates, ts)
		n++
	}
	req.TopicStates[n-1].PartitionStates = append(req.TopicStates[n-1].PartitionStates, ps)
}

func liveBroker(m *member) kmsg.UpdateMetadataRequestLiveBroker {
	lb := kmsg.NewUpdateMetadataRequestLiveBroker()
	lb.ID = m.ID
	if m.Rack != "" {
		lb.Rack = kmsg.StringPtr(m.Rack)
	}
	for _, e := range m.Endpoints {
		ep := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
		ep.Host, ep.Port, ep.ListenerName = e.Host, e.Port, e.Listener
		ep.SecurityProtocol = metadata.SecurityProtocolID(e.SecurityProtocol)
		lb.Endpoints = append(lb.Endpoints, ep)
	}
	return lb
}

func (c *Controller) stopReplica(m *member) kmsg.Request {
	req := kmsg.NewPtrStopReplicaRequest()
	req.Version, req.ControllerID, req.ControllerEpoch, req.BrokerEpoch = stopReplicaVersion, c.opts.BrokerID, c.epoch, m.Epoch
	taken, order := takePartitions(m.stop)
	m.sent = sentItems{stop: taken}
	for _, tp := range order {
		n := len(req.Topics)
		if n == 0 || req.Topics[n-1].Topic != tp.topic {
			t := kmsg.NewStopReplicaRequestTopic()
			t.Topic = tp.topic
			req.Topics = append(req.Topics, t)
			n++
		}
		ps := kmsg.NewStopReplicaRequestTopicPartitionState()
		ps.Partition, ps.LeaderEpoch, ps.Delete = tp.partition, epochDuringDelete, true
		req.Topics[n-1].PartitionStates = append(req.Topics[n-1].PartitionStates, ps)
	}
	return req
}
