package commitlog

import (
	"errors"

	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/record"
)

var (
	// ErrOffsetOutOfRange says that an offset is below the start or above the end.
	ErrOffsetOutOfRange = errors.New("commitlog: offset out of range")
	// ErrCorruptBatch says that framing or checksum of a batch is wrong.
	ErrCorruptBatch = record.ErrCorruptBatch
	// ErrInvalidRecord says that a batch is intact but breaks a rule;
	// *record.InvalidError may carry the records concerned.
	ErrInvalidRecord = record.ErrInvalidRecord
	// ErrInvalidTimestamp says that a timestamp is outside the topic's bounds.
	ErrInvalidTimestamp = record.ErrInvalidTimestamp
	// ErrUnsupportedFormat says that a batch is of message format 0 or 1.
	ErrUnsupportedFormat = record.ErrUnsupportedFormat
	// ErrUnsupportedCompression names an unknown codec.
	ErrUnsupportedCompression = record.ErrUnsupportedCompression
	// ErrMessageTooLarge says that a batch is larger than max.message.bytes.
	ErrMessageTooLarge = errors.New("commitlog: batch is larger than max.message.bytes")
	// ErrRecordListTooLarge says that an append is larger than a segment.
	ErrRecordListTooLarge = errors.New("commitlog: append is larger than segment.bytes")
	// ErrOutOfOrderSequence says that a producer's batch leaves a gap or comes back too late.
	ErrOutOfOrderSequence = producer.ErrOutOfOrderSequence
	// ErrDuplicateSequence marks a batch that was appended before. It stays
	// inside the package: AppendInfo.Duplicate tells the caller.
	ErrDuplicateSequence = errors.New("commitlog: duplicate sequence number")
	// ErrInvalidProducerEpoch says that a newer producer with the same id has written.
	ErrInvalidProducerEpoch = producer.ErrInvalidProducerEpoch
	// ErrInvalidTxnState says that a plain batch came inside a transaction.
	ErrInvalidTxnState = producer.ErrInvalidTxnState
	// ErrCoordinatorFenced says that a marker came from an old coordinator.
	ErrCoordinatorFenced = producer.ErrCoordinatorFenced
	// ErrStorage says that the log directory is off line; it wraps the cause.
	ErrStorage = volume.ErrStorage
	// ErrNoSpace says that the volume is full; it is also an ErrStorage.
	ErrNoSpace = volume.ErrNoSpace
	// ErrSegmentsChanged says that segments were removed, cut or replaced while
	// somebody walked over them.
	ErrSegmentsChanged = errors.New("commitlog: the segments have changed")
	// ErrClosed says that the log was closed or deleted.
	ErrClosed = logfile.ErrClosed
	// ErrLogExists says that a log is already there.
	ErrLogExists = errors.New("commitlog: log exists")
	// ErrUnknownLog says that there is no such log.
	ErrUnknownLog = errors.New("commitlog: no such log")
	// ErrUnknownDir says that a path is no log directory of the manager.
	ErrUnknownDir = errors.New("commitlog: no such log directory")
	// ErrMoveBehind says that a copy lacks records of the log it is to replace.
	ErrMoveBehind = errors.New("commitlog: copy of the log is not complete")
	// ErrMoveTorn says that an exchange of two logs was broken off; both are closed.
	ErrMoveTorn = errors.New("commitlog: neither the log nor its copy can be used before the next start")
	// ErrInconsistentTopicID says that a folder belongs to another topic of the same name.
	ErrInconsistentTopicID = errors.New("commitlog: topic id differs from the one on disk")
)
