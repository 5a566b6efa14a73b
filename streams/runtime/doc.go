// Package runtime runs a topology against Kafka as a member (one per thread)
// of a consumer group: [App] creates the internal topics and owns the threads;
// a thread polls, lets its tasks process, and commits; restored tasks come
// from a restorer beside each thread.
//
// Delivery is at least once. A commit goes in this order, and each step waits
// for the one before to be durable:
//
//	outputs of the sinks → changelog records → state stores → input offsets
//
// A crash between two steps repeats input records whose results are already
// there; it never loses one. Stores hold only what their changelogs hold, so
// that a store found after a crash is a prefix of its changelog and the rest is
// read back before the task runs.
//
// Goroutines: Run owns one per thread and one restorer per thread, and returns
// when all have ended. The clients' own goroutines end with their Close, which
// Run calls. Group callbacks run on the client's goroutine; the mutex of the
// thread makes them and the thread's loop take turns.
//
// Layer: above task; talks to the broker by the Kafka protocol only.
package runtime
