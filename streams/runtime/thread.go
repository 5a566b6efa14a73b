package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrRevoked is the cause of a task's context when its partitions have gone to
// another member.
var ErrRevoked = errors.New("task was revoked")

// thread is one member of the group with its tasks. Its loop (run) and the
// group's callbacks take turns by mu; both may use everything below it.
type thread struct {
	app     *App
	id      int
	layout  *layout
	cache   *state.Cache
	adm     *kadm.Client
	client  *kgo.Client
	restore *restorer
	log     *slog.Logger

	failure atomic.Pointer[error] // the first one of a callback; ends the thread

	mu         sync.Mutex
	ctx        context.Context // of work: outlives user by the time of a shutdown
	user       context.Context // of what tasks and restores wait for
	tasks      map[processor.TaskID]*running
	lastCommit time.Time
	lastFlush  time.Time
	closing    bool
	slab       []kgo.Record // records for the producer, handed out one by one
	feeds      map[int]bool // sub-topologies that write repartition topics
	order      aligner
	inLine     []*running // the tasks of the aligner's lanes
	resume     time.Time  // when there is work even if no record comes; zero = never
}

// running is a task with what the runtime knows about it.
type running struct {
	id     processor.TaskID
	thread int
	topics []string
	stores *state.Set
	task   *task.Task
	job    *restoreJob // while it is restored
	ctx    context.Context
	cancel context.CancelCauseFunc
	inputs map[string]*input
	last   task.Stats // as reported to the metrics
	// For readers outside the thread.
	active    atomic.Bool
	remaining atomic.Int64
	// The last check of quiet: see idle.
	idleChecked time.Time
	idleResult  bool
}

// input is how far one input partition has been fetched.
type input struct {
	next   int64 // offset after the last record fetched, -1 = unknown
	end    int64 // the partition's high watermark as of the last fetch, -1 = unknown
	paused bool
}

func (in *input) caughtUp() bool { return in.end < 0 || in.next >= in.end }

func newThread(ctx context.Context, a *App, id int, l *layout, cache *state.Cache, admin *kgo.Client) (*thread, error) {
	t := &thread{
		app: a, id: id, layout: l, cache: cache, adm: kadm.NewClient(admin),
		log: a.log.With("thread", id), tasks: map[processor.TaskID]*running{},
		ctx: context.WithoutCancel(ctx), user: ctx, lastCommit: time.Now(), lastFlush: time.Now(),
		feeds: feeders(l.topo), order: aligner{slack: slack.Milliseconds(), maxWait: a.cfg.MaxWait.Milliseconds()},
	}
	var err error
	if t.restore, err = newRestorer(a); err != nil {
		return nil, err
	}
	opts := append(append([]kgo.Opt{}, a.cfg.Client...),
		kgo.ConsumerGroup(a.cfg.App),
		kgo.ConsumeTopics(l.topics()...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(&assignor{layout: l, process: a.cfg.ProcessID, local: a.localTasks}),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(t.assigned),
		kgo.OnPartitionsRevoked(t.revoked),
		kgo.OnPartitionsLost(t.lost),
		kgo.RecordPartitioner(newPartitioner()),
		kgo.AllowAutoTopicCreation(), // of output topics, where the broker permits it
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.KeepControlRecords(), // an input may end in a marker, which counts as progress
	)
	if a.cfg.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(fmt.Sprintf("%s-%d", a.cfg.InstanceID, id)))
	}
	if a.cfg.SessionTimeout > 0 {
		opts = append(opts, kgo.SessionTimeout(a.cfg.SessionTimeout), kgo.HeartbeatInterval(a.cfg.SessionTimeout/3))
	}
	t.mu.Lock() // the group's callbacks may come before the client is known here
	defer t.mu.Unlock()
	if t.client, err = kgo.NewClient(opts...); err != nil {
		t.restore.client.Close()
		return nil, fmt.Errorf("streams: client: %w", err)
	}
	return t, nil
}

// run is the thread's loop. It ends with ctx, after a last commit, or with the
// first error, without one.
func (t *thread) run(ctx context.Context) error {
	work, stopWork := linger(ctx, t.app.cfg.ShutdownTimeout)
	defer stopWork()
	t.mu.Lock()
	t.ctx = work
	t.mu.Unlock()
	rctx, stopRestore := context.WithCancel(work)
	var wg sync.WaitGroup
	wg.Go(func() { t.restore.run(rctx) })

	var err error
	for err == nil && ctx.Err() == nil {
		err = t.turn(ctx)
	}
	err = errors.Join(err, t.shutdown(work, err == nil))
	stopRestore()
	wg.Wait()
	return err
}

// linger is a context that ends d after ctx: work under way when the
// application is told to stop may be completed.
func linger(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	out, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(d, cancel)
		context.AfterFunc(out, func() { timer.Stop() })
	})
	return out, func() {
		stop()
		cancel()
	}
}

// turn is one round of the loop: poll, process, commit if it is time.
func (t *thread) turn(ctx context.Context) error {
	fetches := t.poll(ctx)
	defer t.client.AllowRebalance()
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	if err := t.takeRestored(); err != nil {
		return err
	}
	if err := t.enqueue(fetches); err != nil {
		return err
	}
	if err := t.process(); err != nil {
		return err
	}
	soon, err := t.tick()
	if err != nil {
		return err
	}
	if soon || t.commitDue() {
		return t.commit(t.ctx)
	}
	return nil
}

// restoringWait is the length of a poll while tasks wait for their stores, so
// that they start soon.
const restoringWait = 10 * time.Millisecond

func (t *thread) poll(ctx context.Context) kgo.Fetches {
	ctx, cancel := context.WithTimeout(ctx, t.pollWait())
	defer cancel()
	return t.client.PollRecords(ctx, t.app.cfg.MaxPoll)
}

// pollWait is how long a poll may wait for records.
func (t *thread) pollWait() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := t.app.cfg.PollWait
	if !t.resume.IsZero() {
		wait = min(wait, max(time.Until(t.resume), time.Millisecond))
	}
	for _, r := range t.tasks {
		if !r.active.Load() {
			wait = min(wait, restoringWait)
		}
	}
	return wait
}

// enqueue hands fetched records to their tasks.
func (t *thread) enqueue(fetches kgo.Fetches) error {
	var errs []error
	fetches.EachError(func(topic string, p int32, err error) {
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return
		}
		if fatal(err) {
			errs = append(errs, fmt.Errorf("streams: group %s: %w", t.app.cfg.App, err))
			return
		}
		t.log.Warn("fetch failed", "topic", topic, "partition", p, "error", err)
	})
	fetches.EachPartition(func(p kgo.FetchTopicPartition) {
		id, ok := t.layout.task(p.Topic, p.Partition)
		r := t.tasks[id]
		if !ok || r == nil {
			return // revoked since it was fetched
		}
		in := r.inputs[p.Topic]
		in.end = p.HighWatermark
		if len(p.Records) == 0 {
			return
		}
		in.next = p.Records[len(p.Records)-1].Offset + 1
		errs = append(errs, r.task.Enqueue(p.Topic, inputs(p.Records), !in.caughtUp()))
	})
	return errors.Join(errs...)
}

// fatal tells whether an error of the group cannot pass by itself.
func fatal(err error) bool {
	for _, e := range []error{
		kgo.ErrClientClosed, kerr.InvalidSessionTimeout, kerr.GroupAuthorizationFailed, kerr.TopicAuthorizationFailed,
		kerr.InconsistentGroupProtocol, kerr.InvalidGroupID, kerr.GroupMaxSizeReached,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func inputs(records []*kgo.Record) []task.Input {
	out := make([]task.Input, len(records))
	for i, r := range records {
		out[i] = task.Input{Offset: r.Offset, Time: r.Timestamp.UnixMilli(), Key: r.Key, Value: r.Value, Control: r.Attrs.IsControl()}
		if len(r.Headers) > 0 {
			headers := make([]processor.Header, len(r.Headers))
			for j, h := range r.Headers {
				headers[j] = processor.Header{Key: h.Key, Value: h.Value}
			}
			out[i].Headers = headers
		}
	}
	return out
}

// throttle stops fetching inputs of which too much waits, and starts again
// when half of it is done.
func (t *thread) throttle(r *running) {
	for topic, in := range r.inputs {
		n := r.task.QueuedOf(topic)
		switch {
		case !in.paused && n > t.app.cfg.MaxQueued:
			t.client.PauseFetchPartitions(map[string][]int32{topic: {r.id.Partition}})
			in.paused = true
		case in.paused && n < t.app.cfg.MaxQueued/2:
			t.client.ResumeFetchPartitions(map[string][]int32{topic: {r.id.Partition}})
			in.paused = false
		}
	}
}

// send gives a task's outputs to the producer. It blocks while the producer's
// buffer is full.
func (t *thread) send(r *running) error {
	for _, o := range r.task.Outputs() {
		t.client.Produce(t.ctx, t.record(o), t.produced)
	}
	return t.failed()
}

// record makes the producer's form of an output.
func (t *thread) record(o task.Output) *kgo.Record {
	if len(t.slab) == 0 {
		t.slab = make([]kgo.Record, 256)
	}
	rec := &t.slab[0]
	t.slab = t.slab[1:]
	rec.Topic, rec.Partition, rec.Key, rec.Value = o.Topic, o.Partition, o.Key, o.Value
	rec.Timestamp = time.UnixMilli(o.Time)
	for _, h := range o.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	return rec
}

// produced keeps the first failure; the thread stops at its next step.
func (t *thread) produced(_ *kgo.Record, err error) {
	if err != nil {
		t.fail(fmt.Errorf("streams: produce: %w", err))
	}
}

func (t *thread) failed() error {
	if err := t.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (t *thread) fail(err error) { t.failure.CompareAndSwap(nil, &err) }

// tick lets time pass for the tasks. It tells whether a commit should follow
// soon: a clock has moved without input.
func (t *thread) tick() (soon bool, err error) {
	now := time.Now()
	for _, r := range t.tasks {
		if !r.active.Load() {
			continue
		}
		quiet := task.Busy
		if t.caughtUp(r) {
			quiet = task.Unsure
			if r.task.IdleDue(now.UnixMilli()) && t.idle(r, now) {
				quiet = task.Confirmed
			}
		}
		moved, err := r.task.Tick(now.UnixMilli(), quiet)
		if err != nil {
			return false, err
		}
		if err := t.send(r); err != nil {
			return false, err
		}
		soon = soon || moved
	}
	return soon, nil
}

// caughtUp tells whether, as far as fetches have shown, the task has all its
// input. It also reports the lag.
func (t *thread) caughtUp(r *running) bool {
	all := true
	for topic, in := range r.inputs {
		all = all && in.caughtUp()
		if in.end >= 0 {
			lag := max(0, in.end-in.next) + int64(r.task.QueuedOf(topic))
			t.app.metrics.lag.WithLabelValues(topic, strconv.Itoa(int(r.id.Partition))).Set(float64(lag))
		}
	}
	return all
}

// shutdown commits, if the end is an orderly one, closes all tasks and leaves
// the group.
func (t *thread) shutdown(ctx context.Context, orderly bool) error {
	t.app.setState(Stopping)
	t.mu.Lock()
	t.closing = true
	var err error
	if orderly {
		err = t.commit(ctx)
	}
	for _, r := range t.tasks {
		err = errors.Join(err, t.closeTask(r, err == nil))
	}
	t.mu.Unlock()
	t.client.AllowRebalance()
	if lerr := t.client.LeaveGroupContext(ctx); lerr != nil {
		t.log.Warn("the group could not be left", "error", lerr)
	}
	t.client.CloseAllowingRebalance()
	return err
}
