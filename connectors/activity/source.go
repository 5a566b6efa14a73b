package activity

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/config"
	"github.com/leatstream/leat/connect/data"
)

// Version of the connector.
const Version = "0.1.0"

// Bounds of one poll.
const (
	maxBatch = 5000
	tick     = 10 * time.Millisecond // events are made in steps of at least this
	maxDebt  = time.Second           // what a stalled source catches up on, at most
)

// Plugin describes the connector.
func Plugin() connect.Plugin {
	return connect.Plugin{
		Name: "activity", Aliases: []string{"ActivitySource", "io.leatstream.connect.ActivitySourceConnector"},
		Version: Version, Doc: "Makes deterministic user events: login, view, search, click, share, like.",
		Config: Config, Source: func() connect.SourceConnector { return &connector{} },
	}
}

// Config declares the settings.
func Config() *config.Def {
	return config.New(
		config.Key{Name: "topic", Type: config.String, Default: "activity", Check: config.NonEmpty, Importance: config.High, Doc: "Topic to write to."},
		config.Key{Name: "rate", Type: config.Double, Default: 1000.0, Check: config.Between(0.001, 1e6), Importance: config.High, Doc: "Events per second."},
		config.Key{Name: "seed", Type: config.Long, Default: int64(1), Importance: config.High, Doc: "Which sequence of events; the same seed gives the same events."},
		config.Key{Name: "members", Type: config.Long, Default: int64(10_000), Check: config.AtLeast(1), Doc: "Number of members."},
		config.Key{Name: "trend.events", Type: config.Long, Default: int64(20_000), Check: config.AtLeast(1), Doc: "Events after which other search terms trend and new sessions begin."},
		config.Key{Name: "max.records", Type: config.Long, Default: int64(-1), Check: config.AtLeast(-1), Doc: "Events to make in all, over restarts; -1 is no limit."},
		config.Key{Name: "start.time.ms", Type: config.Long, Default: int64(-1), Check: config.AtLeast(-1), Doc: "Time stamp of the first event in ms since 1970, the others follow at the rate; -1 stamps events when they are made."},
	)
}

type connector struct{ props map[string]string }

func (c *connector) Start(_ context.Context, _ connect.ConnectorContext, props map[string]string) error {
	_, err := Config().Parse(props)
	c.props = props
	return err
}

// TaskConfigs implements connect.Connector; one task, since there is one sequence.
func (c *connector) TaskConfigs(int) ([]map[string]string, error) {
	return []map[string]string{c.props}, nil
}

func (c *connector) NewTask() connect.SourceTask { return &task{} }
func (c *connector) Stop() error                 { return nil }

// task makes events at the configured rate.
type task struct {
	generator generator
	schema    *data.Schema
	topic     string
	rate      float64
	limit     int64 // first sequence number not to be made; -1: none
	start     int64 // start.time.ms
	partition map[string]any

	next  int64     // sequence number of the next event
	since time.Time // pace: event base was due at since
	base  int64
}

// Start implements connect.SourceTask.
func (t *task) Start(ctx context.Context, tc connect.SourceContext, props map[string]string) error {
	v, err := Config().Parse(props)
	if err != nil {
		return err
	}
	t.generator = generator{seed: v.Long("seed"), members: v.Long("members"), trendEvery: v.Long("trend.events")}
	t.schema, t.topic, t.rate = Schema(), v.String("topic"), v.Double("rate")
	t.limit, t.start = v.Long("max.records"), v.Long("start.time.ms")
	t.partition = map[string]any{"seed": t.generator.seed}
	stored, err := tc.Offset(ctx, t.partition)
	if err != nil {
		return fmt.Errorf("activity: %w", err)
	}
	if n, ok := connect.OffsetLong(stored, "sequence"); ok && n > 0 {
		t.next = n
	}
	t.since, t.base = time.Now(), t.next
	return nil
}

// Poll implements connect.SourceTask.
func (t *task) Poll(ctx context.Context) ([]*connect.SourceRecord, error) {
	if t.limit >= 0 && t.next >= t.limit {
		<-ctx.Done()
		return nil, nil
	}
	due := t.due(time.Now())
	for due <= t.next {
		if !wait(ctx, max(tick, time.Until(t.dueAt(t.next+1)))) {
			return nil, nil
		}
		due = t.due(time.Now())
	}
	due = min(due, t.next+maxBatch)
	if t.limit >= 0 {
		due = min(due, t.limit)
	}
	out := make([]*connect.SourceRecord, 0, due-t.next)
	for ; t.next < due; t.next++ {
		out = append(out, t.record(t.next))
	}
	return out, nil
}

// due is the sequence number up to which events should exist at now. A source
// that was held up for long does not catch up on all of it.
func (t *task) due(now time.Time) int64 {
	due := t.base + int64(now.Sub(t.since).Seconds()*t.rate)
	if debt := int64(t.rate*maxDebt.Seconds()) + 1; due-t.next > debt {
		due = t.next + debt
		t.since, t.base = now, due
	}
	return due
}

// dueAt is when event n-1 must have been made.
func (t *task) dueAt(n int64) time.Time {
	return t.since.Add(time.Duration(float64(n-t.base) / t.rate * float64(time.Second)))
}

func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (t *task) record(n int64) *connect.SourceRecord {
	e := t.generator.event(n)
	at := time.Now().Truncate(time.Millisecond)
	if t.start >= 0 {
		at = time.UnixMilli(t.start + int64(float64(n)/t.rate*1000))
	}
	return &connect.SourceRecord{
		Record: connect.Record{
			Topic: t.topic, Partition: connect.AnyPartition,
			Key: strconv.FormatInt(e.member, 10), KeySchema: data.StringSchema,
			Value: e.value(t.schema, t.generator.seed, at), ValueSchema: t.schema,
			Timestamp: at,
		},
		SourcePartition: t.partition,
		SourceOffset:    map[string]any{"sequence": n + 1},
	}
}

// Stop implements connect.SourceTask.
func (t *task) Stop() error { return nil }
