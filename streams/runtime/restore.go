package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// restorer reads changelogs back into the stores of tasks that have just been
// assigned, with a client of its own, so that running tasks never wait for it.
// One goroutine, that of run, owns the stores of a task from submit until the
// job comes back on done.
type restorer struct {
	app    string
	client *kgo.Client
	adm    *kadm.Client
	log    *slog.Logger
	metric *metrics

	mu       sync.Mutex
	waiting  []*restoreJob // submitted and not begun
	finished []*restoreJob // released and not taken
	wake     chan struct{} // holds one token when waiting is not empty
}

// restoreJob is the restoring of one task.
type restoreJob struct {
	ctx      context.Context // cancelled when the task is revoked
	cancel   context.CancelFunc
	task     *running
	released chan struct{} // closed when the stores are the thread's again
	err      error         // valid once released
	logs     []*changelog
}

// changelog is one store on its way. It is complete when next reaches end.
type changelog struct {
	job       *restoreJob
	store     *state.Store
	topic     string
	partition int32
	next, end int64
	wiped     bool
}

func newRestorer(a *App) (*restorer, error) {
	opts := append(append([]kgo.Opt{}, a.cfg.Client...),
		kgo.KeepControlRecords(), // a log may end in a marker, which counts as progress
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchMaxWait(250*time.Millisecond),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, fmt.Errorf("streams: restore client: %w", err)
	}
	return &restorer{
		app: a.cfg.App, client: cl, adm: kadm.NewClient(cl), log: a.log, metric: a.metrics,
		wake: make(chan struct{}, 1),
	}, nil
}

// submit hands a task's stores over. It never blocks.
func (r *restorer) submit(ctx context.Context, t *running) *restoreJob {
	job := &restoreJob{task: t, released: make(chan struct{})}
	job.ctx, job.cancel = context.WithCancel(ctx)
	r.mu.Lock()
	r.waiting = append(r.waiting, job)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
	return job
}

// take returns the jobs that have ended since the last call.
func (r *restorer) take() []*restoreJob {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.finished
	r.finished = nil
	return out
}

func (r *restorer) submitted() []*restoreJob {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.waiting
	r.waiting = nil
	return out
}

// run restores until ctx ends; jobs that are not complete then end with its
// error.
func (r *restorer) run(ctx context.Context) {
	defer r.client.Close()
	active := map[string]map[int32]*changelog{}
	jobs := map[*restoreJob]bool{}
	for ctx.Err() == nil {
		if len(jobs) == 0 {
			select {
			case <-r.wake:
			case <-ctx.Done():
			}
		}
		for _, job := range r.submitted() {
			if err := r.begin(job, active); err != nil || len(job.logs) == 0 {
				r.finish(job, err, active)
			} else {
				jobs[job] = true
			}
		}
		if len(jobs) > 0 {
			r.poll(ctx, active)
		}
		for job := range jobs {
			if err, over := job.over(); over {
				r.finish(job, err, active)
				delete(jobs, job)
			}
		}
	}
	for job := range jobs {
		r.finish(job, ctx.Err(), active)
	}
	for _, job := range r.submitted() {
		r.finish(job, ctx.Err(), active)
	}
}

// over tells whether a job has ended, and how.
func (j *restoreJob) over() (err error, over bool) {
	if j.err != nil {
		return j.err, true
	}
	if err := j.ctx.Err(); err != nil {
		return err, true
	}
	var remaining int64
	for _, c := range j.logs {
		remaining += max(0, c.end-c.next)
	}
	j.task.remaining.Store(remaining)
	return nil, remaining == 0
}

// begin finds out where the stores and their changelogs are, and starts
// reading what is missing.
func (r *restorer) begin(job *restoreJob, active map[string]map[int32]*changelog) error {
	var topics []string
	for _, s := range job.task.stores.Stores() {
		if !s.Spec().NoChangelog {
			topics = append(topics, topology.ChangelogTopic(r.app, s.Spec().Name))
		}
	}
	if len(topics) == 0 {
		return nil
	}
	ends, err := r.adm.ListEndOffsets(job.ctx, topics...)
	starts, err2 := r.adm.ListStartOffsets(job.ctx, topics...)
	meta, err3 := r.adm.Metadata(job.ctx, topics...)
	if err := errors.Join(err, err2, err3, ends.Error(), starts.Error(), meta.Topics.Error()); err != nil {
		return fmt.Errorf("streams: changelogs of task %v: %w", job.task.id, err)
	}
	p := job.task.id.Partition
	for _, s := range job.task.stores.Stores() {
		if s.Spec().NoChangelog {
			continue
		}
		topic := topology.ChangelogTopic(r.app, s.Spec().Name)
		end, ok1 := ends.Lookup(topic, p)
		start, ok2 := starts.Lookup(topic, p)
		if !ok1 || !ok2 {
			return fmt.Errorf("%w: %s has no partition %d", ErrTopics, topic, p)
		}
		c := &changelog{job: job, store: s, topic: topic, partition: p, end: end.Offset}
		if err := r.position(c, meta.Topics[topic].ID, start.Offset); err != nil {
			return err
		}
		if c.next < c.end {
			job.logs = append(job.logs, c)
		}
	}
	for _, c := range job.logs {
		r.read(c, active)
	}
	return nil
}

// position sets where reading starts. The store is emptied if its content is
// not a prefix of this changelog: another topic of the name, or an offset out
// of its range.
func (r *restorer) position(c *changelog, topicID [16]byte, start int64) error {
	wiped, err := c.store.Bind(topicID)
	if err != nil {
		return err
	}
	at := c.store.Checkpoint().Offset
	if !wiped && at > 0 && (at > c.end || at < start) {
		wiped = true
		if err := c.store.Wipe(); err != nil {
			return err
		}
		if _, err := c.store.Bind(topicID); err != nil {
			return err
		}
	}
	if wiped {
		r.log.Warn("store does not fit its changelog and is rebuilt", "store", c.store.Spec().Name, "partition", c.partition)
		c.wiped = true
		at = 0
	}
	c.next = max(at, start)
	return nil
}

func (r *restorer) read(c *changelog, active map[string]map[int32]*changelog) {
	if active[c.topic] == nil {
		active[c.topic] = map[int32]*changelog{}
	}
	active[c.topic][c.partition] = c
	r.client.AddConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: {c.partition: kgo.NewOffset().At(c.next)}})
}

func (r *restorer) stop(c *changelog, active map[string]map[int32]*changelog) {
	if active[c.topic][c.partition] == c {
		delete(active[c.topic], c.partition)
		r.client.RemoveConsumePartitions(map[string][]int32{c.topic: {c.partition}})
	}
}

// finish gives the stores back to the thread.
func (r *restorer) finish(job *restoreJob, err error, active map[string]map[int32]*changelog) {
	for _, c := range job.logs {
		r.stop(c, active)
	}
	job.err = err
	job.cancel()
	close(job.released)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.finished = append(r.finished, job)
}

// restorePoll bounds a wait for records, so that new jobs and cancelled ones
// are noticed.
const restorePoll = 100 * time.Millisecond

// maxRestorePoll is the number of changelog records applied at once.
const maxRestorePoll = 20_000

func (r *restorer) poll(ctx context.Context, active map[string]map[int32]*changelog) {
	ctx, cancel := context.WithTimeout(ctx, restorePoll)
	defer cancel()
	fetches := r.client.PollRecords(ctx, maxRestorePoll)
	fetches.EachError(func(topic string, p int32, err error) {
		if c := active[topic][p]; c != nil {
			r.failed(c, err, active)
		}
	})
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		c := active[p.Topic][p.Partition]
		if c == nil || c.job.err != nil || len(p.Records) == 0 {
			return
		}
		if err := r.apply(c, p.Records); err != nil {
			c.job.err = err
		}
	})
}

// failed handles an error of fetching: if the log's head was removed while it
// was read, the store is rebuilt from the new start, once.
func (r *restorer) failed(c *changelog, err error, active map[string]map[int32]*changelog) {
	if !errors.Is(err, kerr.OffsetOutOfRange) {
		if !kerr.IsRetriable(err) && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
			c.job.err = fmt.Errorf("streams: restore of %s-%d: %w", c.topic, c.partition, err)
		}
		return
	}
	if c.wiped {
		c.job.err = fmt.Errorf("streams: restore of %s-%d: the changelog shrinks faster than it is read: %w", c.topic, c.partition, err)
		return
	}
	r.stop(c, active)
	starts, err := r.adm.ListStartOffsets(c.job.ctx, c.topic)
	start, ok := starts.Lookup(c.topic, c.partition)
	if err != nil || !ok {
		c.job.err = errors.Join(fmt.Errorf("streams: restore of %s-%d: no start offset", c.topic, c.partition), err)
		return
	}
	id := c.store.Checkpoint().TopicID
	if c.job.err = c.store.Wipe(); c.job.err != nil {
		return
	}
	_, c.job.err = c.store.Bind(id)
	c.wiped, c.next = true, start.Offset
	c.end = max(c.end, c.next)
	r.read(c, active)
}

func (r *restorer) apply(c *changelog, records []*kgo.Record) error {
	batch := make([]state.Restored, 0, len(records))
	for _, rec := range records {
		c.next = rec.Offset + 1
		if rec.Attrs.IsControl() {
			continue
		}
		batch = append(batch, state.Restored{
			Change: state.Change{Key: rec.Key, Value: rec.Value, Time: rec.Timestamp.UnixMilli()}, Offset: rec.Offset,
		})
	}
	r.metric.restored.Add(float64(len(batch)))
	return c.store.Restore(batch, c.next)
}
