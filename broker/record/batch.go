package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
)

// Sizes and the places of the header's fields, in bytes from the batch's start.
//
//	 0 base offset     int64   absolute in a log; 0-based from a producer
//	 8 length          int32   bytes after this field
//	12 leader epoch    int32
//	16 magic           int8    2
//	17 crc             uint32  CRC-32C of everything from 21 to the end
//	21 attributes      int16
//	23 last delta      int32   last offset - base offset
//	27 base timestamp  int64   ms, or the delete horizon
//	35 max timestamp   int64   ms
//	43 producer id     int64   -1: none
//	51 producer epoch  int16
//	53 base sequence   int32
//	57 count           int32   records that follow
//	61 records
const (
	HeaderSize  = 61 // up to the first record
	LogOverhead = 12 // base offset and length, present in all formats
	Magic       = 2

	offsetAt        = 0
	lengthAt        = 8
	leaderEpochAt   = 12
	magicAt         = 16
	crcAt           = 17
	attributesAt    = 21
	lastDeltaAt     = 23
	baseTimestampAt = 27
	maxTimestampAt  = 35
	producerIDAt    = 43
	producerEpochAt = 51
	baseSequenceAt  = 53
	countAt         = 57
)

// What an absent field holds.
const (
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	NoTimestamp     int64 = -1
	NoLeaderEpoch   int32 = -1
)

// MaxBatchSize bounds the size of one batch in bytes; positions in a segment
// are 31 bits wide.
const MaxBatchSize = math.MaxInt32

// Batch is one record batch, header first. It is a view: the bytes belong to
// whoever made them.
type Batch []byte

// Next cuts the first batch off b. At the end of b it returns io.EOF-free
// nil, nil, nil; a partial batch gives ErrTruncated, an older format
// ErrUnsupportedFormat, an impossible length ErrCorruptBatch. The checksum is
// not looked at.
func Next(b []byte) (batch Batch, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, nil
	}
	size, err := BatchSize(b)
	if err != nil {
		return nil, b, err
	}
	if size > len(b) {
		return nil, b, ErrTruncated
	}
	return Batch(b[:size:size]), b[size:], nil
}

// BatchSize reads the size of the batch that starts at b[0], which need not be
// complete: 17 bytes are enough.
func BatchSize(b []byte) (int, error) {
	if len(b) <= magicAt {
		return 0, ErrTruncated
	}
	length := int32(binary.BigEndian.Uint32(b[lengthAt:]))
	magic := int8(b[magicAt])
	switch {
	case magic == 0 || magic == 1:
		return 0, fmt.Errorf("%w: magic %d", ErrUnsupportedFormat, magic)
	case magic != Magic:
		return 0, fmt.Errorf("%w: magic %d", ErrCorruptBatch, magic)
	case length < HeaderSize-LogOverhead || length > MaxBatchSize-LogOverhead:
		return 0, fmt.Errorf("%w: length %d", ErrCorruptBatch, length)
	}
	return int(length) + LogOverhead, nil
}

// BaseOffset is the offset of the first record.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[offsetAt:])) }

// Size is the size of the whole batch in bytes, as its length field says.
func (b Batch) Size() int { return int(binary.BigEndian.Uint32(b[lengthAt:])) + LogOverhead }

// LeaderEpoch is the epoch of the leader that appended the batch.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[leaderEpochAt:])) }

// Attributes gives the flag bits.
func (b Batch) Attributes() Attributes { return Attributes(binary.BigEndian.Uint16(b[attributesAt:])) }

// LastOffsetDelta is LastOffset - BaseOffset.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[lastDeltaAt:])) }

// LastOffset is the offset of the last record, also if compaction removed it.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// BaseTimestamp is what the records' timestamp deltas count from, in ms.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[baseTimestampAt:])) }

// MaxTimestamp is the largest timestamp of the records, in ms.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[maxTimestampAt:])) }

// ProducerID is the idempotent producer, or NoProducerID.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[producerIDAt:])) }

// ProducerEpoch is the producer's epoch, or NoProducerEpoch.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[producerEpochAt:])) }

// BaseSequence is the sequence number of the first record, or NoSequence.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[baseSequenceAt:])) }

// LastSequence is the sequence number of the last record; it wraps after 2^31-1.
func (b Batch) LastSequence() int32 {
	seq := b.BaseSequence()
	if seq == NoSequence {
		return NoSequence
	}
	return AddSequence(seq, b.LastOffsetDelta())
}

// AddSequence moves a sequence number on by delta ≥ 0, wrapping from 2^31-1 to 0.
func AddSequence(seq, delta int32) int32 {
	return int32((int64(seq) + int64(delta)) & math.MaxInt32)
}

// Count is the number of records.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[countAt:])) }

// CRC is the stored checksum.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[crcAt:]) }

// Compression gives the codec; it may be an unknown one.
func (b Batch) Compression() Compression { return b.Attributes().Compression() }

// TimestampType tells who set the timestamps.
func (b Batch) TimestampType() TimestampType { return b.Attributes().TimestampType() }

// IsTransactional tells whether the batch belongs to a transaction.
func (b Batch) IsTransactional() bool { return b.Attributes().IsTransactional() }

// IsControl tells whether the batch holds a transaction marker.
func (b Batch) IsControl() bool { return b.Attributes().IsControl() }

// HasProducerID tells whether the batch comes from an idempotent producer.
func (b Batch) HasProducerID() bool { return b.ProducerID() > NoProducerID }

// Records gives the bytes after the header, still compressed.
func (b Batch) Records() []byte { return b[HeaderSize:] }

// DeleteHorizon is the time in ms after which tombstones of the batch may be
// removed; ok is false when none was set.
func (b Batch) DeleteHorizon() (ms int64, ok bool) {
	if !b.Attributes().HasDeleteHorizon() {
		return 0, false
	}
	return b.BaseTimestamp(), true
}

// SetBaseOffset patches the base offset, which the checksum does not cover.
func (b Batch) SetBaseOffset(offset int64) {
	binary.BigEndian.PutUint64(b[offsetAt:], uint64(offset))
}

// SetLeaderEpoch patches the leader epoch, which the checksum does not cover.
func (b Batch) SetLeaderEpoch(epoch int32) {
	binary.BigEndian.PutUint32(b[leaderEpochAt:], uint32(epoch))
}

// SetMaxTimestamp sets timestamp type and max timestamp and renews the
// checksum. With LogAppendTime readers take the max timestamp for every record.
func (b Batch) SetMaxTimestamp(t TimestampType, ms int64) {
	attrs := b.Attributes() &^ logAppendTimeBit
	if t == LogAppendTime {
		attrs |= logAppendTimeBit
	}
	if attrs == b.Attributes() && ms == b.MaxTimestamp() {
		return
	}
	binary.BigEndian.PutUint16(b[attributesAt:], uint16(attrs))
	binary.BigEndian.PutUint64(b[maxTimestampAt:], uint64(ms))
	b.UpdateCRC()
}

// castagnoli is the table of CRC-32C; it is read only.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ComputeCRC computes the checksum over the bytes that it covers.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[attributesAt:], castagnoli) }

// UpdateCRC stores the computed checksum.
func (b Batch) UpdateCRC() { binary.BigEndian.PutUint32(b[crcAt:], b.ComputeCRC()) }

// CheckCRC compares the stored checksum with the bytes.
func (b Batch) CheckCRC() error {
	if got := b.ComputeCRC(); got != b.CRC() {
		return fmt.Errorf("%w: checksum is %08x, stored %08x", ErrCorruptBatch, got, b.CRC())
	}
	return nil
}
