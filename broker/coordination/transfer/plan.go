package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/leatstream/leat/broker/coordination"
)

// Source is what is read: a Tree, or a reader of one.
type Source interface {
	// Get returns data and stat of a node, or coordination.ErrNoNode.
	Get(ctx context.Context, path string) ([]byte, coordination.Stat, error)
	// Children returns the names of a node's children, or coordination.ErrNoNode.
	Children(ctx context.Context, path string) ([]string, coordination.Stat, error)
}

// Errors of Read and Apply.
var (
	// ErrNoCluster: the tree is not that of a Kafka cluster.
	ErrNoCluster = errors.New("transfer: no Kafka cluster")
	// ErrBrokerRunning: the broker whose partitions are to be taken over is still
	// registered.
	ErrBrokerRunning = errors.New("transfer: broker is running")
	// ErrMigrating: a KRaft controller rules the cluster.
	ErrMigrating = errors.New("transfer: cluster is being migrated to KRaft")
	// ErrNotEmpty: the tree that is to be filled holds a cluster already.
	ErrNotEmpty = errors.New("transfer: tree is not empty")
)

// Options say for whom a plan is made.
type Options struct {
	Broker int32
	// Unclean takes partitions over that the broker holds out of sync too. Records
	// that only other brokers have are then lost.
	Unclean bool
	// Progress, if not nil, is told how many topics have been read.
	Progress func(done, total int)
}

// Node is a node to be created.
type Node struct {
	Path string
	Data []byte
}

// Fate is what becomes of a partition.
type Fate string

// The fates of a partition.
const (
	Taken     Fate = "taken"     // the broker leads it, alone
	Elsewhere Fate = "elsewhere" // the broker is no replica: without a leader
	OutOfSync Fate = "out of sync"
)

// Partition is one partition of the plan.
type Partition struct {
	ID       int32
	Fate     Fate
	Replicas []int32 // in the cluster
	ISR      []int32 // in the cluster; nil when it has no state
}

// Topic is one topic of the plan, with its partitions in ascending order.
type Topic struct {
	Name       string
	ID         coordination.UUID // zero: it gets one
	Deleting   bool              // marked for deletion
	Partitions []Partition
	nodes      []Node // parents first
}

// Note is something in the source that is not carried over.
type Note struct{ Path, Reason string }

// Plan is what Apply writes.
type Plan struct {
	ClusterID       string
	Broker          int32
	ControllerEpoch int32 // 0: the source has none
	NextProducerID  int64 // no id below was, or will be, handed out by the source
	Topics          []Topic
	Counts          map[string]int // nodes carried over as they are, by their first element, "config/topics" and such in full
	LeftOut         []Note
	LiveBrokers     []int32 // other brokers that are registered

	nodes []Node // parents first, without topics
}

// Nodes are all nodes that Apply creates, parents first.
func (p *Plan) Nodes() []Node {
	nodes := slices.Clone(p.nodes)
	for i := range p.Topics {
		nodes = append(nodes, p.Topics[i].nodes...)
	}
	return nodes
}

// maxOps and maxBytes bound one transaction of Apply.
const (
	maxOps   = 1000
	maxBytes = coordination.MaxDataSize / 2
)

// Empty tells whether a tree holds no cluster: neither an id nor topics.
func Empty(ctx context.Context, tree Source) (bool, error) {
	if _, _, err := tree.Get(ctx, coordination.ClusterIDPath); !errors.Is(err, coordination.ErrNoNode) {
		return false, err
	}
	names, _, err := tree.Children(ctx, coordination.TopicsPath)
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return false, err
	}
	return len(names) == 0, nil
}

// Apply writes the plan into an empty tree, in several transactions: the caller
// drops a tree whose Apply failed. Progress, if not nil, is told how many nodes
// are written.
func (p *Plan) Apply(ctx context.Context, tree coordination.Tree, progress func(done, total int)) error {
	empty, err := Empty(ctx, tree)
	if err != nil {
		return err
	}
	if !empty {
		return ErrNotEmpty
	}
	nodes := p.Nodes()
	for done := 0; done < len(nodes); {
		ops := batch(nodes[done:])
		if _, err := tree.Multi(ctx, ops...); err != nil {
			return fmt.Errorf("transfer: write %s and what follows: %w", nodes[done].Path, err)
		}
		done += len(ops)
		if progress != nil {
			progress(done, len(nodes))
		}
	}
	return nil
}

// batch is what one transaction creates: at least one node.
func batch(nodes []Node) []coordination.Op {
	var ops []coordination.Op
	size := 0
	for _, n := range nodes {
		if size += len(n.Data); len(ops) == maxOps || size > maxBytes && len(ops) > 0 {
			break
		}
		ops = append(ops, coordination.Create(n.Path, n.Data, coordination.Persistent))
	}
	return ops
}
