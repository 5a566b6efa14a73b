package connect

import "context"

// SinkTask writes to a system. The runtime calls Start once, then Put and
// PreCommit (and Open and Close, if the task is Partitioned) never two at a
// time, then Stop once.
type SinkTask interface {
	// Start prepares. ctx ends when the task is stopped.
	Start(ctx context.Context, tc SinkContext, props map[string]string) error
	// Put takes records, in offset order per partition. The slice is the
	// runtime's again after Put; the records are the task's. Put is also
	// called with no records at least once a second while nothing arrives, so
	// that a task can act on time. Offsets may have gaps (compacted or
	// transactional topics), they never go back unless the task asked for it.
	Put(ctx context.Context, records []*Record) error
	// PreCommit returns the offsets that may be committed: for each partition
	// the offset of the first record that is not yet safe in the target.
	// current holds the offset after the last record handed to Put. A
	// partition missing in the answer is not committed. Called at every commit
	// interval and before partitions are taken away: then it is the last
	// chance to make data safe.
	PreCommit(ctx context.Context, current map[TopicPartition]int64) (map[TopicPartition]int64, error)
	// Stop frees everything; data not safe is dropped and will be delivered again.
	Stop() error
}

// Partitioned is a SinkTask that keeps state per partition.
type Partitioned interface {
	// Open hands partitions to the task before their first record. Here it may
	// ask for other starting points by SinkContext.RequestOffset.
	Open(ctx context.Context, parts []TopicPartition) error
	// Close takes partitions away, after PreCommit; lost is true if another
	// task may already own them: then nothing may be published any more.
	Close(ctx context.Context, parts []TopicPartition, lost bool) error
}

// Flusher is a SinkTask that gathers records before they are safe. Flush is
// called before the PreCommit that precedes Close and Stop, so that work need
// not be done twice; an error means only that it will be.
type Flusher interface {
	Flush(ctx context.Context, parts []TopicPartition) error
}

// SinkContext is the runtime as a sink task sees it.
type SinkContext interface {
	TaskContext
	// RequestOffset asks to go on from offset in a partition the task owns:
	// from Open before the first record, otherwise after the current call.
	RequestOffset(tp TopicPartition, offset int64)
	// RequestCommit asks for PreCommit soon, without waiting for the interval.
	RequestCommit()
	// Pause stops delivery from partitions until Resume; the task keeps them.
	Pause(parts ...TopicPartition)
	// Resume undoes Pause.
	Resume(parts ...TopicPartition)
	// Report sends one record to the dead letter queue, if there is one and
	// errors.tolerance allows, and then counts it as done. Otherwise it
	// returns an error which the task should return from Put.
	Report(ctx context.Context, r *Record, cause error) error
}
