package replica

import (
	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// Read reads one partition up to its isolation level's bound, without waiting.
func (m *Manager) Read(e FetchEntry, iso Isolation, minOne bool) FetchPartition {
	fp := noPartition
	r, err := m.find(e.TP, e.TopicID)
	if err != nil {
		fp.Err = err
		return fp
	}
	v := r.view.Load()
	if err := v.leading(e.CurrentLeaderEpoch); err != nil {
		fp.refuse(v, err)
		return fp
	}
	r.readInto(&fp, &e, ConsumerReplicaID, iso, int(e.MaxBytes), minOne)
	return fp
}

// DebuggingReplicaID marks a reader that may ask any replica.
const DebuggingReplicaID int32 = -2

// ListOffset answers one ListOffsets question.
func (m *Manager) ListOffset(req ListOffsetRequest) (ListOffsetResult, error) {
	none := ListOffsetResult{Timestamp: -1, Offset: -1, LeaderEpoch: -1}
	r, err := m.find(req.TP, TopicID{})
	if err != nil {
		return none, err
	}
	v := r.view.Load()
	if err := v.leading(req.CurrentLeaderEpoch); err != nil &&
		!(err == ErrNotLeader && req.ReplicaID == DebuggingReplicaID) {
		return none, err
	}
	b := r.bounds(req.ReplicaID, req.Isolation)
	limit := b.limit
	switch req.ReplicaID {
	case ConsumerReplicaID:
		// A new leader may not know yet that records below its epoch's start
		// are committed: until it does, the end it could tell may go back.
		if b.hw < v.epochStart {
			err = ErrOffsetNotAvailable
		}
		if req.Isolation == ReadCommitted {
			limit = b.lso
		}
	case DebuggingReplicaID:
		limit = b.hw
	}
	return r.listOffset(req.Timestamp, limit, v.leaderEpoch, err)
}

// listOffset looks ts up below limit. unsure is the error to give when the
// answer could change with the high watermark.
func (r *Replica) listOffset(ts, limit int64, epoch int32, unsure error) (ListOffsetResult, error) {
	none := ListOffsetResult{Timestamp: -1, Offset: -1, LeaderEpoch: -1}
	switch {
	case ts == TimestampLatest:
		if unsure != nil {
			return none, unsure
		}
		return ListOffsetResult{Timestamp: -1, Offset: limit, LeaderEpoch: epoch}, nil
	case ts == TimestampEarliest, ts == TimestampEarliestLocal:
		start := r.log().StartOffset()
		return ListOffsetResult{Timestamp: -1, Offset: start, LeaderEpoch: r.epochAt(start, epoch)}, nil
	case ts == TimestampLatestTiered, ts == TimestampPendingUpload:
		return none, nil
	case ts < TimestampPendingUpload:
		return none, ErrUnsupportedTimestamp
	}
	t, found, err := r.lookUp(ts, limit)
	switch {
	case err != nil:
		return none, logError(err)
	case found && t.Offset < limit:
		return ListOffsetResult(t), nil
	default:
		return none, unsure
	}
}

func (r *Replica) lookUp(ts, limit int64) (commitlog.TimestampOffset, bool, error) {
	for {
		l := r.log()
		t, found, err := lookUp(l, ts, limit)
		if !r.replaced(l, err) {
			return t, found, err
		}
	}
}

func lookUp(l *commitlog.Log, ts, limit int64) (commitlog.TimestampOffset, bool, error) {
	if ts == TimestampMax {
		return l.MaxTimestamp()
	}
	return l.OffsetForTimestamp(ts, limit)
}

// epochAt is the epoch of the record at offset; an empty log begins with the
// present epoch.
func (r *Replica) epochAt(offset int64, current int32) int32 {
	if offset == r.log().EndOffset() {
		return current
	}
	return r.log().EpochForOffset(offset)
}

// OffsetForLeaderEpoch tells where epoch ends in the partition's log.
// currentEpoch is the asker's view of the epoch, -1 for none.
func (m *Manager) OffsetForLeaderEpoch(tp record.TopicPartition, currentEpoch, epoch int32) (EpochEndOffset, error) {
	unknown := EpochEndOffset{LeaderEpoch: -1, EndOffset: -1}
	r, err := m.find(tp, TopicID{})
	if err != nil {
		return unknown, err
	}
	if err := r.view.Load().leading(currentEpoch); err != nil {
		return unknown, err
	}
	found, end, ok := endOfEpoch(r.log(), epoch)
	if !ok {
		return unknown, nil
	}
	return EpochEndOffset{LeaderEpoch: found, EndOffset: end}, nil
}

// ReadLog reads a led partition up to its log end, replicated or not, for a
// coordinator that rebuilds its state: what it finds above the high watermark
// is either committed in this epoch or undone together with its leadership.
func (m *Manager) ReadLog(tp record.TopicPartition, epoch int32, offset int64, maxBytes int) FetchPartition {
	fp := noPartition
	r, err := m.find(tp, TopicID{})
	if err == nil {
		err = r.view.Load().leading(epoch)
	}
	if err != nil {
		fp.Err = err
		return fp
	}
	for {
		l := r.log()
		fp.HighWatermark, fp.LogStartOffset = r.hw.Load(), l.StartOffset()
		fp.Records, err = l.Read(offset, maxBytes, true, l.EndOffset())
		if !r.replaced(l, err) {
			fp.Err = logError(err)
			return fp
		}
	}
}
