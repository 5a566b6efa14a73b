package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/leatstream/leat/streams/task"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (t *thread) commitDue() bool {
	if time.Since(t.lastCommit) >= t.app.cfg.CommitInterval {
		return true
	}
	var size int64
	for _, r := range t.tasks {
		size += r.task.Uncommitted()
	}
	return size >= t.app.cfg.MaxUncommitted && time.Since(t.lastCommit) >= t.app.cfg.CommitInterval/10
}

// pendingCommit is one task's part of a commit.
type pendingCommit struct {
	r         *running
	changes   []*kgo.Record
	stores    []string // of the changes
	positions []task.Position
}

// commit makes everything processed so far durable, in the order the package
// comment gives. Whatever step fails, the steps after it do not happen.
func (t *thread) commit(ctx context.Context) error {
	t.lastCommit = time.Now()
	var pending []*pendingCommit
	for _, r := range t.tasks {
		if r.active.Load() && r.task.NeedsCommit() {
			pending = append(pending, &pendingCommit{r: r, positions: r.task.Positions()})
		}
	}
	if len(pending) == 0 {
		return t.flushStores()
	}
	if err := t.flush(ctx); err != nil {
		return err
	}
	if err := t.changes(ctx, pending); err != nil {
		return err
	}
	for _, p := range pending {
		if err := p.apply(); err != nil {
			return err
		}
	}
	if err := t.commitPositions(ctx, pending); err != nil {
		return err
	}
	for _, p := range pending {
		t.app.metrics.report(p.r.task.Stats(), &p.r.last)
	}
	t.app.metrics.commits.Observe(time.Since(t.lastCommit).Seconds())
	return t.flushStores()
}

// flush waits until everything produced is acknowledged.
func (t *thread) flush(ctx context.Context) error {
	if err := t.client.Flush(ctx); err != nil {
		return fmt.Errorf("streams: flush: %w", err)
	}
	return t.failed()
}

// changes writes what the stores hold to their changelogs. With several stores
// in a task the clocks follow when the rest is durable: a clock says that
// results were emitted, maybe into the store beside. Within one changelog the
// order of its records is enough.
func (t *thread) changes(ctx context.Context, pending []*pendingCommit) error {
	var clocks []func()
	several := false
	for _, p := range pending {
		changes, err := p.r.task.Changes(time.Now().UnixMilli())
		if err != nil {
			return err
		}
		for _, o := range changes {
			several = several || o.Store != changes[0].Store
			if o.Clock {
				clocks = append(clocks, func() { t.produceChange(p, o) })
			} else {
				t.produceChange(p, o)
			}
		}
	}
	if several && len(clocks) > 0 {
		if err := t.flush(ctx); err != nil {
			return err
		}
	}
	for _, produce := range clocks {
		produce()
	}
	return t.flush(ctx)
}

func (t *thread) produceChange(p *pendingCommit, o task.Output) {
	rec := t.record(o)
	p.changes = append(p.changes, rec)
	p.stores = append(p.stores, o.Store)
	t.client.Produce(t.ctx, rec, t.produced)
}

// apply moves the changes, which are in their changelogs now, into the stores.
func (p *pendingCommit) apply() error {
	next := map[string]int64{}
	for i, rec := range p.changes {
		next[p.stores[i]] = max(next[p.stores[i]], rec.Offset+1)
	}
	p.changes, p.stores = nil, nil
	return p.r.task.Commit(next)
}

// commitPositions commits the input offsets with the partition times as
// metadata. An outdated generation is no error: the partitions have gone to
// another member, which starts from the offsets before.
func (t *thread) commitPositions(ctx context.Context, pending []*pendingCommit) error {
	offsets := map[string]map[int32]kgo.EpochOffset{}
	metadata := map[string]map[int32]string{}
	for _, p := range pending {
		for _, pos := range p.positions {
			if offsets[pos.Topic] == nil {
				offsets[pos.Topic], metadata[pos.Topic] = map[int32]kgo.EpochOffset{}, map[int32]string{}
			}
			offsets[pos.Topic][p.r.id.Partition] = kgo.EpochOffset{Epoch: -1, Offset: pos.Offset}
			metadata[pos.Topic][p.r.id.Partition] = pos.Metadata
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		addMetadata(req, metadata)
		return nil
	})
	var err error
	t.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, cerr error) {
		err = commitError(resp, cerr)
	})
	if outdated(err) {
		t.log.Warn("offsets were not committed: the group has moved on", "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("streams: commit of offsets: %w", err)
	}
	return nil
}

func addMetadata(req *kmsg.OffsetCommitRequest, metadata map[string]map[int32]string) {
	for i := range req.Topics {
		for j := range req.Topics[i].Partitions {
			p := &req.Topics[i].Partitions[j]
			if m, ok := metadata[req.Topics[i].Topic][p.Partition]; ok {
				p.Metadata = &m
			}
		}
	}
}

// flushStores writes the stores to disk when it is time.
func (t *thread) flushStores() error {
	if time.Since(t.lastFlush) < t.app.cfg.FlushInterval {
		return nil
	}
	t.lastFlush = time.Now()
	var errs []error
	for _, r := range t.tasks {
		if r.active.Load() {
			errs = append(errs, r.stores.Flush())
		}
	}
	return errors.Join(errs...)
}
