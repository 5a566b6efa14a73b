package api

import (
	"errors"

	"github.com/leatstream/leat/broker/record"
)

// First version of Fetch that reads format 1; older ones read format 0.
const fetchFormat1 = 2

// maxOldAnswer bounds the converted records of one answer, which are held in
// memory until they are sent, in bytes. A single message may be larger.
const maxOldAnswer = 32 << 20

// converts reports whether the client reads only older message formats.
func (c *fetchCall) converts() bool { return c.r.Header.Version < fetchBatches }

// readLimit is how many bytes to read for a client that reads older formats and
// wants at most limit. The stored batch with the wanted record is read whole:
// messages that fit may be cut out of it.
func (c *fetchCall) readLimit(topic string, limit int32) int32 {
	if !c.converts() || limit <= 0 {
		return limit
	}
	return max(min(limit, maxOldAnswer), c.a.Configs.Topic(topic).MaxMessageBytes)
}

// convert turns the batches that were read for an item into messages of the
// client's format.
//
// Only whole messages are sent. The first one is sent also beyond the limits where
// the batch that it comes from is within them, since conversion may have made it
// larger, and from version 3 on in any case; before that a limit that is too low
// gives no message.
func (c *fetchCall) convert(item *fetchItem) error {
	v := c.r.Header.Version
	limit := max(0, min(int(item.want.MaxBytes), c.left))
	first := !c.oldSent
	item.converted = true
	if limit == 0 && !(first && v >= fetchSoftLimit) {
		return nil
	}
	defer c.a.beginConversion()()
	var err error
	if c.raw, err = item.records.Records.Bytes(c.raw[:0]); err != nil {
		return readFailure(err)
	}
	size, _ := record.BatchSize(c.raw)
	first = first && (v >= fetchSoftLimit || size <= int(item.want.MaxBytes)) || size <= limit
	start := len(c.old)
	d := record.Down{From: item.want.FetchOffset, Limit: maxConverted}
	defer d.Close()
	if v >= fetchFormat1 {
		d.Magic = 1
	}
	records, err := c.convertBatches(&d, c.raw, start+limit)
	if err != nil && !errors.Is(err, record.ErrUnsupportedCompression) {
		item.records.Records.Suspect()
	}
	if err != nil && len(c.old) == start {
		if !errors.Is(err, record.ErrUnsupportedCompression) { // not the log's fault
			c.a.Log.Warn("records cannot be converted to an older message format", "topic", item.name,
				"partition", item.key.index, "offset", item.want.FetchOffset, "err", err)
		}
		return err
	}
	c.old = c.old[:start+fit(c.old[start:], limit, first)]
	item.old = c.old[start:len(c.old):len(c.old)]
	c.left -= len(item.old)
	c.oldSent = c.oldSent || len(item.old) > 0
	c.a.topics.converted(item.name, fetchConversions, int64(records))
	return nil
}

// convertBatches appends the messages of batches to c.old up to the first that
// ends beyond end bytes, or to a cut batch. An error is that of the first bad
// batch; what stands before it was converted.
func (c *fetchCall) convertBatches(d *record.Down, batches []byte, end int) (records int, err error) {
	for len(c.old) <= end {
		b, rest, err := record.Next(batches)
		if errors.Is(err, record.ErrTruncated) || err == nil && b == nil {
			return records, nil
		}
		if err != nil {
			return records, err
		}
		var n int
		if b.LastOffset() >= d.From {
			d.MaxBytes = end + 1 - len(c.old)
			if c.old, n, err = d.Convert(c.old, b); err != nil {
				return records, err
			}
		}
		records += n
		batches = rest
	}
	return records, nil
}

// fit is how much of a set of messages is sent under limit: all whole messages
// that fit, with first at least one.
func fit(set []byte, limit int, first bool) int {
	if len(set) <= limit {
		return len(set)
	}
	n := 0
	for {
		m, _, err := record.NextMessage(set[n:])
		if err != nil || m == nil || n+len(m) > limit && (n > 0 || !first) {
			return n
		}
		n += len(m)
	}
}
