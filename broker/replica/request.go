package replica

import (
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// TopicID is a topic's unique id; the zero id means "not given".
type TopicID = [16]byte

// Origin says on whose behalf records are appended.
type Origin uint8

const (
	// OriginClient is a producer: internal topics are closed to it.
	OriginClient Origin = iota
	// OriginCoordinator is a coordinator of this broker.
	OriginCoordinator
	// OriginReplication is a follower copying its leader.
	OriginReplication
)

// AcksAll asks for an answer after all in-sync replicas have the records.
const AcksAll int16 = -1

// AppendRequest appends batches to any number of partitions. The caller may
// reuse it, its slices and the batch bytes as soon as Append has returned.
type AppendRequest struct {
	// Acks is 0, 1 or AcksAll.
	Acks int16
	// Timeout bounds the wait of AcksAll.
	Timeout time.Duration
	Origin  Origin
	// AllowInternal opens internal topics to a client: Kafka's own admin client
	// may write to them.
	AllowInternal bool
	Entries       []AppendEntry
	// Results, when it has the capacity, takes the results, so that a caller
	// that keeps its request around allocates nothing for them.
	Results []AppendResult
}

// AppendEntry is the part of an AppendRequest for one partition.
type AppendEntry struct {
	// TP names the partition; with an empty topic TopicID alone names it. The
	// topic's bytes need not outlive the call.
	TP record.TopicPartition
	// TopicID is checked against the hosted topic unless zero.
	TopicID TopicID
	// Batches holds whole record batches; offsets and epochs are patched in place.
	Batches []byte
	// LeaderEpoch, when above zero, must be the current epoch: an append of a
	// coordinator must not land in a later term. Zero and below: not checked.
	LeaderEpoch int32
	// Verify is the guard for a coordinator in epoch zero, where LeaderEpoch
	// alone would mean "not checked".
	VerifyEpoch bool
}

// AppendResult answers one AppendEntry, at the same index.
type AppendResult struct {
	// Err is nil, or why this partition failed. With
	// ErrNotEnoughReplicasAfterAppend and ErrTimedOut Info is valid too.
	Err  error
	Info commitlog.AppendInfo
}

// Isolation is the reader's isolation level, with the protocol's values.
type Isolation int8

const (
	// ReadUncommitted reads up to the high watermark.
	ReadUncommitted Isolation = 0
	// ReadCommitted reads up to the last stable offset.
	ReadCommitted Isolation = 1
)

// ConsumerReplicaID is the replica id of a reader that is not a follower.
const ConsumerReplicaID int32 = -1

// FetchRequest reads from any number of partitions. The manager keeps it until
// it calls done, so the caller must not touch it before.
type FetchRequest struct {
	// MinBytes is how much to gather before answering, within MaxWait.
	MinBytes int32
	// MaxBytes bounds the whole answer, save for the first batch.
	MaxBytes int32
	MaxWait  time.Duration
	// Isolation does not matter to followers.
	Isolation Isolation
	// ReplicaID is the follower's broker id, or ConsumerReplicaID.
	ReplicaID int32
	// ReplicaEpoch is the follower's broker epoch, -1 when not given.
	ReplicaEpoch int64
	// HardMaxBytes makes MaxBytes and the partitions' limits hold for the
	// first batch too, as before Fetch v3; such a reader may get nothing.
	HardMaxBytes bool
	Entries      []FetchEntry
	// Interest, when set, ends the wait early: when one of its partitions
	// changes, which need not be among the entries.
	Interest *Interest
	// Partitions, when it has the capacity, takes the results.
	Partitions []FetchPartition

	// seen is the manager's own note, kept with the request to be reused.
	seen []seen
}

// FetchEntry asks for one partition.
type FetchEntry struct {
	// TP names the partition; with an empty topic TopicID alone names it.
	TP record.TopicPartition
	// TopicID is checked against the hosted topic unless zero.
	TopicID TopicID
	// CurrentLeaderEpoch is the reader's view of the epoch, -1 when unknown.
	CurrentLeaderEpoch int32
	// FetchOffset is the first offset wanted.
	FetchOffset int64
	// LastFetchedEpoch is the epoch of the record before FetchOffset, -1 when
	// not given; it lets the leader find a diverging log.
	LastFetchedEpoch int32
	// LogStartOffset is the follower's log start offset, -1 for consumers.
	LogStartOffset int64
	// MaxBytes bounds this partition's part.
	MaxBytes int32
}

// FetchPartition answers one FetchEntry, at the same index.
type FetchPartition struct {
	// Err is nil, or why there are no records; the offsets are then -1 unless
	// the replica knows better.
	Err error
	// HighWatermark, LastStableOffset and LogStartOffset are as of the read.
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	// Aborted lists the aborted transactions in the range, only under
	// ReadCommitted.
	Aborted []commitlog.AbortedTxn
	// Records are the batches read. Whoever gets the result releases them once.
	Records commitlog.Slice
	// DivergingEpoch and DivergingEndOffset tell a reader whose log forked
	// where to truncate; both -1 when it did not.
	DivergingEpoch     int32
	DivergingEndOffset int64
	// LeaderID and LeaderEpoch are set with ErrNotLeader and ErrFencedEpoch,
	// else -1.
	LeaderID    int32
	LeaderEpoch int32
}

// FetchResult is the answer to a FetchRequest.
type FetchResult struct {
	Partitions []FetchPartition
}

// ListOffsetRequest asks one partition for the offset of a timestamp.
type ListOffsetRequest struct {
	TP        record.TopicPartition
	Timestamp int64
	Isolation Isolation
	// ReplicaID is ConsumerReplicaID, a follower's id, or -2 for a debugging
	// consumer, who may ask a follower too.
	ReplicaID          int32
	CurrentLeaderEpoch int32 // -1 when unknown
}

// The special timestamps of ListOffsets.
const (
	TimestampLatest        int64 = -1
	TimestampEarliest      int64 = -2
	TimestampMax           int64 = -3
	TimestampEarliestLocal int64 = -4
	TimestampLatestTiered  int64 = -5
	TimestampPendingUpload int64 = -6 // the earliest record that tiered storage still lacks
)

// ListOffsetResult answers a ListOffsetRequest. Timestamp, Offset and
// LeaderEpoch are -1 when nothing matches.
type ListOffsetResult struct {
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

// EpochEndOffset answers OffsetForLeaderEpoch: the largest epoch at or below the
// asked one, and the offset where it ends (exclusive); -1 and -1 when unknown.
type EpochEndOffset struct {
	LeaderEpoch int32
	EndOffset   int64
}

// DeleteRecordsEntry asks to drop all records of a partition below Offset; -1
// stands for the high watermark.
type DeleteRecordsEntry struct {
	TP     record.TopicPartition
	Offset int64
}

// DeleteRecordsResult carries the low watermark, -1 with an error.
type DeleteRecordsResult struct {
	Err          error
	LowWatermark int64
}

// PartitionInfo is a snapshot of one hosted partition.
type PartitionInfo struct {
	TP             record.TopicPartition
	TopicID        TopicID
	Leader         int32
	LeaderEpoch    int32
	PartitionEpoch int32
	IsLeader       bool
	ISR            []int32
	Replicas       []int32
	LogStartOffset int64
	HighWatermark  int64
	LogEndOffset   int64
	// Size is the log's size in bytes.
	Size   int64
	LogDir string
	// MinISR is the topic's min.insync.replicas.
	MinISR int
	// Offline is why the replica does not serve, nil when it does.
	Offline error
}

// LeadershipChange tells a coordinator about one of its partitions.
type LeadershipChange struct {
	TP          record.TopicPartition
	Leader      bool
	LeaderEpoch int32
}
