// Package connect is what the author of a connector imports: sources bring
// data from a system into topics, sinks carry topics into a system.
//
// A Connector splits its work into task configurations; tasks do the work.
// The runtime (package worker) owns the clients, converters, transforms,
// offsets, retries and dead letters, and calls a task from one goroutine at a
// time; connectors never see it. What only some tasks can do is a small
// interface of its own (Committer, Partitioned, Validator): the runtime asks
// for it by type assertion.
//
// Errors have three classes. An error that wraps ErrRetriable means "the same
// call may succeed later": the runtime waits and calls again with the same
// input. A RecordError blames one record: with errors.tolerance=all it goes to
// the dead letter queue and the rest goes on. Any other error fails the task.
//
// The package starts no goroutine and holds no state.
package connect
