package record

import "fmt"

// Down turns batches into messages of an older format. The zero value is not
// usable: Magic and MaxBytes must be set. It keeps its buffers for the next
// batch until Close, and is not safe for concurrent use.
type Down struct {
	Magic int8  // 0 or 1
	From  int64 // records below it may be left out
	// MaxBytes ends the conversion of a batch that is not compressed after the
	// message that reaches it.
	MaxBytes int
	// Limit bounds the records of one batch after decompression; 0:
	// DefaultMaxDecompressed.
	Limit int

	it    Iterator
	inner *[]byte
}

// Convert appends to dst the messages for batch b and tells how many records
// they hold. Control batches give none. A compressed batch becomes one wrapper
// with the same codec, all of its records in it, also those below From. What old
// formats have no room for is dropped: headers, producer, transaction, and in
// format 0 timestamps.
//
// ErrUnsupportedCompression says that old formats do not have the codec,
// ErrCorruptBatch that the batch is damaged.
func (d *Down) Convert(dst []byte, b Batch) (out []byte, records int, err error) {
	if len(b) < HeaderSize || b.Size() != len(b) {
		return dst, 0, fmt.Errorf("%w: batch of %d bytes", ErrCorruptBatch, len(b))
	}
	if err := b.CheckCRC(); err != nil {
		return dst, 0, err
	}
	if b.IsControl() {
		return dst, 0, nil
	}
	if c := b.Compression(); c > LZ4 {
		return dst, 0, fmt.Errorf("%w: %v in message format %d", ErrUnsupportedCompression, c, d.Magic)
	}
	if err := d.it.Reset(b, d.Limit); err != nil {
		return dst, 0, err
	}
	w := messageWriter{magic: d.Magic}
	if d.Magic > 0 && b.TimestampType() == LogAppendTime {
		w.attributes = byte(logAppendTimeBit)
	}
	if b.Compression() == None {
		return d.plain(dst, w)
	}
	return d.wrapped(dst, w, b)
}

// plain appends one message for each record.
func (d *Down) plain(dst []byte, w messageWriter) ([]byte, int, error) {
	start, records := len(dst), 0
	for len(dst)-start < d.MaxBytes && d.it.Next() {
		r := &d.it.Record
		if r.Offset < d.From {
			continue
		}
		dst = w.append(dst, r.Offset, r.Timestamp, r.Key, r.Value)
		records++
	}
	if err := d.it.Err(); err != nil {
		return dst[:start], 0, err
	}
	return dst, records, nil
}

// wrapped appends one compressed message. Inside, format 1 counts offsets from
// the first of them; the wrapper tells the last.
func (d *Down) wrapped(dst []byte, w messageWriter, b Batch) ([]byte, int, error) {
	if d.inner == nil {
		d.inner = getScratch()
	}
	set := (*d.inner)[:0]
	var first, last int64
	records, newest := 0, NoTimestamp
	for ; d.it.Next(); records++ {
		r := &d.it.Record
		if records == 0 {
			first = r.Offset
		}
		last, newest = r.Offset, max(newest, r.Timestamp)
		offset := r.Offset
		if d.Magic > 0 {
			offset -= first
		}
		set = w.append(set, offset, r.Timestamp, r.Key, r.Value)
	}
	*d.inner = set
	if err := d.it.Err(); err != nil || records == 0 {
		return dst, 0, err
	}
	dst, err := w.wrap(dst, last, newest, b.Compression(), set)
	if err != nil {
		return dst, 0, err
	}
	return dst, records, nil
}

// Close gives the buffers back. The Down may be used again afterwards.
func (d *Down) Close() {
	d.it.Close()
	if d.inner != nil {
		putScratch(d.inner)
		d.inner = nil
	}
}
