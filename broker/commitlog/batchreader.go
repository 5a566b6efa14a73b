package commitlog

import (
	"errors"
	"fmt"
	"io"

	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
)

// BatchReader walks the batches of sealed segments in order, with their
// checksums verified. It is not safe for concurrent use and must be closed.
type BatchReader struct {
	log       *Log
	list      []*segment
	at        int   // place of the current segment in list
	from      int64 // batches that end below are skipped
	cuts      int64 // Log.cuts when the walk began
	h         *logfile.Handle
	sc        *scan.Scanner
	size      int // of the batch given last
	readAhead int
}

// ReadBatches gives a reader over the sealed segments that hold offsets of
// [from, to); it begins with the batch that contains from.
func (l *Log) ReadBatches(from, to int64) (*BatchReader, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	cuts := l.cuts.Load()
	list := *l.segments.Load()
	i := floorSegment(list, from)
	j := i
	for j < len(list)-1 && list[j].base < to {
		j++
	}
	return &BatchReader{log: l, list: list[i:j], at: -1, from: from, cuts: cuts, readAhead: scan.BatchChunk}, nil
}

// Next gives the next batch, valid until the following call, and io.EOF at the
// end. Bytes that are no intact batch give ErrCorruptBatch; ErrSegmentsChanged
// says that the segments were removed or cut meanwhile, ErrClosed that the log
// was closed or deleted.
func (r *BatchReader) Next() (record.Batch, error) {
	b, err := r.next()
	if uerr := r.log.usable(); uerr != nil {
		return nil, uerr
	}
	if r.log.cuts.Load() != r.cuts || errors.Is(err, ErrClosed) {
		return nil, fmt.Errorf("%w: %v", ErrSegmentsChanged, r.log.tp)
	}
	if err == nil || err == io.EOF {
		return b, err
	}
	segment, pos := r.Position()
	if scan.BadBytes(err) {
		if r.sc != nil {
			r.log.checkRange(r.list[r.at], pos, pos+1, foundByRead)
		}
		return nil, fmt.Errorf("%w: %v: segment %d, position %d: %w", ErrCorruptBatch, r.log.tp, segment, pos, err)
	}
	return nil, fmt.Errorf("%w: %v: segment %d: %w", ErrStorage, r.log.tp, segment, err)
}

func (r *BatchReader) next() (record.Batch, error) {
	for {
		if r.sc == nil {
			if err := r.open(); err != nil {
				return nil, err
			}
		}
		r.sc.Skip(r.size)
		r.size = 0
		b, err := r.sc.Batch()
		if err == io.EOF {
			r.closeSegment()
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := b.CheckCRC(); err != nil {
			return nil, err
		}
		r.size = len(b)
		return b, nil
	}
}

// open goes on to the next segment.
func (r *BatchReader) open() error {
	if r.at+1 >= len(r.list) {
		return io.EOF
	}
	r.at++
	s := r.list[r.at]
	h, err := s.file.Acquire()
	if err != nil {
		return err
	}
	pos, size := int64(0), s.size.Load()
	if r.from > s.base {
		at, ok, err := s.locate(h.File, r.from, size, r.log.cfg.Load().IndexIntervalBytes)
		if err != nil {
			return errors.Join(err, h.Release())
		}
		if pos = at.pos; !ok {
			pos = size
		}
	}
	r.h, r.sc, r.size = h, scan.New(h.File, pos, size, r.readAhead), 0
	return nil
}

// Last tells whether the batch given last ends the last segment of the walk.
func (r *BatchReader) Last() bool {
	if r.sc == nil || r.sc.Pos+int64(r.size) < r.sc.End {
		return false
	}
	for _, s := range r.list[r.at+1:] {
		if s.size.Load() > 0 {
			return false
		}
	}
	return true
}

// Position is where the batch given last, or the damage found, lies: the base
// offset of its segment and the place in the file.
func (r *BatchReader) Position() (segment, pos int64) {
	if r.sc == nil {
		return -1, -1
	}
	return r.list[r.at].base, r.sc.Pos
}

// Close ends the walk.
func (r *BatchReader) Close() { r.closeSegment() }

func (r *BatchReader) closeSegment() {
	if r.sc == nil {
		return
	}
	r.sc.Free()
	_ = r.h.Release() // the file was only read
	r.sc, r.h, r.size = nil, nil, 0
}
