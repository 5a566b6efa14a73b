package replica

// EpochEnds answers where leader epochs end in a log. commitlog's epoch cache
// does; the simulation has its own.
type EpochEnds interface {
	// EndOffset returns the largest epoch at or below epoch that has records,
	// and the offset after its last record; ok is false when there is none.
	EndOffset(epoch int32) (found int32, end int64, ok bool)
}

// Divergence compares a reader's position with the leader's log. A reader that
// says its last record before offset is of epoch last has forked off when the
// leader's log ended that epoch earlier, or never had it. It returns the
// leader's (epoch, end offset) to truncate by. known is false when the leader
// cannot tell, because its log no longer reaches that far back.
func Divergence(ends EpochEnds, offset int64, last int32) (epoch int32, end int64, diverged, known bool) {
	epoch, end, ok := ends.EndOffset(last)
	if !ok {
		return -1, -1, false, false
	}
	if epoch < last || end < offset {
		return epoch, end, true, true
	}
	return -1, -1, false, true
}

// TruncationOffset decides how far a follower cuts its log after the leader
// answered (epoch, end) for the follower's last epoch. When the follower's log
// knows epoch, both logs agree up to the smaller of the two ends. When it does
// not, they agree at most up to the end of the follower's next smaller epoch,
// and the next fetch, which names that epoch, asks again. highWatermark is the
// fallback when the leader knows nothing of the epoch.
func TruncationOffset(ends EpochEnds, logEnd, highWatermark int64, epoch int32, end int64) int64 {
	if end < 0 {
		return min(highWatermark, logEnd)
	}
	if epoch < 0 {
		return min(end, logEnd)
	}
	own, ownEnd, ok := ends.EndOffset(epoch)
	switch {
	case !ok:
		return min(end, logEnd)
	case own == epoch:
		return min(end, ownEnd, logEnd)
	default:
		return min(ownEnd, logEnd)
	}
}
