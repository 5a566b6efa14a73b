package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/topology"
)

// ErrTopics is wrapped by errors about missing or unfit topics.
var ErrTopics = errors.New("topics do not fit the topology")

// layout is the topology on concrete topics: which tasks there are, and which
// partitions each reads. It is computed alike by every member of the group.
type layout struct {
	app  string
	topo *topology.Topology
	// partitions of every input topic, with full names.
	partitions map[string]int32
	// sub that reads a topic.
	sub map[string]int
	// tasks per sub-topology.
	tasks []int32

	mu      sync.Mutex
	outputs map[string]int32 // partitions of output topics, as far as known
}

// output is the number of partitions of an output topic, 0 if unknown.
func (l *layout) output(topic string) int32 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.outputs[topic]
}

func (l *layout) remember(topic string, partitions int32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outputs[topic] = partitions
}

func newLayout(app string, topo *topology.Topology) *layout {
	l := &layout{app: app, topo: topo, partitions: map[string]int32{}, sub: map[string]int{}, tasks: make([]int32, len(topo.Subs())), outputs: map[string]int32{}}
	for _, s := range topo.Subs() {
		for _, t := range s.Topics(app) {
			l.sub[t] = s.ID
		}
	}
	return l
}

// external are the input topics that others write.
func (l *layout) external() []string {
	var out []string
	for _, n := range l.topo.Nodes() {
		if n.Kind == topology.KindSource && !n.Source.Repartition {
			out = append(out, n.Source.Topics...)
		}
	}
	slices.Sort(out)
	return out
}

// topics are all input topics with full names.
func (l *layout) topics() []string {
	var out []string
	for t := range l.sub {
		out = append(out, t)
	}
	slices.Sort(out)
	return out
}

// resolve computes the partitions of repartition topics and the tasks from the
// partitions of the external topics. A repartition topic has as many as the
// largest sub-topology that writes it, unless its source says otherwise.
func (l *layout) resolve(external map[string]int32) error {
	for _, t := range l.external() {
		if external[t] <= 0 {
			return fmt.Errorf("%w: input topic %s does not exist", ErrTopics, t)
		}
		l.partitions[t] = external[t]
	}
	for range l.topo.Subs() { // each round settles at least one more sub-topology
		l.countTasks()
		l.countRepartitions()
	}
	l.countTasks()
	for _, s := range l.topo.Subs() {
		if l.tasks[s.ID] == 0 {
			return fmt.Errorf("%w: the partitions of sub-topology %d cannot be told: its repartition topics form a circle", ErrTopics, s.ID)
		}
		if err := l.checkCopartition(s); err != nil {
			return err
		}
	}
	return nil
}

func (l *layout) countTasks() {
	for t, sub := range l.sub {
		l.tasks[sub] = max(l.tasks[sub], l.partitions[t])
	}
}

func (l *layout) countRepartitions() {
	writers := map[string]int32{}
	for _, n := range l.topo.Nodes() {
		if n.Kind == topology.KindSink && n.Sink.Repartition {
			t := topology.InternalName(l.app, n.Sink.Topic)
			writers[t] = max(writers[t], l.tasks[n.Sub])
		}
	}
	for _, n := range l.topo.Nodes() {
		if n.Kind == topology.KindSource && n.Source.Repartition {
			t := topology.InternalName(l.app, n.Source.Topics[0])
			l.partitions[t] = n.Source.Partitions
			if l.partitions[t] == 0 {
				l.partitions[t] = writers[t]
			}
		}
	}
}

// checkCopartition refuses inputs of unequal partition counts where state
// brings their keys together.
func (l *layout) checkCopartition(s *topology.Sub) error {
	if len(s.Stores) == 0 {
		return nil
	}
	var unequal []string
	differ := false
	for _, t := range s.Topics(l.app) {
		unequal = append(unequal, fmt.Sprintf("%s (%d)", t, l.partitions[t]))
		differ = differ || l.partitions[t] != l.tasks[s.ID]
	}
	if differ {
		return fmt.Errorf("%w: sub-topology %d has state and inputs of unequal partition counts: %s", ErrTopics, s.ID, strings.Join(unequal, ", "))
	}
	return nil
}

// all lists the tasks by partition, then sub-topology: neighbours in the list
// are of different sub-topologies, which spreads each over the members.
func (l *layout) all() []processor.TaskID {
	var out []processor.TaskID
	for sub, n := range l.tasks {
		for p := range n {
			out = append(out, processor.TaskID{Sub: sub, Partition: p})
		}
	}
	slices.SortFunc(out, compareTasks)
	return out
}

func compareTasks(a, b processor.TaskID) int {
	if a.Partition != b.Partition {
		return int(a.Partition) - int(b.Partition)
	}
	return a.Sub - b.Sub
}

// inputs are the topics of which a task reads its partition.
func (l *layout) inputs(id processor.TaskID) []string {
	var out []string
	for _, t := range l.topo.Subs()[id.Sub].Topics(l.app) {
		if id.Partition < l.partitions[t] {
			out = append(out, t)
		}
	}
	return out
}

// task is the task that reads a partition.
func (l *layout) task(topic string, partition int32) (processor.TaskID, bool) {
	sub, ok := l.sub[topic]
	if !ok || partition >= l.tasks[sub] {
		return processor.TaskID{}, false
	}
	return processor.TaskID{Sub: sub, Partition: partition}, true
}
