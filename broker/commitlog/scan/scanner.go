package scan

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/leatstream/leat/broker/record"
)

// How many bytes to read ahead.
const (
	HeaderChunk = 4 << 10   // when only headers are wanted
	BatchChunk  = 256 << 10 // when whole batches are wanted
)

// maxScanBuf bounds the buffers that are kept.
const maxScanBuf = 4 << 20

// Scanner walks the batches of [pos, end) of a log file. It is reused through
// a pool and not safe for concurrent use.
type Scanner struct {
	f     io.ReaderAt
	Pos   int64 // of the current batch; may be set to where another one begins
	End   int64 // no batch reaches beyond
	chunk int
	buf   []byte // file bytes [at, at+len(buf))
	at    int64
}

var scanners = sync.Pool{New: func() any { return new(Scanner) }}

// New gives a scanner of the batches of f from pos to end, which reads chunk
// bytes ahead. It must be freed.
func New(f io.ReaderAt, pos, end int64, chunk int) *Scanner {
	s := scanners.Get().(*Scanner)
	s.f, s.Pos, s.End, s.chunk = f, pos, end, chunk
	s.buf, s.at = s.buf[:0], pos
	return s
}

// Free gives the scanner back; batches that it gave are valid no longer.
func (s *Scanner) Free() {
	s.f = nil
	if cap(s.buf) > maxScanBuf {
		s.buf = nil
	}
	scanners.Put(s)
}

// window gives n bytes at pos, reading ahead. n must not pass end.
func (s *Scanner) window(n int) ([]byte, error) {
	var kept []byte // what is here already is not read again
	if lo := s.Pos - s.at; lo >= 0 && lo < int64(len(s.buf)) {
		kept = s.buf[lo:]
	}
	if len(kept) >= n {
		return kept[:n], nil
	}
	want := int(min(int64(max(n, s.chunk)), s.End-s.Pos))
	buf := s.buf
	if cap(buf) < want {
		buf = make([]byte, want)
	}
	have := copy(buf[:want], kept)
	s.buf, s.at = buf[:want], s.Pos
	got, err := s.f.ReadAt(s.buf[have:], s.Pos+int64(have))
	got += have
	s.buf = s.buf[:got]
	if got >= n {
		return s.buf[:n], nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = record.ErrTruncated // the file is shorter than expected
	}
	return nil, err
}

// Header gives the header of the batch at pos and the batch's size. At the end
// it gives io.EOF; bytes that are no batch give record.ErrTruncated or
// record.ErrCorruptBatch. The view is valid until the next call.
func (s *Scanner) Header() (record.Batch, int, error) {
	switch left := s.End - s.Pos; {
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
		return nil, 0, fmt.Errorf("position %d: %w", s.Pos, err)
	}
	if int64(size) > s.End-s.Pos {
		return nil, 0, record.ErrTruncated
	}
	return record.Batch(b), size, nil
}

// Batch gives the whole batch at pos; errors as for header.
func (s *Scanner) Batch() (record.Batch, error) {
	_, size, err := s.Header()
	if err != nil {
		return nil, err
	}
	b, err := s.window(size)
	return record.Batch(b), err
}

// Skip moves on by one batch of the given size.
func (s *Scanner) Skip(size int) { s.Pos += int64(size) }

// Batches calls visit for each whole batch of a log file of the given size,
// with its position, in order. The batch is valid during the call; its checksum
// was not looked at. An error of visit ends the scan and is returned; io.EOF from
// visit ends it without an error. Bytes that are no batch give record.ErrTruncated,
// record.ErrCorruptBatch or record.ErrUnsupportedFormat and, with it, their position.
func Batches(f io.ReaderAt, size int64, visit func(pos int64, b record.Batch) error) (pos int64, err error) {
	sc := New(f, 0, size, BatchChunk)
	defer sc.Free()
	for {
		b, err := sc.Batch()
		if err == nil {
			err = visit(sc.Pos, b)
		}
		if errors.Is(err, io.EOF) {
			return sc.Pos, nil
		}
		if err != nil {
			return sc.Pos, err
		}
		sc.Skip(len(b))
	}
}

// BadBytes tells whether err is about the bytes of the file rather than about
// reading them.
func BadBytes(err error) bool {
	return errors.Is(err, record.ErrTruncated) || errors.Is(err, record.ErrCorruptBatch) ||
		errors.Is(err, record.ErrUnsupportedFormat) || errors.Is(err, record.ErrInvalidRecord)
}
