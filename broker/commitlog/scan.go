package commitlog

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/leatstream/leat/broker/record"
)

const (
	headerChunk = 4 << 10   // read-ahead when only headers are wanted
	batchChunk  = 256 << 10 // read-ahead when whole batches are wanted
	maxScanBuf  = 4 << 20   // larger buffers are not kept
)

// scanner walks the batches of [pos, end) of a log file. It is reused through
// a pool and not safe for concurrent use.
type scanner struct {
	f     io.ReaderAt
	pos   int64 // of the current batch
	end   int64
	chunk int
	buf   []byte // file bytes [at, at+len(buf))
	at    int64
}

var scanners = sync.Pool{New: func() any { return new(scanner) }}

func newScanner(f io.ReaderAt, pos, end int64, chunk int) *scanner {
	s := scanners.Get().(*scanner)
	s.f, s.pos, s.end, s.chunk = f, pos, end, chunk
	s.buf, s.at = s.buf[:0], pos
	return s
}

func (s *scanner) free() {
	s.f = nil
	if cap(s.buf) > maxScanBuf {
		s.buf = nil
	}
	scanners.Put(s)
}

// window gives n bytes at pos, reading ahead. n must not pass end.
func (s *scanner) window(n int) ([]byte, error) {
	if lo := s.pos - s.at; lo >= 0 && lo+int64(n) <= int64(len(s.buf)) {
		return s.buf[lo : lo+int64(n)], nil
	}
	want := int(min(int64(max(n, s.chunk)), s.end-s.pos))
	if cap(s.buf) < want {
		s.buf = make([]byte, want)
	}
	s.buf, s.at = s.buf[:want], s.pos
	got, err := s.f.ReadAt(s.buf, s.pos)
	s.buf = s.buf[:got]
	if got >= n {
		return s.buf[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = record.ErrTruncated // the file is shorter than expected
	}
	return nil, err
}

// header gives the header of the batch at pos and the batch's size. At the end
// it gives io.EOF; bytes that are no batch give record.ErrTruncated or
// ErrCorruptBatch. The view is valid until the next call.
func (s *scanner) header() (record.Batch, int, error) {
	switch left := s.end - s.pos; {
	case left == 0:
		return nil, 0, io.EOF
	case left < record.HeaderSize:
		return nil, 0, record.ErrTruncated
	}
	b, err := s.window(record.HeaderSize)
	if err != nil {
		return nil, 0, err
	}
	size, err := record.BatchSize(b)
	if err != nil {
		return nil, 0, fmt.Errorf("position %d: %w", s.pos, err)
	}
	if int64(size) > s.end-s.pos {
		return nil, 0, record.ErrTruncated
	}
	return record.Batch(b), size, nil
}

// batch gives the whole batch at pos; errors as for header.
func (s *scanner) batch() (record.Batch, error) {
	_, size, err := s.header()
	if err != nil {
		return nil, err
	}
	b, err := s.window(size)
	return record.Batch(b), err
}

// skip moves on by one batch of the given size.
func (s *scanner) skip(size int) { s.pos += int64(size) }

// badBytes tells whether err is about the bytes of the file rather than about
// reading them.
func badBytes(err error) bool {
	return errors.Is(err, record.ErrTruncated) || errors.Is(err, record.ErrCorruptBatch) ||
		errors.Is(err, record.ErrUnsupportedFormat) || errors.Is(err, record.ErrInvalidRecord)
}
