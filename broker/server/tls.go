package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"
)

// Security says how a listener encrypts its connections.
type Security struct {
	// TLS is the configuration of every connection. Its GetConfigForClient may
	// give each its own.
	TLS *tls.Config
	// Identify, if not nil, makes of a finished handshake what Conn.Identity
	// returns. An error closes the connection.
	Identify func(tls.ConnectionState) (any, error)
}

// errHandshakeTime says that a client has not finished its handshake in time.
var errHandshakeTime = errors.New("the TLS handshake took too long")

// secure puts TLS over a connection that was accepted. The handshake is the
// connection's first work.
func (c *Conn) secure(s *Security) {
	c.raw = c.nc
	c.tls = tls.Server(c.nc, s.TLS)
	c.nc = c.tls
}

// Identity is who the client has shown to be, in the form that the listener's
// Security gives; nil on listeners without.
func (c *Conn) Identity() any { return c.identity }

// handshake runs the handshake, if there is to be one. It reads and keeps no
// more than the messages of a handshake may hold, and ends in time.
func (c *Conn) handshake() error {
	if c.tls == nil {
		return nil
	}
	defer c.server.handshakeDone(c.listener)
	ctx, cancel := context.WithTimeoutCause(context.Background(), c.server.cfg.HandshakeTimeout, errHandshakeTime)
	defer cancel()
	if err := c.tls.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return errHandshakeTime
		}
		return err
	}
	c.touch()
	identify := c.listener.security.Identify
	if identify == nil {
		return nil
	}
	var err error
	c.identity, err = identify(c.tls.ConnectionState())
	return err
}

// handshakeDone makes room for one more.
func (s *Server) handshakeDone(l *listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.shaking--
	s.cond.Broadcast()
}

// logHandshake says why a handshake failed, unless the client has just gone, as
// those do that look whether the port is open.
func (c *Conn) logHandshake(err error) {
	if isDisconnect(err) || c.isEnding() {
		return
	}
	c.server.metrics.failed.Add(1)
	if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		err = fmt.Errorf("the client does not speak TLS: it began with the bytes %x", plain.RecordHeader)
	}
	c.server.log.Warn("closing connection: TLS handshake failed", "remote", c.remote(), "listener", c.listener.name, "err", err)
}

// bye tells a TLS client that nothing follows. It may be called by the
// connection's goroutine when nobody writes any more.
func (c *Conn) bye() {
	if c.tls != nil && !c.isDead() {
		_ = c.tls.CloseWrite() // the connection ends in any case
	}
}

// transport is the connection below TLS: closing it never waits for the client.
func (c *Conn) transport() net.Conn {
	if c.raw != nil {
		return c.raw
	}
	return c.nc
}

// looksLikeTLS reports whether the first bytes of a frame are those of a TLS
// client: a handshake of some version 3.x.
func looksLikeTLS(b []byte) bool { return len(b) >= 2 && b[0] == 22 && b[1] == 3 }

// The defaults of Config.HandshakeTimeout and Config.MaxHandshakes.
const (
	handshakeTimeout = 30 * time.Second
	maxHandshakes    = 1024
)
