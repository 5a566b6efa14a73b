package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/leatstream/leat/broker/wire"
)

// Conn is one connection.
type Conn struct {
	// State belongs to the handler, which may keep there what it learns about
	// the client. It may be used within Serve only.
	State any

	server   *Server
	nc       net.Conn
	sock     *socket   // nil: nc has no fast path
	raw      net.Conn  // below nc; nil where nc is it
	tls      *tls.Conn // nc; nil without TLS
	identity any       // set by the handshake
	listener *listener
	host     netip.Addr
	header   wire.HeaderParser
	in       input

	// throttle is how long to pause before the next request is served.
	throttle time.Duration
	// active is when bytes last went in or out, on the server's clock.
	active atomic.Int64

	mu    sync.Mutex
	cond  sync.Cond // queue, writing, ending or dead changed
	queue queue
	// serving: the connection's goroutine is serving what it has read and will
	// write the answers itself, all at once.
	serving bool
	// writing: somebody holds the right to take answers from the queue and to
	// write them.
	writing bool
	// ending: nothing more is read; the connection closes when its queue is
	// empty.
	ending bool
	dead   bool // closed; answers are dropped
	out    output
}

func newConn(s *Server, nc net.Conn, l *listener) *Conn {
	c := &Conn{server: s, nc: nc, listener: l, host: hostOf(nc)}
	c.cond.L = &c.mu
	c.in.pool = s.pool
	if l.security != nil {
		c.secure(l.security)
	}
	c.sock = newSocket(c.nc, &c.in)
	c.touch()
	return c
}

// hostOf returns the peer's address without its port; the zero address when it
// has none (a connection in memory).
func hostOf(nc net.Conn) netip.Addr {
	if a, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// Listener returns the name of the listener that accepted the connection.
func (c *Conn) Listener() string { return c.listener.name }

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// LocalAddr returns the address that the client is connected to.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// Throttle makes the connection pause for d before its next request is read and
// served. It may be called within Serve only.
func (c *Conn) Throttle(d time.Duration) { c.throttle = max(c.throttle, d) }

func (c *Conn) touch() { c.active.Store(int64(c.server.clock())) }

// run is the connection's goroutine.
func (c *Conn) run() {
	defer c.finish()
	defer c.crash()
	if err := c.handshake(); err != nil {
		c.logHandshake(err)
		return
	}
	for {
		if err := c.fill(); err != nil {
			c.logReadError(err)
			return
		}
		received := time.Now()
		c.active.Store(int64(c.server.since(received)))
		if err := c.serveAll(received); err != nil {
			c.logClose(err)
			return
		}
		if c.isEnding() {
			c.waitAnswered()
			c.bye()
			return
		}
	}
}

// crash logs a panic of the handler, or of this package, and lets it go on: a
// broken invariant stops the process.
func (c *Conn) crash() {
	if p := recover(); p != nil {
		c.server.log.Error("panic while serving a request",
			"remote", c.remote(), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		panic(p)
	}
}

// finish closes the connection and waits until nobody writes to it.
func (c *Conn) finish() {
	c.kill()
	c.mu.Lock()
	for c.writing {
		c.cond.Wait()
	}
	c.mu.Unlock()
	c.in.drop()
	c.server.remove(c)
}

// fill reads more bytes, after waiting for some if there are none.
func (c *Conn) fill() error {
	if err := c.in.room(c.gone); err != nil {
		return err
	}
	for {
		n, err := c.read()
		if errors.Is(err, errNoBuffer) {
			if err = c.in.wait(c.gone); err == nil {
				continue
			}
		}
		c.in.w += n
		return err
	}
}

func (c *Conn) read() (int, error) {
	if c.sock != nil {
		return c.sock.read()
	}
	if c.in.buf.b != nil && c.in.w > c.in.r {
		return c.nc.Read(c.in.space())
	}
	return c.readStash()
}

// readStash waits for the first bytes of a request without a buffer, for
// connections that cannot wait in another way.
func (c *Conn) readStash() (int, error) {
	c.in.park()
	for c.in.stashN == 0 {
		n, err := c.nc.Read(c.in.stash[:])
		c.in.stashN = n
		if n == 0 && err != nil {
			return 0, err
		}
	}
	return 0, c.in.acquire()
}

// serveAll serves all complete requests in the buffer and writes the answers
// that are ready. An error says why the connection must close.
func (c *Conn) serveAll(received time.Time) error {
	c.setServing(true)
	err := c.serveFrames(received)
	c.setServing(false)
	c.flush(true)
	return err
}

func (c *Conn) serveFrames(received time.Time) error {
	start := c.server.since(received)
	for {
		frame, err := c.in.next(c.server.cfg.MaxRequestBytes)
		if frame == nil || err != nil {
			return err
		}
		if !c.admit() {
			return nil
		}
		if start, err = c.serve(frame, received, start); err != nil {
			return err
		}
		if c.throttle > 0 {
			c.pause()
			start = c.server.clock()
		}
	}
}

// serve hands one frame to the handler and returns the time afterwards.
func (c *Conn) serve(frame []byte, received time.Time, start time.Duration) (time.Duration, error) {
	h, body, err := c.header.Parse(frame)
	if err != nil && (h.Key != wire.ApiVersions || body == nil) {
		return start, err
	}
	r := c.enqueue(h, start)
	r.Body, r.Received = body, received
	if err != nil { // ApiVersions of a version that is not served
		r.Reply(Response{Body: wire.AppendUnsupportedApiVersions(nil)})
	} else {
		c.server.handler.Serve(r)
	}
	r.Body = nil
	r.served = c.server.clock()
	return r.served, nil
}

// admit waits until one more request may be in flight. It returns false when no
// more is to be served.
func (c *Conn) admit() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.queue.n >= c.server.cfg.MaxInFlight && !c.ending && !c.dead {
		c.serving = false
		c.mu.Unlock()
		c.flush(true)
		c.mu.Lock()
		for c.queue.n >= c.server.cfg.MaxInFlight && !c.ending && !c.dead {
			c.cond.Wait()
		}
		c.serving = true
	}
	return !c.ending && !c.dead
}

// pause sleeps off the throttle time, after writing what is answered.
func (c *Conn) pause() {
	d := c.throttle
	c.throttle = 0
	c.setServing(false)
	c.flush(true)
	t := time.AfterFunc(d, func() {
		c.mu.Lock()
		c.cond.Broadcast()
		c.mu.Unlock()
	})
	defer t.Stop()
	c.mu.Lock()
	for until := c.server.clock() + d; !c.ending && !c.dead && c.server.clock() < until; {
		c.cond.Wait()
	}
	c.serving = true
	c.mu.Unlock()
}

func (c *Conn) setServing(v bool) {
	c.mu.Lock()
	c.serving = v
	c.mu.Unlock()
}

func (c *Conn) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending || c.dead
}

// gone reports whether waiting has become pointless.
func (c *Conn) gone() bool { return c.isEnding() }

// end stops reading; what is in flight is still answered.
func (c *Conn) end() {
	c.mu.Lock()
	c.ending = true
	c.cond.Broadcast()
	c.mu.Unlock()
	c.nc.SetReadDeadline(time.Unix(1, 0)) // wakes a read
	c.in.pool.wake()
}

// waitAnswered waits until all requests have been answered and written.
func (c *Conn) waitAnswered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.dead && (c.queue.n > 0 || c.writing) {
		c.cond.Wait()
	}
}

// kill closes the connection at once and drops its answers.
func (c *Conn) kill() {
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return
	}
	c.dead = true
	left := c.queue.clear()
	c.cond.Broadcast()
	c.mu.Unlock()
	c.transport().Close()
	c.in.pool.wake()
	left.release()
}

// idle reports whether the connection has been without traffic since before
// and waits for the client: for a request, or for it to take its answers.
func (c *Conn) idle(before time.Duration) bool {
	if time.Duration(c.active.Load()) >= before {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.n == 0 || c.writing
}

func (c *Conn) remote() string {
	if a := c.nc.RemoteAddr(); a != nil {
		return a.String()
	}
	return ""
}

// logReadError logs why reading ended, unless that is how connections end.
func (c *Conn) logReadError(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errPoolClosed) {
		c.waitAnswered() // the server is shutting down
		c.bye()
		return
	}
	if !isDisconnect(err) {
		c.server.log.Warn("closing connection: read failed", "remote", c.remote(), "listener", c.listener.name, "err", err)
	}
}

func isDisconnect(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// logClose logs why the server closes the connection.
func (c *Conn) logClose(err error) {
	if c.isDead() {
		return
	}
	c.server.log.Warn("closing connection", "remote", c.remote(), "listener", c.listener.name, "err", err)
}

func (c *Conn) isDead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dead
}
