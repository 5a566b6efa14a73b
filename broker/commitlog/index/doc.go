// Package index keeps the indexes of a segment: from offsets to positions, from
// timestamps to offsets, the transactions that were aborted in it, and where the
// latest batches lie.
//
// Layer: L1, below broker/commitlog; imports broker/commitlog/format and broker/vfs.
//
// Invariants:
//   - The keys of an offset or time index strictly increase; the transactions are
//     in the order of their markers.
//   - Index files are caches: whatever is wrong with one is found when it is read,
//     and the segment rebuilds it from the log.
//   - One writer, any number of readers without a lock: what a reader sees never
//     changes, it is replaced as a whole or only grows.
//
// The package owns no goroutine.
package index
