// Package damage finds what of a segment's log file is damaged and keeps lists of
// it.
//
// Layer: L1, below broker/commitlog; imports broker/record.
//
// Invariants:
//   - A Range begins where a batch should and ends where an intact one begins, or
//     with the file. Its offsets [First, Next) hold at least those that are lost.
//   - A List is ascending, its ranges lie apart, their number is bounded, and it
//     never changes: With and Cut give others.
//   - A Finder holds a bounded piece of the file in memory, whatever is in it.
//
// The package owns no goroutine.
package damage
