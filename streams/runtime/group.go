package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// assigned makes the tasks of newly assigned partitions and has their stores
// restored. It runs on the client's goroutine.
func (t *thread) assigned(ctx context.Context, cl *kgo.Client, parts map[string][]int32) {
	at := t.offsets(ctx, parts)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return
	}
	for topic, list := range parts {
		for _, p := range list {
			id, ok := t.layout.task(topic, p)
			if !ok || t.tasks[id] != nil {
				continue
			}
			if err := t.addTask(id, at); err != nil {
				t.fail(err)
				return
			}
		}
	}
	t.app.settle()
}

func (t *thread) addTask(id processor.TaskID, at offsets) error {
	stores, err := t.app.openStores(t.user, id, t.cache)
	if err != nil {
		return err
	}
	r := &running{id: id, thread: t.id, stores: stores, topics: t.layout.inputs(id), inputs: map[string]*input{}}
	r.ctx, r.cancel = context.WithCancelCause(t.user)
	c := t.app.cfg
	r.task, err = task.New(task.Config{
		App: c.App, ID: id, Topology: t.app.topo, Stores: stores, Topics: r.topics,
		Partitions: func(topic string) int32 { return t.outputPartitions(r.ctx, topic) },
		Handler:    c.Handler, DeadLetter: c.DeadLetter, Pause: pause, MaxWait: c.MaxWait.Milliseconds(),
		Ctx: r.ctx, Logger: t.log,
	})
	if err != nil {
		return errors.Join(err, stores.Close(false))
	}
	for _, topic := range r.topics {
		in := at.input(topic, id.Partition)
		r.task.SetPartitionTime(topic, at.metadata(topic, id.Partition))
		if err := r.task.Enqueue(topic, nil, !in.caughtUp()); err != nil {
			return errors.Join(err, stores.Close(false))
		}
		r.inputs[topic] = in
		t.client.PauseFetchPartitions(map[string][]int32{topic: {id.Partition}})
	}
	t.tasks[id] = r
	t.app.addTask(r)
	r.job = t.restore.submit(t.user, r)
	return nil
}

// outputPartitions is the number of partitions of an output topic, 1 if it
// cannot be told.
func (t *thread) outputPartitions(ctx context.Context, topic string) int32 {
	if n, ok := t.layout.partitions[topic]; ok {
		return n
	}
	if n := t.layout.output(topic); n > 0 {
		return n
	}
	counts, _, err := countPartitions(ctx, t.adm, []string{topic})
	if err != nil || counts[topic] == 0 {
		return 1
	}
	t.layout.remember(topic, counts[topic])
	return counts[topic]
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// offsets are where inputs begin and end, and how far the group has come.
type offsets struct {
	committed    kadm.OffsetResponses
	starts, ends kadm.ListedOffsets
}

// offsets reads those of newly assigned partitions. They only refine the
// tasks' start, so that a failure is not one.
func (t *thread) offsets(ctx context.Context, parts map[string][]int32) (o offsets) {
	if len(parts) == 0 {
		return o
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	topics := slices.Collect(maps.Keys(parts))
	var err1, err2, err3 error
	o.committed, err1 = t.adm.FetchOffsets(ctx, t.app.cfg.App)
	o.starts, err2 = t.adm.ListStartOffsets(ctx, topics...)
	o.ends, err3 = t.adm.ListEndOffsets(ctx, topics...)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.log.Warn("offsets of the input cannot be read", "error", err)
	}
	return o
}

// input is a partition as it is before the first fetch.
func (o offsets) input(topic string, p int32) *input {
	in := &input{next: -1, end: -1, paused: true}
	if end, ok := o.ends.Lookup(topic, p); ok && end.Err == nil {
		in.end = end.Offset
	}
	if start, ok := o.starts.Lookup(topic, p); ok && start.Err == nil {
		in.next = start.Offset
	}
	if c, ok := o.committed.Lookup(topic, p); ok && c.Err == nil {
		in.next = max(in.next, c.At)
	}
	return in
}

// metadata is what was committed with the offset.
func (o offsets) metadata(topic string, p int32) string {
	c, ok := o.committed.Lookup(topic, p)
	if !ok || c.Err != nil {
		return ""
	}
	return c.Metadata
}

// takeRestored starts the tasks whose stores are complete.
func (t *thread) takeRestored() error {
	for _, job := range t.restore.take() {
		r := job.task
		if t.tasks[r.id] != r || r.active.Load() {
			continue // revoked meanwhile
		}
		if job.err != nil {
			return job.err
		}
		if err := t.startTask(r); err != nil {
			return err
		}
	}
	return t.failed()
}

func (t *thread) startTask(r *running) error {
	if err := r.task.Start(time.Now().UnixMilli()); err != nil {
		return err
	}
	r.job = nil
	r.active.Store(true)
	for topic, in := range r.inputs {
		in.paused = false
		t.client.ResumeFetchPartitions(map[string][]int32{topic: {r.id.Partition}})
	}
	t.log.Info("task is running", "task", r.id.String(), "topics", r.topics)
	t.app.settle()
	return nil
}

// revoked commits and closes the tasks of partitions that go to another member.
func (t *thread) revoked(ctx context.Context, _ *kgo.Client, parts map[string][]int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	gone := t.tasksOf(parts)
	if len(gone) == 0 {
		return
	}
	err := t.failed()
	if err == nil {
		if err = t.commit(ctx); err != nil {
			t.log.Error("commit before tasks leave failed; their records will be processed again", "error", err)
		}
	}
	t.closeAll(gone, err == nil)
}

// lost closes tasks whose partitions another member may have already: nothing
// may be committed.
func (t *thread) lost(_ context.Context, _ *kgo.Client, parts map[string][]int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closeAll(t.tasksOf(parts), false)
}

func (t *thread) tasksOf(parts map[string][]int32) map[processor.TaskID]*running {
	out := map[processor.TaskID]*running{}
	for topic, list := range parts {
		for _, p := range list {
			if id, ok := t.layout.task(topic, p); ok && t.tasks[id] != nil {
				out[id] = t.tasks[id]
			}
		}
	}
	return out
}

func (t *thread) closeAll(gone map[processor.TaskID]*running, clean bool) {
	for _, r := range gone {
		if err := t.closeTask(r, clean); err != nil {
			t.log.Error("task did not close well", "task", r.id.String(), "error", err)
		}
	}
	t.app.settle()
}

// closeTask closes a task and its stores. What is not committed is forgotten.
func (t *thread) closeTask(r *running, clean bool) error {
	if r.job != nil { // the restorer owns the stores
		r.job.cancel()
		<-r.job.released
	}
	r.cancel(ErrRevoked)
	t.app.metrics.report(r.task.Stats(), &r.last)
	err := errors.Join(r.task.Close(), r.stores.Close(clean))
	r.active.Store(false)
	delete(t.tasks, r.id)
	t.app.dropTask(r)
	for topic, in := range r.inputs {
		if in.paused {
			t.client.ResumeFetchPartitions(map[string][]int32{topic: {r.id.Partition}})
		}
		t.app.metrics.lag.DeleteLabelValues(topic, fmt.Sprint(r.id.Partition))
	}
	return err
}

// commitError is the first error of a commit's answer.
func commitError(resp *kmsg.OffsetCommitResponse, err error) error {
	if err != nil || resp == nil {
		return err
	}
	for _, topic := range resp.Topics {
		for _, p := range topic.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("%s-%d: %w", topic.Topic, p.Partition, err)
			}
		}
	}
	return nil
}

// outdated tells whether an error means that this member has no say in the
// group any more.
func outdated(err error) bool {
	return errors.Is(err, kerr.IllegalGeneration) || errors.Is(err, kerr.UnknownMemberID) ||
		errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.FencedInstanceID)
}
