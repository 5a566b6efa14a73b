package server

import (
	"encoding/binary"
	"errors"
	"fmt"
)

var (
	errFrameSize = errors.New("frame size out of range")
	// errNoBuffer asks the reader to wait for buffer memory outside of the
	// socket's lock.
	errNoBuffer = errors.New("no buffer memory within the budget")
)

// stashSize is how many bytes of a frame a connection keeps without a buffer.
const stashSize = 64

// input holds what a connection has read and not served yet. It belongs to the
// connection's goroutine.
type input struct {
	pool *pool
	buf  buffer
	r, w int // buf.b[r:w] is not served yet
	// hint is a decaying maximum of the sizes of the frames: the size of the
	// next buffer.
	hint int
	// need is how many bytes from r on the frame that is incomplete takes, zero
	// when not even its size is known.
	need int

	// stash holds the few bytes of a frame that had come when the connection
	// had to wait, so that it can wait without a buffer.
	stash  [stashSize]byte
	stashN int
}

// acquire makes sure that there is a buffer.
func (in *input) acquire() error {
	if in.buf.b != nil {
		return nil
	}
	b, ok := in.pool.tryGet(max(minBuffer, min(in.hint, maxPooled), in.need))
	if !ok {
		return errNoBuffer
	}
	in.adopt(b)
	return nil
}

// wait is acquire when acquire has refused: it waits for the budget.
func (in *input) wait(gone func() bool) error {
	b, err := in.pool.swap(buffer{}, max(minBuffer, in.need), gone)
	if err != nil {
		return err
	}
	in.adopt(b)
	return nil
}

func (in *input) adopt(b buffer) {
	in.buf = b
	in.r, in.w = 0, copy(b.b, in.stash[:in.stashN])
	in.stashN = 0
}

// park gives the buffer back when what it holds fits the stash.
func (in *input) park() {
	if in.buf.b == nil || in.w-in.r > stashSize {
		return
	}
	in.stashN = copy(in.stash[:], in.buf.b[in.r:in.w])
	in.drop()
}

// drop gives the buffer back with all that it holds.
func (in *input) drop() {
	if in.buf.b != nil {
		in.pool.put(in.buf)
	}
	in.buf, in.r, in.w = buffer{}, 0, 0
}

// space returns where to read to. There is at least one byte of it once room
// has been called.
func (in *input) space() []byte { return in.buf.b[in.w:] }

// room makes room for the rest of the frame that is incomplete: at the end of
// the buffer, by moving the frame to its front, or in a larger buffer.
func (in *input) room(gone func() bool) error {
	if in.buf.b == nil {
		return nil
	}
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
	need := max(in.need, 4)
	if in.r+need <= len(in.buf.b) && in.w < len(in.buf.b) {
		return nil
	}
	if need <= len(in.buf.b) {
		in.w = copy(in.buf.b, in.buf.b[in.r:in.w])
		in.r = 0
		return nil
	}
	old := in.buf
	b, err := in.pool.swap(old, need, gone)
	if err != nil {
		return err
	}
	in.buf = b
	in.w = copy(b.b, old.b[in.r:in.w])
	in.r = 0
	in.pool.recycle(old)
	return nil
}

// next returns the next complete frame without its size, or nil. The frame is a
// view into the buffer, valid until the next read.
func (in *input) next(limit int) ([]byte, error) {
	have := in.w - in.r
	if have < 4 {
		in.need = 0
		return nil, nil
	}
	size := int(int32(binary.BigEndian.Uint32(in.buf.b[in.r:])))
	if size < 0 || size > limit {
		if looksLikeTLS(in.buf.b[in.r:in.w]) {
			return nil, fmt.Errorf("%w: the client speaks TLS, this listener does not", errFrameSize)
		}
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d are taken", errFrameSize, size, limit)
	}
	if have < 4+size {
		in.need = 4 + size
		return nil, nil
	}
	frame := in.buf.b[in.r+4 : in.r+4+size : in.r+4+size]
	in.r += 4 + size
	in.need = 0
	in.hint = max(4+size, in.hint-in.hint/8)
	return frame, nil
}
