// Package producer keeps what a log must know of its producers: sequence numbers
// and epochs, the latest batches, by which a repeated one is recognised, and
// transactions that are open or were aborted.
//
// Layer: L1, below broker/commitlog; imports broker/commitlog/format,
// broker/commitlog/index and broker/record.
//
// It is a pure core: no goroutine, lock, clock or file. An append stages its
// batches in an Update, which leaves the State as it is, and commits the Update
// once the bytes are written.
//
// Invariants:
//   - A State equals a replay of the log's batches from a snapshot on, apart from
//     expired producers.
//   - Open and completed transactions are in the order of their first offsets; a
//     producer has one open transaction at most.
//   - A snapshot holds the last batch of each producer only; the others come back
//     with the replay of the log.
package producer
