package parquet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go/compress"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/connect"
)

// Failures of one partition in a row before the task gives up, and the pause after the first.
const (
	maxFailures  = 6
	firstPause   = 500 * time.Millisecond
	longestPause = 15 * time.Second
)

// limits say when a file is finished.
type limits struct {
	rows      int
	bytes     int64
	age, idle time.Duration // negative: never
	memory    int64         // of all open files together
}

// task writes the partitions it was given; see the package comment for the protocol.
type task struct {
	tc      connect.SinkContext
	storage Storage // set before Start by tests; else a Local
	layout  layout
	limits  limits
	schema  []column // nil: from the records
	codec   compress.Codec
	now     func() time.Time
	parts   map[connect.TopicPartition]*partition
	files   prometheus.Counter
	rows    prometheus.Counter
	bytes   prometheus.Counter
	errors  prometheus.Counter
}

// Start implements connect.SinkTask.
func (t *task) Start(_ context.Context, tc connect.SinkContext, props map[string]string) error {
	v, err := Config().Parse(props)
	if err != nil {
		return err
	}
	t.tc, t.parts = tc, map[connect.TopicPartition]*partition{}
	if t.storage == nil {
		t.storage = NewLocal(v.String("path"))
	}
	if t.now == nil {
		t.now = time.Now
	}
	t.layout = layout{connector: tc.Connector()}
	if d := strings.Trim(v.String("topics.dir"), "/"); d != "" {
		t.layout.prefix = d + "/"
	}
	t.limits = limits{rows: v.Int("flush.size"), bytes: v.Long("rotate.bytes"), age: v.Millis("rotate.interval.ms"),
		idle: v.Millis("rotate.idle.ms"), memory: v.Long("memory.bytes")}
	if list := v.List("schema"); len(list) > 0 {
		if t.schema, err = parseColumns(list); err != nil {
			return err
		}
	}
	t.codec = codecs()[strings.ToLower(v.String("compression"))]()
	t.register(tc.Metrics())
	return nil
}

func (t *task) register(reg prometheus.Registerer) {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "leat_connect_parquet_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	t.files = counter("files_total", "Files committed.")
	t.rows = counter("rows_total", "Rows in committed files.")
	t.bytes = counter("bytes_total", "Bytes of committed files.")
	t.errors = counter("file_errors_total", "Files dropped because a step failed; their records were read again.")
}

// Open implements connect.Partitioned.
func (t *task) Open(_ context.Context, tps []connect.TopicPartition) error {
	for _, tp := range tps {
		p := &partition{task: t, tp: tp, next: -1, durable: -1}
		if err := p.sweep(); err != nil {
			return fmt.Errorf("parquet: deleting temporary files of %s-%d: %w", tp.Topic, tp.Partition, err)
		}
		if err := p.resume(); err != nil {
			return fmt.Errorf("parquet: %w", err)
		}
		t.parts[tp] = p
	}
	return nil
}

// Close implements connect.Partitioned; what is not committed is dropped.
func (t *task) Close(_ context.Context, tps []connect.TopicPartition, _ bool) error {
	var err error
	for _, tp := range tps {
		if p := t.parts[tp]; p != nil {
			err = errors.Join(err, p.drop())
			delete(t.parts, tp)
		}
	}
	if err != nil {
		t.tc.Logger().Warn("temporary files could not be deleted; the next start will", "error", err)
	}
	return nil
}

// Put implements connect.SinkTask.
func (t *task) Put(_ context.Context, records []*connect.Record) error {
	now := t.now()
	for _, r := range records {
		p := t.parts[r.Origin]
		if p == nil {
			return fmt.Errorf("parquet: record of %s-%d, which was not opened", r.Origin.Topic, r.Origin.Partition)
		}
		if p.rewound || now.Before(p.pausedUntil) {
			continue // it comes again
		}
		if err := p.settle(p.add(r, now), now); err != nil {
			return err
		}
	}
	for _, p := range t.ordered() {
		p.rewound = false
		p.wake(now)
		if err := p.settle(p.rollIfDue(now), now); err != nil {
			return err
		}
	}
	return t.evict(now)
}

// ordered lists the partitions in a fixed order, so that runs are alike.
func (t *task) ordered() []*partition {
	out := make([]*partition, 0, len(t.parts))
	for _, p := range t.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *partition) int {
		return cmp.Or(strings.Compare(a.tp.Topic, b.tp.Topic), cmp.Compare(a.tp.Partition, b.tp.Partition))
	})
	return out
}

// evict writes row groups out, the largest first, until the open files fit
// into the memory they may use.
func (t *task) evict(now time.Time) error {
	for {
		var total int64
		var largest *partition
		for _, p := range t.parts {
			if p.file == nil {
				continue
			}
			total += p.file.held()
			if largest == nil || p.file.held() > largest.file.held() {
				largest = p
			}
		}
		if total <= t.limits.memory || largest == nil {
			return nil
		}
		if err := largest.settle(largest.file.flush(), now); err != nil {
			return err
		}
	}
}

// Flush implements connect.Flusher: it finishes the open files.
func (t *task) Flush(_ context.Context, tps []connect.TopicPartition) error {
	var err error
	for _, tp := range tps {
		if p := t.parts[tp]; p != nil {
			err = errors.Join(err, p.settle(p.finish(), t.now()))
		}
	}
	return err
}

// PreCommit implements connect.SinkTask: safe is what finished files hold.
func (t *task) PreCommit(_ context.Context, current map[connect.TopicPartition]int64) (map[connect.TopicPartition]int64, error) {
	out := map[connect.TopicPartition]int64{}
	for tp, given := range current {
		p := t.parts[tp]
		if p == nil || p.durable < 0 {
			continue
		}
		// The runtime may have been given more (skipped records) or, after a
		// restart that found files ahead of the group's offset, less.
		out[tp] = min(p.durable, given)
		if p.file == nil && !p.rewound && t.now().After(p.pausedUntil) {
			out[tp] = given
		}
	}
	return out, nil
}

// Stop implements connect.SinkTask.
func (t *task) Stop() error {
	var err error
	for _, p := range t.parts {
		err = errors.Join(err, p.drop())
	}
	t.parts = nil
	return err
}
