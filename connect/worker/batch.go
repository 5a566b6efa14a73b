package worker

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect"
)

// batch is what one poll gave, until the task has taken all of it.
type batch struct {
	records []*connect.Record // still to be taken
	raw     []*kgo.Record     // raw[i] is what records[i] was made of
	// ends is the offset after the last polled record per partition, whether
	// that record is in records or was skipped.
	ends    map[connect.TopicPartition]int64
	tries   int
	retryAt time.Time
}

func newBatch(size int) *batch {
	return &batch{records: make([]*connect.Record, 0, size), raw: make([]*kgo.Record, 0, size), ends: map[connect.TopicPartition]int64{}}
}

// add takes a polled record; rec is nil if it was skipped or dropped.
func (b *batch) add(tp connect.TopicPartition, raw *kgo.Record, rec *connect.Record) {
	b.ends[tp] = raw.Offset + 1
	if rec != nil {
		b.records = append(b.records, rec)
		b.raw = append(b.raw, raw)
	}
}

// drop removes the first n records.
func (b *batch) drop(n int) { b.records, b.raw = b.records[n:], b.raw[n:] }

// forget removes everything of one partition.
func (b *batch) forget(tp connect.TopicPartition) {
	delete(b.ends, tp)
	n := 0
	for i, r := range b.records {
		if r.Origin != tp {
			b.records[n], b.raw[n] = r, b.raw[i]
			n++
		}
	}
	clear(b.records[n:])
	clear(b.raw[n:])
	b.records, b.raw = b.records[:n], b.raw[:n]
}

// backOff sets the time of the next try: at least least, doubling up to limit.
func (b *batch) backOff(least, limit time.Duration) {
	delay := firstRetryDelay << min(b.tries, 16)
	b.tries++
	b.retryAt = time.Now().Add(max(least, min(delay, limit)))
}

func (b *batch) failure(e *connect.RecordError) failure {
	r := b.records[e.Index]
	return failure{stage: stagePut, origin: r.Origin, offset: r.Offset, record: b.raw[e.Index], err: e.Err}
}
