package runtime

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/topology"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// App is one process of a streams application.
type App struct {
	cfg     Config
	topo    *topology.Topology
	log     *slog.Logger
	metrics *metrics

	mu    sync.Mutex
	state State
	tasks map[processor.TaskID]*running // of all threads, for readers
}

// New checks the configuration and makes an application. log and reg may be
// nil; otherwise reg must have no application of the same id.
func New(topo *topology.Topology, c Config, log *slog.Logger, reg prometheus.Registerer) (*App, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	a := &App{
		cfg: c, topo: topo, log: log.With("app", c.App),
		state: Created, tasks: map[processor.TaskID]*running{},
	}
	a.metrics = newMetrics(c.App, func() float64 {
		var n int64
		for _, t := range a.Tasks() {
			n += t.Remaining
		}
		return float64(n)
	})
	if reg != nil {
		for i, m := range a.metrics.all {
			if err := reg.Register(m); err != nil {
				for _, done := range a.metrics.all[:i] {
					reg.Unregister(done)
				}
				return nil, fmt.Errorf("streams: metrics of %s: %w", c.App, err)
			}
		}
	}
	return a, nil
}

// Run runs the application until ctx ends or it fails. It commits what has
// been processed and leaves the group before it returns. The error is nil
// after an orderly end by ctx. Run may be called once.
func (a *App) Run(ctx context.Context) error {
	a.setState(Starting)
	err := a.run(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		err = nil
	}
	if err != nil {
		a.log.Error("streams application failed", "error", err)
		a.setState(Failed)
		return err
	}
	a.setState(Stopped)
	return nil
}

// adminMetadataAge is how old the admin client's view of topics may be: it
// waits for topics that it has just created.
const adminMetadataAge = 10 * time.Millisecond

func (a *App) run(ctx context.Context) error {
	admin, err := kgo.NewClient(append(slices.Clip(a.cfg.Client), kgo.MetadataMinAge(adminMetadataAge))...)
	if err != nil {
		return fmt.Errorf("streams: client: %w", err)
	}
	defer admin.Close()
	l, err := prepare(ctx, kadm.NewClient(admin), a.cfg, a.topo, a.log)
	if err != nil {
		return err
	}
	cache := state.NewCache(a.cfg.CacheSize)
	defer cache.Close()

	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	errs := make([]error, a.cfg.Threads)
	a.setState(Rebalancing)
	for i := range a.cfg.Threads {
		t, err := newThread(ctx, a, i, l, cache, admin)
		if err != nil {
			stop(err)
			wg.Wait()
			return errors.Join(append(errs, err)...)
		}
		wg.Go(func() {
			errs[i] = t.run(ctx)
			stop(errs[i]) // one thread's failure ends the others
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// State is what the application is doing.
func (a *App) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

func (a *App) setState(s State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s == a.state || (a.state == Stopping && s != Stopped && s != Failed) {
		return
	}
	a.state = s
	if a.cfg.OnState != nil {
		a.cfg.OnState(s)
	}
}

// TaskInfo describes a task of this process.
type TaskInfo struct {
	ID        processor.TaskID
	Thread    int
	Restoring bool
	// Remaining is the number of changelog records still to be restored.
	Remaining int64
	Topics    []string
}

// Tasks lists the tasks of this process by id.
func (a *App) Tasks() []TaskInfo {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []TaskInfo
	for id, r := range a.tasks {
		out = append(out, TaskInfo{
			ID: id, Thread: r.thread, Restoring: !r.active.Load(), Remaining: r.remaining.Load(), Topics: r.topics,
		})
	}
	slices.SortFunc(out, func(x, y TaskInfo) int { return compareTasks(x.ID, y.ID) })
	return out
}

// Topology is the application's graph.
func (a *App) Topology() *topology.Topology { return a.topo }

// Each calls fn for the committed entries of a store, task by task, until it
// returns false: those of the partitions this process runs. fn must neither
// keep the bytes nor call the application.
func (a *App) Each(store string, fn func(processor.TaskID, state.Item) bool) error {
	found := false
	for _, s := range a.topo.Stores() {
		found = found || s.Name == store
	}
	if !found {
		return fmt.Errorf("streams: %s: %w", store, state.ErrNoStore)
	}
	for _, info := range a.Tasks() {
		more, err := a.eachOf(info.ID, store, fn)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (a *App) eachOf(id processor.TaskID, store string, fn func(processor.TaskID, state.Item) bool) (more bool, err error) {
	a.mu.Lock()
	r := a.tasks[id]
	a.mu.Unlock()
	if r == nil || !r.active.Load() {
		return true, nil
	}
	v, err := r.stores.View(store)
	if errors.Is(err, state.ErrNoStore) || errors.Is(err, state.ErrClosed) {
		return true, nil // a store of another sub-topology, or the task has just left
	}
	if err != nil {
		return false, err
	}
	more = true
	err = v.Each(func(it state.Item) bool {
		more = fn(id, it)
		return more
	})
	return more, errors.Join(err, v.Close())
}

func (a *App) addTask(r *running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tasks[r.id] = r
}

// dropTask forgets the task unless another thread has it by now.
func (a *App) dropTask(r *running) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tasks[r.id] == r {
		delete(a.tasks, r.id)
	}
}

// settle sets the state by what the tasks do.
func (a *App) settle() {
	a.mu.Lock()
	s, n := Running, 0
	for _, r := range a.tasks {
		if !r.active.Load() {
			s = Rebalancing
		} else {
			n++
		}
	}
	a.mu.Unlock()
	a.metrics.tasks.Set(float64(n))
	a.setState(s)
}

// taskDir is the folder of a task's stores, or empty.
func (a *App) taskDir(id processor.TaskID) string {
	if a.cfg.StateDir == "" {
		return ""
	}
	return filepath.Join(a.cfg.StateDir, a.cfg.App, id.String())
}

// localTasks lists the tasks with a folder on this machine.
func (a *App) localTasks() []processor.TaskID {
	if a.cfg.StateDir == "" {
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(a.cfg.StateDir, a.cfg.App))
	if err != nil {
		return nil // no state yet
	}
	var out []processor.TaskID
	for _, e := range entries {
		var id processor.TaskID
		if n, err := fmt.Sscanf(e.Name(), "%d_%d", &id.Sub, &id.Partition); err == nil && n == 2 && e.IsDir() {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, compareTasks)
	return out
}

// openStores opens a task's stores. Another thread of the process may be about
// to close them: it is waited for.
func (a *App) openStores(ctx context.Context, id processor.TaskID, cache *state.Cache) (*state.Set, error) {
	var specs []processor.StoreSpec
	for _, s := range a.topo.Subs()[id.Sub].Stores {
		specs = append(specs, s.StoreSpec)
	}
	c := state.Config{Dir: a.taskDir(id), Stores: specs, Cache: cache, Logger: a.log}
	deadline := time.Now().Add(a.cfg.ShutdownTimeout)
	for {
		set, err := state.Open(c)
		if err == nil || !state.IsLocked(err) || time.Now().After(deadline) {
			return set, err
		}
		a.log.Warn("stores cannot be opened yet", "task", id.String(), "error", err)
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
