package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Config says where a Store keeps its files and how much it may hold.
type Config struct {
	Dir    string // made when missing; must not be a log dir
	FS     vfs.FS // nil: vfs.OS{}
	Limits Limits
	// SnapshotBytes is the size of the log after which a snapshot replaces it;
	// default 8 MiB.
	SnapshotBytes int64
	// BatchCalls bounds the calls that share one sync; default 256.
	BatchCalls int
}

// Session timeouts are held between these bounds.
const (
	MinSessionTimeout = 10 * time.Millisecond
	MaxSessionTimeout = time.Hour
)

// Store is a tree of znodes on the local disk. Run owns all of it; Connect and
// the Trees it returns talk to Run through a bounded queue.
type Store struct {
	cfg     Config
	logger  *slog.Logger
	metrics metrics

	calls   chan *call
	stopped chan struct{} // closed when Run has answered its last call
	once    sync.Once

	// Owned by Run.
	core *core
	wal  *wal
	lock io.Closer
	buf  []byte
	// conns are the sessions' handles, to tell them of their end.
	conns map[int64]*client
}

// metrics are the figures of a Store.
type metrics struct {
	syncs    prometheus.Histogram
	batch    prometheus.Histogram
	nodes    prometheus.Gauge
	watches  prometheus.Gauge
	sessions prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	m := metrics{
		syncs: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "leat_coordination_sync_seconds", Help: "Time to append and sync a batch of changes of the tree.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16),
		}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "leat_coordination_batch_transactions", Help: "Transactions that shared one sync.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		nodes:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "leat_coordination_nodes", Help: "Nodes in the tree."}),
		watches:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "leat_coordination_watches", Help: "Watches set."}),
		sessions: prometheus.NewGauge(prometheus.GaugeOpts{Name: "leat_coordination_sessions", Help: "Sessions open."}),
	}
	if reg != nil {
		for _, c := range []prometheus.Collector{m.syncs, m.batch, m.nodes, m.watches, m.sessions} {
			reg.MustRegister(c)
		}
	}
	return m
}

// Open recovers the tree kept in a folder, or begins an empty one. The ephemeral
// nodes of the sessions of an earlier process are deleted. Calls are answered
// while Run runs; a Store that is not run must be closed with Close.
func Open(cfg Config, logger *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	if cfg.Dir == "" {
		return nil, fmt.Errorf("embedded: no folder given")
	}
	if cfg.FS == nil {
		cfg.FS = vfs.OS{}
	}
	if cfg.SnapshotBytes <= 0 {
		cfg.SnapshotBytes = 8 << 20
	}
	if cfg.BatchCalls <= 0 {
		cfg.BatchCalls = 256
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		cfg:     cfg,
		logger:  logger,
		calls:   make(chan *call, cfg.BatchCalls),
		stopped: make(chan struct{}),
		conns:   make(map[int64]*client),
	}
	if err := s.recover(); err != nil {
		return nil, fmt.Errorf("embedded: open %s: %w", cfg.Dir, err)
	}
	s.metrics = newMetrics(reg)
	return s, nil
}

func (s *Store) recover() (err error) {
	if err := makeDir(s.cfg.FS, s.cfg.Dir); err != nil {
		return err
	}
	s.lock, err = s.cfg.FS.Lock(filepath.Join(s.cfg.Dir, "lock"))
	if err != nil {
		return err
	}
	var torn int64
	s.core, s.wal, torn, err = recoverTree(s.cfg.FS, s.cfg.Dir, s.cfg.Limits)
	if err == nil {
		err = s.reap()
	}
	if err != nil {
		s.closeFiles()
		return err
	}
	if torn > 0 {
		s.logger.Warn("cut a torn tail off the log of the tree", "bytes", torn)
	}
	s.logger.Info("tree recovered", "dir", s.cfg.Dir, "zxid", s.core.zxid, "nodes", len(s.core.nodes))
	return nil
}

// makeDir makes a folder and those above it, and makes their names durable.
func makeDir(fsys vfs.FS, dir string) error {
	var made []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := fsys.Stat(d); err == nil || d == filepath.Dir(d) {
			break
		}
		made = append(made, d)
	}
	if err := fsys.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range made {
		if err := fsys.SyncDir(filepath.Dir(d)); err != nil {
			return err
		}
	}
	return nil
}

// reap deletes what the sessions of an earlier process left behind.
func (s *Store) reap() error {
	t := s.core.reapOrphans(time.Now().UnixMilli())
	if t == nil {
		return nil
	}
	return s.wal.write(appendTx(nil, t))
}

func (s *Store) closeFiles() {
	if s.wal != nil {
		s.wal.file.Close()
	}
	if s.lock != nil {
		s.lock.Close()
	}
}

// Close releases the files of a Store that was never run. After Run it does
// nothing: Run releases them itself.
func (s *Store) Close() {
	s.once.Do(func() {
		close(s.stopped)
		s.closeFiles()
	})
}

// call is one request to Run. Run fills the result and closes done.
type call struct {
	ctx  context.Context
	run  func(s *Store, nowMs int64) // on Run's goroutine; sets res
	res  result
	done chan struct{}
}

// result is what a call gets back. It is handed over only after tx is durable.
type result struct {
	err      error
	data     []byte
	stat     coordination.Stat
	exists   bool
	names    []string
	ops      []coordination.OpResult
	watch    chan coordination.Event
	client   *client
	tx       *tx
	events   []fired
	orphaned []watcher
	ended    *client // session that this call ended
}

// Run answers calls until the context ends, then closes the files. It returns
// nil, or the error that storage failed with: then the state of the disk is
// unknown and the Store must be opened again.
func (s *Store) Run(ctx context.Context) error {
	var err error
	ran := false
	s.once.Do(func() {
		ran = true
		err = s.loop(ctx)
		s.endAll()
		close(s.stopped)
		s.closeFiles()
	})
	if !ran {
		return coordination.ErrClosed
	}
	return err
}

func (s *Store) loop(ctx context.Context) error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	batch := make([]*call, 0, s.cfg.BatchCalls)
	for {
		s.resetTimer(timer)
		batch = batch[:0]
		select {
		case <-ctx.Done():
			return nil
		case c := <-s.calls:
			batch = append(batch, c)
		case <-timer.C:
		}
		batch = s.drain(batch)
		now := time.Now().UnixMilli()
		batch = s.expire(batch, now)
		if err := s.serve(batch, now); err != nil {
			return err
		}
		if err := s.maybeSnapshot(); err != nil {
			return fmt.Errorf("embedded: snapshot: %w", err)
		}
	}
}

// resetTimer wakes the loop when the next session expires.
func (s *Store) resetTimer(timer *time.Timer) {
	wait := time.Hour
	if deadline, ok := s.core.nextDeadline(); ok {
		wait = min(wait, max(0, time.Until(time.UnixMilli(deadline))))
	}
	timer.Reset(wait)
}

// drain takes the calls that wait already, up to the bound of a batch.
func (s *Store) drain(batch []*call) []*call {
	for len(batch) < s.cfg.BatchCalls {
		select {
		case c := <-s.calls:
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// expire adds a call for each session whose time is over, behind the calls of
// clients: what arrived in time counts.
func (s *Store) expire(batch []*call, nowMs int64) []*call {
	for _, id := range s.core.expired(nowMs) {
		conn := s.conns[id]
		if conn == nil || conn.autoAlive {
			// The holder is this process: it is alive as long as this loop runs.
			_ = s.core.touch(id, nowMs)
			continue
		}
		c := &call{done: make(chan struct{})}
		c.run = func(s *Store, nowMs int64) {
			if len(s.core.expired(nowMs)) > 0 {
				s.end(c, id, coordination.ErrSessionExpired, nowMs)
			}
		}
		batch = append(batch, c)
	}
	return batch
}

// serve runs a batch: apply all, one append and sync, then answer all.
func (s *Store) serve(batch []*call, nowMs int64) error {
	s.buf = s.buf[:0]
	count := 0
	for _, c := range batch {
		if c.ctx != nil && c.ctx.Err() != nil {
			c.res = result{err: c.ctx.Err()}
			continue
		}
		c.run(s, nowMs)
		if c.res.tx != nil {
			s.buf = appendTx(s.buf, c.res.tx)
			count++
		}
	}
	if len(s.buf) > 0 {
		begin := time.Now()
		if err := s.wal.write(s.buf); err != nil {
			s.refuse(batch)
			return fmt.Errorf("embedded: append to the log: %w", err)
		}
		s.metrics.syncs.Observe(time.Since(begin).Seconds())
		s.metrics.batch.Observe(float64(count))
	}
	for _, c := range batch {
		s.answer(c)
	}
	s.metrics.nodes.Set(float64(len(s.core.nodes)))
	s.metrics.watches.Set(float64(s.core.watches.count))
	s.metrics.sessions.Set(float64(len(s.core.sessions)))
	return nil
}

// answer delivers the watches of a call and then its result.
func (s *Store) answer(c *call) {
	for _, f := range c.res.events {
		f.watcher.ch <- f.event
	}
	if c.res.ended != nil {
		c.res.ended.finish(c.res.orphaned)
	}
	close(c.done)
}

// refuse answers a batch whose changes may or may not have reached the disk.
func (s *Store) refuse(batch []*call) {
	for _, c := range batch {
		c.res = result{err: coordination.ErrConnectionLoss, ended: c.res.ended, orphaned: c.res.orphaned}
		if c.res.ended != nil {
			c.res.ended.finish(c.res.orphaned)
		}
		close(c.done)
	}
}

// end ends a session within a call; finish follows when it is durable.
func (s *Store) end(c *call, id int64, cause error, nowMs int64) {
	conn := s.conns[id]
	t, events, orphans, ok := s.core.endSession(id, nowMs)
	if !ok {
		return
	}
	delete(s.conns, id)
	conn.setCause(cause)
	c.res = result{tx: t, events: events, orphaned: orphans, ended: conn}
}

// endAll tells the holders of all sessions that the Store has stopped. Their
// ephemeral nodes stay on disk: the next Open deletes them.
func (s *Store) endAll() {
	for id, conn := range s.conns {
		conn.setCause(coordination.ErrClosed)
		conn.finish(s.core.watches.removeSession(id))
		delete(s.conns, id)
	}
}

func (s *Store) maybeSnapshot() error {
	if s.wal.size < s.cfg.SnapshotBytes {
		return nil
	}
	w, err := writeSnapshot(s.cfg.FS, s.cfg.Dir, s.core, s.wal)
	if err != nil {
		return err
	}
	s.wal = w
	return nil
}

// do hands a call to Run and waits for its answer.
func (s *Store) do(ctx context.Context, run func(c *call, s *Store, nowMs int64)) (result, error) {
	c := &call{ctx: ctx, done: make(chan struct{})}
	c.run = func(s *Store, nowMs int64) { run(c, s, nowMs) }
	select {
	case s.calls <- c:
	case <-ctx.Done():
		return result{}, ctx.Err()
	case <-s.stopped:
		return result{}, coordination.ErrClosed
	}
	select {
	case <-c.done:
		return c.res, c.res.err
	case <-ctx.Done():
		// The call may still take effect; its result is dropped.
		return result{}, ctx.Err()
	case <-s.stopped:
		// Run may have answered just before it stopped.
		select {
		case <-c.done:
			return c.res, c.res.err
		default:
			return result{}, errors.Join(coordination.ErrClosed, coordination.ErrConnectionLoss)
		}
	}
}
