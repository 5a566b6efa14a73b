package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxSendfile bounds one sendfile call, so that a slow reader cannot make the
// kernel pin more than this at once.
const maxSendfile = 4 << 20

// Sender sends file ranges over one socket with sendfile(2) at explicit
// offsets. It allocates once, in NewSender; it is not safe for concurrent use.
type Sender struct {
	conn   syscall.RawConn
	fd     int
	offset int64
	left   int64
	err    error
	step   func(sock uintptr) bool // s.write, kept to avoid a closure per call
}

// NewSender returns a Sender for a socket such as *net.TCPConn.
func NewSender(conn syscall.Conn) (*Sender, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Sender{conn: raw}
	s.step = s.write
	return s, nil
}

// SendFile implements FileSender. It blocks until the range is sent, the
// socket's write deadline passes, or an error occurs.
func (s *Sender) SendFile(fd uintptr, offset, length int64) (int64, error) {
	s.fd, s.offset, s.left, s.err = int(fd), offset, length, nil
	err := s.conn.Write(s.step)
	if err == nil {
		err = s.err
	}
	return length - s.left, err
}

// write sends as much as the socket takes; false means "wait until writable".
func (s *Sender) write(sock uintptr) bool {
	for s.left > 0 {
		n, err := unix.Sendfile(int(sock), s.fd, &s.offset, int(min(s.left, maxSendfile)))
		if n > 0 {
			s.left -= int64(n) // the kernel moved s.offset
			continue
		}
		switch {
		case errors.Is(err, unix.EAGAIN):
			return false
		case errors.Is(err, unix.EINTR):
		case err != nil:
			s.err = os.NewSyscallError("sendfile", err)
			return true
		default:
			s.err = io.ErrUnexpectedEOF
			return true
		}
	}
	return true
}
