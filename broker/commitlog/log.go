package commitlog

import "github.com/leatstream/leat/broker/record"

// Log is the log of one partition replica.
//
// Appends and truncations come from one caller at a time (the replica); Read
// and the other readers may run concurrently with everything.
type Log struct {
	tp record.TopicPartition
}

// Prepare checks batches without taking the log's lock: framing, checksum,
// counts, sizes, timestamps; it rewrites timestamps and codec where the topic's
// configuration asks for it. The bytes of batches are modified in place and must
// stay untouched until AppendPrepared returns.
func (l *Log) Prepare(p *Prepared, batches []byte, opts AppendOptions) error { return ErrClosed }

// AppendPrepared assigns offsets and the leader epoch, checks producer state and
// writes all batches with one write. It either appends all or nothing.
func (l *Log) AppendPrepared(p *Prepared, leaderEpoch int32) (AppendInfo, error) {
	return AppendInfo{}, ErrClosed
}

// AppendAsLeader is Prepare and AppendPrepared in one step. The batches' bytes
// are modified in place (offset, leader epoch, LogAppendTime).
func (l *Log) AppendAsLeader(batches []byte, leaderEpoch int32, opts AppendOptions) (AppendInfo, error) {
	return AppendInfo{}, ErrClosed
}

// AppendAsFollower appends batches fetched from the leader with the offsets and
// epochs that they carry. A partial batch at the end is ignored.
func (l *Log) AppendAsFollower(batches []byte) (AppendInfo, error) { return AppendInfo{}, ErrClosed }

// Read finds the batches from the one that contains offset on, at most maxBytes
// of them, none at or above the exclusive bound limit (high watermark, last
// stable offset or log end offset). With minOne the first batch is given whole
// even if it is larger. The last batch may be cut at maxBytes. An offset at the
// end, or at or above limit, gives an empty slice; outside [StartOffset,
// EndOffset] ErrOffsetOutOfRange. It never waits. The caller must Release a
// non-empty slice.
func (l *Log) Read(offset int64, maxBytes int, minOne bool, limit int64) (Slice, error) {
	return Slice{}, ErrClosed
}

// Partition names the partition.
func (l *Log) Partition() record.TopicPartition { return l.tp }

// TopicID is the topic's id from partition.metadata; zero when unknown.
func (l *Log) TopicID() [16]byte { return [16]byte{} }

// SetTopicID stores the topic's id if there is none yet; another id gives
// ErrInconsistentTopicID.
func (l *Log) SetTopicID(id [16]byte) error { return ErrClosed }

// Dir is the log directory that holds the log's folder.
func (l *Log) Dir() string { return "" }

// StartOffset is the first offset that may be read.
func (l *Log) StartOffset() int64 { return 0 }

// EndOffset is the offset that the next record gets.
func (l *Log) EndOffset() int64 { return 0 }

// FlushedOffset is the recovery point: everything below it is synced.
func (l *Log) FlushedOffset() int64 { return 0 }

// LastStableOffset is the smaller of highWatermark and the first offset of a
// transaction that is open or whose marker is not below highWatermark.
func (l *Log) LastStableOffset(highWatermark int64) int64 { return highWatermark }

// AbortedTxn is one aborted transaction in a range of the log.
type AbortedTxn struct {
	ProducerID       int64
	FirstOffset      int64 // of the transaction's first record
	LastOffset       int64 // of its marker
	LastStableOffset int64 // of the log when the marker was appended
}

// AbortedTransactions lists the aborted transactions that a reader of
// [from, to) must skip, in the order of their completion.
func (l *Log) AbortedTransactions(from, to int64) ([]AbortedTxn, error) { return nil, nil }

// TimestampOffset is the answer to a look-up by time.
type TimestampOffset struct {
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

// OffsetForTimestamp finds the first record whose timestamp is at or after ts
// and whose offset is below limit. found is false when there is none.
func (l *Log) OffsetForTimestamp(ts, limit int64) (t TimestampOffset, found bool, err error) {
	return TimestampOffset{}, false, nil
}

// MaxTimestamp finds the record with the largest timestamp (ListOffsets -3).
func (l *Log) MaxTimestamp() (t TimestampOffset, found bool, err error) {
	return TimestampOffset{}, false, nil
}

// EpochEndOffset answers OffsetForLeaderEpoch: the largest epoch of this log
// that is ≤ epoch, and the offset at which it ends. An unknown epoch gives
// (-1, -1).
func (l *Log) EpochEndOffset(epoch int32) (foundEpoch int32, endOffset int64) { return -1, -1 }

// LatestEpoch is the newest leader epoch in the log; ok is false when it has none.
func (l *Log) LatestEpoch() (epoch int32, ok bool) { return -1, false }

// EpochForOffset is the leader epoch of the record at offset, -1 when unknown.
func (l *Log) EpochForOffset(offset int64) int32 { return -1 }

// StartEpoch records durably that epoch begins at startOffset; a leader calls it
// when it becomes leader, before the first append.
func (l *Log) StartEpoch(epoch int32, startOffset int64) error { return ErrClosed }

// TruncateTo removes every record at or above offset. An offset at or above the
// end changes nothing.
func (l *Log) TruncateTo(offset int64) error { return ErrClosed }

// TruncateFullyAndStartAt empties the log and restarts it at offset.
func (l *Log) TruncateFullyAndStartAt(offset int64) error { return ErrClosed }

// AdvanceStart moves the start offset up (DeleteRecords, or a leader's start
// offset on a follower). The caller has checked it against the high watermark.
// Moving down is ignored; above the end gives ErrOffsetOutOfRange.
func (l *Log) AdvanceStart(offset int64) error { return ErrClosed }

// Sync makes everything below upTo durable; concurrent callers share one
// fdatasync. After an error the log directory is off line.
func (l *Log) Sync(upTo int64) error { return ErrClosed }

// Config gives the current configuration.
func (l *Log) Config() Config { return Config{} }

// Configure replaces the configuration; it applies from the next operation on.
func (l *Log) Configure(c Config) {}

// Size is the size of all segments in bytes.
func (l *Log) Size() int64 { return 0 }

// ProducerInfo describes an active producer (DescribeProducers).
type ProducerInfo struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32
	LastTimestamp    int64
	CoordinatorEpoch int32
	TxnStartOffset   int64 // -1: no open transaction
}

// Producers lists the producers that the log remembers, by id.
func (l *Log) Producers() []ProducerInfo { return nil }
