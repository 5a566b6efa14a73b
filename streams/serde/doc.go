// Package serde turns typed keys and values into bytes and back.
//
// Every Serde is safe for concurrent use and keeps no reference to the bytes
// it is given: a decoded value never aliases the input, so callers may reuse
// their buffers. Encoding appends to the caller's slice and therefore costs no
// allocation of its own.
//
// Layer: the lowest of streams; imports the standard library only. Owns no
// goroutine.
package serde
