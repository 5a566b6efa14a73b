package worker

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
)

// sessionTimeout is how long a killed worker's partitions wait for another
// member. With consumer.group.instance.id set, the worker's next start takes
// them back at once.
const sessionTimeout = 10 * time.Second

// sinkTopics reads "topics" or "topics.regex": exactly one must be given.
func sinkTopics(props map[string]string) ([]string, *regexp.Regexp, error) {
	topics, expr := splitTrim(props["topics"]), strings.TrimSpace(props["topics.regex"])
	switch {
	case len(topics) > 0 && expr != "":
		return nil, nil, fmt.Errorf("%w: topics and topics.regex exclude each other", config.ErrInvalid)
	case len(topics) > 0:
		return topics, nil, nil
	case expr == "":
		return nil, nil, fmt.Errorf("%w: a sink needs topics or topics.regex", config.ErrInvalid)
	}
	// Kafka matches the whole topic name.
	re, err := regexp.Compile("^(?:" + expr + ")$")
	if err != nil {
		return nil, nil, fmt.Errorf("%w: topics.regex: %w", config.ErrInvalid, err)
	}
	return nil, re, nil
}

// openClient joins the group connect-<name>.
func (r *SinkRunner) openClient(ctx context.Context) error {
	opts, props, err := clientOpts(r.cfg, "consumer", "consumer")
	if err != nil {
		return err
	}
	group := props["group.id"]
	if group == "" {
		group = "connect-" + r.cfg.Connector
	}
	opts = append([]kgo.Opt{
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxBytes(16 << 20), kgo.FetchMaxPartitionBytes(4 << 20),
		kgo.MaxConcurrentFetches(2), kgo.SessionTimeout(sessionTimeout),
	}, opts...)
	if id := props["group.instance.id"]; id != "" {
		opts = append(opts, kgo.InstanceID(fmt.Sprintf("%s-%d", id, r.cfg.Task)))
	}
	opts = append(opts,
		kgo.ConsumerGroup(group), kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { r.assign(ctx, partsOf(m)) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { r.revoke(ctx, partsOf(m), false) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { r.revoke(ctx, partsOf(m), true) }),
		kgo.AdjustFetchOffsetsFn(r.adjust),
	)
	if r.pattern != nil {
		opts = append(opts, kgo.ConsumeRegex(), kgo.ConsumeTopics(r.pattern.String()))
	} else {
		opts = append(opts, kgo.ConsumeTopics(r.topics...))
	}
	if r.policy.deadTopic != "" {
		opts = append(opts, kgo.AllowAutoTopicCreation(), kgo.RecordPartitioner(newPartitioner()))
		r.policy.produce = func(ctx context.Context, rec *kgo.Record) error {
			return r.client.ProduceSync(ctx, rec).FirstErr()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock() // callbacks wait until the client is set
	if r.client, err = kgo.NewClient(opts...); err != nil {
		return fmt.Errorf("consumer: %w", err)
	}
	return nil
}

func partsOf(m map[string][]int32) []connect.TopicPartition {
	var out []connect.TopicPartition
	for _, topic := range slices.Sorted(maps.Keys(m)) {
		for _, p := range m[topic] {
			out = append(out, connect.TopicPartition{Topic: topic, Partition: p})
		}
	}
	return out
}

// assign is a group callback: the task gets partitions, before their offsets are fetched.
func (r *SinkRunner) assign(ctx context.Context, parts []connect.TopicPartition) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(parts) == 0 || ctx.Err() != nil {
		return
	}
	for _, tp := range parts {
		r.open[tp] = &sinkPartition{next: -1, committed: -1, seek: -1}
	}
	r.figures.sinkPartitions.Set(float64(len(r.open)))
	if t, ok := r.task.(connect.Partitioned); ok {
		if err := t.Open(ctx, parts); err != nil {
			r.callback = fmt.Errorf("open: %w", err)
		}
	}
	r.takeSeeks()
}

// takeSeeks notes the offsets that the task asked for. The caller holds mu.
func (r *SinkRunner) takeSeeks() {
	for tp, offset := range r.requests.takeSeeks() {
		if p := r.open[tp]; p != nil && offset >= 0 {
			p.seek = offset
		}
	}
}

// adjust is a group callback between assign and the first fetch: it puts the
// offsets the task asked for in the place of the committed ones.
func (r *SinkRunner) adjust(_ context.Context, fetched map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for topic, parts := range fetched {
		for p := range parts {
			s := r.open[connect.TopicPartition{Topic: topic, Partition: p}]
			if s == nil {
				continue
			}
			s.live = true
			if s.seek >= 0 {
				parts[p] = kgo.NewOffset().At(s.seek)
				s.next, s.seek = s.seek, -1
			}
		}
	}
	return fetched, nil
}

// revoke is a group callback: the task gives partitions up. lost says that
// another member may own them already.
func (r *SinkRunner) revoke(ctx context.Context, parts []connect.TopicPartition, lost bool) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.set.stopTimeout)
	defer cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(last, parts, !lost, lost)
}

// release flushes, commits and closes those of parts that are open. The caller holds mu.
func (r *SinkRunner) release(ctx context.Context, parts []connect.TopicPartition, flush, lost bool) {
	var mine []connect.TopicPartition
	for _, tp := range parts {
		if r.open[tp] != nil {
			mine = append(mine, tp)
		}
	}
	if len(mine) == 0 {
		return
	}
	if f, ok := r.task.(connect.Flusher); ok && flush {
		if err := f.Flush(ctx, mine); err != nil {
			r.cfg.Logger.Warn("flush before giving partitions up failed; their records will come again", "error", err)
		}
	}
	if !lost {
		r.commit(ctx, mine)
	}
	if t, ok := r.task.(connect.Partitioned); ok {
		if err := t.Close(ctx, mine, lost); err != nil {
			r.callback = fmt.Errorf("close: %w", err)
		}
	}
	for _, tp := range mine {
		delete(r.open, tp)
		if r.batch != nil {
			r.batch.forget(tp)
		}
	}
	if r.batch != nil && len(r.batch.ends) == 0 {
		r.batch = nil
	}
	r.figures.sinkPartitions.Set(float64(len(r.open)))
}

// assigned lists the open partitions in order. The caller holds mu.
func (r *SinkRunner) assigned() []connect.TopicPartition {
	return slices.SortedFunc(maps.Keys(r.open), func(a, b connect.TopicPartition) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
}

// commit asks the task what is safe and commits it. The caller holds mu.
// Failures are logged; the next interval tries again.
func (r *SinkRunner) commit(ctx context.Context, parts []connect.TopicPartition) {
	current := map[connect.TopicPartition]int64{}
	for _, tp := range parts {
		if p := r.open[tp]; p != nil && p.next >= 0 {
			current[tp] = p.next
		}
	}
	if len(current) == 0 {
		return
	}
	safe, err := r.task.PreCommit(ctx, maps.Clone(current))
	if err != nil {
		r.figures.commitFailures.Inc()
		r.cfg.Logger.Warn("task's pre-commit failed; offsets stay where they are", "error", err)
		return
	}
	offsets := map[string]map[int32]kgo.EpochOffset{}
	for tp, offset := range safe {
		limit, ok := current[tp]
		if !ok || offset < 0 || offset == r.open[tp].committed {
			continue
		}
		if offset > limit {
			r.cfg.Logger.Error("task called an offset safe that it was never given; ignored", "topic", tp.Topic, "partition", tp.Partition, "offset", offset, "given", limit)
			continue
		}
		if offsets[tp.Topic] == nil {
			offsets[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		offsets[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	if len(offsets) > 0 {
		r.commitOffsets(ctx, offsets)
	}
}

func (r *SinkRunner) commitOffsets(outer context.Context, offsets map[string]map[int32]kgo.EpochOffset) {
	ctx, cancel := context.WithTimeout(outer, r.set.commitTimeout)
	defer cancel()
	var failed error
	r.client.CommitOffsetsSync(ctx, offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					failed = err
					continue
				}
				if s := r.open[connect.TopicPartition{Topic: t.Topic, Partition: p.Partition}]; s != nil {
					s.committed = offsets[t.Topic][p.Partition].Offset
				}
			}
		}
	})
	if failed != nil && outer.Err() != nil {
		return // stopping; finish commits once more
	}
	if failed != nil {
		r.figures.commitFailures.Inc()
		r.cfg.Logger.Warn("committing offsets failed, will be repeated", "error", failed)
		return
	}
	r.figures.commits.Inc()
	r.stats.committed.Add(1)
}

// applySeeks moves partitions to the offsets the task asked for during a call.
// The caller holds mu, and is Run's goroutine.
func (r *SinkRunner) applySeeks() {
	r.takeSeeks()
	seeks := map[string]map[int32]kgo.EpochOffset{}
	for tp, p := range r.open {
		if p.seek < 0 || !p.live {
			continue // nothing asked, or adjust will see to it
		}
		if seeks[tp.Topic] == nil {
			seeks[tp.Topic] = map[int32]kgo.EpochOffset{}
		}
		seeks[tp.Topic][tp.Partition] = kgo.EpochOffset{Epoch: -1, Offset: p.seek}
		p.next, p.seek = p.seek, -1
		if r.batch != nil {
			r.batch.forget(tp)
		}
	}
	if len(seeks) > 0 {
		r.client.SetOffsets(seeks)
	}
	if r.batch != nil && len(r.batch.ends) == 0 {
		r.batch = nil
	}
}
