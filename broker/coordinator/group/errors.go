package group

import (
	"errors"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/replica"
)

// The protocol's error codes that a group coordinator answers.
const (
	codeNone                    int16 = 0
	codeUnknownServerError      int16 = -1
	codeUnknownTopicOrPartition int16 = 3
	codeOffsetMetadataTooLarge  int16 = 12
	codeLoadInProgress          int16 = 14
	codeNotAvailable            int16 = 15
	codeNotCoordinator          int16 = 16
	codeIllegalGeneration       int16 = 22
	codeInconsistentProtocol    int16 = 23
	codeInvalidGroupID          int16 = 24
	codeUnknownMemberID         int16 = 25
	codeInvalidSessionTimeout   int16 = 26
	codeRebalanceInProgress     int16 = 27
	codeInvalidCommitOffsetSize int16 = 28
	codeNonEmptyGroup           int16 = 68
	codeGroupIDNotFound         int16 = 69
	codeMemberIDRequired        int16 = 79
	codeGroupMaxSizeReached     int16 = 81
	codeFencedInstanceID        int16 = 82
	codeGroupSubscribedToTopic  int16 = 86
	codeUnstableOffsetCommit    int16 = 88
)

// refusalCode is the code for a request that never reached its shard.
func refusalCode(err error) int16 {
	switch {
	case errors.Is(err, coordinator.ErrNotCoordinator):
		return codeNotCoordinator
	case errors.Is(err, coordinator.ErrLoadInProgress):
		return codeLoadInProgress
	case errors.Is(err, coordinator.ErrNotAvailable):
		return codeNotAvailable
	default:
		return codeUnknownServerError
	}
}

// commitCode is the code for an offset commit whose records could not be
// written.
func commitCode(err error) int16 {
	switch {
	case err == nil:
		return codeNone
	case errors.Is(err, commitlog.ErrMessageTooLarge), errors.Is(err, commitlog.ErrRecordListTooLarge):
		return codeInvalidCommitOffsetSize
	default:
		return writeCode(err)
	}
}

// storeCode is the code for group metadata that could not be written.
func storeCode(err error) int16 {
	if errors.Is(err, replica.ErrTimedOut) {
		return codeRebalanceInProgress
	}
	return writeCode(err)
}

func writeCode(err error) int16 {
	switch {
	case err == nil:
		return codeNone
	case errors.Is(err, replica.ErrUnknownPartition),
		errors.Is(err, replica.ErrNotEnoughReplicas),
		errors.Is(err, replica.ErrNotEnoughReplicasAfterAppend),
		errors.Is(err, replica.ErrTimedOut):
		return codeNotAvailable
	case errors.Is(err, replica.ErrNotLeader),
		errors.Is(err, replica.ErrFencedEpoch),
		errors.Is(err, replica.ErrStorage),
		errors.Is(err, commitlog.ErrStorage):
		return codeNotCoordinator
	default:
		return codeUnknownServerError
	}
}
