package logfile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/vfs"
)

// Source has bytes of its file checked that somebody could make no sense of.
type Source interface {
	Suspect(pos, size int64)
}

// Slice is a run of bytes of one log file, whole batches but for the last one. It
// keeps the file open until Release. It is not safe for concurrent use.
type Slice struct {
	h      *Handle // nil: empty
	source Source
	pos    int64
	size   int
	first  int64
	upper  int64
}

// NewSlice gives size bytes at pos of a file, which it releases. First is the base
// offset of the first batch, upper an exclusive bound of all offsets.
func NewSlice(h *Handle, source Source, pos int64, size int, first, upper int64) Slice {
	return Slice{h: h, source: source, pos: pos, size: size, first: first, upper: upper}
}

// Empty gives a slice without bytes.
func Empty(upper int64) Slice { return Slice{upper: upper} }

// Size is the number of bytes.
func (s *Slice) Size() int { return s.size }

// FirstOffset is the base offset of the first batch, -1 for an empty slice.
func (s *Slice) FirstOffset() int64 {
	if s.size == 0 {
		return -1
	}
	return s.first
}

// UpperOffset is an exclusive upper bound of the offsets in the slice, for
// AbortedTransactions; it may lie a little higher than needed.
func (s *Slice) UpperOffset() int64 { return s.upper }

// WriteTo sends the bytes to w. A *net.TCPConn, or a writer that is a
// vfs.FileSender, is served with sendfile at an explicit offset; any other
// writer gets copies. It may be called again for a retry from the start.
func (s *Slice) WriteTo(w io.Writer) (int64, error) {
	if s.size == 0 {
		return 0, nil
	}
	if s.h == nil {
		return 0, ErrClosed
	}
	if fd, ok := s.h.File.FD(); ok {
		sender, err := senderFor(w)
		if err != nil {
			return 0, err
		}
		if sender != nil {
			return sender.SendFile(fd, s.pos, int64(s.size))
		}
	}
	return s.copyTo(w)
}

// senderFor gives the zero-copy way to w, or nil when there is none.
func senderFor(w io.Writer) (vfs.FileSender, error) {
	if sender, ok := w.(vfs.FileSender); ok {
		return sender, nil
	}
	conn, ok := w.(*net.TCPConn)
	if !ok {
		return nil, nil
	}
	sender, err := vfs.NewSender(conn)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return sender, nil
}

// copySize is the chunk of a copying WriteTo, in bytes.
const copySize = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copySize]byte) }}

func (s *Slice) copyTo(w io.Writer) (int64, error) {
	buf := copyBuffers.Get().(*[copySize]byte)
	defer copyBuffers.Put(buf)
	sent := 0
	for sent < s.size {
		chunk := buf[:min(copySize, s.size-sent)]
		if err := s.readAt(chunk, sent); err != nil {
			return int64(sent), err
		}
		n, err := w.Write(chunk)
		sent += n
		if err != nil {
			return int64(sent), err
		}
	}
	return int64(sent), nil
}

// readAt fills p from the slice's at-th byte on.
func (s *Slice) readAt(p []byte, at int) error {
	n, err := s.h.File.ReadAt(p, s.pos+int64(at))
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF // truncated since Read
	}
	return fmt.Errorf("%w: %w", volume.ErrStorage, err)
}

// ReadInto copies the bytes into dst, which must have room for Size bytes.
func (s *Slice) ReadInto(dst []byte) (int, error) {
	if len(dst) < s.size {
		return 0, io.ErrShortBuffer
	}
	if s.size == 0 {
		return 0, nil
	}
	if s.h == nil {
		return 0, ErrClosed
	}
	return s.size, s.readAt(dst[:s.size], 0)
}

// Bytes appends the bytes to dst, as small slices are best put into a response
// buffer (below about 32 KiB).
func (s *Slice) Bytes(dst []byte) ([]byte, error) {
	at := len(dst)
	if cap(dst)-at < s.size {
		dst = append(dst, make([]byte, s.size)...)[:at]
	}
	_, err := s.ReadInto(dst[at : at+s.size])
	if err != nil {
		return dst, err
	}
	return dst[:at+s.size], nil
}

// Release gives the file back. It may be called more than once.
func (s *Slice) Release() {
	if s.h != nil {
		_ = s.h.Release() // the file was only read
		s.h = nil
	}
}

// Suspect has the bytes of a slice checked that did not convert.
func (s *Slice) Suspect() {
	if s.size > 0 && s.source != nil {
		s.source.Suspect(s.pos, int64(s.size))
	}
}
