package controller

import (
	"github.com/leatstream/leat/broker/coordination"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Event is what goes into the Controller: one of the types below.
type Event interface{ event() }

// Broker is a live broker as its registration tells.
type Broker struct {
	ID        int32
	Epoch     int64 // czxid of the registration: changes with every start
	Rack      string
	Endpoints []coordination.Endpoint
}

// Elected: this broker won /controller. It begins a term with all that the tree
// holds.
type Elected struct {
	Epoch        int32 // controller epoch of this term
	EpochVersion int32 // data version of /controller_epoch in this term
	Brokers      []Broker
	Topics       []TopicLoaded
	Deletions    []string
}

// BrokersListed: the live brokers are these.
type BrokersListed struct{ Brokers []Broker }

// TopicsListed: the topics are these. Those that the controller does not know
// yet follow as TopicLoaded.
type TopicsListed struct{ Names []string }

// TopicLoaded: all that the tree holds of one topic.
type TopicLoaded struct {
	Name       string
	Exists     bool
	Assignment coordination.TopicAssignment
	Version    int32 // data version of the topic's node
	// HasPartitions tells whether the parent of the partitions is there, Nodes
	// which partitions' nodes are.
	HasPartitions bool
	Nodes         []int32
	States        map[int32]VersionedState
	HasConfig     bool // /config/topics/<name> is there
	Unclean       bool // unclean.leader.election.enable of the topic
}

// VersionedState is a partition's state and the data version of its node.
type VersionedState struct {
	coordination.PartitionState
	Version int32
}

// DeletionsListed: the topics marked for deletion are these.
type DeletionsListed struct{ Names []string }

// WriteDone answers a Write. Results are those of the multi.
type WriteDone struct {
	Topic   string
	Mark    bool // as in the Write
	Results []coordination.OpResult
	Err     error
}

// Replied answers a Send. Err means that no answer came.
type Replied struct {
	Broker   int32
	Epoch    int64
	Request  kmsg.Request
	Response kmsg.Response
	Err      error
}

func (Elected) event()         {}
func (BrokersListed) event()   {}
func (TopicsListed) event()    {}
func (TopicLoaded) event()     {}
func (DeletionsListed) event() {}
func (WriteDone) event()       {}
func (Replied) event()         {}

// Effect is what comes out of the Controller: one of the types below.
type Effect interface{ effect() }

// Write asks for a multi. Its first operation checks /controller_epoch. At most
// one Write of a topic is under way, those with Mark not counted.
type Write struct {
	Topic string
	// Mark: the multi only removes a mark of deletion that nothing follows from.
	Mark bool
	Ops  []coordination.Op
}

// Send asks for a request to a broker. At most one Send to a broker is under way.
// Again tells that the request before it failed: the shell waits a little.
type Send struct {
	Broker  int32
	Epoch   int64
	Request kmsg.Request
	Again   bool
}

// Load asks for a topic to be read again.
type Load struct{ Topic string }

// Resign: this broker is no longer controller; the term is over.
type Resign struct{ Reason string }

func (Write) effect()  {}
func (Send) effect()   {}
func (Load) effect()   {}
func (Resign) effect() {}
