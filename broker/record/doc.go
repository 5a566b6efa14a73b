// Package record holds record batches of message format 2 as views over bytes:
// reading their header fields, checking them, walking their records, building
// new ones. The broker moves batches as opaque bytes; it looks inside only where
// a check needs it. Messages of the formats 0 and 1 exist only at the edge:
// UpConvert turns what old producers send into batches, Down turns batches into
// what old consumers read.
//
// Layer: L0, imports nothing of the broker.
//
// Invariants:
//   - A Batch returned by Next is exactly one batch: its length field equals
//     len(batch)-LogOverhead and its magic is 2. A Message returned by NextMessage
//     is exactly one message of format 0 or 1.
//   - Every length read from input is checked before it is used or allocated.
//   - The base offset, the length and the leader epoch lie outside the CRC and
//     may be patched in place; any other change must end with UpdateCRC.
//
// The package owns no goroutine. Codecs and scratch buffers are pooled.
package record
