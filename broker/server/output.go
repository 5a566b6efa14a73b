package server

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/leatstream/leat/broker/wire"
)

const (
	// outSize is how many bytes of answers are gathered for one write.
	outSize = 32 << 10
	// copyMax is the largest piece that is copied rather than written from
	// where it is.
	copyMax = 16 << 10
	// headMax bounds size and header of a response.
	headMax = 16
)

var errShortFile = errors.New("file part ended early")

// outBuffers pools the memory in which answers are gathered.
type outBuffers struct{ pool sync.Pool }

func (p *outBuffers) get() *[outSize]byte {
	if b, ok := p.pool.Get().(*[outSize]byte); ok {
		return b
	}
	return new([outSize]byte)
}

func (p *outBuffers) put(b *[outSize]byte) { p.pool.Put(b) }

// output gathers answers and writes them. It belongs to whoever holds the right
// to write.
type output struct {
	mem *[outSize]byte // lent while something is gathered
	n   int            // mem[:n] is not written yet
	all bool           // copy large pieces too: the writer must not wait
}

// flush writes the answers that are due, until none is left, unless somebody
// else does so already or the connection's goroutine is serving and will do it.
// That goroutine (own) may wait for the client; anybody else hands over to a
// goroutine of its own when it would have to.
func (c *Conn) flush(own bool) {
	c.mu.Lock()
	if c.writing || c.serving || c.dead {
		c.mu.Unlock()
		return
	}
	due := c.queue.answered()
	c.writing = due.head != nil
	c.mu.Unlock()
	if due.head != nil {
		c.writeAll(due, own)
	}
}

// writeAll writes due and all that becomes due meanwhile, then gives up the
// right to write.
func (c *Conn) writeAll(due chain, own bool) {
	for due.head != nil {
		if !own && !c.small(due) {
			go c.writeAll(due, true)
			return
		}
		start := c.server.clock()
		c.active.Store(int64(start)) // the client's time to take the answer begins
		rest, err := c.writeChain(due, own)
		if len(rest) > 0 && err == nil {
			go c.writeBacklog(due, rest, start)
			return
		}
		due = c.written(due, start, err)
	}
}

// writeBacklog writes what a writer that must not wait has left of due, and
// goes on from there.
func (c *Conn) writeBacklog(due chain, rest []byte, start time.Duration) {
	_, err := c.write(rest, false, true)
	c.writeAll(c.written(due, start, err), true)
}

// small reports whether the answers fit one write that can be tried without
// waiting.
func (c *Conn) small(l chain) bool {
	if c.sock == nil {
		return false
	}
	size := 0
	for r := l.head; r != nil; r = r.next {
		for i := range r.resp.Parts {
			if r.resp.Parts[i].File != nil {
				return false
			}
		}
		if size += headMax + r.resp.size(); size > outSize {
			return false
		}
	}
	return true
}

// written finishes the requests of due, whose writing began at start, and
// returns those that are due by now. When there are none, when the connection
// has come to its end, or when its goroutine is serving (a request that it is
// about to touch must not be recycled), the right to write is given up.
func (c *Conn) written(due chain, start time.Duration, err error) (more chain) {
	now := c.server.clock()
	c.active.Store(int64(now))
	c.giveBack()
	for r := due.head; r != nil; r = r.next {
		r.observe(start, now)
	}
	due.release()
	closing := due.tail.state == requestClose
	if closing && err == nil {
		err = due.tail.err
		c.logAnswerClose(err)
	} else if err != nil {
		c.logWriteError(err)
	}
	if closing || err != nil {
		c.kill()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dead {
		c.queue.recycle(due)
		if !c.serving {
			more = c.queue.answered()
		}
	}
	c.writing = more.head != nil
	c.cond.Broadcast()
	return more
}

// giveBack returns the memory of an output that has nothing left to write.
func (c *Conn) giveBack() {
	if c.out.mem != nil {
		c.server.out.put(c.out.mem)
	}
	c.out = output{}
}

func (c *Conn) logAnswerClose(err error) {
	if err != nil {
		c.server.log.Warn("closing connection", "remote", c.remote(), "listener", c.listener.name, "err", err)
	}
}

func (c *Conn) logWriteError(err error) {
	if !isDisconnect(err) && !c.isDead() {
		c.server.log.Warn("closing connection: write failed", "remote", c.remote(), "listener", c.listener.name, "err", err)
	}
}

// writeChain writes the answers of l. Without wait, which is for small chains
// only, it returns what could not be written at once.
func (c *Conn) writeChain(l chain, wait bool) (rest []byte, err error) {
	c.out.all = !wait
	for r := l.head; r != nil; r = r.next {
		if r.state != requestReply {
			continue
		}
		if err = c.writeResponse(r); err != nil {
			return nil, err
		}
	}
	if c.out.n == 0 {
		return nil, nil
	}
	b := c.out.mem[:c.out.n]
	c.out.n = 0
	return c.write(b, false, wait)
}

// writeResponse gathers the answer of r, and writes what does not fit.
func (c *Conn) writeResponse(r *Request) error {
	if err := c.reserve(headMax); err != nil {
		return err
	}
	b := c.out.mem[c.out.n:c.out.n:outSize]
	b = append(b, 0, 0, 0, 0)
	b = wire.AppendResponseHeader(b, r.Header)
	size := len(b) - 4 + r.resp.size()
	if size > maxResponse {
		return fmt.Errorf("response of %d bytes is too large", size)
	}
	binary.BigEndian.PutUint32(b, uint32(size))
	c.out.n += len(b)
	if err := c.gather(r.resp.Body, len(r.resp.Parts) > 0); err != nil {
		return err
	}
	for i := range r.resp.Parts {
		p := &r.resp.Parts[i]
		var err error
		if p.File != nil {
			err = c.writeFile(p.File)
		} else {
			err = c.gather(p.Bytes, i < len(r.resp.Parts)-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxResponse is the largest size that a frame can announce.
const maxResponse = 1<<31 - 1

// gather copies b to the output, or writes it when it is large. more says that
// the response goes on.
func (c *Conn) gather(b []byte, more bool) error {
	if len(b) > copyMax && !c.out.all {
		if err := c.push(true); err != nil {
			return err
		}
		_, err := c.write(b, more, true)
		return err
	}
	if err := c.reserve(len(b)); err != nil {
		return err
	}
	c.out.n += copy(c.out.mem[c.out.n:], b)
	return nil
}

// writeFile sends a file part after what was gathered.
func (c *Conn) writeFile(f File) error {
	size := f.Size()
	if size == 0 {
		return nil
	}
	if err := c.push(true); err != nil {
		return err
	}
	n, err := f.WriteTo(c.files())
	if err == nil && n != int64(size) {
		err = fmt.Errorf("%w: %d of %d bytes", errShortFile, n, size)
	}
	c.touch()
	return err
}

// files is where file parts are written to.
func (c *Conn) files() io.Writer {
	if c.sock != nil {
		return c.sock
	}
	return c.nc
}

// reserve makes room for n bytes in the output.
func (c *Conn) reserve(n int) error {
	if c.out.mem == nil {
		c.out.mem = c.server.out.get()
	}
	if c.out.n+n <= outSize {
		return nil
	}
	return c.push(false)
}

// push writes what was gathered.
func (c *Conn) push(more bool) error {
	if c.out.n == 0 {
		return nil
	}
	b := c.out.mem[:c.out.n]
	c.out.n = 0
	_, err := c.write(b, more, true)
	return err
}

// write sends b. Without wait it may stop early and returns the rest.
func (c *Conn) write(b []byte, more, wait bool) (rest []byte, err error) {
	if c.sock != nil {
		return c.sock.write(b, more, wait)
	}
	n, err := c.nc.Write(b)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return b[n:], err
}
