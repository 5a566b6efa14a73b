// Package worker runs the tasks of connectors: a SourceRunner polls a source
// task, transforms, converts and produces; a SinkRunner consumes, converts,
// transforms and puts. Layer: above connect, convert, transform and store;
// below herder.
//
// Invariants:
//   - A source offset is stored only after every earlier record of the same
//     poll order was acknowledged by the broker (or skipped by policy).
//   - A sink's group offset never passes what the task's PreCommit called safe.
//   - A task is called by one goroutine at a time.
//   - Queues are bounded: producing blocks when the client's buffer is full,
//     and nothing is fetched while a batch waits to be taken.
//
// Run of a runner blocks and owns its client, whose goroutines end with it.
// No other goroutine is started here.
package worker
