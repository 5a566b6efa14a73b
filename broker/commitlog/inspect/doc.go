// Package inspect reads the files of logs and says what is wrong with them: a whole
// directory that nobody needs to have open (leat log verify), or the side files of
// one segment against its batches as they are read.
//
// Layer: L1, below broker/commitlog; imports broker/record, broker/vfs and the
// packages that know the files: broker/commitlog/damage, epoch, format, index,
// producer and scan.
//
// Invariants:
//   - Nothing is changed. Files of a running broker may be read too; its last bytes
//     may then be missing, and files may go meanwhile.
//   - An error is about reading files, a Problem about what is in them.
//
// The package owns no goroutine.
package inspect
