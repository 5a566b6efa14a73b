package coordinator

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
)

// noDeadline is the time-out of the coordinators' appends: whether a record is
// committed is decided by the log alone, never by a clock.
const noDeadline = 365 * 24 * time.Hour

// loadBytes is how much of the log is read at once while loading.
const loadBytes = 1 << 20

// ReplicaLog is a Log over the partitions of one topic of a replica.Manager.
type ReplicaLog struct {
	manager *replica.Manager
	topic   string
	scratch sync.Pool // *appender
}

// NewReplicaLog gives the runtime access to topic's partitions.
func NewReplicaLog(manager *replica.Manager, topic string) *ReplicaLog {
	return &ReplicaLog{manager: manager, topic: topic, scratch: sync.Pool{New: func() any { return new(appender) }}}
}

// appender is the reusable space of one append.
type appender struct {
	builder record.Builder
	batch   []byte
	req     replica.AppendRequest
	entry   [1]replica.AppendEntry
	result  [1]replica.AppendResult
}

// Append implements Log.
func (l *ReplicaLog) Append(partition, epoch int32, records []Record, done func(error)) {
	a := l.scratch.Get().(*appender)
	defer l.scratch.Put(a)
	now := time.Now().UnixMilli()
	a.builder.Reset(record.NewOptions())
	for _, r := range records {
		a.builder.Append(now, r.Key, r.Value)
	}
	var err error
	if a.batch, err = a.builder.Build(a.batch[:0]); err != nil {
		done(err)
		return
	}
	a.entry[0] = replica.AppendEntry{
		TP: record.TopicPartition{Topic: l.topic, Partition: partition}, Batches: a.batch,
		LeaderEpoch: epoch, VerifyEpoch: true,
	}
	a.req = replica.AppendRequest{
		Acks: replica.AcksAll, Timeout: noDeadline, Origin: replica.OriginCoordinator,
		Entries: a.entry[:], Results: a.result[:0],
	}
	l.manager.Append(&a.req, func(rs []replica.AppendResult) { outcome(rs[0], done) })
}

// outcome tells done about an append. Records that are in the log and whose fate
// a later leader decides have no outcome here.
func outcome(r replica.AppendResult, done func(error)) {
	switch {
	case r.Err == nil, errors.Is(r.Err, replica.ErrNotEnoughReplicasAfterAppend):
		done(nil)
	case r.Info.Size == 0:
		done(r.Err)
	}
}

// Load implements Log. Records of a transaction are replayed when its commit
// marker comes, as if they were written there; those of an aborted one, and of
// one that is still open at the end, are not.
func (l *ReplicaLog) Load(ctx context.Context, partition, epoch int32, replay func(int64, Record)) error {
	tp := record.TopicPartition{Topic: l.topic, Partition: partition}
	ld := loader{replay: replay, open: make(map[int64][]pendingRecord)}
	defer ld.it.Close()
	info, ok := l.manager.Partition(tp)
	if !ok {
		return replica.ErrUnknownPartition
	}
	offset := info.LogStartOffset
	for ctx.Err() == nil {
		next, err := ld.chunk(l.manager, tp, epoch, offset)
		if err != nil {
			return fmt.Errorf("at offset %d: %w", offset, err)
		}
		if next == offset {
			return nil
		}
		offset = next
	}
	return context.Cause(ctx)
}

// loader walks the batches of a partition.
type loader struct {
	replay func(int64, Record)
	// open holds the records of open transactions by producer id.
	open map[int64][]pendingRecord
	it   record.Iterator
	buf  []byte
}

type pendingRecord struct {
	offset int64
	rec    Record
}

// chunk replays what one read gives and returns the next offset, the same one at
// the end of the log.
func (ld *loader) chunk(m *replica.Manager, tp record.TopicPartition, epoch int32, offset int64) (int64, error) {
	fp := m.ReadLog(tp, epoch, offset, loadBytes)
	if fp.Err != nil {
		return offset, fp.Err
	}
	defer fp.Records.Release()
	var err error
	if ld.buf, err = fp.Records.Bytes(ld.buf[:0]); err != nil {
		return offset, err
	}
	rest := ld.buf
	for {
		var b record.Batch
		if b, rest, err = record.Next(rest); errors.Is(err, record.ErrTruncated) {
			return offset, nil // the read was cut inside the last batch
		}
		if err != nil || b == nil {
			return offset, err
		}
		if b.LastOffset() >= offset {
			if err := ld.batch(b, offset); err != nil {
				return offset, err
			}
			offset = b.LastOffset() + 1
		}
	}
}

func (ld *loader) batch(b record.Batch, from int64) error {
	if b.IsControl() {
		return ld.marker(b)
	}
	if err := ld.it.Reset(b, 0); err != nil {
		return err
	}
	for ld.it.Next() {
		r := &ld.it.Record
		if r.Offset < from {
			continue
		}
		rec := Record{Key: clone(r.Key), Value: clone(r.Value)}
		if b.IsTransactional() {
			ld.open[b.ProducerID()] = append(ld.open[b.ProducerID()], pendingRecord{r.Offset, rec})
		} else {
			ld.replay(r.Offset, rec)
		}
	}
	return ld.it.Err()
}

func (ld *loader) marker(b record.Batch) error {
	m, _, ok, err := b.ReadMarker()
	if err != nil || !ok {
		return err
	}
	if m.Type == record.Commit {
		for _, p := range ld.open[b.ProducerID()] {
			ld.replay(p.offset, p.rec)
		}
	}
	delete(ld.open, b.ProducerID())
	return nil
}

// clone copies b out of the read buffer; nil stays nil.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
