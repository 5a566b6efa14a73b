package console

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/message"
)

// Limits of a live tail, so that no topic is too fast for a browser.
const (
	tailInterval  = 100 * time.Millisecond
	tailHeartbeat = time.Second // between events of a topic without records
	maxTailRows   = 100         // an event
	maxTailTopics = 10
)

// TailRow is a record in a live tail, its value cut to 4 KiB.
type TailRow struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Time      string `json:"ts"`
	Key       string `json:"key"`
	Value     string `json:"value"`
}

// tailEvent is what came since the last one.
type tailEvent struct {
	Rows    []TailRow `json:"rows"`
	Seen    int       `json:"seen"`    // records read
	Matched int       `json:"matched"` // of these, for which the condition is true
	Skipped int       `json:"skipped"` // of these, too many to show
	Failed  int       `json:"failed"`  // on which the condition failed
	Reason  string    `json:"reason,omitempty"`
}

// serveTail follows topics from their end until the browser goes.
func (c *Console) serveTail(w http.ResponseWriter, r *http.Request) {
	topics := listParam(r, "topic")
	filter, err := message.CompileFilter(r.URL.Query().Get("where"))
	switch {
	case err != nil:
		c.fail(w, fmt.Errorf("where %w: %w", errQuery, err))
		return
	case len(topics) == 0 || len(topics) > maxTailTopics || slices.ContainsFunc(topics, func(t string) bool { return !topicName(t) }):
		c.fail(w, fmt.Errorf("topic %w: want 1 to %d names", errQuery, maxTailTopics))
		return
	}
	opts := append([]kgo.Opt{kgo.ClientID("leat-console")}, c.cfg.Client...)
	opts = append(opts, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.FetchMaxWait(tailInterval), kgo.FetchMaxBytes(8<<20), kgo.MaxConcurrentFetches(1))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		c.fail(w, err)
		return
	}
	defer cl.Close()
	s, done, err := c.openStream(w)
	if err != nil {
		c.fail(w, err)
		return
	}
	defer done()
	if err := s.send("start", map[string]any{"topics": topics}); err == nil {
		c.tail(r.Context(), cl, filter, topics, s)
	}
}

// tail polls and sends at most one event an interval. While a browser is slow,
// the send blocks and with it the reading.
func (c *Console) tail(ctx context.Context, cl *kgo.Client, filter *message.Filter, topics []string, s *stream) {
	event, sent := tailEvent{}, time.Now()
	for ctx.Err() == nil {
		poll, cancel := context.WithTimeout(ctx, tailInterval)
		fetches := cl.PollFetches(poll)
		cancel()
		if err := realError(fetches); err != nil {
			event.Reason = err.Error()
		}
		if event.Seen == 0 && fetches.NumRecords() == 0 {
			event.Reason = cmp.Or(event.Reason, c.gone(topics))
		}
		fetches.EachRecord(func(r *kgo.Record) { event.take(r, filter) })
		if since := time.Since(sent); since < tailInterval || (event.Seen == 0 && since < tailHeartbeat) {
			continue
		}
		if err := s.send("rows", event); err != nil {
			return
		}
		event, sent = tailEvent{}, time.Now()
	}
}

// gone names topics that do not exist: a client waits for such for ever.
func (c *Console) gone(topics []string) string {
	snap := c.now()
	if snap.at.IsZero() || snap.err != nil {
		return ""
	}
	for _, name := range topics {
		if !slices.ContainsFunc(snap.topics, func(t admin.Topic) bool { return t.Name == name }) {
			return "there is no topic " + name
		}
	}
	return ""
}

func (e *tailEvent) take(r *kgo.Record, filter *message.Filter) {
	e.Seen++
	ok, err := filter.Match(r)
	if err != nil {
		e.Failed++
		e.Reason = err.Error()
	}
	if !ok {
		return
	}
	e.Matched++
	if len(e.Rows) >= maxTailRows {
		e.Skipped++
		return
	}
	e.Rows = append(e.Rows, TailRow{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Time: r.Timestamp.UTC().Format("15:04:05.000"),
		Key: shownText(r.Key), Value: shownText(r.Value),
	})
}
