package server

import "time"

// Config holds the limits of a server. A zero field stands for its default.
type Config struct {
	// MaxRequestBytes is socket.request.max.bytes: a frame that announces more
	// closes its connection.
	MaxRequestBytes int
	// QueuedMaxBytes bounds the bytes of all read buffers
	// (queued.max.request.bytes): connections that want more wait.
	QueuedMaxBytes int64
	// MaxInFlight is how many requests of one connection may be unanswered
	// before it is no longer read.
	MaxInFlight int
	// MaxConnections is max.connections: no more are accepted until one closes.
	MaxConnections int
	// MaxConnectionsPerIP is max.connections.per.ip: one more is closed at once.
	MaxConnectionsPerIP int
	// MaxIdle is connections.max.idle.ms. Negative: never.
	MaxIdle time.Duration
	// HandshakeTimeout bounds the handshake of a connection with TLS.
	HandshakeTimeout time.Duration
	// MaxHandshakes bounds those of one listener that are under way: no more
	// connections are accepted until one has ended.
	MaxHandshakes int
	// SendBuffer and ReceiveBuffer are socket.{send,receive}.buffer.bytes;
	// zero leaves the choice to the system.
	SendBuffer, ReceiveBuffer int
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	setDefault(&c.MaxRequestBytes, 100<<20)
	setDefault(&c.QueuedMaxBytes, 256<<20)
	setDefault(&c.MaxInFlight, 64)
	setDefault(&c.MaxConnections, 1<<31-1)
	setDefault(&c.MaxConnectionsPerIP, 1<<31-1)
	setDefault(&c.MaxIdle, 10*time.Minute)
	setDefault(&c.HandshakeTimeout, handshakeTimeout)
	setDefault(&c.MaxHandshakes, maxHandshakes)
	return c
}

func setDefault[T int | int64 | time.Duration](v *T, def T) {
	if *v == 0 {
		*v = def
	}
}
