package server

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// Listener is a listener with the name under which clients and metrics know it.
type Listener struct {
	net.Listener
	Name string
	// Security, if not nil, encrypts the connections. Without it they are plain.
	Security *Security
}

// listener is a listener that is being served.
type listener struct {
	net.Listener
	name     string
	security *Security // nil: plain
	conns    atomic.Int64
	shaking  int // handshakes under way; guarded by Server.mu
}

// The pause after an accept that failed doubles between these bounds.
const (
	minBackoff = 5 * time.Millisecond
	maxBackoff = time.Second
)

// Serve accepts connections from l until it fails or the server is shut down,
// and always returns an error. A [Listener] gives its connections a name; any
// other listener is called PLAINTEXT. Serve closes l.
func (s *Server) Serve(l net.Listener) error {
	sl := &listener{Listener: l, name: "PLAINTEXT"}
	switch named := l.(type) {
	case Listener:
		sl.name, sl.security = named.Name, named.Security
	case *Listener:
		sl.name, sl.security = named.Name, named.Security
	}
	defer l.Close()
	if !s.addListener(sl) {
		return ErrServerClosed
	}
	defer s.removeListener(sl)
	return s.acceptAll(sl)
}

func (s *Server) acceptAll(l *listener) error {
	var backoff time.Duration
	for s.waitForSlot(l) {
		nc, err := l.Accept()
		if err == nil {
			backoff = 0
			s.start(nc, l)
			continue
		}
		if s.isClosed() {
			break
		}
		if !temporary(err) {
			return err
		}
		backoff = min(max(minBackoff, 2*backoff), maxBackoff)
		s.log.Error("accept failed", "listener", l.name, "retry", backoff, "err", err)
		if !s.sleep(backoff) {
			break
		}
	}
	return ErrServerClosed
}

// temporary reports whether accepting may work again later, as when the process
// is out of file descriptors.
func temporary(err error) bool {
	var e interface{ Temporary() bool }
	return errors.As(err, &e) && e.Temporary()
}

// sleep returns false when the server was shut down meanwhile.
func (s *Server) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.stop:
		return false
	}
}

// waitForSlot waits until one more connection is allowed; false: shut down.
func (s *Server) waitForSlot(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for (len(s.conns) >= s.cfg.MaxConnections || l.shaking >= s.cfg.MaxHandshakes) && !s.closed {
		s.cond.Wait()
	}
	return !s.closed
}

// start begins to serve a connection, unless a limit forbids it.
func (s *Server) start(nc net.Conn, l *listener) {
	s.tune(nc)
	c := newConn(s, nc, l)
	s.mu.Lock()
	switch {
	case s.closed:
		s.mu.Unlock()
		nc.Close()
		return
	case s.perIP[c.host] >= s.cfg.MaxConnectionsPerIP:
		s.mu.Unlock()
		nc.Close()
		s.logRefused(c)
		return
	}
	s.conns[c] = struct{}{}
	s.perIP[c.host]++
	if c.tls != nil {
		l.shaking++
	}
	s.wg.Add(1)
	s.mu.Unlock()
	l.conns.Add(1)
	s.metrics.created.Add(1)
	go func() {
		defer s.wg.Done()
		c.run()
	}()
}

// tune sets the socket options that were configured.
func (s *Server) tune(nc net.Conn) {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return
	}
	var err error
	if s.cfg.SendBuffer > 0 {
		err = t.SetWriteBuffer(s.cfg.SendBuffer)
	}
	if s.cfg.ReceiveBuffer > 0 {
		err = errors.Join(err, t.SetReadBuffer(s.cfg.ReceiveBuffer))
	}
	if err != nil {
		s.log.Debug("socket option refused", "remote", nc.RemoteAddr(), "err", err)
	}
}

// logRefused says that a client has too many connections, at most once a
// second.
func (s *Server) logRefused(c *Conn) {
	now := s.clock()
	s.mu.Lock()
	quiet := now-s.refused < time.Second
	if !quiet {
		s.refused = now
	}
	s.mu.Unlock()
	if !quiet {
		s.log.Warn("connection refused: too many from this address", "remote", c.remote(), "limit", s.cfg.MaxConnectionsPerIP)
	}
}

// remove forgets a connection that has ended.
func (s *Server) remove(c *Conn) {
	c.listener.conns.Add(-1)
	s.metrics.closed.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.host]--; s.perIP[c.host] == 0 {
		delete(s.perIP, c.host)
	}
	s.cond.Broadcast()
}

func (s *Server) addListener(l *listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if !s.reaping && s.cfg.MaxIdle > 0 {
		s.reaping = true
		s.wg.Add(1)
		go s.reap()
	}
	s.listeners[l] = struct{}{}
	s.metrics.addListener(l)
	return true
}

func (s *Server) removeListener(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}
