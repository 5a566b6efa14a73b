package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/leatstream/leat/broker/coordination"
)

// producerIDBlock is the number of ids that a broker reserves at once.
const producerIDBlock = 1000

// ErrProducerIDsExhausted: all 2^63 producer ids were handed out.
var ErrProducerIDsExhausted = errors.New("controller: no producer id is left")

// ProducerIDs hands out producer ids from blocks that it reserves in the tree.
// Two brokers never hand out the same id, since a block is reserved by a write
// that only succeeds if nobody else wrote since it was read. It may be used
// concurrently.
type ProducerIDs struct {
	tree     coordination.Tree
	brokerID int32

	mu   sync.Mutex
	next int64 // next id to hand out
	end  int64 // last id of the block; below next when it is used up
}

// NewProducerIDs returns an allocator that reserves its first block on demand.
func NewProducerIDs(tree coordination.Tree, brokerID int32) *ProducerIDs {
	return &ProducerIDs{tree: tree, brokerID: brokerID, end: -1}
}

// Next returns an id that was never returned before by any broker.
func (p *ProducerIDs) Next(ctx context.Context) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next > p.end {
		block, err := AllocateProducerIDs(ctx, p.tree, p.brokerID)
		if err != nil {
			return 0, err
		}
		p.next, p.end = block.First, block.Last
	}
	id := p.next
	p.next++
	return id, nil
}

// AllocateProducerIDs reserves the next block of ids for a broker.
func AllocateProducerIDs(ctx context.Context, tree coordination.Tree, brokerID int32) (coordination.ProducerIDBlock, error) {
	for {
		block, err := tryAllocate(ctx, tree, brokerID)
		if errors.Is(err, coordination.ErrBadVersion) {
			continue // another broker took that block
		}
		if err != nil {
			return block, fmt.Errorf("controller: reserve producer ids: %w", err)
		}
		return block, nil
	}
}

func tryAllocate(ctx context.Context, tree coordination.Tree, brokerID int32) (coordination.ProducerIDBlock, error) {
	block := coordination.ProducerIDBlock{BrokerID: brokerID, Last: producerIDBlock - 1}
	data, stat, err := tree.Get(ctx, coordination.ProducerIDBlockPath)
	if errors.Is(err, coordination.ErrNoNode) {
		if err := ensure(ctx, tree, coordination.ProducerIDBlockPath); err != nil {
			return block, err
		}
		data, stat, err = tree.Get(ctx, coordination.ProducerIDBlockPath)
	}
	if err != nil {
		return block, err
	}
	if len(data) > 0 {
		last, err := coordination.DecodeProducerIDBlock(data)
		if err != nil {
			return block, err
		}
		if last.Last > math.MaxInt64-producerIDBlock {
			return block, ErrProducerIDsExhausted
		}
		block.First, block.Last = last.Last+1, last.Last+producerIDBlock
	}
	_, err = tree.Set(ctx, coordination.ProducerIDBlockPath, block.Encode(), stat.Version)
	return block, err
}
