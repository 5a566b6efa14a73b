package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ErrServerClosed is what Serve returns after Shutdown.
var ErrServerClosed = errors.New("server: closed")

// Server serves a Handler on any number of listeners.
type Server struct {
	cfg     Config
	handler Handler
	log     *slog.Logger
	metrics *metrics
	pool    *pool
	out     outBuffers
	epoch   time.Time // of clock

	mu        sync.Mutex
	cond      sync.Cond // conns or closed changed
	closed    bool
	listeners map[*listener]struct{}
	conns     map[*Conn]struct{}
	perIP     map[netip.Addr]int
	refused   time.Duration // when a refused connection was last logged
	stop      chan struct{} // closed by Shutdown: ends the reaper
	reaping   bool          // the reaper was started
	wg        sync.WaitGroup
}

// New returns a server that passes requests to h and registers its metrics
// with reg.
func New(cfg Config, h Handler, log *slog.Logger, reg prometheus.Registerer) (*Server, error) {
	if cfg.MaxRequestBytes < 0 || cfg.QueuedMaxBytes < 0 || cfg.MaxInFlight < 0 || cfg.MaxConnections < 0 || cfg.MaxConnectionsPerIP < 0 {
		return nil, errors.New("server: negative limit")
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, handler: h, log: log,
		metrics:   newMetrics(),
		pool:      newPool(cfg.QueuedMaxBytes),
		epoch:     time.Now().Add(-time.Hour), // never zero on the clock
		listeners: map[*listener]struct{}{},
		conns:     map[*Conn]struct{}{},
		perIP:     map[netip.Addr]int{},
		stop:      make(chan struct{}),
	}
	s.cond.L = &s.mu
	if err := reg.Register(s.metrics); err != nil {
		return nil, fmt.Errorf("server: register metrics: %w", err)
	}
	return s, nil
}

// clock is the time since the server's epoch; cheaper to take than a time.Time.
func (s *Server) clock() time.Duration { return time.Since(s.epoch) }

func (s *Server) since(t time.Time) time.Duration { return t.Sub(s.epoch) }

// Shutdown stops accepting and reading, lets requests in flight be answered,
// and closes all connections. When ctx ends first it closes them at once and
// returns the context's error. Either way all goroutines of the server have
// ended when it returns.
func (s *Server) Shutdown(ctx context.Context) error {
	s.beginShutdown()
	done := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	for _, c := range s.snapshot() {
		c.kill()
	}
	<-done
	return ctx.Err()
}

func (s *Server) beginShutdown() {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.cond.Broadcast()
	for l := range s.listeners {
		l.Close()
	}
	s.mu.Unlock()
	if first {
		close(s.stop)
	}
	for _, c := range s.snapshot() {
		c.end()
	}
}

func (s *Server) snapshot() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// reap closes connections that have been idle too long.
func (s *Server) reap() {
	defer s.wg.Done()
	ticker := time.NewTicker(max(s.cfg.MaxIdle/10, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		before := s.clock() - s.cfg.MaxIdle
		for _, c := range s.snapshot() {
			if c.idle(before) {
				s.metrics.expired.Add(1)
				c.kill()
			}
		}
	}
}
