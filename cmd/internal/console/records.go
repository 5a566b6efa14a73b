package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/message"
)

// Budgets of one bounded read.
const (
	maxScanned    = 10_000
	maxMatched    = 500
	defaultLimit  = 50
	maxValueBytes = 1 << 20
	maxReadBytes  = 16 << 20 // of all values of an answer
	maxShown      = 4 << 10  // of a value on a page or in the tail
	readTimeout   = 5 * time.Second
	// A partition whose end holds no record (markers of transactions,
	// compaction) never reaches it: the read ends after this much silence.
	readIdle = 700 * time.Millisecond
)

// newest starts so far before the end that the last records come.
const newest = "newest"

var errQuery = errors.New("cannot be read")

// Records is an answer of records with what it took.
type Records struct {
	Topic     string            `json:"topic"`
	Records   []message.Message `json:"records"`
	Scanned   int               `json:"scanned"`
	Matched   int               `json:"matched"`
	Truncated int               `json:"truncated"` // values cut to 1 MiB
	Failed    int               `json:"failed"`    // records on which the condition failed
	Reason    string            `json:"reason,omitempty"`
	Next      string            `json:"next,omitempty"` // cursor; empty at the end
}

// query is a bounded read.
type query struct {
	topic     string
	partition int32 // -1: all
	from      string
	cursor    string
	where     *message.Filter // nil: all
	filtered  bool
	limit     int
}

// span is what is to be read of one partition: [next, end).
type span struct{ next, end int64 }

// read runs a query within its budgets.
func (c *Console) read(ctx context.Context, q query) (Records, error) {
	if !take(c.readers) {
		return Records{}, fmt.Errorf("%w: %d reads of records are under way", ErrBusy, maxReaders)
	}
	defer func() { <-c.readers }()
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	spans, err := c.spans(ctx, q)
	if err != nil {
		return Records{}, err
	}
	b := &batch{query: q, spans: spans, out: Records{Topic: q.topic, Records: []message.Message{}}}
	if err := c.scan(ctx, b); err != nil {
		return Records{}, err
	}
	return b.finish(), nil
}

// spans resolves the start of each partition.
func (c *Console) spans(ctx context.Context, q query) (map[int32]*span, error) {
	if !topicName(q.topic) {
		return nil, fmt.Errorf("topic %s: %w", q.topic, admin.ErrNotFound)
	}
	starts, err := c.adm.ListStartOffsets(ctx, q.topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", q.topic, err)
	}
	ends, err := c.adm.ListEndOffsets(ctx, q.topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", q.topic, err)
	}
	if err := ends.Error(); errors.Is(err, kerr.UnknownTopicOrPartition) || len(ends[q.topic]) == 0 {
		return nil, fmt.Errorf("topic %s: %w", q.topic, admin.ErrNotFound)
	}
	resolve, err := c.resolver(ctx, q, len(ends[q.topic]))
	if err != nil {
		return nil, err
	}
	spans := map[int32]*span{}
	for p, end := range ends[q.topic] {
		start := starts[q.topic][p]
		if end.Err != nil || start.Err != nil || (q.partition >= 0 && p != q.partition) {
			continue
		}
		if from, to := resolve(p, start.Offset, end.Offset); from < to {
			spans[p] = &span{from, to}
		}
	}
	return spans, nil
}

type resolver func(partition int32, start, end int64) (from, to int64)

func (c *Console) resolver(ctx context.Context, q query, partitions int) (resolver, error) {
	if q.cursor != "" {
		return cursorResolver(q.cursor)
	}
	if q.partition >= 0 {
		partitions = 1
	}
	if q.from == "" || q.from == newest {
		back := int64(q.limit)
		if q.filtered {
			back = int64(maxScanned / partitions)
		}
		return func(_ int32, start, end int64) (int64, int64) { return max(start, end-back), end }, nil
	}
	from, to, err := message.ParseRange(q.from, time.Now())
	if err != nil {
		return nil, fmt.Errorf("from=%s %w: %w", q.from, errQuery, err)
	}
	fromTimes, err := c.offsetsAt(ctx, q.topic, from)
	if err != nil {
		return nil, err
	}
	toTimes, err := c.offsetsAt(ctx, q.topic, to)
	if err != nil {
		return nil, err
	}
	return func(p int32, start, end int64) (int64, int64) {
		return from.Resolve(start, end, fromTimes(p)), min(end, to.Resolve(start, end, toTimes(p)))
	}, nil
}

// offsetsAt looks up the offsets of a time; -1 where there is none.
func (c *Console) offsetsAt(ctx context.Context, topic string, at message.Position) (func(int32) int64, error) {
	if at.Kind != message.AtTime {
		return func(int32) int64 { return -1 }, nil
	}
	listed, err := c.adm.ListOffsetsAfterMilli(ctx, at.Time.UnixMilli(), topic)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return func(p int32) int64 {
		if o, ok := listed.Lookup(topic, p); ok && o.Err == nil {
			return o.Offset
		}
		return -1
	}, nil
}

// cursorResolver reads 0:123,2:456: the next offset of each partition that is
// not at its end.
func cursorResolver(cursor string) (resolver, error) {
	next := map[int32]int64{}
	for item := range strings.SplitSeq(cursor, ",") {
		left, right, _ := strings.Cut(item, ":")
		p, err1 := strconv.ParseInt(left, 10, 32)
		o, err2 := strconv.ParseInt(right, 10, 64)
		if err1 != nil || err2 != nil || p < 0 || o < 0 {
			return nil, fmt.Errorf("cursor=%s %w: want partition:offset,…", cursor, errQuery)
		}
		next[int32(p)] = o
	}
	return func(p int32, start, end int64) (int64, int64) {
		o, ok := next[p]
		if !ok {
			return end, end
		}
		return max(o, start), end
	}, nil
}

// scan reads forward until all spans, or a budget, are used up.
func (c *Console) scan(ctx context.Context, b *batch) error {
	if len(b.spans) == 0 {
		return nil
	}
	offsets := map[int32]kgo.Offset{}
	for p, s := range b.spans {
		offsets[p] = kgo.NewOffset().At(s.next)
	}
	opts := append([]kgo.Opt{kgo.ClientID("leat-console")}, c.cfg.Client...)
	opts = append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{b.topic: offsets}), kgo.FetchMaxWait(100*time.Millisecond))
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return fmt.Errorf("read %s: %w", b.topic, err)
	}
	defer cl.Close()
	for !b.done() {
		poll, cancel := context.WithTimeout(ctx, readIdle)
		fetches := cl.PollFetches(poll)
		idle := poll.Err() != nil
		cancel()
		for it := fetches.RecordIter(); !it.Done() && !b.full(); {
			b.take(it.Next())
		}
		if ctx.Err() != nil || (idle && fetches.NumRecords() == 0) {
			b.late = ctx.Err() != nil
			return nil
		}
		if err := realError(fetches); err != nil {
			return fmt.Errorf("read %s: %w", b.topic, err)
		}
	}
	return nil
}

// realError is the first error that is not the end of a poll's patience.
func realError(fetches kgo.Fetches) error {
	for _, e := range fetches.Errors() {
		if !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled) {
			return e.Err
		}
	}
	return nil
}

// batch gathers the records of one query.
type batch struct {
	query
	spans map[int32]*span
	out   Records
	bytes int
	late  bool
}

func (b *batch) full() bool {
	// The newest records are at the end: all of them are looked at.
	matched := b.out.Matched >= b.limit && !b.wantsLast()
	return matched || b.out.Scanned >= maxScanned+maxMatched || b.bytes >= maxReadBytes
}

func (b *batch) wantsLast() bool { return b.cursor == "" && (b.from == "" || b.from == newest) }

func (b *batch) done() bool {
	if b.full() {
		return true
	}
	for _, s := range b.spans {
		if s.next < s.end {
			return false
		}
	}
	return true
}

func (b *batch) take(r *kgo.Record) {
	s := b.spans[r.Partition]
	if s == nil || r.Offset < s.next || r.Offset >= s.end {
		return
	}
	s.next = r.Offset + 1
	b.out.Scanned++
	ok, err := b.where.Match(r)
	if err != nil {
		b.out.Failed++
		b.out.Reason = err.Error()
	}
	if !ok {
		return
	}
	b.out.Matched++
	if len(r.Value) > maxValueBytes {
		r.Value = r.Value[:maxValueBytes]
		b.out.Truncated++
	}
	b.bytes += len(r.Key) + len(r.Value)
	b.out.Records = append(b.out.Records, message.FromRecord(r))
	if b.wantsLast() && len(b.out.Records) > 2*maxMatched {
		b.keepLast()
	}
}

// keepLast sorts by time and drops all but the last records.
func (b *batch) keepLast() {
	b.sort()
	if over := len(b.out.Records) - b.limit; over > 0 {
		b.out.Records = slices.Delete(b.out.Records, 0, over)
	}
}

func (b *batch) sort() {
	slices.SortStableFunc(b.out.Records, func(x, y message.Message) int {
		return cmp.Or(cmp.Compare(x.TimestampMS, y.TimestampMS), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset))
	})
}

// finish orders the records and makes the cursor.
func (b *batch) finish() Records {
	if b.wantsLast() {
		b.keepLast()
		return b.out
	}
	b.sort()
	if b.late && b.out.Reason == "" {
		b.out.Reason = fmt.Sprintf("stopped after %s", readTimeout)
	}
	var next []string
	for _, p := range slices.Sorted(maps.Keys(b.spans)) {
		if s := b.spans[p]; s.next < s.end {
			next = append(next, fmt.Sprintf("%d:%d", p, s.next))
		}
	}
	b.out.Next = strings.Join(next, ",")
	return b.out
}
