package server

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket gives access to the system calls of a TCP connection: reads that take
// a buffer only once there is something to read, writes that do not wait, and
// writes that announce more. Reading and writing may happen at the same time,
// but each on one goroutine only.
type socket struct {
	raw syscall.RawConn

	// The callbacks are made once: a closure per call would be an allocation
	// per call.
	onRead, onWrite, onSend func(fd uintptr) bool

	in      *input // read
	n       int
	readErr error

	out      []byte // write
	more     bool
	wait     bool
	writeErr error

	file         int // SendFile
	offset, left int64
}

// newSocket returns nil when the connection has no such access.
func newSocket(c net.Conn, in *input) *socket {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw, in: in}
	s.onRead, s.onWrite, s.onSend = s.readReady, s.writeReady, s.sendReady
	return s
}

// read appends to in what there is, after waiting for it if need be.
func (s *socket) read() (int, error) {
	s.n, s.readErr = 0, nil
	if err := s.raw.Read(s.onRead); err != nil {
		return 0, err
	}
	return s.n, s.readErr
}

// readReady runs with the descriptor's read lock held; false waits.
func (s *socket) readReady(fd uintptr) bool {
	if s.readErr = s.in.acquire(); s.readErr != nil {
		return true
	}
	for {
		n, err := unix.Read(int(fd), s.in.space())
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			s.in.park()
			return false
		case err != nil:
			s.readErr = err
		case n == 0:
			s.readErr = io.EOF
		default:
			s.n = n
		}
		return true
	}
}

// write sends b. With more, the kernel may hold it back until the next write.
// Without wait it stops where it would block. It returns what was not sent.
func (s *socket) write(b []byte, more, wait bool) ([]byte, error) {
	s.out, s.more, s.wait, s.writeErr = b, more, wait, nil
	err := s.raw.Write(s.onWrite)
	if err == nil {
		err = s.writeErr
	}
	rest := s.out
	s.out = nil
	return rest, err
}

// writeReady runs with the descriptor's write lock held; false waits.
func (s *socket) writeReady(fd uintptr) bool {
	for len(s.out) > 0 {
		n, err := s.send(int(fd))
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return !s.wait
		case err != nil:
			s.writeErr = err
			return true
		default:
			s.out = s.out[n:]
		}
	}
	return true
}

func (s *socket) send(fd int) (int, error) {
	if s.more {
		return unix.SendmsgN(fd, s.out, nil, nil, unix.MSG_MORE|unix.MSG_NOSIGNAL)
	}
	return unix.Write(fd, s.out)
}

// Write implements io.Writer.
func (s *socket) Write(b []byte) (int, error) {
	rest, err := s.write(b, false, true)
	return len(b) - len(rest), err
}

// SendFile sends a range of a file without copying it through user space. The
// file's own position is neither used nor moved.
func (s *socket) SendFile(fd uintptr, offset, length int64) (int64, error) {
	s.file, s.offset, s.left, s.writeErr = int(fd), offset, length, nil
	err := s.raw.Write(s.onSend)
	if err == nil {
		err = s.writeErr
	}
	return length - s.left, err
}

// maxSend is how much one system call is asked to send.
const maxSend = 1 << 30

// sendReady runs with the descriptor's write lock held; false waits.
func (s *socket) sendReady(fd uintptr) bool {
	for s.left > 0 {
		n, err := unix.Sendfile(int(fd), s.file, &s.offset, int(min(s.left, maxSend)))
		switch {
		case n > 0:
			s.left -= int64(n) // the kernel has moved offset
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return false
		default:
			if err == nil {
				err = errShortFile
			}
			s.writeErr = err
			return true
		}
	}
	return true
}
