package record

import (
	"fmt"
	"math"
)

// Mode says how deep Validate looks.
type Mode uint8

const (
	// ModeHeader checks header and checksum, and walks the lengths of
	// uncompressed records to prove count and offsets.
	ModeHeader Mode = iota
	// ModeRecords also decompresses, and checks every record.
	ModeRecords
)

// maxRecordErrors bounds how many bad records of one batch are listed.
const maxRecordErrors = 100

// Checks are the rules that a batch must meet. The zero value asks for the
// least: framing, checksum, counts.
type Checks struct {
	Mode         Mode
	RequireKey   bool  // every record needs a key (compacted topics); only in ModeRecords
	MinTimestamp int64 // bounds for CreateTime timestamps, applied if MaxTimestamp > 0
	MaxTimestamp int64
	MaxSize      int // bound after decompression; 0: DefaultMaxDecompressed
}

// Validate checks one batch cut by Next. ErrCorruptBatch says that the bytes
// are damaged, ErrInvalidRecord or ErrInvalidTimestamp (perhaps in an
// *InvalidError) that their maker broke a rule.
func (b Batch) Validate(c Checks) error {
	if err := b.checkHeader(); err != nil {
		return err
	}
	if err := b.CheckCRC(); err != nil {
		return err
	}
	if err := b.checkCounts(); err != nil {
		return err
	}
	if c.Mode == ModeRecords {
		return b.checkRecords(c)
	}
	if b.Compression() == None {
		if err := b.checkLengths(); err != nil {
			return err
		}
	}
	return b.checkMaxTimestamp(c)
}

// checkHeader checks what must hold before any field may be trusted.
func (b Batch) checkHeader() error {
	if len(b) < HeaderSize {
		return ErrTruncated
	}
	size, err := BatchSize(b)
	if err != nil {
		return err
	}
	if size != len(b) {
		return fmt.Errorf("%w: length field says %d bytes, have %d", ErrCorruptBatch, size, len(b))
	}
	return nil
}

// checkCounts compares the header's own numbers with each other.
func (b Batch) checkCounts() error {
	if c := b.Compression(); c < None || c > Zstd {
		return fmt.Errorf("%w: %v", ErrUnsupportedCompression, c)
	}
	count, delta := b.Count(), b.LastOffsetDelta()
	if count <= 0 || delta < 0 || delta == math.MaxInt32 || delta+1 != count {
		return fmt.Errorf("%w: count %d, last offset delta %d", ErrInvalidRecord, count, delta)
	}
	return nil
}

// checkLengths walks uncompressed records by their length fields and proves
// that there are Count of them, ending exactly at the batch's end, with offset
// deltas 0, 1, 2, … It reads no key or value.
func (b Batch) checkLengths() error {
	rest := b.Records()
	count := b.Count()
	for i := range count {
		size := usualRecord(rest, uint(i))
		if size == 0 {
			var err error
			if size, err = checkRecord(rest, i, count); err != nil {
				return err
			}
		}
		rest = rest[size:]
	}
	if len(rest) != 0 {
		return fmt.Errorf("%w: %d bytes after the last of %d records", ErrInvalidRecord, len(rest), count)
	}
	return nil
}

// usualWindow is how many bytes usualRecord looks at: three of length, one of
// attributes, four of timestamp and two of offset delta fit.
const usualWindow = 10

// usualRecord is the size of the record at the start of b, if its numbers are as
// short as they mostly are and the record is good; else 0, and checkRecord
// decides. It is most of the work of checkLengths.
func usualRecord(b []byte, index uint) int {
	if len(b) < usualWindow {
		return 0
	}
	w := (*[usualWindow]byte)(b)
	length, at := uint(w[0]), uint(1)
	if length >= 0x80 {
		length, at = length&0x7f|uint(w[1])<<7, 2
		if length >= 1<<14 {
			length, at = length&(1<<14-1)|uint(w[2])<<14, 3
			if length >= 1<<21 {
				return 0
			}
		}
	}
	size := at + length>>1
	at++ // the attributes
	for n := 0; w[at] >= 0x80; n++ {
		if at++; n == 3 {
			return 0
		}
	}
	at++
	delta := uint(w[at])
	if delta >= 0x80 {
		at++
		if delta = delta&0x7f | uint(w[at])<<7; delta >= 1<<14 {
			return 0
		}
	}
	if length&1 != 0 || delta != index<<1 || at >= size || size > uint(len(b)) {
		return 0
	}
	return int(size)
}

// checkRecord checks the lengths of the i-th of count records at the start of b
// and returns its size.
func checkRecord(b []byte, i, count int32) (size int, err error) {
	length, n := varint(b)
	if n == 0 || length < 1 || int(length) > len(b)-n {
		return 0, fmt.Errorf("%w: record %d of %d has an impossible length", ErrInvalidRecord, i, count)
	}
	size = n + int(length)
	rec := b[n+1 : size]
	skip := varintLen(rec)
	if skip == 0 {
		return 0, fmt.Errorf("%w: record %d of %d is cut", ErrInvalidRecord, i, count)
	}
	if delta, n := varint(rec[skip:]); n == 0 || delta != i {
		return 0, fmt.Errorf("%w: record %d of %d has offset delta %d", ErrInvalidRecord, i, count, delta)
	}
	return size, nil
}

// varintLen is the size of the varint at the start of b, 0 when it is cut or
// longer than ten bytes.
func varintLen(b []byte) int {
	for i := range min(len(b), 10) {
		if b[i] < 0x80 {
			return i + 1
		}
	}
	return 0
}

// checkMaxTimestamp applies the bounds to the header's max timestamp, the only
// one known without looking at the records; the base timestamp stands for the
// oldest.
func (b Batch) checkMaxTimestamp(c Checks) error {
	if c.MaxTimestamp <= 0 || b.TimestampType() != CreateTime || b.IsControl() {
		return nil
	}
	for _, ts := range [...]int64{b.MaxTimestamp(), b.BaseTimestamp()} {
		if msg := timestampError(ts, c); msg != "" {
			return fmt.Errorf("%w: %s", ErrInvalidTimestamp, msg)
		}
	}
	return nil
}

func timestampError(ts int64, c Checks) string {
	if c.MaxTimestamp <= 0 || ts == NoTimestamp {
		return ""
	}
	if ts < c.MinTimestamp || ts > c.MaxTimestamp {
		return fmt.Sprintf("timestamp %d is outside [%d, %d]", ts, c.MinTimestamp, c.MaxTimestamp)
	}
	return ""
}

// checkRecords decodes every record.
func (b Batch) checkRecords(c Checks) error {
	var it Iterator
	defer it.Close()
	if err := it.Reset(b, c.MaxSize); err != nil {
		return err
	}
	var bad *InvalidError // made when needed: good batches allocate nothing
	checkTime := b.TimestampType() == CreateTime && !b.IsControl()
	for i := int32(0); it.Next(); i++ {
		r := &it.Record
		switch {
		case r.OffsetDelta != i:
			bad = bad.add(i, fmt.Sprintf("offset delta is %d", r.OffsetDelta), ErrInvalidRecord)
		case c.RequireKey && r.Key == nil:
			bad = bad.add(i, "a compacted topic needs a key in every record", ErrInvalidRecord)
		case checkTime:
			if msg := timestampError(r.Timestamp, c); msg != "" {
				bad = bad.add(i, msg, ErrInvalidTimestamp)
			}
		}
	}
	if err := it.Err(); err != nil {
		return err
	}
	if bad != nil {
		return bad
	}
	return nil
}

// add lists one bad record; the first makes the error and decides the kind.
func (e *InvalidError) add(index int32, message string, kind error) *InvalidError {
	if e == nil {
		e = &InvalidError{Kind: kind}
	}
	if len(e.Records) < maxRecordErrors {
		e.Records = append(e.Records, RecordError{Index: int(index), Message: message})
	}
	return e
}
