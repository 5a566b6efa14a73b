package producer

import "errors"

// Errors that callers tell apart with errors.Is.
var (
	// ErrOutOfOrderSequence says that a producer's batch leaves a gap or comes back too late.
	ErrOutOfOrderSequence = errors.New("commitlog: out of order sequence number")
	// ErrInvalidProducerEpoch says that a newer producer with the same id has written.
	ErrInvalidProducerEpoch = errors.New("commitlog: invalid producer epoch")
	// ErrInvalidTxnState says that a plain batch came inside a transaction.
	ErrInvalidTxnState = errors.New("commitlog: invalid transaction state")
	// ErrCoordinatorFenced says that a marker came from an old coordinator.
	ErrCoordinatorFenced = errors.New("commitlog: transaction coordinator fenced")
)
