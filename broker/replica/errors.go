package replica

import "errors"

// The reasons why a partition request is refused. Errors of the log itself pass
// through unchanged from package commitlog.
var (
	// ErrUnknownPartition: this broker has no such partition.
	ErrUnknownPartition = errors.New("replica: unknown partition")
	// ErrUnknownTopicID: no hosted topic has this id.
	ErrUnknownTopicID = errors.New("replica: unknown topic id")
	// ErrInconsistentTopicID: the topic exists under another id.
	ErrInconsistentTopicID = errors.New("replica: topic id does not match the hosted topic")
	// ErrNotLeader: this broker hosts the partition, another one leads it.
	ErrNotLeader = errors.New("replica: not the leader of the partition")
	// ErrFencedEpoch: the request carries a leader epoch that has passed.
	ErrFencedEpoch = errors.New("replica: leader epoch is older than the current one")
	// ErrUnknownEpoch: the request carries a leader epoch not yet seen here.
	ErrUnknownEpoch = errors.New("replica: leader epoch is newer than the current one")
	// ErrNotEnoughReplicas: the ISR is below min.insync.replicas; nothing was appended.
	ErrNotEnoughReplicas = errors.New("replica: fewer in-sync replicas than min.insync.replicas")
	// ErrNotEnoughReplicasAfterAppend: the ISR fell below min.insync.replicas
	// after the records were appended; they are in the log.
	ErrNotEnoughReplicasAfterAppend = errors.New("replica: fewer in-sync replicas than min.insync.replicas after the append")
	// ErrReplicaNotAvailable: the replica is offline or not known here.
	ErrReplicaNotAvailable = errors.New("replica: replica not available")
	// ErrUnknownReplica: a follower fetches a partition it is not assigned to.
	ErrUnknownReplica = errors.New("replica: follower is not a replica of the partition")
	// ErrStorage: the log directory of the replica has failed.
	ErrStorage = errors.New("replica: log directory is offline")
	// ErrTimedOut: the deadline passed before the condition held.
	ErrTimedOut = errors.New("replica: request timed out")
	// ErrInvalidRequiredAcks: acks is none of -1, 0 and 1.
	ErrInvalidRequiredAcks = errors.New("replica: acks must be -1, 0 or 1")
	// ErrInvalidTopic: a client may not write to an internal topic.
	ErrInvalidTopic = errors.New("replica: internal topic is not writable by clients")
	// ErrOffsetNotAvailable: the high watermark has not reached the start of the
	// leader's epoch yet, so the end offset could go back.
	ErrOffsetNotAvailable = errors.New("replica: high watermark has not reached the leader epoch's start")
	// ErrUnsupportedTimestamp: a special timestamp that the log cannot answer.
	ErrUnsupportedTimestamp = errors.New("replica: unsupported special timestamp")
	// ErrUnknownIsolation: an isolation level that is not defined.
	ErrUnknownIsolation = errors.New("replica: unknown isolation level")
	// ErrPolicyViolation: the topic's cleanup policy forbids the operation.
	ErrPolicyViolation = errors.New("replica: operation not allowed by cleanup.policy")
	// ErrStaleController: the request comes from a controller that was replaced.
	ErrStaleController = errors.New("replica: controller epoch is stale")
	// ErrClosed: the manager is shut down.
	ErrClosed = errors.New("replica: manager is closed")
)
