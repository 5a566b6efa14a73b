// Package wire is the outermost layer of the protocol: which API keys and
// versions are served, how a frame begins, and the two messages that carry the
// data, Produce and Fetch, decoded and encoded without allocation. All other
// messages are kmsg's.
//
// Layer 0: it imports nothing of the broker, starts no goroutine and keeps no
// state. Decoded values are views into the frame they came from and live as
// long as its owner keeps the frame's bytes.
//
// Every length and count read from the network is compared with the bytes that
// remain before anything is allocated or sliced; malformed input gives an error
// that wraps [ErrMalformed] and never a panic.
package wire
