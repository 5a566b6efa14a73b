package perf

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Offsets of fields in a record batch.
const (
	batchLengthAt  = 8
	batchCRCAt     = 17
	batchAttrsAt   = 21
	batchDeltaAt   = 23 // of the last offset
	batchFirstAt   = 27 // timestamp
	batchMaxAt     = 35 // timestamp
	batchCountAt   = 57
	batchHeaderLen = 61
)

// rawBatch encodes count records of size bytes each, uncompressed, all with the
// same key unless it is nil.
func rawBatch(count, size int, key []byte) []byte {
	batch := make([]byte, batchHeaderLen, batchHeaderLen+count*(size+len(key)+16))
	batch[16] = 2 // magic
	binary.BigEndian.PutUint32(batch[12:], ^uint32(0))
	binary.BigEndian.PutUint32(batch[batchDeltaAt:], uint32(count-1))
	for i := 43; i < batchCountAt; i++ {
		batch[i] = 0xff // no producer id, epoch or sequence
	}
	binary.BigEndian.PutUint32(batch[batchCountAt:], uint32(count))

	value, body := newValues(size).pattern, []byte(nil)
	for i := range count {
		body = append(body[:0], 0)                 // attributes
		body = binary.AppendVarint(body, 0)        // timestamp delta
		body = binary.AppendVarint(body, int64(i)) // offset delta
		if key == nil {
			body = binary.AppendVarint(body, -1)
		} else {
			body = append(binary.AppendVarint(body, int64(len(key))), key...)
		}
		body = binary.AppendVarint(body, int64(size))
		body = append(body, value...)
		body = binary.AppendVarint(body, 0) // no headers
		batch = binary.AppendVarint(batch, int64(len(body)))
		batch = append(batch, body...)
	}
	binary.BigEndian.PutUint32(batch[batchLengthAt:], uint32(len(batch)-batchLengthAt-4))
	seal(batch, time.Now())
	return batch
}

// seal gives all records of a batch their time and computes the checksum anew.
func seal(batch []byte, now time.Time) {
	binary.BigEndian.PutUint64(batch[batchFirstAt:], uint64(now.UnixMilli()))
	binary.BigEndian.PutUint64(batch[batchMaxAt:], uint64(now.UnixMilli()))
	crc := crc32.Checksum(batch[batchAttrsAt:], crc32.MakeTable(crc32.Castagnoli))
	binary.BigEndian.PutUint32(batch[batchCRCAt:], crc)
}

// probe is the form of the batches of one run that measures latency: a single
// record with a key that no other run has, and a value that begins with a stamp.
type probe struct {
	batch   []byte
	valueAt int
}

func newProbe(size int, key []byte) probe {
	batch := rawBatch(1, size, key)
	return probe{batch: batch, valueAt: len(batch) - 1 - size} // behind the value is the number of headers
}

// stamp makes batch, which has the form of p, one that is due.
func (p probe) stamp(batch []byte, due time.Time) {
	putStamp(batch[p.valueAt:], due)
	seal(batch, due)
}

// due reads the stamp of a batch of the run. A batch that the broker changed
// otherwise than in its header is not known again.
func (p probe) due(batch []byte) (time.Time, bool) {
	if len(batch) != len(p.batch) || !bytes.Equal(batch[batchHeaderLen:p.valueAt], p.batch[batchHeaderLen:p.valueAt]) {
		return time.Time{}, false
	}
	return stamp(batch[p.valueAt:])
}

// cutBatch splits the first batch off data; nil when there is no whole one.
func cutBatch(data []byte) (batch, rest []byte) {
	if len(data) < batchHeaderLen {
		return nil, data
	}
	length := int(int32(binary.BigEndian.Uint32(data[batchLengthAt:]))) + batchLengthAt + 4
	if length < batchHeaderLen || length > len(data) {
		return nil, data
	}
	return data[:length], data[length:]
}

// scanBatches walks over whole batches: it returns the offset after the last
// one, and the records from offset on and bytes it saw. The first batch may
// begin before offset.
func scanBatches(data []byte, offset int64) (next, records, size int64) {
	next = offset
	for batch, rest := cutBatch(data); batch != nil; batch, rest = cutBatch(rest) {
		base := int64(binary.BigEndian.Uint64(batch))
		end := base + int64(int32(binary.BigEndian.Uint32(batch[batchDeltaAt:]))) + 1
		count := int64(int32(binary.BigEndian.Uint32(batch[batchCountAt:])))
		if end > next {
			records += min(count, end-next)
			next = end
		}
		size += int64(len(batch))
	}
	return next, records, size
}
