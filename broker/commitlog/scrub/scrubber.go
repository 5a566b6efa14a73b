package scrub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/inspect"
	"github.com/leatstream/leat/broker/record"
	"github.com/prometheus/client_golang/prometheus"
)

// Settings may change while the scrubber runs (log.scrub.*).
type Settings struct {
	BytesPerSecond int64         // 0: nothing is read
	Period         time.Duration // in which each sealed segment is read once
}

// DefaultSettings are those of the configuration keys.
func DefaultSettings() Settings {
	return Settings{BytesPerSecond: 10 << 20, Period: 7 * 24 * time.Hour}
}

// Config configures a Scrubber. Logs is required.
type Config struct {
	Settings func() Settings         // asked again and again; nil: DefaultSettings
	Logs     func() []*commitlog.Log // the logs of the broker
}

const (
	stepBytes = 256 << 10        // read between two looks at the budget
	lookEvery = 30 * time.Second // at new segments and changed settings
)

// Scrubber reads sealed segments again.
type Scrubber struct {
	cfg      Config
	logger   *slog.Logger
	schedule *schedule
	budget   budget
	metrics  *metrics
	seen     time.Time // when the logs were last looked at
	logs     map[record.TopicPartition]*commitlog.Log
}

// New builds a scrubber; Run does the work.
func New(cfg Config, logger *slog.Logger, reg prometheus.Registerer) (*Scrubber, error) {
	if cfg.Logs == nil {
		return nil, errors.New("scrub: Logs is required")
	}
	if cfg.Settings == nil {
		cfg.Settings = DefaultSettings
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	s := &Scrubber{cfg: cfg, logger: logger, schedule: newSchedule(cfg.Settings().Period), metrics: newMetrics()}
	if reg != nil {
		for _, c := range s.metrics.all() {
			if err := reg.Register(c); err != nil {
				return nil, fmt.Errorf("scrub: metrics: %w", err)
			}
		}
	}
	return s, nil
}

// Run scrubs until ctx ends.
func (s *Scrubber) Run(ctx context.Context) error {
	for {
		wait := lookEvery
		if s.cfg.Settings().BytesPerSecond > 0 {
			wait = s.turn(ctx)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// turn reads the segment whose time has come and tells how long to wait for the
// next one.
func (s *Scrubber) turn(ctx context.Context) time.Duration {
	now := time.Now()
	s.look(now)
	s.metrics.behind.Set(s.schedule.behind(now).Seconds())
	k, wait, ok := s.schedule.next(now)
	if !ok {
		return lookEvery
	}
	if wait > 0 {
		return min(wait, lookEvery)
	}
	if l := s.logs[k.TopicPartition]; l != nil {
		s.segment(ctx, l, k.base)
	}
	s.schedule.done(k, time.Now())
	return 0
}

// look takes over settings and segments from time to time.
func (s *Scrubber) look(now time.Time) {
	s.schedule.setPeriod(s.cfg.Settings().Period, now)
	if !s.seen.IsZero() && now.Sub(s.seen) < lookEvery {
		return
	}
	s.seen = now
	s.logs = map[record.TopicPartition]*commitlog.Log{}
	s.schedule.see(now, func(yield func(key) bool) {
		for _, l := range s.cfg.Logs() {
			if l.OffLine() != nil {
				continue
			}
			s.logs[l.Partition()] = l
			for _, seg := range l.SealedSegments() {
				if !yield(key{l.Partition(), seg.BaseOffset}) {
					return
				}
			}
		}
	})
}

// segment checks one segment within the budget.
func (s *Scrubber) segment(ctx context.Context, l *commitlog.Log, base int64) {
	c, err := l.CheckSegment(base)
	if err != nil {
		s.ended(l, base, err)
		return
	}
	defer c.Close()
	for done := false; !done; {
		var n int64
		var problems []inspect.Problem
		n, problems, done, err = c.Step(stepBytes)
		s.metrics.bytes.Add(float64(n))
		for _, p := range problems {
			s.metrics.files.Inc()
			s.logger.Error("a file of a segment is damaged", "partition", p.TopicPartition, "file", p.File, "position", p.Position, "err", p.Err)
		}
		if err == nil {
			err = s.pay(ctx, n)
		}
		if err != nil {
			s.ended(l, base, err)
			return
		}
	}
	s.metrics.segments.Inc()
}

// ended tells why a segment was not read to its end.
func (s *Scrubber) ended(l *commitlog.Log, base int64, err error) {
	switch {
	case errors.Is(err, context.Canceled):
	case errors.Is(err, commitlog.ErrSegmentsChanged), errors.Is(err, commitlog.ErrClosed), l.OffLine() != nil:
		s.logger.Debug("segment changed while it was scrubbed", "partition", l.Partition(), "segment", base, "err", err)
	default:
		s.logger.Error("segment cannot be scrubbed", "partition", l.Partition(), "segment", base, "err", err)
	}
}

// pay waits until the budget allows more after n bytes.
func (s *Scrubber) pay(ctx context.Context, n int64) error {
	for {
		wait := lookEvery // the rate may be another by then
		if rate := s.cfg.Settings().BytesPerSecond; rate > 0 {
			wait = min(wait, s.budget.spend(n, float64(rate), time.Now()))
			n = 0
		}
		if wait <= 0 {
			return ctx.Err()
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// pause waits, at most until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// metrics are the scrubber's figures; what is damaged the logs tell themselves.
type metrics struct {
	bytes, segments, files prometheus.Counter
	behind                 prometheus.Gauge
}

func newMetrics() *metrics {
	return &metrics{
		bytes:    prometheus.NewCounter(prometheus.CounterOpts{Name: "leat_log_scrub_read_bytes_total", Help: "Bytes that the scrubber has read."}),
		segments: prometheus.NewCounter(prometheus.CounterOpts{Name: "leat_log_scrub_segments_total", Help: "Segments that the scrubber has read to their end."}),
		files:    prometheus.NewCounter(prometheus.CounterOpts{Name: "leat_log_scrub_damaged_files_total", Help: "Index and snapshot files that the scrubber has found damaged."}),
		behind:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "leat_log_scrub_behind_seconds", Help: "Time that the segment whose turn it is has waited: long when log.scrub.bytes.per.second does not do for log.scrub.period.ms."}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.bytes, m.segments, m.files, m.behind}
}
