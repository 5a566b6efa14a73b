package commitlog

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// work is what a directory's worker has to do. Anybody may add to it; nobody
// waits for the worker.
type work struct {
	wake       chan struct{} // one token: there is something to do
	checkpoint atomic.Bool
	retain     atomic.Bool
	flush      atomic.Bool
	space      atomic.Bool
	flushEvery atomic.Int64 // ms; smallest flush.ms of the directory's logs, MaxInt64: none

	mu       sync.Mutex
	rolled   map[*Log]sealed   // logs with newly sealed segments
	grown    map[*Log]struct{} // logs that may have come to exceed retention.bytes
	removals []removal         // unordered
	unmade   []unmade          // in the order of their times
}

// unmade is a new log whose folder is empty. Its files are made a little later, or
// with its first record: whoever creates many partitions does not wait for them.
type unmade struct {
	log *Log
	due time.Time
}

// finishDelay is how much later the files of a new log are made.
const finishDelay = time.Second

// sealed says that a log's segments below upTo are to be synced at a time.
type sealed struct {
	upTo int64
	due  time.Time
}

// sealedDelay is how long a sealed segment may stay in the page cache alone. What
// retention deletes within it is never written to the disk at all, and the
// system's own write-back may have done the work by then.
const sealedDelay = 5 * time.Second

// removal is a file or folder to delete at a time.
type removal struct {
	name string
	due  time.Time
}

func (w *work) init() {
	w.wake = make(chan struct{}, 1)
	w.rolled = map[*Log]sealed{}
	w.grown = map[*Log]struct{}{}
	w.flushEvery.Store(math.MaxInt64)
}

func (w *work) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// syncSoon asks the worker to sync what a log has sealed below upTo, and what lies
// beside its segments, in a while.
func (d *logDir) syncSoon(l *Log, upTo int64) {
	d.work.mu.Lock()
	defer d.work.mu.Unlock()
	// What is noted comes first, unless only the files beside the segments are.
	if have, ok := d.work.rolled[l]; !ok || have.upTo <= l.safe.Load() {
		d.work.rolled[l] = sealed{upTo, time.Now().Add(sealedDelay)}
		d.work.signal()
	}
}

// rolled notes that a log's segments below upTo are sealed. Retention by size
// comes at once, not with the next check of all logs, so that a fast log exceeds
// its limit by a segment and not by what five minutes bring.
func (d *logDir) rolled(l *Log, upTo int64) {
	if c := l.Config(); c.Delete && c.RetentionBytes >= 0 {
		d.work.mu.Lock()
		d.work.grown[l] = struct{}{}
		d.work.mu.Unlock()
		d.work.signal()
	}
	d.syncSoon(l, upTo)
}

// finishSoon asks the worker to make the files of a new log.
func (d *logDir) finishSoon(l *Log) {
	if l.finishing.Swap(true) {
		return
	}
	d.work.mu.Lock()
	d.work.unmade = append(d.work.unmade, unmade{l, time.Now().Add(finishDelay)})
	first := len(d.work.unmade) == 1
	d.work.mu.Unlock()
	if first {
		d.work.signal()
	}
}

// finishDue makes the files of the new logs that have waited for it.
func (d *logDir) finishDue(now time.Time) {
	d.work.mu.Lock()
	n := 0
	for n < len(d.work.unmade) && !d.work.unmade[n].due.After(now) {
		n++
	}
	due := slices.Clone(d.work.unmade[:n])
	d.work.unmade = slices.Delete(d.work.unmade, 0, n)
	if len(d.work.unmade) == 0 {
		d.work.unmade = nil
	}
	d.work.mu.Unlock()
	for _, u := range due {
		u.log.finish()
	}
}

// removeLater asks the worker to delete files or folders.
func (d *logDir) removeLater(names []string, delayMs int64) {
	due := time.Now().Add(time.Duration(min(delayMs, 1<<40)) * time.Millisecond)
	d.work.mu.Lock()
	for _, name := range names {
		d.work.removals = append(d.work.removals, removal{name, due})
	}
	d.work.mu.Unlock()
	d.work.signal()
}

// wantFlush notes a log's flush.ms.
func (d *logDir) wantFlush(c Config) {
	for {
		have := d.work.flushEvery.Load()
		if c.FlushMs >= have {
			return
		}
		if d.work.flushEvery.CompareAndSwap(have, max(1, c.FlushMs)) {
			d.work.signal()
			return
		}
	}
}

// Run flushes, checkpoints, retains and deletes until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.schedule(ctx) })
	for _, d := range m.dirs {
		group.Go(func() error { return d.run(ctx) })
	}
	return group.Wait()
}

// schedule hands periodic work to the workers and reports failed directories.
func (m *Manager) schedule(ctx context.Context) error {
	checkpoint := time.NewTicker(m.cfg.CheckpointInterval)
	defer checkpoint.Stop()
	retain := time.NewTicker(m.cfg.RetentionInterval)
	defer retain.Stop()
	var space <-chan time.Time
	if m.cfg.ReserveBytes > 0 {
		ticker := time.NewTicker(spaceInterval)
		defer ticker.Stop()
		space = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-space:
			m.each(func(w *work) { w.space.Store(true) })
		case <-checkpoint.C:
			m.each(func(w *work) { w.checkpoint.Store(true) })
		case <-retain.C:
			m.each(func(w *work) { w.retain.Store(true) })
		case f := <-m.failures:
			if m.cfg.DirFailed != nil {
				m.cfg.DirFailed(f.dir, f.err)
			}
		}
	}
}

func (m *Manager) each(note func(*work)) {
	for _, d := range m.dirs {
		note(&d.work)
		d.work.signal()
	}
}

// run is the worker: all slow work of one directory happens here, so that a
// slow disk holds up nobody else.
func (d *logDir) run(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	lastFlush := time.Now()
	for {
		timer.Reset(d.nextDue(lastFlush))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-d.work.wake:
		case <-timer.C:
		}
		if d.health.Err() != nil {
			<-ctx.Done() // nothing more may be written here
			return ctx.Err()
		}
		now := time.Now()
		if every := d.work.flushEvery.Load(); every < math.MaxInt64 && now.Sub(lastFlush).Milliseconds() >= every {
			d.work.flush.Store(true)
			lastFlush = now
		}
		d.step(now)
	}
}

// nextDue is how long the worker may sleep.
func (d *logDir) nextDue(lastFlush time.Time) time.Duration {
	wait := time.Hour
	if every := d.work.flushEvery.Load(); every < math.MaxInt64/int64(time.Millisecond) {
		wait = min(wait, time.Until(lastFlush.Add(time.Duration(every)*time.Millisecond)))
	}
	d.work.mu.Lock()
	defer d.work.mu.Unlock()
	if len(d.work.unmade) > 0 {
		wait = min(wait, time.Until(d.work.unmade[0].due))
	}
	for _, r := range d.work.removals {
		wait = min(wait, time.Until(r.due))
	}
	for _, s := range d.work.rolled {
		wait = min(wait, time.Until(s.due))
	}
	return max(wait, 0)
}

// step does what is due. Errors have taken the directory off line or are
// reported; either way the worker goes on.
func (d *logDir) step(now time.Time) {
	if d.work.flush.Swap(false) {
		d.flushDue(now)
	}
	d.dropDue(now)
	if d.work.checkpoint.Swap(false) {
		if err := d.checkpoint(); err != nil {
			d.m.logger.Warn("checkpoint failed", "dir", d.path, "err", err)
		}
	}
	for d.syncRolled(now) {
		d.dropDue(time.Now()) // what is deleted need not be synced
	}
	d.finishDue(now)
}

// dropDue does retention and deletions.
func (d *logDir) dropDue(now time.Time) {
	d.work.mu.Lock()
	logs := slices.Collect(maps.Keys(d.work.grown))
	clear(d.work.grown)
	d.work.mu.Unlock()
	if d.work.retain.Swap(false) {
		logs = d.withRecords()
	}
	d.retain(logs, now)
	d.removeDue(now)
	if d.work.space.Swap(false) {
		d.health.Reserve.Watch()
	}
}

// spaceInterval is the time between two looks at the free space of a volume.
const spaceInterval = time.Second

// makeRoom deletes what may be deleted without its usual delay.
func (d *logDir) makeRoom() {
	d.work.retain.Store(true)
	d.work.space.Store(true)
	d.work.signal()
}

// syncRolled syncs the sealed segments of one log that are due at now, if there
// is one.
func (d *logDir) syncRolled(now time.Time) bool {
	d.work.mu.Lock()
	var due *Log
	upTo := int64(0)
	for l, s := range d.work.rolled {
		if !s.due.After(now) {
			due, upTo = l, s.upTo
			delete(d.work.rolled, l)
			break
		}
	}
	d.work.mu.Unlock()
	if due == nil {
		return false
	}
	if err := due.syncSealed(upTo); err != nil && !due.closed.Load() {
		d.m.logger.Warn("sync failed", "partition", due.tp, "err", err)
	}
	if base := due.active().base; base > upTo && !due.closed.Load() {
		d.syncSoon(due, base)
	}
	return true
}

func (d *logDir) sync(l *Log) {
	if err := l.Sync(l.EndOffset()); err != nil && !l.closed.Load() {
		d.m.logger.Warn("sync failed", "partition", l.tp, "err", err)
	}
}

// flushDue syncs the logs whose oldest unsynced record is older than flush.ms,
// and finds out anew how often to look: logs and configurations come and go.
func (d *logDir) flushDue(now time.Time) {
	d.work.flushEvery.Store(math.MaxInt64)
	for _, l := range d.list() {
		d.wantFlush(l.Config())
		limit := l.Config().FlushMs
		if limit == math.MaxInt64 || l.FlushedOffset() >= l.EndOffset() {
			continue
		}
		l.mu.Lock()
		oldest := l.oldest
		l.mu.Unlock()
		if now.UnixMilli()-oldest >= limit {
			d.sync(l)
		}
	}
}

// retain applies retention to logs, start offsets stored first, so that a crash
// cannot bring records back.
func (d *logDir) retain(logs []*Log, now time.Time) {
	changed := false
	for _, l := range logs {
		l.ExpireProducers(now)
		if d.m.cfg.Retain == nil {
			continue
		}
		deleted, err := d.m.cfg.Retain(l, now)
		if err != nil && !l.closed.Load() {
			d.m.logger.Warn("retention failed", "partition", l.tp, "err", err)
		}
		if deleted > 0 {
			changed = true
			d.m.logger.Info("deleted segments", "partition", l.tp, "segments", deleted, "start", l.StartOffset())
		}
	}
	if changed {
		d.work.checkpoint.Store(true)
	}
}

// removeDue deletes what has waited long enough.
func (d *logDir) removeDue(now time.Time) {
	short := d.health.Reserve.Err() != nil
	d.work.mu.Lock()
	var due []removal
	kept := d.work.removals[:0]
	for _, r := range d.work.removals {
		if r.due.After(now) && !short {
			kept = append(kept, r)
		} else {
			due = append(due, r)
		}
	}
	d.work.removals = kept
	d.work.mu.Unlock()
	for _, r := range due {
		if err := removePath(d.m.cfg.FS, r.name); err != nil {
			d.m.logger.Warn("cannot delete", "name", r.name, "err", err)
		}
	}
}
