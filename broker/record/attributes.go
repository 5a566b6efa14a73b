package record

import "fmt"

// Compression is the codec of a batch, as stored in its attributes.
type Compression int8

// The codecs of message format 2.
const (
	None   Compression = 0
	Gzip   Compression = 1
	Snappy Compression = 2
	LZ4    Compression = 3
	Zstd   Compression = 4
)

var compressionNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// String gives the codec's name in configuration.
func (c Compression) String() string {
	if c < 0 || int(c) >= len(compressionNames) {
		return fmt.Sprintf("codec(%d)", int8(c))
	}
	return compressionNames[c]
}

// ParseCompression reads a codec's name; "uncompressed" is an old word for none.
func ParseCompression(name string) (Compression, error) {
	if name == "uncompressed" {
		return None, nil
	}
	for i, n := range compressionNames {
		if n == name {
			return Compression(i), nil
		}
	}
	return None, fmt.Errorf("%w: %q", ErrUnsupportedCompression, name)
}

// TimestampType tells who set the timestamps of a batch.
type TimestampType int8

// CreateTime is set by the producer, LogAppendTime by the broker.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

// String gives the configuration value.
func (t TimestampType) String() string {
	if t == LogAppendTime {
		return "LogAppendTime"
	}
	return "CreateTime"
}

// Attributes are the 16 flag bits of a batch:
// 0–2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon.
type Attributes int16

const (
	compressionMask  Attributes = 0x07
	logAppendTimeBit Attributes = 0x08
	transactionalBit Attributes = 0x10
	controlBit       Attributes = 0x20
	deleteHorizonBit Attributes = 0x40
)

// Compression gives the codec; it may be an unknown one.
func (a Attributes) Compression() Compression { return Compression(a & compressionMask) }

// TimestampType tells who set the timestamps.
func (a Attributes) TimestampType() TimestampType {
	if a&logAppendTimeBit != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// IsTransactional tells whether the batch belongs to a transaction.
func (a Attributes) IsTransactional() bool { return a&transactionalBit != 0 }

// IsControl tells whether the batch holds a transaction marker.
func (a Attributes) IsControl() bool { return a&controlBit != 0 }

// HasDeleteHorizon tells whether the base timestamp field holds the time after
// which tombstones of the batch may go.
func (a Attributes) HasDeleteHorizon() bool { return a&deleteHorizonBit != 0 }
