// Package volume knows whether a log directory may be used: whether it has failed,
// and whether its volume is full. Space that is held back in a file lets opening,
// deletions, checkpoints and retention go on when it is.
//
// Layer: L1, below broker/commitlog; imports broker/vfs.
//
// Invariants:
//   - The first failure takes a directory off line for good and is told once.
//   - A full volume, or a lack of open files, takes no directory off line.
//   - While the volume is full the reserve is given up and no records are taken;
//     they are taken again only once the reserve is back.
//
// All methods may be called concurrently. The package owns no goroutine.
package volume
