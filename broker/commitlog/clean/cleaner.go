package clean

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/prometheus/client_golang/prometheus"
)

// errNotCompacted says that cleanup.policy lost "compact" while the log was
// being compacted.
var errNotCompacted = errors.New("clean: the topic is not compacted any more")

// Settings are the parts of the cleaner's configuration that may change while
// it runs (log.cleaner.*).
type Settings struct {
	Threads             int           // logs that are compacted at the same time; at least 1 is
	DedupeBufferBytes   int64         // memory for keys, of all threads together
	LoadFactor          float64       // share of it that may be filled
	IOBufferBytes       int           // memory for reading and writing, of all threads together
	IOMaxBytesPerSecond float64       // bytes read and written by all threads together
	Backoff             time.Duration // pause when nothing is to be done
}

// DefaultSettings are those of Kafka.
func DefaultSettings() Settings {
	return Settings{Threads: 1, DedupeBufferBytes: 128 << 20, LoadFactor: 0.9, IOBufferBytes: 512 << 10, IOMaxBytesPerSecond: unbounded, Backoff: 15 * time.Second}
}

func (s *Settings) mapBytes() int64  { return s.DedupeBufferBytes / int64(max(1, s.Threads)) }
func (s *Settings) bufferBytes() int { return max(4<<10, s.IOBufferBytes/2/max(1, s.Threads)) }

// Config configures a Cleaner. Logs and HighWatermark are required.
type Config struct {
	Settings func() Settings // asked before each log; nil: DefaultSettings
	// Logs lists the logs of the broker; those that are not compacted are skipped.
	Logs func() []*commitlog.Log
	// HighWatermark gives a log's high watermark; ok is false while it is
	// unknown, and then the log is not compacted.
	HighWatermark func(l *commitlog.Log) (offset int64, ok bool)
}

// Cleaner compacts logs: always the one with the largest share of bytes that
// were not compacted before, overdue ones first.
//
// A log in which it finds a damaged batch is left alone until the log is opened
// again; so are others only for one pause after other errors.
type Cleaner struct {
	cfg      Config
	logger   *slog.Logger
	throttle throttle
	metrics  *metrics

	mu          sync.Mutex
	workers     int
	busy        map[*commitlog.Log]bool
	resting     map[*commitlog.Log]time.Time // after an error: not before
	uncleanable map[*commitlog.Log]error
}

// NewCleaner builds a cleaner; Run does the work.
func NewCleaner(cfg Config, logger *slog.Logger, reg prometheus.Registerer) (*Cleaner, error) {
	if cfg.Logs == nil || cfg.HighWatermark == nil {
		return nil, errors.New("clean: Logs and HighWatermark are required")
	}
	if cfg.Settings == nil {
		cfg.Settings = DefaultSettings
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	c := &Cleaner{
		cfg: cfg, logger: logger, busy: map[*commitlog.Log]bool{},
		resting: map[*commitlog.Log]time.Time{}, uncleanable: map[*commitlog.Log]error{},
	}
	c.metrics = newMetrics(c)
	if reg != nil {
		if err := reg.Register(c.metrics); err != nil {
			return nil, fmt.Errorf("clean: metrics: %w", err)
		}
	}
	return c, nil
}

// Run compacts logs until ctx ends. It owns one goroutine per thread; their
// number follows the settings, at the latest when a pause or a log ends.
func (c *Cleaner) Run(ctx context.Context) error {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		for c.hire() {
			group.Go(func() { c.work(ctx) })
		}
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
}

// hire counts one more worker if the settings ask for it.
func (c *Cleaner) hire() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.workers >= max(1, c.cfg.Settings().Threads) {
		return false
	}
	c.workers++
	return true
}

// dismiss counts one worker less if the settings ask for that.
func (c *Cleaner) dismiss() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.workers <= max(1, c.cfg.Settings().Threads) {
		return false
	}
	c.workers--
	return true
}

// work compacts one log after the other and pauses when there is nothing to do.
func (c *Cleaner) work(ctx context.Context) {
	for !c.dismiss() {
		if !c.Step(ctx, time.Now()) && c.pause(ctx) != nil {
			return
		}
	}
}

// pause waits until work may have come up.
func (c *Cleaner) pause(ctx context.Context) error {
	timer := time.NewTimer(max(time.Millisecond, c.cfg.Settings().Backoff))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Step compacts the log that needs it most. False says that none needs it now.
func (c *Cleaner) Step(ctx context.Context, now time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	best, ok := c.choose(now)
	if !ok {
		return false
	}
	env := &environment{settings: c.cfg.Settings(), throttle: &c.throttle}
	s, err := compact(ctx, best, env, now)
	c.finish(best.log, s, err, now)
	return ctx.Err() == nil
}

// choose picks the most urgent log and marks it busy.
func (c *Cleaner) choose(now time.Time) (best candidate, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	worst, delay := 0.0, int64(0)
	logs := c.cfg.Logs()
	c.forget(logs)
	for _, l := range logs {
		if !l.Config().Compact || c.busy[l] || c.uncleanable[l] != nil || c.resting[l].After(now) || l.OffLine() != nil {
			continue
		}
		highWatermark, ok := c.cfg.HighWatermark(l)
		if !ok {
			continue
		}
		k, err := examine(l, min(highWatermark, l.LastStableOffset(highWatermark)), now)
		if err != nil {
			c.failed(l, err, now)
			continue
		}
		worst, delay = max(worst, k.ratio), max(delay, k.waited)
		if k.due() && (!found || k.overdue && !best.overdue || k.overdue == best.overdue && k.ratio > best.ratio) {
			best, found = k, true
		}
	}
	c.metrics.chosen(worst, delay, now)
	if found {
		c.busy[best.log] = true
	}
	return best, found
}

// forget drops what is known of logs that are gone. The caller holds mu.
func (c *Cleaner) forget(logs []*commitlog.Log) {
	if len(c.resting)+len(c.uncleanable) == 0 {
		return
	}
	known := make(map[*commitlog.Log]bool, len(logs))
	for _, l := range logs {
		known[l] = true
	}
	for l := range c.resting {
		if !known[l] {
			delete(c.resting, l)
		}
	}
	for l := range c.uncleanable {
		if !known[l] {
			delete(c.uncleanable, l)
		}
	}
}

// finish notes the end of work on a log.
func (c *Cleaner) finish(l *commitlog.Log, s stats, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.busy, l)
	c.metrics.cleaned(s)
	if err != nil {
		c.failed(l, err, now)
		return
	}
	delete(c.resting, l)
	if s.keyless > 0 {
		c.logger.Warn("dropped records without a key from a compacted topic", "partition", l.Partition(), "records", s.keyless)
	}
	c.logger.Info("compacted", "partition", l.Partition(), "from", s.firstDirty, "to", s.done, "passes", s.passes, "keys", s.keys,
		"before", s.before, "after", s.after, "records", s.recordsRead, "kept", s.recordsWritten, "took", s.duration)
}

// failed decides what an error means for a log. The caller holds mu.
func (c *Cleaner) failed(l *commitlog.Log, err error, now time.Time) {
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, commitlog.ErrCorruptBatch), errors.Is(err, record.ErrInvalidRecord),
		errors.Is(err, commitlog.ErrUnsupportedCompression), errors.Is(err, record.ErrTooLarge):
		c.uncleanable[l] = err
		c.logger.Error("partition cannot be compacted and is left as it is", "partition", l.Partition(), "err", err)
	case errors.Is(err, commitlog.ErrSegmentsChanged), errors.Is(err, commitlog.ErrClosed), errors.Is(err, errNotCompacted),
		l.OffLine() != nil: // which is told elsewhere
		c.logger.Debug("compaction given up", "partition", l.Partition(), "err", err)
		c.resting[l] = now.Add(c.cfg.Settings().Backoff)
	default:
		c.logger.Warn("compaction failed", "partition", l.Partition(), "err", err)
		c.resting[l] = now.Add(c.cfg.Settings().Backoff)
	}
}

// Uncleanable tells why a partition is not compacted any more; nil if it is.
func (c *Cleaner) Uncleanable(tp record.TopicPartition) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for l, err := range c.uncleanable {
		if l.Partition() == tp {
			return err
		}
	}
	return nil
}
