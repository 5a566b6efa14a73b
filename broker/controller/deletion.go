package controller

import (
	"github.com/leatstream/leat/broker/coordination"
)

// deletion is the state of a topic that is being deleted: brokers forget it,
// then delete its replicas, then its nodes are removed.
type deletion struct {
	// replicas are those that are not deleted yet, by broker. Those of brokers
	// that are down wait for them.
	replicas map[int32]map[int32]struct{}
	// loaded: the topic was read again after the last replica was deleted, so
	// that it is known which nodes are there to remove.
	loaded bool
}

// deletionsListed takes the topics that are marked for deletion.
func (c *Controller) deletionsListed(names []string) {
	for _, name := range names {
		c.deletions[name] = struct{}{}
	}
	c.beginDeletions()
}

// beginDeletions starts the deletion of each marked topic. Where topics must not
// be deleted, or there is none of the name, the mark itself is removed.
func (c *Controller) beginDeletions() {
	for _, name := range sortedNames(c.deletions) {
		t := c.topics[name]
		if t == nil || !c.opts.DeleteTopic {
			delete(c.deletions, name)
			c.emit(Write{Topic: name, Mark: true, Ops: []coordination.Op{
				coordination.Check(coordination.ControllerEpochPath, c.epochVersion),
				coordination.Delete(coordination.DeleteTopicPath(name), coordination.AnyVersion),
			}})
			continue
		}
		if t.deletion == nil {
			c.beginDeletion(t)
		}
	}
}

func (c *Controller) beginDeletion(t *topic) {
	t.deletion = &deletion{replicas: map[int32]map[int32]struct{}{}}
	for index, p := range t.partitions {
		tp := topicPartition{t.name, index}
		for _, m := range c.live {
			m.forgetReplica(tp)
			m.gone[tp] = t.id
		}
		for _, id := range p.replicas {
			if t.deletion.replicas[id] == nil {
				t.deletion.replicas[id] = map[int32]struct{}{}
			}
			t.deletion.replicas[id][index] = struct{}{}
			if m := c.live[id]; m != nil {
				m.stop[tp] = struct{}{}
			}
		}
	}
	c.reconcile(t)
}

// resumeDeletions asks a broker that came back to delete what it missed.
func (c *Controller) resumeDeletions(id int32) {
	for _, t := range c.topics {
		if t.deletion == nil {
			continue
		}
		for index := range t.deletion.replicas[id] {
			c.live[id].stop[topicPartition{t.name, index}] = struct{}{}
		}
	}
}

// replicaDeleted notes that a broker has deleted a replica.
func (c *Controller) replicaDeleted(id int32, tp topicPartition) {
	t := c.topics[tp.topic]
	if t == nil || t.deletion == nil {
		return
	}
	delete(t.deletion.replicas[id], tp.partition)
	if len(t.deletion.replicas[id]) == 0 {
		delete(t.deletion.replicas, id)
	}
	c.reconcile(t)
}

// untold tells whether a live broker may still believe in a topic. Once its nodes
// are removed, the next controller would not know that it has to tell.
func (c *Controller) untold(t *topic) bool {
	for _, m := range c.live {
		for index := range t.partitions {
			tp := topicPartition{t.name, index}
			_, waiting := m.gone[tp]
			_, underWay := m.sent.gone[tp]
			if waiting || underWay {
				return true
			}
		}
	}
	return false
}

// advanceDeletion removes a topic's nodes once no replica is left: the
// partitions in parts that fit a multi, the topic itself and the mark at last.
func (c *Controller) advanceDeletion(t *topic) {
	if len(t.deletion.replicas) > 0 || c.untold(t) {
		return
	}
	if !t.deletion.loaded {
		c.emit(Load{Topic: t.name})
		return
	}
	var ops []coordination.Op
	var states []partitionWrite
	remove := func(path string) {
		ops = append(ops, coordination.Delete(path, coordination.AnyVersion))
	}
	for _, index := range t.sortedPartitions() {
		p := t.partitions[index]
		if len(states) >= maxStatesPerWrite {
			c.write(t, writeRemoval, states, ops...)
			return
		}
		if p.state != nil {
			remove(coordination.PartitionStatePath(t.name, index))
		}
		if p.hasNode {
			remove(coordination.PartitionPath(t.name, index))
		}
		if p.state != nil || p.hasNode {
			states = append(states, partitionWrite{partition: index})
		}
	}
	if t.hasPartitions {
		remove(coordination.PartitionsPath(t.name))
	}
	remove(coordination.TopicPath(t.name))
	if t.hasConfig {
		remove(coordination.ConfigEntityPath(coordination.ConfigTopics, t.name))
	}
	remove(coordination.DeleteTopicPath(t.name))
	c.write(t, writeLastRemoval, states, ops...)
}
