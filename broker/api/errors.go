package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/twmb/franz-go/pkg/kerr"
)

// refusal is an error that a handler finds itself: a code and a text for whoever
// reads the client's log.
type refusal struct {
	kafka *kerr.Error
	text  string
}

func (r *refusal) Error() string { return r.text }

// refuse builds an error with Kafka's code k.
func refuse(k *kerr.Error, format string, args ...any) error {
	return &refusal{kafka: k, text: fmt.Sprintf(format, args...)}
}

// codes maps the sentinel errors of all managers to the protocol's. The first
// match counts: an error that wraps another stands before it. Read-only.
var codes = [...]struct {
	err   error
	kafka *kerr.Error
}{
	{replica.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{replica.ErrUnknownTopicID, kerr.UnknownTopicID},
	{replica.ErrInconsistentTopicID, kerr.InconsistentTopicID},
	{replica.ErrNotLeader, kerr.NotLeaderForPartition},
	{replica.ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{replica.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
	{replica.ErrNotEnoughReplicasAfterAppend, kerr.NotEnoughReplicasAfterAppend},
	{replica.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{replica.ErrReplicaNotAvailable, kerr.ReplicaNotAvailable},
	{replica.ErrUnknownReplica, kerr.NotLeaderForPartition},
	{replica.ErrStorage, kerr.KafkaStorageError},
	{replica.ErrTimedOut, kerr.RequestTimedOut},
	{replica.ErrInvalidRequiredAcks, kerr.InvalidRequiredAcks},
	{replica.ErrInvalidTopic, kerr.InvalidTopicException},
	{replica.ErrOffsetNotAvailable, kerr.OffsetNotAvailable},
	{replica.ErrUnsupportedTimestamp, kerr.UnsupportedVersion},
	{replica.ErrPolicyViolation, kerr.PolicyViolation},
	{replica.ErrStaleController, kerr.StaleControllerEpoch},
	{replica.ErrClosed, kerr.NotLeaderForPartition},

	{commitlog.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{commitlog.ErrCorruptBatch, kerr.CorruptMessage},
	{commitlog.ErrInvalidRecord, kerr.InvalidRecord},
	{commitlog.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{commitlog.ErrUnsupportedFormat, kerr.UnsupportedForMessageFormat},
	{commitlog.ErrUnsupportedCompression, kerr.UnsupportedCompressionType},
	{record.ErrTooLarge, kerr.MessageTooLarge},
	{commitlog.ErrMessageTooLarge, kerr.MessageTooLarge},
	{commitlog.ErrRecordListTooLarge, kerr.RecordListTooLarge},
	{commitlog.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{commitlog.ErrDuplicateSequence, kerr.DuplicateSequenceNumber},
	{commitlog.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{commitlog.ErrInvalidTxnState, kerr.InvalidTxnState},
	{commitlog.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{commitlog.ErrStorage, kerr.KafkaStorageError},
	{commitlog.ErrClosed, kerr.NotLeaderForPartition}, // deleted, or the broker stops
	{commitlog.ErrUnknownDir, kerr.LogDirNotFound},
	{commitlog.ErrUnknownLog, kerr.UnknownTopicOrPartition},
	{commitlog.ErrInconsistentTopicID, kerr.InconsistentTopicID},

	{coordinator.ErrNotCoordinator, kerr.NotCoordinator},
	{coordinator.ErrLoadInProgress, kerr.CoordinatorLoadInProgress},
	{coordinator.ErrNotAvailable, kerr.CoordinatorNotAvailable},

	{metadata.ErrInvalidConfig, kerr.InvalidConfig},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
	{context.Canceled, kerr.RequestTimedOut},
}

// code is Kafka's code of err: 0 for nil, -1 for what no client should ever see.
func code(err error) int16 {
	if err == nil {
		return 0
	}
	return kafkaError(err).Code
}

// kafkaError finds the protocol's error for err.
func kafkaError(err error) *kerr.Error {
	var r *refusal
	if errors.As(err, &r) {
		return r.kafka
	}
	for i := range codes {
		if errors.Is(err, codes[i].err) {
			return codes[i].kafka
		}
	}
	return kerr.UnknownServerError
}

// message is the text that goes with the code: nil for success, and for an
// unexpected error no more than its name, since its text may tell of files.
func message(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	if kafkaError(err) == kerr.UnknownServerError {
		text = kerr.UnknownServerError.Message
	}
	return &text
}

// errorForCode is the protocol's error of a code that a manager has chosen
// itself.
func errorForCode(c int16) *kerr.Error {
	if k, ok := kerr.ErrorForCode(c).(*kerr.Error); ok {
		return k
	}
	return kerr.UnknownServerError
}
