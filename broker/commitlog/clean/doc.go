// Package clean decides what of a log may go: Retention deletes whole segments
// by time, size and start offset, Cleaner compacts, both over the segments of
// package commitlog.
//
// Layer: L2, imports broker/commitlog and broker/record.
//
// Invariants:
//   - Nothing at or above the high watermark that the caller gives is ever
//     removed, by compaction nothing at or above the last stable offset either;
//     nor is the active segment touched unless it is rolled first.
//   - Compaction changes neither the offset nor the contents of a record that
//     stays, and never their order. A batch spans the same offsets as before.
//   - Of each key the last record in the compacted part stays, unless it is a
//     tombstone whose delete horizon has passed. The horizon is kept in the
//     batch, set when the tombstone is first met by the cleaner, so that it
//     neither moves nor depends on this broker's memory.
//   - A transaction marker outlives all batches of its transaction.
//   - The newest batch of each active producer stays, if only as a header.
//   - Each pass moves a log's cleaned offset up by at least one record.
//
// Goroutines: Cleaner.Run owns one per thread. Retention owns none;
// commitlog's Manager calls it.
package clean
