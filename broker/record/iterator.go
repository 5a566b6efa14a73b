package record

import "fmt"

// Iterator walks the records of batches, one batch after the other. The zero
// value is ready for Reset. It allocates nothing per record and keeps its
// decompression buffer for the next batch; Close gives that back.
//
//	var it record.Iterator
//	defer it.Close()
//	if err := it.Reset(batch, 0); err != nil { … }
//	for it.Next() { use(&it.Record) }
//	if err := it.Err(); err != nil { … }
type Iterator struct {
	Record Record

	rest    []byte // undecoded records
	left    int32  // records still expected
	base    int64
	baseTS  int64
	fixedTS bool // LogAppendTime: every record has time maxTS
	maxTS   int64
	buf     *[]byte
	err     error
}

// Reset starts at the first record of b. The records section may take at most
// limit bytes after decompression (0: DefaultMaxDecompressed). The checksum is
// not looked at. Batch b must stay untouched while the iterator is in use.
func (it *Iterator) Reset(b Batch, limit int) error {
	it.rest, it.left, it.err = nil, 0, nil
	if len(b) < HeaderSize || b.Size() != len(b) {
		return it.fail(ErrTruncated)
	}
	records := b.Records()
	if c := b.Compression(); c != None {
		if it.buf == nil {
			it.buf = getScratch()
		}
		var err error
		if *it.buf, err = Decompress((*it.buf)[:0], c, records, limit); err != nil {
			return it.fail(err)
		}
		records = *it.buf
	}
	it.rest, it.left = records, b.Count()
	it.base, it.baseTS = b.BaseOffset(), b.BaseTimestamp()
	it.fixedTS, it.maxTS = b.TimestampType() == LogAppendTime, b.MaxTimestamp()
	if it.left < 0 {
		return it.fail(fmt.Errorf("%w: count %d", ErrInvalidRecord, it.left))
	}
	return nil
}

// Next decodes the next record into it.Record; false ends the batch, and Err
// tells whether by an error.
func (it *Iterator) Next() bool {
	if it.err != nil {
		return false
	}
	if it.left == 0 {
		if len(it.rest) > 0 {
			it.fail(fmt.Errorf("%w: %d bytes after the last record", ErrInvalidRecord, len(it.rest)))
		}
		return false
	}
	r, rest, ok := cutRecord(it.rest)
	if !ok {
		it.fail(fmt.Errorf("%w: malformed record, %d expected after it", ErrInvalidRecord, it.left-1))
		return false
	}
	it.rest = rest
	it.left--
	ts := it.baseTS + r.timestampDelta
	if it.fixedTS {
		ts = it.maxTS
	}
	it.Record = Record{
		Offset: it.base + int64(r.offsetDelta), Timestamp: ts, OffsetDelta: r.offsetDelta,
		Key: r.key, Value: r.value, HeaderCount: r.headerCount, headers: r.headers,
	}
	return true
}

// Err is what ended the walk early, if anything did.
func (it *Iterator) Err() error { return it.err }

// Close gives the buffers back; the last Record is invalid afterwards.
func (it *Iterator) Close() {
	if it.buf != nil {
		putScratch(it.buf)
		it.buf = nil
	}
	it.rest, it.left, it.Record = nil, 0, Record{}
}

func (it *Iterator) fail(err error) error {
	it.err, it.rest, it.left = err, nil, 0
	return err
}
