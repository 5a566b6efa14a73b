// Package format names the files of a log directory and of a partition's
// folder, and reads and writes those that stand for themselves: checkpoints, the
// list of damage, partition.metadata, meta.properties and the mark of an orderly
// stop. FORMAT.md of package commitlog draws them all.
//
// Layer: L1, below broker/commitlog; imports broker/record and broker/vfs.
//
// Invariants:
//   - What an encoder gives, the decoder reads as the same value.
//   - A decoder takes any bytes: whatever is no such file gives ErrCorruptFile.
//   - Every file that is read has a bound, checked before memory is taken.
//
// The package owns no goroutine.
package format
