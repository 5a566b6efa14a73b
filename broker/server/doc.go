// Package server accepts connections, cuts their bytes into requests, and
// writes the answers in the order of the requests.
//
// Layer 1: it knows frames and headers (package wire) and nothing of what the
// requests mean; that is the [Handler]'s.
//
// A connection has one goroutine, which reads, hands each request to the
// handler, and writes what is answered: a request that can be answered at once
// never changes the goroutine. Requests that wait (acks=all, long polls) keep
// their place in the connection's queue and are written by whoever completes
// the oldest one, or, when that write would block, by a goroutine that lives
// until the backlog is gone. No other goroutine exists per connection, and no
// timer per request.
//
// A listener with [Security] encrypts its connections; their handshake is the
// first work of the connection's goroutine, bounded in time, and as many as are
// allowed at a time. Such connections
// go without the fast path: parts in files are copied through pooled buffers.
//
// Invariants:
//   - answers leave in the order in which the requests came;
//   - a request is answered exactly once; a second answer panics;
//   - a connection that waits for bytes holds no buffer, but for what crypto/tls
//     keeps of a record;
//   - the bytes of all read buffers stay within Config.QueuedMaxBytes, but for
//     one frame at a time, so that a frame larger than what is left still passes.
//
// Goroutines: one per Serve call (the caller's), one per connection and at most
// one more that writes a backlog, one that closes idle connections. Shutdown
// waits for all of them.
package server
