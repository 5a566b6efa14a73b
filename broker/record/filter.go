package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// FilterOptions are the circumstances of Filter.Apply.
type FilterOptions struct {
	// DeleteHorizon, in ms, is put into a batch that has none yet and of which a
	// tombstone or a marker stays; NoTimestamp leaves batches without.
	DeleteHorizon int64
	Levels        Levels // for batches that are compressed again
	MaxSize       int    // bound after decompression; 0: DefaultMaxDecompressed
}

// Filter rewrites batches with fewer records. Offsets, sequence numbers, leader
// epoch and codec stay as they are, so that the batch spans what it spanned
// before. The zero value is ready; it is not safe for concurrent use.
type Filter struct {
	it    Iterator
	plain []byte // records section of the batch being made, before compression
}

// Close gives the buffers back.
func (f *Filter) Close() {
	f.it.Close()
	f.plain = nil
}

// Apply appends to dst batch b with the records for which keep is true and
// tells how many those are. A batch of which everything stays is copied byte
// for byte unless it gets a delete horizon; one of which nothing stays adds
// nothing. Keep may be asked twice about the same record, in order of offsets.
func (f *Filter) Apply(dst []byte, b Batch, opts FilterOptions, keep func(*Record) bool) (out []byte, kept int32, err error) {
	if err := f.it.Reset(b, opts.MaxSize); err != nil {
		return dst, 0, err
	}
	var run []byte // records that stay, adjacent in the source, not copied yet
	all, from := f.it.rest, 0
	f.plain = f.plain[:0]
	tombstones, maxTS := false, int64(math.MinInt64)
	for {
		at := len(all) - len(f.it.rest)
		if !f.it.Next() {
			run = all[from:at]
			break
		}
		if !keep(&f.it.Record) {
			f.plain = append(f.plain, all[from:at]...)
			from = len(all) - len(f.it.rest)
			continue
		}
		kept++
		tombstones = tombstones || f.it.Record.Value == nil
		maxTS = max(maxTS, f.it.Record.Timestamp)
	}
	if err := f.it.Err(); err != nil {
		return dst, 0, err
	}
	mark := opts.DeleteHorizon != NoTimestamp && (tombstones || b.IsControl()) && !b.Attributes().HasDeleteHorizon()
	switch {
	case kept == 0:
		return dst, 0, nil
	case mark:
		if err := f.shift(b, opts, keep); err != nil {
			return dst, 0, err
		}
	case kept == b.Count():
		return append(dst, b...), kept, nil
	default:
		f.plain = append(f.plain, run...)
	}
	if out, err = f.build(dst, b, opts, mark, kept, maxTS); err != nil {
		return dst, 0, err
	}
	return out, kept, nil
}

// shift fills f.plain with the records that stay, their timestamps counting
// from the delete horizon.
func (f *Filter) shift(b Batch, opts FilterOptions, keep func(*Record) bool) error {
	if err := f.it.Reset(b, opts.MaxSize); err != nil {
		return err
	}
	f.plain = f.plain[:0]
	for by := b.BaseTimestamp() - opts.DeleteHorizon; ; {
		before := f.it.rest
		if !f.it.Next() {
			return f.it.Err()
		}
		if keep(&f.it.Record) {
			f.plain = appendShifted(f.plain, before[:len(before)-len(f.it.rest)], by)
		}
	}
}

// appendShifted appends one well-formed encoded record with by added to its
// timestamp delta.
func appendShifted(dst, raw []byte, by int64) []byte {
	_, n := varint(raw)
	attributes := raw[n]
	delta, m := varlong(raw[n+1:])
	tail := raw[n+1+m:]
	dst = appendVarint(dst, int64(1+varintSize(delta+by)+len(tail)))
	dst = append(dst, attributes)
	dst = appendVarint(dst, delta+by)
	return append(dst, tail...)
}

// build appends the batch with f.plain as its records.
func (f *Filter) build(dst []byte, b Batch, opts FilterOptions, mark bool, kept int32, maxTS int64) ([]byte, error) {
	start := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	dst, err := Compress(dst, b.Compression(), opts.Levels, f.plain)
	if err != nil {
		return dst, err
	}
	made := Batch(dst[start:])
	if len(made) > MaxBatchSize {
		return dst, fmt.Errorf("%w: %d bytes", ErrTooLarge, len(made))
	}
	be := binary.BigEndian
	be.PutUint32(made[lengthAt:], uint32(len(made)-LogOverhead))
	be.PutUint32(made[countAt:], uint32(kept))
	if b.TimestampType() == CreateTime {
		be.PutUint64(made[maxTimestampAt:], uint64(maxTS))
	}
	if mark {
		be.PutUint16(made[attributesAt:], uint16(b.Attributes()|deleteHorizonBit))
		be.PutUint64(made[baseTimestampAt:], uint64(opts.DeleteHorizon))
	}
	made.UpdateCRC()
	return dst, nil
}

// AppendEmpty appends to dst what is left of b when all its records are gone:
// the header, which still tells offsets, producer and sequence numbers.
func AppendEmpty(dst []byte, b Batch) []byte {
	start := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	made := Batch(dst[start:])
	be := binary.BigEndian
	attributes := b.Attributes() &^ (compressionMask | deleteHorizonBit)
	be.PutUint32(made[lengthAt:], HeaderSize-LogOverhead)
	be.PutUint16(made[attributesAt:], uint16(attributes))
	be.PutUint64(made[baseTimestampAt:], uint64(math.MaxUint64)) // NoTimestamp
	be.PutUint32(made[countAt:], 0)
	made.UpdateCRC()
	return dst
}
