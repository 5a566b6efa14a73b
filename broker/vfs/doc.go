// Package vfs is the file system under the commit log: a small interface, the
// operating system's implementation (OS), and a memory implementation (Mem)
// that can be copied as a power cut would leave it and told to fail.
//
// Layer: L0, imports nothing of the broker.
//
// Invariants a caller may rely on:
//   - File contents survive a crash only up to the last successful Sync or
//     Datasync of that file; a file's name survives only after SyncDir of the
//     folder that holds it.
//   - An error of Sync leaves the file's durability unknown. Callers stop using
//     the folder instead of trying again.
//
// The package owns no goroutine.
package vfs
