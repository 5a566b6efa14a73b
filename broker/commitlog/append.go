package commitlog

// Origin tells where an append comes from, and with it how much is checked.
type Origin uint8

const (
	// OriginClient is a produce request: every rule applies.
	OriginClient Origin = iota
	// OriginCoordinator is a coordinator of this broker: markers are allowed,
	// sequence numbers are not checked, epochs are.
	OriginCoordinator
	// OriginReplication is a follower's copy: offsets are taken as they are.
	OriginReplication
)

// AppendOptions are the circumstances of an append.
type AppendOptions struct {
	Origin Origin
	Now    int64 // wall clock in ms; becomes the timestamp under LogAppendTime
	// DeferFlush leaves a due flush (flush.messages) to the caller, who calls
	// Sync(AppendInfo.LastOffset+1) when AppendInfo.FlushDue is set, outside its
	// own locks.
	DeferFlush bool
}

// AppendInfo is the outcome of an append.
type AppendInfo struct {
	FirstOffset    int64 // of the first record; of the old batch if Duplicate
	LastOffset     int64
	LogAppendTime  int64 // -1 unless the topic uses LogAppendTime (or a duplicate: its max timestamp)
	MaxTimestamp   int64
	LogStartOffset int64
	LeaderEpoch    int32 // of the last batch
	Size           int   // bytes appended
	Records        int64 // records appended
	Duplicate      bool  // the batch was in the log already; nothing was appended
	FlushDue       bool  // flush.messages is reached and DeferFlush was set
}

// Prepared is a checked set of batches on its way into a log. It may be reused;
// the zero value is ready for Log.Prepare.
type Prepared struct {
	batches   []byte // whole batches, owned by the caller unless recompressed
	opts      AppendOptions
	count     int   // batches
	records   int64 // records
	largest   int   // bytes of the largest batch
	maxTime   int64
	appendMs  int64 // -1 or the LogAppendTime
	recoded   []byte
	producers bool // at least one batch carries a producer id
}
