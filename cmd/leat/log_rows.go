package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/commitlog/epoch"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	logproducer "github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/cmd/internal/output"
)

// batchRow is one batch of a .log file.
type batchRow struct {
	File          string `json:"file" col:"FILE,wide"`
	Position      int64  `json:"position" col:"POSITION"`
	Size          int    `json:"size" col:"SIZE"`
	BaseOffset    int64  `json:"base_offset" col:"BASE"`
	LastOffset    int64  `json:"last_offset" col:"LAST"`
	Count         int32  `json:"count" col:"RECORDS"`
	LeaderEpoch   int32  `json:"leader_epoch" col:"EPOCH"`
	Compression   string `json:"compression" col:"CODEC"`
	TimestampType string `json:"timestamp_type" col:"TIME TYPE,wide"`
	MaxTimestamp  int64  `json:"max_timestamp_ms" col:"MAX TIME"`
	ProducerID    int64  `json:"producer_id" col:"PRODUCER"`
	ProducerEpoch int16  `json:"producer_epoch" col:"PRODUCER EPOCH"`
	BaseSequence  int32  `json:"base_sequence" col:"SEQUENCE"`
	Transactional bool   `json:"transactional" col:"TXN"`
	Marker        string `json:"marker,omitempty" col:"MARKER"` // of a control batch: ABORT, COMMIT or CONTROL
	DeleteHorizon *int64 `json:"delete_horizon_ms,omitempty" col:"DELETE HORIZON,wide"`
	CRC           string `json:"crc" col:"CRC"`
	Valid         bool   `json:"valid" col:"VALID"`
}

func newBatchRow(file string, pos int64, b record.Batch) batchRow {
	row := batchRow{
		File: file, Position: pos, Size: len(b), BaseOffset: b.BaseOffset(), LastOffset: b.LastOffset(), Count: b.Count(),
		LeaderEpoch: b.LeaderEpoch(), Compression: b.Compression().String(), TimestampType: b.TimestampType().String(),
		MaxTimestamp: b.MaxTimestamp(), ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), BaseSequence: b.BaseSequence(),
		Transactional: b.IsTransactional(), Marker: markerOf(b), CRC: fmt.Sprintf("%08x", b.CRC()), Valid: b.CheckCRC() == nil,
	}
	if ms, ok := b.DeleteHorizon(); ok {
		row.DeleteHorizon = &ms
	}
	return row
}

// markerOf names what a control batch says.
func markerOf(b record.Batch) string {
	if !b.IsControl() {
		return ""
	}
	m, _, ok, err := b.ReadMarker()
	switch {
	case err != nil || !ok:
		return "CONTROL"
	case m.Type == record.Commit:
		return "COMMIT"
	default:
		return "ABORT"
	}
}

// recordRow is one record of a .log file, as consuming it in JSON shows it, with
// the position of its batch.
type recordRow struct {
	File          string           `json:"file" col:"FILE,wide"`
	BatchPosition int64            `json:"batch_position" col:"BATCH"`
	Offset        int64            `json:"offset" col:"OFFSET"`
	Time          string           `json:"ts" col:"TIME"`
	TimeMS        int64            `json:"ts_ms"`
	Key           *string          `json:"key"`
	Value         *string          `json:"value"`
	KeyBase64     string           `json:"key_base64,omitempty"`
	ValueBase64   string           `json:"value_base64,omitempty"`
	Headers       []message.Header `json:"headers"`
	Marker        string           `json:"marker,omitempty" col:"MARKER"`
	KeyText       string           `json:"-" col:"KEY"`
	ValueText     string           `json:"-" col:"VALUE"`
}

func newRecordRow(file string, pos int64, marker string, r *record.Record) (recordRow, error) {
	headers, err := r.Headers(nil)
	if err != nil {
		return recordRow{}, err
	}
	k := kgo.Record{Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
	for _, h := range headers {
		k.Headers = append(k.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	m := message.FromRecord(&k)
	return recordRow{
		File: file, BatchPosition: pos, Offset: r.Offset, Time: m.Timestamp, TimeMS: r.Timestamp,
		Key: m.Key, Value: m.Value, KeyBase64: m.KeyBase64, ValueBase64: m.ValueBase64, Headers: m.Headers,
		Marker: marker, KeyText: quoted(r.Key), ValueText: quoted(r.Value),
	}, nil
}

// quoted shows bytes in a table; null is left out.
func quoted(b []byte) string {
	if b == nil {
		return ""
	}
	return fmt.Sprintf("%q", b)
}

// logDump turns batches into rows; ndjson is written at once.
type logDump struct {
	d     *dumper
	row   *dumpedFile
	file  string
	it    record.Iterator
	count int     // rows so far
	bad   []error // batches that do not decode
}

// maxDamaged bounds how many damaged batches of a file are told.
const maxDamaged = 20

func (l *logDump) visit(pos int64, b record.Batch) error {
	if err := l.d.ctx.Err(); err != nil {
		return err
	}
	if !l.d.flags.records {
		if err := add(l, &l.row.Batches, newBatchRow(l.file, pos, b)); err != nil {
			return err
		}
		if err := b.CheckCRC(); err != nil {
			return l.damaged(pos, err)
		}
		return nil
	}
	if err := l.it.Reset(b, 0); err != nil {
		return l.damaged(pos, err)
	}
	for l.it.Next() {
		row, err := newRecordRow(l.file, pos, markerOf(b), &l.it.Record)
		if err != nil {
			return l.damaged(pos, err)
		}
		if l.d.decode != nil {
			row.decoded(l.d.decode, l.it.Record.Key, l.it.Record.Value)
		}
		if err := add(l, &l.row.Records, row); err != nil {
			return err
		}
	}
	if err := l.it.Err(); err != nil {
		return l.damaged(pos, err)
	}
	return nil
}

// damaged notes a bad batch; the next one may be good.
func (l *logDump) damaged(pos int64, err error) error {
	if len(l.bad) < maxDamaged {
		l.bad = append(l.bad, fmt.Errorf("position %d: %w", pos, err))
	}
	return nil
}

// add takes one row; io.EOF says that there are enough.
func add[T any](l *logDump, rows *[]T, row T) error {
	if l.d.out.Format == output.NDJSON {
		if err := output.List(l.d.out, []T{row}); err != nil {
			return err
		}
	} else {
		*rows = append(*rows, row)
	}
	if l.count++; l.count == l.d.flags.max {
		return io.EOF
	}
	return nil
}

// end prints the rows and gives everything that was wrong.
func (l *logDump) end(err error) error {
	if l.d.out.Format != output.NDJSON {
		var perr error
		if l.d.flags.records {
			perr = show(l.d, l.row.Records)
		} else {
			perr = show(l.d, l.row.Batches)
		}
		if perr != nil {
			return perr
		}
	}
	return errors.Join(append(l.bad, err)...)
}

// indexRow is an entry of an .index file.
type indexRow struct {
	Offset   int64 `json:"offset" col:"OFFSET"`
	Position int64 `json:"position" col:"POSITION"`
}

func indexRows(data []byte, base int64) ([]indexRow, error) {
	entries, err := index.DecodeOffsets(data, base)
	rows := make([]indexRow, len(entries))
	for i, e := range entries {
		rows[i] = indexRow(e)
	}
	return rows, err
}

// timeIndexRow is an entry of a .timeindex file.
type timeIndexRow struct {
	Timestamp int64 `json:"timestamp_ms" col:"TIME"`
	Offset    int64 `json:"offset" col:"OFFSET"`
}

func timeIndexRows(data []byte, base int64) ([]timeIndexRow, error) {
	entries, err := index.DecodeTimes(data, base)
	rows := make([]timeIndexRow, len(entries))
	for i, e := range entries {
		rows[i] = timeIndexRow(e)
	}
	return rows, err
}

// abortedRow is an entry of a .txnindex file.
type abortedRow struct {
	ProducerID       int64 `json:"producer_id" col:"PRODUCER"`
	FirstOffset      int64 `json:"first_offset" col:"FIRST"`
	LastOffset       int64 `json:"last_offset" col:"LAST"`
	LastStableOffset int64 `json:"last_stable_offset" col:"LAST STABLE"`
}

func abortedRows(data []byte, base int64) ([]abortedRow, error) {
	entries, err := index.DecodeTxns(data, base)
	rows := make([]abortedRow, len(entries))
	for i, e := range entries {
		rows[i] = abortedRow{e.ProducerID, e.FirstOffset, e.LastOffset, e.LastStableOffset}
	}
	return rows, err
}

// producerRow is an entry of a .snapshot file.
type producerRow struct {
	ProducerID       int64 `json:"producer_id" col:"PRODUCER"`
	Epoch            int16 `json:"epoch" col:"EPOCH"`
	LastSequence     int32 `json:"last_sequence" col:"LAST SEQUENCE"`
	LastOffset       int64 `json:"last_offset" col:"LAST OFFSET"`
	OffsetDelta      int32 `json:"offset_delta" col:"DELTA"`
	Timestamp        int64 `json:"timestamp_ms" col:"TIME"`
	CoordinatorEpoch int32 `json:"coordinator_epoch" col:"COORDINATOR EPOCH"`
	TxnFirstOffset   int64 `json:"txn_first_offset" col:"TXN FIRST"`
}

func producerRows(data []byte, _ int64) ([]producerRow, error) {
	entries, err := logproducer.DecodeSnapshot(data)
	rows := make([]producerRow, len(entries))
	for i, e := range entries {
		rows[i] = producerRow(e)
	}
	return rows, err
}

// offsetRow is a line of a checkpoint of offsets.
type offsetRow struct {
	Topic     string `json:"topic" col:"TOPIC"`
	Partition int32  `json:"partition" col:"PARTITION"`
	Offset    int64  `json:"offset" col:"OFFSET"`
}

func offsetRows(data []byte, _ int64) ([]offsetRow, error) {
	offsets, err := format.DecodeOffsets(data)
	rows := make([]offsetRow, len(offsets))
	for i, e := range offsets.Sorted() {
		rows[i] = offsetRow{e.Topic, e.Partition, e.Offset}
	}
	return rows, err
}

// epochRow is a line of a leader-epoch-checkpoint file.
type epochRow struct {
	Epoch       int32 `json:"epoch" col:"EPOCH"`
	StartOffset int64 `json:"start_offset" col:"START"`
}

func epochRows(data []byte, _ int64) ([]epochRow, error) {
	entries, err := epoch.Decode(data)
	rows := make([]epochRow, len(entries))
	for i, e := range entries {
		rows[i] = epochRow(e)
	}
	return rows, err
}

// topicIDRow is what a partition.metadata file holds.
type topicIDRow struct {
	TopicID string `json:"topic_id" col:"TOPIC ID"`
}

func topicIDRows(data []byte, _ int64) ([]topicIDRow, error) {
	id, err := format.DecodeTopicID(data)
	if err != nil {
		return nil, err
	}
	return []topicIDRow{{base64.RawURLEncoding.EncodeToString(id[:])}}, nil
}
