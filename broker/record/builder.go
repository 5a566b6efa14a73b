package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// BuilderOptions are the header fields of a batch to be built. The zero value
// is an uncompressed batch without a producer: use NewOptions.
type BuilderOptions struct {
	BaseOffset    int64
	LeaderEpoch   int32
	Compression   Compression
	Levels        Levels
	TimestampType TimestampType
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
}

// NewOptions gives options for a plain batch: no producer, no leader epoch.
func NewOptions() BuilderOptions {
	return BuilderOptions{
		LeaderEpoch: NoLeaderEpoch, ProducerID: NoProducerID,
		ProducerEpoch: NoProducerEpoch, BaseSequence: NoSequence,
	}
}

// ErrEmpty says that a batch without records was asked for.
var ErrEmpty = errors.New("record: batch without records")

// Builder makes one batch at a time. It keeps its buffer for the next one. It
// is not safe for concurrent use; the zero value is ready for Reset.
type Builder struct {
	opts    BuilderOptions
	records []byte
	count   int32
	firstTS int64
	maxTS   int64
}

// Reset starts a new batch.
func (w *Builder) Reset(opts BuilderOptions) {
	w.opts, w.records, w.count = opts, w.records[:0], 0
	w.firstTS, w.maxTS = 0, math.MinInt64
}

// Append adds a record with the next offset. A nil key or value is null. The
// bytes are copied.
func (w *Builder) Append(timestamp int64, key, value []byte, headers ...Header) {
	if w.count == 0 {
		w.firstTS = timestamp
	}
	w.maxTS = max(w.maxTS, timestamp)
	r := body{timestampDelta: timestamp - w.firstTS, offsetDelta: w.count, key: key, value: value}
	w.records = appendRecord(w.records, &r, headers)
	w.count++
}

// Count is the number of records so far.
func (w *Builder) Count() int { return int(w.count) }

// Size is the size of the batch so far, before compression.
func (w *Builder) Size() int { return HeaderSize + len(w.records) }

// Build appends the finished batch to dst and returns the longer dst.
func (w *Builder) Build(dst []byte) ([]byte, error) {
	if w.count == 0 {
		return dst, ErrEmpty
	}
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSize)...)
	dst, err := Compress(dst, w.opts.Compression, w.opts.Levels, w.records)
	if err != nil {
		return dst[:start], err
	}
	b := Batch(dst[start:])
	if len(b) > MaxBatchSize {
		return dst[:start], fmt.Errorf("%w: %d bytes", ErrTooLarge, len(b))
	}
	w.putHeader(b)
	b.UpdateCRC()
	return dst, nil
}

func (w *Builder) putHeader(b Batch) {
	o := &w.opts
	be := binary.BigEndian
	be.PutUint64(b[offsetAt:], uint64(o.BaseOffset))
	be.PutUint32(b[lengthAt:], uint32(len(b)-LogOverhead))
	be.PutUint32(b[leaderEpochAt:], uint32(o.LeaderEpoch))
	b[magicAt] = Magic
	be.PutUint16(b[attributesAt:], uint16(o.attributes()))
	be.PutUint32(b[lastDeltaAt:], uint32(w.count-1))
	be.PutUint64(b[baseTimestampAt:], uint64(w.firstTS))
	be.PutUint64(b[maxTimestampAt:], uint64(w.maxTS))
	be.PutUint64(b[producerIDAt:], uint64(o.ProducerID))
	be.PutUint16(b[producerEpochAt:], uint16(o.ProducerEpoch))
	be.PutUint32(b[baseSequenceAt:], uint32(o.BaseSequence))
	be.PutUint32(b[countAt:], uint32(w.count))
}

func (o *BuilderOptions) attributes() Attributes {
	a := Attributes(o.Compression) & compressionMask
	if o.TimestampType == LogAppendTime {
		a |= logAppendTimeBit
	}
	if o.Transactional {
		a |= transactionalBit
	}
	if o.Control {
		a |= controlBit
	}
	return a
}

// Recompress appends to dst batch b with another codec; everything else stays.
// Records keep their timestamps, also under LogAppendTime.
func Recompress(dst []byte, b Batch, c Compression, levels Levels, limit int) ([]byte, error) {
	if b.Compression() == c {
		return append(dst, b...), nil
	}
	plain := getScratch()
	defer putScratch(plain)
	var err error
	if *plain, err = Decompress((*plain)[:0], b.Compression(), b.Records(), limit); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	if dst, err = Compress(dst, c, levels, *plain); err != nil {
		return dst[:start], err
	}
	out := Batch(dst[start:])
	binary.BigEndian.PutUint32(out[lengthAt:], uint32(len(out)-LogOverhead))
	attrs := b.Attributes()&^compressionMask | Attributes(c)
	binary.BigEndian.PutUint16(out[attributesAt:], uint16(attrs))
	out.UpdateCRC()
	return dst, nil
}
