package metadata

import (
	"slices"

	"github.com/leatstream/leat/broker/coordination"
)

// Leader values of Partition that name no broker.
const (
	// NoLeader: the partition is offline.
	NoLeader int32 = -1
	// LeaderDuringDelete: the partition's topic is being deleted.
	LeaderDuringDelete int32 = -2
)

// UnknownController is the controller id before the first update.
const UnknownController int32 = -1

// Partition is the state of one partition as the controller told it.
type Partition struct {
	Index           int32
	Leader          int32 // broker id, or NoLeader
	LeaderEpoch     int32 // rises with every change of leader
	PartitionEpoch  int32 // data version of the partition's state znode
	ControllerEpoch int32
	Replicas        []int32 // assignment order; the first is the preferred leader
	ISR             []int32 // subset of Replicas
	OfflineReplicas []int32 // subset of Replicas
}

// Topic is a topic and its partitions.
type Topic struct {
	Name       string
	ID         coordination.UUID // zero when the topic has none
	Partitions []Partition       // ascending Index; usually dense from 0
}

// Partition finds a partition by its index.
func (t *Topic) Partition(index int32) (*Partition, bool) {
	if i := int(index); i >= 0 && i < len(t.Partitions) && t.Partitions[i].Index == index {
		return &t.Partitions[i], true
	}
	i, ok := slices.BinarySearchFunc(t.Partitions, index, func(p Partition, x int32) int { return int(p.Index) - int(x) })
	if !ok {
		return nil, false
	}
	return &t.Partitions[i], true
}

// Broker is a live broker.
type Broker struct {
	ID        int32
	Rack      *string
	Endpoints []Endpoint
}

// Endpoint is one advertised listener of a broker.
type Endpoint struct {
	Listener         string
	Host             string
	Port             int32
	SecurityProtocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// Endpoint finds the endpoint of a listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// Image is an immutable picture of the cluster. Everything reachable from it is
// shared between readers: none may change it.
type Image struct {
	ClusterID       string
	ControllerID    int32 // UnknownController when none is known
	ControllerEpoch int32 // of the newest update applied
	brokers         map[int32]*Broker
	brokerIDs       []int32 // ascending
	topics          map[string]*Topic
	topicNames      []string // ascending
	topicsByID      map[coordination.UUID]*Topic
}

// Broker finds a live broker.
func (im *Image) Broker(id int32) (*Broker, bool) {
	b, ok := im.brokers[id]
	return b, ok
}

// BrokerIDs are the live brokers in ascending order; not to be changed.
func (im *Image) BrokerIDs() []int32 { return im.brokerIDs }

// Topic finds a topic by name.
func (im *Image) Topic(name string) (*Topic, bool) {
	t, ok := im.topics[name]
	return t, ok
}

// TopicByID finds a topic by its id; the zero id finds none.
func (im *Image) TopicByID(id coordination.UUID) (*Topic, bool) {
	t, ok := im.topicsByID[id]
	return t, ok
}

// TopicNames are all topics in ascending order; not to be changed.
func (im *Image) TopicNames() []string { return im.topicNames }

// Partition finds a partition by topic name and index.
func (im *Image) Partition(topic string, index int32) (*Partition, bool) {
	t, ok := im.topics[topic]
	if !ok {
		return nil, false
	}
	return t.Partition(index)
}

// Led tells whether a topic exists with at least count partitions, each with a
// live leader. It is what a client waits for after it created a topic.
func (im *Image) Led(topic string, count int) bool {
	t, ok := im.topics[topic]
	if !ok || len(t.Partitions) < max(count, 1) {
		return false
	}
	for i := range t.Partitions {
		if _, alive := im.brokers[t.Partitions[i].Leader]; !alive {
			return false
		}
	}
	return true
}

// SecurityProtocolID is the number of a security protocol, or -1.
func SecurityProtocolID(name string) int16 { return securityProtocolID(name) }
