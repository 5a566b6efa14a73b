package controller

import (
	"cmp"
	"errors"
	"maps"
	"slices"

	"github.com/leatstream/leat/broker/coordination"
)

// Options are the settings of the core.
type Options struct {
	BrokerID    int32
	DeleteTopic bool // delete.topic.enable
	// NewID makes an id for a topic whose node has none.
	NewID func() coordination.UUID
}

// Controller is the pure core of the controller: one term of it. It compares
// what the tree says with what it has told the brokers, and asks for what is
// missing. Every change of a partition's leader or ISR is first written to the
// tree, at the version it was read with, and only then told to brokers.
//
// Invariants, which hold after every Step: a partition's leader is -1 or in its
// ISR; the ISR is a subset of the replicas and not empty; the leader epoch only
// rises; at most one write per topic and one request per broker are under way.
type Controller struct {
	opts         Options
	term         bool // between Elected and Resign
	epoch        int32
	epochVersion int32
	live         map[int32]*member
	topics       map[string]*topic
	deletions    map[string]struct{} // children of /admin/delete_topics
	partitions   int                 // of all topics
	offline      int                 // of them, without a leader
	out          []Effect
}

// member is a live broker and what it has to be told.
type member struct {
	Broker
	outbox
	// offline are the partitions whose log dir failed on this broker.
	offline map[topicPartition]struct{}
}

// topicPartition names a partition.
type topicPartition struct {
	topic     string
	partition int32
}

func compareTP(a, b topicPartition) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

// topic is what the controller knows of a topic.
type topic struct {
	name          string
	id            coordination.UUID
	assignment    coordination.TopicAssignment
	version       int32
	hasPartitions bool
	hasConfig     bool
	unclean       bool
	partitions    map[int32]*partition
	writing       []partitionWrite // of the Write under way; nil when none is
	purpose       writePurpose
	stale         bool // must be read again when the Write under way is done
	deletion      *deletion
}

// partition is what the controller knows of a partition.
type partition struct {
	replicas []int32
	hasNode  bool // .../partitions/<p> is there
	state    *coordination.PartitionState
	version  int32 // of the state's node; the partition epoch
	// minEpoch is the least leader epoch of the next state: above all that were
	// ever told, should the node with the state be lost.
	minEpoch int32
}

// partitionWrite is a state on its way into the tree.
type partitionWrite struct {
	partition int32
	state     coordination.PartitionState
	op        int // index of its operation in the multi
}

// writePurpose says what a Write is to bring about.
type writePurpose uint8

const (
	writeNothing writePurpose = iota
	writeStates
	writeTopicID
	writeRemoval     // part of the nodes of a deleted topic
	writeLastRemoval // the rest of them
)

// NewController returns a controller without a term.
func NewController(opts Options) *Controller {
	return &Controller{opts: opts, live: map[int32]*member{}, topics: map[string]*topic{}, deletions: map[string]struct{}{}}
}

// Step takes one event and returns what is to be done, in order.
func (c *Controller) Step(ev Event) []Effect {
	c.out = nil
	if elected, ok := ev.(Elected); ok {
		c.begin(elected)
		return c.out
	}
	if !c.term {
		return nil
	}
	switch ev := ev.(type) {
	case BrokersListed:
		c.brokersListed(ev.Brokers)
	case TopicsListed:
		c.topicsListed(ev.Names)
	case TopicLoaded:
		c.topicLoaded(&ev)
	case DeletionsListed:
		c.deletionsListed(ev.Names)
	case WriteDone:
		c.writeDone(&ev)
	case Replied:
		c.replied(&ev)
	}
	c.flush()
	return c.out
}

func (c *Controller) emit(e Effect) { c.out = append(c.out, e) }

func (c *Controller) resign(reason string) {
	if c.term {
		c.term = false
		c.emit(Resign{Reason: reason})
	}
}

// begin starts a term: everything is new to every broker.
func (c *Controller) begin(ev Elected) {
	c.term, c.epoch, c.epochVersion = true, ev.Epoch, ev.EpochVersion
	clear(c.live)
	clear(c.topics)
	clear(c.deletions)
	c.partitions, c.offline = 0, 0
	for _, b := range ev.Brokers {
		c.live[b.ID] = newMember(b)
	}
	for i := range ev.Topics {
		c.learn(&ev.Topics[i])
	}
	for _, m := range c.live {
		c.tellEverything(m)
	}
	for _, name := range ev.Deletions {
		c.deletions[name] = struct{}{}
	}
	c.beginDeletions()
	c.reconcileAll()
	c.flush()
}

func newMember(b Broker) *member {
	return &member{Broker: b, outbox: newOutbox(), offline: map[topicPartition]struct{}{}}
}

// flush sends to each broker what it still has to be told.
func (c *Controller) flush() {
	if !c.term {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(c.live)) {
		c.send(c.live[id], false)
	}
}

// brokersListed takes a new list of live brokers. A broker with a new epoch was
// started again: it failed and came back.
func (c *Controller) brokersListed(brokers []Broker) {
	listed := make(map[int32]Broker, len(brokers))
	for _, b := range brokers {
		listed[b.ID] = b
	}
	changed := false
	for id, m := range c.live {
		if b, still := listed[id]; !still || b.Epoch != m.Epoch {
			delete(c.live, id)
			c.tellHolders(id)
			changed = true
		}
	}
	if changed {
		c.reconcileAll() // without the brokers that failed
	}
	for _, b := range brokers {
		m := c.live[b.ID]
		switch {
		case m == nil:
			m = newMember(b)
			c.live[b.ID] = m
			c.tellEverything(m)
			c.tellHolders(b.ID)
			c.resumeDeletions(b.ID)
			changed = true
		case !slices.Equal(m.Endpoints, b.Endpoints) || m.Rack != b.Rack:
			m.Broker = b
			changed = true
		}
	}
	if !changed {
		return
	}
	for _, m := range c.live {
		m.brokersChanged = true
	}
	c.reconcileAll()
}

// topicsListed forgets topics that are gone though nobody asked the controller.
func (c *Controller) topicsListed(names []string) {
	listed := make(map[string]struct{}, len(names))
	for _, name := range names {
		listed[name] = struct{}{}
	}
	for _, name := range sortedNames(c.topics) {
		if _, ok := listed[name]; !ok && c.topics[name].writing == nil {
			c.forget(c.topics[name])
		}
	}
}

// forget drops a topic that has left the tree and tells the brokers.
func (c *Controller) forget(t *topic) {
	for index, p := range t.partitions {
		if !p.led() {
			c.offline--
		}
		for _, m := range c.live {
			m.forgetReplica(topicPartition{t.name, index})
			if t.deletion == nil {
				m.gone[topicPartition{t.name, index}] = t.id
			}
		}
	}
	c.partitions -= len(t.partitions)
	delete(c.topics, t.name)
}

func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// topicLoaded takes what the tree holds of a topic.
func (c *Controller) topicLoaded(ev *TopicLoaded) {
	t := c.topics[ev.Name]
	if t != nil && t.writing != nil {
		t.stale = true // what was read may be from before the write
		return
	}
	if !ev.Exists {
		if t != nil {
			c.forget(t)
		}
		c.beginDeletions()
		return
	}
	if t != nil && t.id != (coordination.UUID{}) && ev.Assignment.ID != (coordination.UUID{}) && t.id != ev.Assignment.ID {
		c.forget(t) // deleted and made again under the same name
	}
	c.learn(ev)
	if d := c.topics[ev.Name].deletion; d != nil {
		d.loaded = true
	}
	c.beginDeletions()
	c.reconcile(c.topics[ev.Name])
}

// learn takes over what the tree holds of a topic. States that changed behind
// the controller's back (a leader changed its ISR) are told to the brokers.
func (c *Controller) learn(ev *TopicLoaded) {
	t := c.topics[ev.Name]
	if t == nil {
		t = &topic{name: ev.Name, partitions: map[int32]*partition{}}
		c.topics[ev.Name] = t
	}
	if ev.Assignment.ID != (coordination.UUID{}) {
		t.id = ev.Assignment.ID
	}
	t.assignment, t.version = ev.Assignment, ev.Version
	t.hasPartitions, t.hasConfig, t.unclean = ev.HasPartitions, ev.HasConfig, ev.Unclean
	for _, index := range ev.Assignment.PartitionIDs() {
		if t.partitions[index] == nil {
			t.partitions[index] = &partition{replicas: slices.Clone(ev.Assignment.Partitions[index])}
			c.partitions++
			c.offline++
		}
	}
	nodes := make(map[int32]bool, len(ev.Nodes))
	for _, n := range ev.Nodes {
		nodes[n] = true
	}
	for index, p := range t.partitions {
		p.hasNode = nodes[index]
		c.learnState(t, index, p, ev.States)
	}
}

func (c *Controller) learnState(t *topic, index int32, p *partition, states map[int32]VersionedState) {
	s, ok := states[index]
	if !ok {
		if p.state != nil {
			p.minEpoch = p.state.LeaderEpoch + 1
		}
		c.setState(p, nil)
		return
	}
	if p.state != nil && p.version == s.Version {
		return
	}
	c.setState(p, &s.PartitionState)
	p.version = s.Version
	c.tellPartition(t, index, p, false)
}

// reconcileAll looks at every topic.
func (c *Controller) reconcileAll() {
	for _, name := range sortedNames(c.topics) {
		c.reconcile(c.topics[name])
	}
}

// reconcile asks for the next write a topic needs, if it needs one.
func (c *Controller) reconcile(t *topic) {
	switch {
	case !c.term || t.writing != nil:
	case t.deletion != nil:
		c.advanceDeletion(t)
	case t.assignment.ID == (coordination.UUID{}):
		c.writeID(t)
	default:
		c.writeElections(t)
	}
}

// writeID puts the id back into a topic's node from which a tool of Kafka 2.7 or
// older dropped it.
func (c *Controller) writeID(t *topic) {
	if t.id == (coordination.UUID{}) {
		t.id = c.opts.NewID()
	}
	a := t.assignment
	a.ID = t.id
	c.write(t, writeTopicID, nil, coordination.Set(coordination.TopicPath(t.name), a.Encode(), t.version))
}

// write asks for a multi that holds only in this term.
func (c *Controller) write(t *topic, purpose writePurpose, states []partitionWrite, ops ...coordination.Op) {
	if states == nil {
		states = []partitionWrite{}
	}
	t.writing, t.purpose = states, purpose
	check := coordination.Check(coordination.ControllerEpochPath, c.epochVersion)
	c.emit(Write{Topic: t.name, Ops: append([]coordination.Op{check}, ops...)})
}

// writeDone takes the outcome of a write. When it failed, the tree is not what
// the controller believes: it reads the topic again and looks what to do then.
func (c *Controller) writeDone(ev *WriteDone) {
	if ev.Err != nil && lostTerm(ev) {
		c.resign("another controller has taken over")
		return
	}
	t := c.topics[ev.Topic]
	if ev.Mark || t == nil || t.writing == nil {
		return
	}
	states, purpose := t.writing, t.purpose
	t.writing, t.purpose = nil, writeNothing
	if ev.Err != nil || purpose == writeTopicID || t.stale {
		t.stale = false
		if ev.Err == nil {
			c.written(t, purpose, states, ev.Results)
		}
		if c.topics[ev.Topic] != nil {
			c.emit(Load{Topic: ev.Topic})
		}
		return
	}
	c.written(t, purpose, states, ev.Results)
	if c.topics[ev.Topic] != nil {
		c.reconcile(t)
	}
}

// lostTerm tells whether the check of the controller's epoch failed.
func lostTerm(ev *WriteDone) bool {
	return errors.Is(ev.Err, coordination.ErrSessionExpired) || errors.Is(ev.Err, coordination.ErrClosed) ||
		len(ev.Results) > 0 && (errors.Is(ev.Results[0].Err, coordination.ErrBadVersion) || errors.Is(ev.Results[0].Err, coordination.ErrNoNode))
}

// written takes over what a write brought about.
func (c *Controller) written(t *topic, purpose writePurpose, states []partitionWrite, results []coordination.OpResult) {
	switch purpose {
	case writeTopicID:
		t.assignment.ID = t.id
		t.version = results[1].Stat.Version
		for index, p := range t.partitions {
			c.tellPartition(t, index, p, false)
		}
	case writeStates:
		t.hasPartitions = true
		for _, w := range states {
			p := t.partitions[w.partition]
			isNew := p.state == nil
			c.setState(p, &w.state)
			p.hasNode, p.version = true, results[w.op].Stat.Version
			c.tellPartition(t, w.partition, p, isNew)
		}
	case writeRemoval:
		for _, w := range states {
			c.setState(t.partitions[w.partition], nil)
			t.partitions[w.partition].hasNode = false
		}
	case writeLastRemoval:
		delete(c.deletions, t.name)
		c.forget(t)
	}
}

// Counts tells how many partitions there are, and how many without a leader.
func (c *Controller) Counts() (partitions, offline int) { return c.partitions, c.offline }

// led tells whether a partition has a leader.
func (p *partition) led() bool { return p.state != nil && p.state.Leader >= 0 }

// setState takes over what the tree holds, nil when it holds nothing.
func (c *Controller) setState(p *partition, state *coordination.PartitionState) {
	before := p.led()
	p.state = state
	switch {
	case before && !p.led():
		c.offline++
	case !before && p.led():
		c.offline--
	}
}
