package topology

import "github.com/leatstream/leat/streams/processor"

// Kind is the sort of a node.
type Kind int

// The kinds of nodes.
const (
	KindSource Kind = iota
	KindProcessor
	KindSink
)

// String is the kind's name as [Topology.Describe] prints it.
func (k Kind) String() string {
	switch k {
	case KindSource:
		return "Source"
	case KindSink:
		return "Sink"
	default:
		return "Processor"
	}
}

// Source reads topics.
type Source struct {
	Name   string
	Topics []string
	// Decode supplies the decoder of each task.
	Decode func() processor.Decoder
	// Time gives a record's event time; nil takes the timestamp of the Kafka
	// record. partitionTime is the highest time of the partition so far, or
	// -1. A record with a negative time is dropped.
	Time func(m processor.Message, partitionTime int64) int64
	// Repartition marks an internal topic: its name gets the application id
	// as prefix, and the runtime creates it.
	Repartition bool
	// Partitions of a repartition topic; 0 takes the number of the tasks that
	// write it.
	Partitions int32
	// MaxFuture, in milliseconds, clamps times further than this ahead of the
	// wall clock; 0 does not. One wrong clock must not close every window.
	MaxFuture int64
}

// Sink writes a topic.
type Sink struct {
	Name string
	// Topic is the topic; if TopicOf chooses one for each record, it is the
	// name of that choice in descriptions.
	Topic   string
	TopicOf func(m processor.Message) string
	Encode  processor.Encoder
	// Partition chooses a partition of n; nil leaves it to the hash of the
	// key, as Kafka's default partitioner.
	Partition func(m processor.Message, n int32) int32
	// Repartition marks an internal topic, as in Source.
	Repartition bool
	// Side marks a side output: Forward leaves it out, only ForwardTo
	// reaches it.
	Side bool
}

// Node is one node of a built topology. Its fields must not be changed.
type Node struct {
	Name     string
	Kind     Kind
	Index    int      // position in build order
	Sub      int      // id of the sub-topology
	Parents  []string // in build order
	Children []string // in build order
	Stores   []string // sorted
	Source   *Source  // of a source
	Sink     *Sink    // of a sink
	Supplier processor.Supplier

	size int // nodes reachable from here, once per path, itself included
}
