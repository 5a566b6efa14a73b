// Package swap finishes what a crash has left of a replacement of segments, before
// the log is opened. FORMAT.md of package commitlog tells how files are exchanged.
//
// Layer: L1, below broker/commitlog; imports broker/commitlog/format,
// broker/commitlog/scan, broker/record and broker/vfs.
//
// Invariants:
//   - Afterwards the folder holds the old segments or the new ones, each whole, and
//     no file with the suffix .cleaned or .swap.
//   - The folder is synced between steps, so that another crash at any point is
//     finished in the same way.
//
// The package owns no goroutine.
package swap
