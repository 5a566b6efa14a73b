// Package replica leads and follows the partitions that this broker hosts.
//
// Layer: L2. It imports commitlog and record and is used by the coordinators
// and the API handlers.
//
// Three types, from the inside out:
//
//   - Partition is the pure core: who leads, which replicas are in sync, how far
//     the log is replicated. It takes an input and the time and gives back
//     effects; it knows no lock, clock, goroutine or file. The simulation in
//     sim_test.go runs three of them against lost messages and crashes.
//   - Replica is one hosted partition: a Partition, its commitlog.Log and one
//     mutex over both, plus the requests that wait for it.
//   - Manager holds all Replicas: it applies the controller's requests, serves
//     produce, fetch and the offset requests, parks what must wait (Pending) and
//     checkpoints the high watermarks.
//
// Appends to one partition stand in a line (line, the pure decision who leads):
// who finds the partition free appends at once; who finds it busy waits, and the
// leader puts a group of those who wait into the log under one hold of the mutex,
// with one move of the high watermark. A leader takes two turns at most, then the
// head of the line leads.
//
// A log moves between log directories by a copy (mover): workers copy it within
// a budget while it is in use, and the copy takes its place under the Replica's
// mutex. moveQueue and budget are the pure parts.
//
// Invariants:
//
//   - the high watermark is never above the log end offset of any member of the
//     maximal ISR, and never moves back within a leader epoch;
//   - a parked request completes exactly once: satisfied, at its deadline, or
//     because the partition's leadership changed;
//   - no callback runs while a Replica's mutex is held.
//
// Goroutines: those of Manager.Run (checkpoints and ISR upkeep, and the workers
// that move logs) only. Requests
// run to completion on the goroutine of the caller; what was parked completes on
// the goroutine that made it complete.
package replica
