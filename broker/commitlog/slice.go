package commitlog

import "io"

// Slice is a run of bytes of one segment file, found by Log.Read. It keeps the
// file open until Release. It is not safe for concurrent use.
type Slice struct {
	size int
}

// Size is the number of bytes.
func (s *Slice) Size() int { return s.size }

// FirstOffset is the base offset of the first batch, -1 for an empty slice.
func (s *Slice) FirstOffset() int64 { return -1 }

// UpperOffset is an exclusive upper bound of the offsets in the slice, for
// AbortedTransactions; it may lie a little higher than needed.
func (s *Slice) UpperOffset() int64 { return -1 }

// WriteTo sends the bytes to w. A *net.TCPConn, or a writer that is a
// vfs.FileSender, is served with sendfile at an explicit offset; any other
// writer gets copies. It may be called again for a retry from the start.
func (s *Slice) WriteTo(w io.Writer) (int64, error) { return 0, ErrClosed }

// ReadInto copies the bytes into dst, which must have room for Size bytes.
func (s *Slice) ReadInto(dst []byte) (int, error) { return 0, ErrClosed }

// Bytes appends the bytes to dst, as small slices are best put into a response
// buffer (below about 32 KiB).
func (s *Slice) Bytes(dst []byte) ([]byte, error) { return dst, ErrClosed }

// Release gives the file back. It may be called more than once.
func (s *Slice) Release() {}
