// Package epoch keeps the history of a log's leader epochs: where each one began,
// in memory and in the file leader-epoch-checkpoint.
//
// Layer: L1, below broker/commitlog; imports broker/commitlog/format and broker/vfs.
//
// Invariants:
//   - A History strictly increases in epoch and in start offset, and is never
//     changed in place.
//   - A Cache may be read by anybody at any time; the log, its one writer, sets a
//     history only once it is stored.
//
// The package owns no goroutine.
package epoch
