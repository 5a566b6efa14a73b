package record

import (
	"errors"
	"fmt"
)

var (
	// ErrTruncated says that the bytes end inside a batch.
	ErrTruncated = errors.New("record: truncated batch")
	// ErrCorruptBatch says that a batch's framing or checksum is wrong.
	ErrCorruptBatch = errors.New("record: corrupt batch")
	// ErrInvalidRecord says that a batch is intact but breaks a rule.
	ErrInvalidRecord = errors.New("record: invalid record")
	// ErrInvalidTimestamp says that a timestamp is outside the allowed range.
	ErrInvalidTimestamp = errors.New("record: invalid timestamp")
	// ErrUnsupportedFormat says that a batch is not of message format 2.
	ErrUnsupportedFormat = errors.New("record: unsupported message format")
	// ErrUnsupportedCompression names an unknown codec.
	ErrUnsupportedCompression = errors.New("record: unsupported compression type")
	// ErrTooLarge says that decompression would pass the given bound.
	ErrTooLarge = errors.New("record: decompressed batch is too large")
)

// RecordError is what is wrong with one record of a batch.
type RecordError struct {
	Index   int // position of the record in its batch, from 0
	Message string
}

// InvalidError lists the records that were refused. errors.Is finds Kind,
// which is ErrInvalidRecord or ErrInvalidTimestamp.
type InvalidError struct {
	Kind    error
	Records []RecordError
}

// Error implements error.
func (e *InvalidError) Error() string {
	if len(e.Records) == 0 {
		return e.Kind.Error()
	}
	first := e.Records[0]
	return fmt.Sprintf("%v: record %d: %s (%d in all)", e.Kind, first.Index, first.Message, len(e.Records))
}

// Unwrap gives the kind of the error.
func (e *InvalidError) Unwrap() error { return e.Kind }
