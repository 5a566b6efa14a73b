package metadata

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// ErrStaleController: the update comes from a controller of an older epoch.
var ErrStaleController = errors.New("metadata: update of a stale controller")

// Cache holds the newest Image. All methods may be called concurrently.
type Cache struct {
	image atomic.Pointer[Image]

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced whenever image changes
	listeners []func(*Image)
}

// NewCache returns a cache of an empty cluster.
func NewCache(clusterID string) *Cache {
	c := &Cache{changed: make(chan struct{})}
	c.image.Store(&Image{ClusterID: clusterID, ControllerID: UnknownController, ControllerEpoch: -1})
	return c
}

// Load returns the newest image.
func (c *Cache) Load() *Image { return c.image.Load() }

// OnChange registers a callback that gets every new image, in order, on the
// goroutine that applied the update. It must be quick and must not call
// ApplyUpdate or OnChange.
func (c *Cache) OnChange(fn func(*Image)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners = append(c.listeners, fn)
}

// Changed returns the newest image and a channel that is closed when a newer
// one replaces it.
func (c *Cache) Changed() (*Image, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.image.Load(), c.changed
}

// Await blocks until cond holds for the newest image and returns that image,
// or the newest one with the context's error. cond must be pure.
func (c *Cache) Await(ctx context.Context, cond func(*Image) bool) (*Image, error) {
	for {
		image, changed := c.Changed()
		if cond(image) {
			return image, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return image, ctx.Err()
		}
	}
}

// ApplyUpdate replaces the image by one that holds the update. It understands
// all versions: grouped by topic (v5 and later) or flat, one host and port (v0)
// or endpoints. An update names only the partitions that changed; it always
// names all live brokers. A partition with leader LeaderDuringDelete leaves the
// image, and with its last partition the topic. It returns the partitions that
// were removed by this update.
func (c *Cache) ApplyUpdate(req *kmsg.UpdateMetadataRequest) (deleted []TopicPartition, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	old := c.image.Load()
	if req.ControllerEpoch < old.ControllerEpoch {
		return nil, ErrStaleController
	}
	next, deleted := applyUpdate(old, req)
	c.image.Store(next)
	close(c.changed)
	c.changed = make(chan struct{})
	for _, fn := range c.listeners {
		fn(next)
	}
	return deleted, nil
}

// TopicPartition names a partition.
type TopicPartition = record.TopicPartition

// applyUpdate builds the next image. Topics the update does not name are shared
// with the old one.
func applyUpdate(old *Image, req *kmsg.UpdateMetadataRequest) (*Image, []TopicPartition) {
	next := &Image{
		ClusterID:       old.ClusterID,
		ControllerID:    req.ControllerID,
		ControllerEpoch: req.ControllerEpoch,
		topics:          old.topics,
		topicNames:      old.topicNames,
		topicsByID:      old.topicsByID,
	}
	next.setBrokers(req)
	edits := collectEdits(old, req)
	if len(edits) == 0 {
		return next, nil
	}
	var deleted []TopicPartition
	next.topics = maps.Clone(old.topics)
	if next.topics == nil {
		next.topics = make(map[string]*Topic, len(edits))
	}
	for name, edit := range edits {
		topic, gone := edit.topic()
		for _, p := range gone {
			deleted = append(deleted, TopicPartition{Topic: name, Partition: p})
		}
		if len(topic.Partitions) == 0 {
			delete(next.topics, name)
		} else {
			next.topics[name] = topic
		}
	}
	next.indexTopics()
	slices.SortFunc(deleted, func(a, b TopicPartition) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition) - int(b.Partition)
	})
	return next, deleted
}

func (im *Image) indexTopics() {
	im.topicNames = slices.Sorted(maps.Keys(im.topics))
	im.topicsByID = make(map[coordination.UUID]*Topic, len(im.topics))
	for _, t := range im.topics {
		if t.ID != (coordination.UUID{}) {
			im.topicsByID[t.ID] = t
		}
	}
}

func (im *Image) setBrokers(req *kmsg.UpdateMetadataRequest) {
	im.brokers = make(map[int32]*Broker, len(req.LiveBrokers))
	for i := range req.LiveBrokers {
		lb := &req.LiveBrokers[i]
		b := &Broker{ID: lb.ID, Rack: lb.Rack}
		for _, e := range lb.Endpoints {
			name := e.ListenerName
			if name == "" {
				name = securityProtocolName(e.SecurityProtocol)
			}
			b.Endpoints = append(b.Endpoints, Endpoint{name, e.Host, e.Port, e.SecurityProtocol})
		}
		if len(b.Endpoints) == 0 && lb.Host != "" {
			b.Endpoints = []Endpoint{{"PLAINTEXT", lb.Host, lb.Port, 0}}
		}
		im.brokers[b.ID] = b
	}
	im.brokerIDs = slices.Sorted(maps.Keys(im.brokers))
}

func securityProtocolName(p int16) string {
	names := []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}
	if p < 0 || int(p) >= len(names) {
		return ""
	}
	return names[p]
}

// topicEdit gathers the changes of one topic.
type topicEdit struct {
	old        *Topic // nil when the topic is new
	id         coordination.UUID
	name       string
	partitions map[int32]*kmsg.UpdateMetadataRequestTopicPartition
}

func collectEdits(old *Image, req *kmsg.UpdateMetadataRequest) map[string]*topicEdit {
	edits := make(map[string]*topicEdit)
	edit := func(name string) *topicEdit {
		e := edits[name]
		if e == nil {
			e = &topicEdit{old: old.topics[name], name: name, partitions: make(map[int32]*kmsg.UpdateMetadataRequestTopicPartition)}
			if e.old != nil {
				e.id = e.old.ID
			}
			edits[name] = e
		}
		return e
	}
	for i := range req.PartitionStates {
		p := &req.PartitionStates[i]
		edit(p.Topic).partitions[p.Partition] = p
	}
	for i := range req.TopicStates {
		t := &req.TopicStates[i]
		e := edit(t.Topic)
		if t.TopicID != (coordination.UUID{}) {
			e.replaceID(t.TopicID)
		}
		for j := range t.PartitionStates {
			e.partitions[t.PartitionStates[j].Partition] = &t.PartitionStates[j]
		}
	}
	return edits
}

// replaceID sets the topic id. Partitions of a topic that was deleted and made
// again under the same name belong to the old id: they are dropped.
func (e *topicEdit) replaceID(id coordination.UUID) {
	if e.old != nil && e.old.ID != (coordination.UUID{}) && e.old.ID != id {
		e.old = nil
	}
	e.id = id
}

// topic builds the changed topic and lists the partitions that left.
func (e *topicEdit) topic() (*Topic, []int32) {
	t := &Topic{Name: e.name, ID: e.id}
	var gone []int32
	if e.old != nil {
		t.Partitions = make([]Partition, 0, len(e.old.Partitions)+len(e.partitions))
		for _, p := range e.old.Partitions {
			if e.partitions[p.Index] == nil {
				t.Partitions = append(t.Partitions, p)
			}
		}
	}
	for index, p := range e.partitions {
		if p.Leader == LeaderDuringDelete {
			gone = append(gone, index)
			continue
		}
		t.Partitions = append(t.Partitions, Partition{
			Index:           index,
			Leader:          p.Leader,
			LeaderEpoch:     p.LeaderEpoch,
			PartitionEpoch:  p.ZKVersion,
			ControllerEpoch: p.ControllerEpoch,
			Replicas:        slices.Clone(p.Replicas),
			ISR:             slices.Clone(p.ISR),
			OfflineReplicas: slices.Clone(p.OfflineReplicas),
		})
	}
	slices.SortFunc(t.Partitions, func(a, b Partition) int { return int(a.Index) - int(b.Index) })
	slices.Sort(gone)
	return t, gone
}
