package coordinator

import "time"

// Record is a key and a value to write to, or read back from, the shard's
// partition. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
}

// Write is a set of records that reach the log together or not at all.
type Write struct {
	Records []Record
	// Done is called once, on the shard like Handle, when the records are
	// committed (nil) or are known not to be in the log. It is not called for a
	// shard that was unloaded first.
	Done func(err error, now time.Time) Effects
	// Overdue, if not nil, is called at most once and before Done when the
	// commit takes longer than the runtime's commit timeout: the shard may
	// answer the client, but the outcome is still open.
	Overdue func(now time.Time) Effects
}

// Effects is what a shard wants done after it has handled an event.
type Effects struct {
	Writes []Write
	// Replies are run after the shard is idle again, in order. They must not
	// call back into the runtime.
	Replies []func()
}

// Merge appends the effects of o.
func (e *Effects) Merge(o Effects) {
	e.Writes = append(e.Writes, o.Writes...)
	e.Replies = append(e.Replies, o.Replies...)
}

// Reply adds a reply.
func (e *Effects) Reply(f func()) { e.Replies = append(e.Replies, f) }

// Request is what a shard handles.
type Request interface {
	// Refuse answers the request with why it did not reach its shard: one of
	// this package's errors. Called at most once, and never after Handle.
	Refuse(err error)
}

// Shard is the state machine of one coordinator partition. The runtime calls
// one method at a time; none may block, do I/O, or start a goroutine. Time comes
// as an argument and never goes backwards.
type Shard[R Request] interface {
	// Replay applies one record of the log while the shard is loaded. An error
	// means that the record is not understood: it is counted and skipped, so
	// that records of a newer version do not make the partition unusable.
	Replay(offset int64, rec Record) error
	// Loaded ends the replay: the shard sets its timers from now on.
	Loaded(now time.Time) Effects
	// Handle takes one request. Its reply comes through Effects, now or after a
	// Write.
	Handle(req R, now time.Time) Effects
	// Deadline is the earliest time at which Tick has work, zero for none.
	Deadline() time.Time
	// Tick does what is due.
	Tick(now time.Time) Effects
	// Unload answers everything parked with err and ends the shard.
	Unload(err error) Effects
}
