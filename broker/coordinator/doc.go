// Package coordinator runs state machines whose memory is a partition of an
// internal topic.
//
// Layer: L2, over replica. Groups are its first user; transactions and share
// groups are shards of the same kind.
//
// A Shard is a pure state machine for one partition of the topic: it handles
// requests, says which records to write, and is told when they are committed.
// The Runtime owns the shards: it loads one by replaying the partition when this
// broker becomes its leader, feeds it requests, appends its records, tells it
// about the commit when the high watermark has passed them, wakes it at its
// deadlines, and drops it when leadership is lost.
//
// # A failed append has nothing to undo
//
// Durable state (what a reload would rebuild from the log) moves only when the
// records that describe it are committed: Handle leaves it alone and returns a
// Write whose Done moves it. So a failed append needs no snapshot, no undo log
// and no reload, readers never see what could still be lost, and memory after
// any sequence of failures equals a replay of the log. Volatile state (members
// that wait, timers, pending marks), which a reload forgets by design, moves in
// Handle at once; Done(err) is where the shard reacts to a failure, for
// instance by answering with an error.
//
// # Threads
//
// A shard is an actor without a goroutine: events go into its queue, and the
// goroutine that finds the shard idle works the queue off. Requests therefore
// run to completion on their connection's goroutine, and an append that
// completes inside the call (one replica) costs no hand-over. The runtime's own
// goroutines are two, whatever the number of partitions: one loads, one waits
// for the nearest deadline.
package coordinator
