// Package commitlog keeps the records of one partition in a folder of segment
// files, byte for byte as Kafka 3.9 does, and all partitions of a broker in its
// log directories. FORMAT.md draws the files.
//
// Layer: L1, imports broker/record, broker/vfs and the packages below this one that
// know no Log, each of them one thing:
//   - format: names of files, checkpoints and the other files in text; index: offset,
//     time and transaction indexes; epoch: leader epochs; producer: producer state
//     and its snapshots
//   - scan: the batches of a file; damage: what of them is bad; inspect: files looked
//     at for leat log and for checks; swap: replacements that a crash interrupted
//   - logfile: files that are open; volume: directories that have failed or are full
//
// Above it, clean compacts and scrub reads everything again.
//
// A Log is an ordered list of segments; only the last one, the active segment,
// takes appends. A Manager owns the log directories: locks, checkpoints, opening
// with recovery, creation, deletion, flushing and retention.
//
// Invariants:
//   - Offsets in a log are dense from batch to batch unless compaction removed
//     some; base offsets of batches strictly increase.
//   - StartOffset ≤ recovery point ≤ EndOffset; everything below the recovery
//     point has been synced.
//   - A reader sees only batches whose write has completed: the end offset is
//     published after the bytes are in the file.
//   - Readers take no lock. The list of segments is immutable and replaced as a
//     whole; open files are counted, so that a removed segment stays readable
//     until the last Slice over it is released.
//   - Producer state changes only after the append that caused it succeeded.
//   - After a failed sync nothing more is written to that log directory.
//
// Goroutines: Manager.Run owns one scheduler and one worker per log directory;
// opening uses a bounded number that end before it returns. A Log owns none.
package commitlog
