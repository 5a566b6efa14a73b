// Package logfile keeps log files open while they are used: their users are
// counted, a bounded number stay open between uses, and runs of their bytes are
// handed out to be sent.
//
// Layer: L1, below broker/commitlog; imports broker/commitlog/volume and broker/vfs.
//
// Invariants:
//   - A Handle is closed when its last user is gone, so that a Slice stays readable
//     whatever becomes of the log.
//   - A File with bytes that are not synced stays open: the error of a write-back
//     that fails is told to those who had the file open.
//   - Using a File that is open costs no lock.
//
// The package owns no goroutine.
package logfile
