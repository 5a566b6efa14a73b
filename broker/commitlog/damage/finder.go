package damage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/leatstream/leat/broker/record"
)

const (
	checkBuffer = 256 << 10 // bytes of the log file in memory at a time
	unreadable  = 4 << 10   // bytes that are given up where the disk reads none
	magicAt     = 16        // of the format byte in a batch
	crcFrom     = 21        // first byte that the checksum covers
)

// UnknownEnd is the bound of offsets in a segment that is the last.
const UnknownEnd = math.MaxInt64

// Bounds are what the batches of a segment's log file must keep.
type Bounds struct {
	Base    int64                    // offsets begin here
	Limit   int64                    // and end below; UnknownEnd: there is no next segment
	Size    int64                    // bytes of whole batches in the file
	EpochAt func(offset int64) int32 // the leader epoch of an offset, -1: unknown
	LogEnd  func() int64             // where the log ends, asked if Limit is UnknownEnd
}

// Finder reads a segment's log file batch by batch, framing, offsets, leader
// epochs and checksums, and tells which of its bytes are damaged. It holds little
// of the file in memory and is not safe for concurrent use.
type Finder struct {
	f      io.ReaderAt
	bounds Bounds

	Pos      int64 // where the next batch begins
	Read     int64 // bytes of the file so far
	expected int64 // offsets from here on may come
	sure     bool  // the batch before was intact, so that expected is exact
	buf      []byte
	at       int64 // position of buf
}

// NewFinder gives a finder at the beginning of a file.
func NewFinder(f io.ReaderAt, bounds Bounds) *Finder {
	return &Finder{f: f, bounds: bounds, expected: bounds.Base, sure: true, buf: make([]byte, 0, checkBuffer)}
}

// StartAt goes to pos, where a batch begins.
func (c *Finder) StartAt(pos int64) { c.Pos, c.expected, c.sure = pos, c.bounds.Base, pos == 0 }

// Done tells whether the end is reached.
func (c *Finder) Done() bool { return c.Pos >= c.bounds.Size }

// Next checks the batch at pos and moves on behind it, or gives the damage that
// begins there and moves on behind that. Of the batch only the header is given.
func (c *Finder) Next() (record.Batch, *Range) {
	b, err := c.intact(c.Pos, c.expected)
	if err == nil {
		c.Pos += int64(b.Size())
		c.expected, c.sure = b.LastOffset()+1, true
		return b, nil
	}
	d := &Range{Segment: c.bounds.Base, Position: c.Pos, First: c.expected, Err: err}
	d.End, d.Next = c.resync(c.Pos)
	c.Pos, c.expected, c.sure = d.End, d.Next, false
	return nil, d
}

// intact checks the batch at pos, whose offsets may not lie below expected. An
// error says what is wrong with it.
func (c *Finder) intact(pos, expected int64) (record.Batch, error) {
	b, err := c.header(pos)
	if err != nil {
		return nil, err
	}
	if err := c.fits(b, expected); err != nil {
		return nil, err
	}
	if c.sure && b.BaseOffset() > expected {
		// A gap, as compaction leaves it, or a base offset that is none: it is
		// outside the checksum, but what follows tells.
		if next, err := c.header(pos + int64(b.Size())); err == nil && next.BaseOffset() >= expected && next.BaseOffset() <= b.LastOffset() {
			return nil, fmt.Errorf("%w: offset %d before %d", record.ErrCorruptBatch, b.LastOffset(), next.BaseOffset())
		}
	}
	if known := c.bounds.EpochAt(b.BaseOffset()); known >= 0 && b.LeaderEpoch() >= 0 && b.LeaderEpoch() != known {
		return nil, fmt.Errorf("%w: leader epoch %d at offset %d, which is of epoch %d", record.ErrCorruptBatch, b.LeaderEpoch(), b.BaseOffset(), known)
	}
	return b, c.checksum(b, pos)
}

// fits checks the offsets of a batch against those around it.
func (c *Finder) fits(b record.Batch, expected int64) error {
	if first, last := b.BaseOffset(), b.LastOffset(); first < expected || last < first || last >= c.bounds.Limit {
		return fmt.Errorf("%w: offsets %d to %d, expected %d to %d", record.ErrCorruptBatch, first, last, expected, c.bounds.Limit-1)
	}
	return nil
}

// header reads the header of the batch at pos, into memory of its own, and
// checks that the batch ends within the segment.
func (c *Finder) header(pos int64) (record.Batch, error) {
	if c.bounds.Size-pos < record.HeaderSize {
		return nil, record.ErrTruncated
	}
	raw, err := c.bytes(pos, record.HeaderSize)
	if err != nil {
		return nil, err
	}
	size, err := record.BatchSize(raw)
	if err != nil {
		return nil, err
	}
	if int64(size) > c.bounds.Size-pos {
		return nil, record.ErrTruncated
	}
	return append(record.Batch(nil), raw[:record.HeaderSize]...), nil
}

// checksum computes the checksum of a batch piece by piece.
func (c *Finder) checksum(b record.Batch, pos int64) error {
	sum := uint32(0)
	table := crc32.MakeTable(crc32.Castagnoli)
	for at, end := pos+crcFrom, pos+int64(b.Size()); at < end; {
		p, err := c.bytes(at, 1)
		if err != nil {
			return err
		}
		p = p[:min(int64(len(p)), end-at)]
		sum = crc32.Update(sum, table, p)
		at += int64(len(p))
	}
	if sum != b.CRC() {
		return fmt.Errorf("%w: checksum %08x, computed %08x", record.ErrCorruptBatch, b.CRC(), sum)
	}
	return nil
}

// bytes gives at least n bytes at pos, which must lie within the segment, and
// whatever else is in memory.
func (c *Finder) bytes(pos int64, n int) ([]byte, error) {
	if lo := pos - c.at; lo >= 0 && lo+int64(n) <= int64(len(c.buf)) {
		return c.buf[lo:], nil
	}
	want := min(checkBuffer, c.bounds.Size-pos)
	c.buf, c.at = c.buf[:want], pos
	got, err := c.f.ReadAt(c.buf, pos)
	c.buf = c.buf[:got]
	c.Read += int64(got)
	if got >= n {
		return c.buf, nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return nil, record.ErrTruncated
	}
	return nil, err
}

// resync finds the next intact batch after damage at pos: where the damaged
// batch says that it ends, else at the first byte where one begins. It gives the
// place and the batch's offset, or the end of the segment.
func (c *Finder) resync(pos int64) (end, next int64) {
	sure := c.sure
	c.sure = false
	defer func() { c.sure = sure }()
	if b, err := c.header(pos); err == nil {
		after := pos + int64(b.Size())
		if after == c.bounds.Size {
			return c.bounds.Size, c.after()
		}
		if n, err := c.intact(after, c.expected); err == nil {
			return after, n.BaseOffset()
		}
	}
	for at := pos + 1; c.bounds.Size-at >= record.HeaderSize; {
		p, err := c.bytes(at, record.HeaderSize)
		if err != nil {
			c.Read += unreadable
			at += unreadable
			continue
		}
		i, ok := c.candidate(p)
		at += int64(i)
		if !ok {
			continue
		}
		if b, err := c.intact(at, c.expected); err == nil {
			return at, b.BaseOffset()
		}
		at++
	}
	return c.bounds.Size, c.after()
}

// after is the offset at which the next segment begins.
func (c *Finder) after() int64 {
	if c.bounds.Limit == UnknownEnd {
		return c.bounds.LogEnd()
	}
	return c.bounds.Limit
}

// candidate finds the first place in p at which the header of a batch of this
// segment could begin; without one, how far p was searched.
func (c *Finder) candidate(p []byte) (int, bool) {
	last := len(p) - record.HeaderSize
	for i := 0; i <= last; i++ {
		if p[i+magicAt] != record.Magic {
			continue
		}
		if base := int64(binary.BigEndian.Uint64(p[i:])); base >= c.expected && base < c.bounds.Limit {
			return i, true
		}
	}
	return last + 1, false
}
