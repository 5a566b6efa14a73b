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
// A changelog is a prefix of what was written to it, too, with the clock of a
// store behind the entries it speaks of; the clocks of a task with several
// stores follow when all entries are durable. So no clock that survives a crash
// makes records late, or results emitted, that the stores do not contain.
//
// # Order in event time
//
// A windowed aggregation has one clock, whoever writes its repartition topic.
// If one writer works off a backlog faster than another, its records make the
// other's late. The tasks of one sub-topology in one thread are therefore kept
// together ([aligner]): the lowest head goes first, in short runs, and none goes
// on while a sibling that feeds the same repartition topics is known to have
// records that are not here yet, for at most Config.MaxWait. One producer per
// thread keeps that order in the topic. Within a thread, input that is in order
// per partition arrives downstream out of order by 100 ms at most, after a
// restart as well as on the first start on a backlog; what is out of order in a
// partition comes on top. Inputs fetched far ahead are paused at
// Config.MaxQueued records. A record with a time far in the future waits until
// the siblings have nothing before it: bound it by the source's MaxFuture.
//
// Threads and processes do not wait for each other. Their members work off
// backlogs at their own pace, and the distance between them, in event time, is
// the lag of the slowest. A grace longer than the usual jitter is enough while
// all are caught up; a backlog after an outage needs a grace as long as the
// backlog, or one thread for the application (Config.Threads 1 in one process).
//
// Records that were passed on and not committed before a crash are passed on
// again. In the aggregation they count twice if their window is still open and
// are dropped as late if it is not; then they were counted before. While caught
// up an interval between commits spans less event time than the grace, so that
// none is late.
//
// Goroutines: Run owns one per thread and one restorer per thread, and returns
// when all have ended. The clients' own goroutines end with their Close, which
// Run calls. Group callbacks run on the client's goroutine; the mutex of the
// thread makes them and the thread's loop take turns.
//
// Layer: above task; talks to the broker by the Kafka protocol only.
package runtime
