// Package scan walks the batches of a log file from one end of a range to the
// other, with as much read ahead as the caller wants.
//
// Layer: L1, below broker/commitlog; imports broker/record.
//
// Invariants:
//   - A batch is given only if it lies in the range as a whole; its checksum was
//     not looked at.
//   - What Scanner gives is valid until its next call. Buffers are reused, and
//     larger ones than usual are given back.
//   - BadBytes tells errors about what is in a file from errors of reading it.
//
// The package owns no goroutine.
package scan
