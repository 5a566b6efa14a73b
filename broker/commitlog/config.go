package commitlog

import (
	"math"

	"github.com/leatstream/leat/broker/record"
)

// Config is the storage side of a topic's configuration. Times are in ms,
// sizes in bytes. The zero value is not usable; start from DefaultConfig.
type Config struct {
	SegmentBytes       int32 // a segment is rolled before it grows past this
	SegmentMs          int64 // age by record time at which a segment is rolled
	SegmentJitterMs    int64 // up to this much is taken off SegmentMs, per segment
	SegmentIndexBytes  int32 // bound of the index files; a full index rolls the segment
	IndexIntervalBytes int32 // one index entry per this many log bytes

	FlushMessages int64 // sync after this many records
	FlushMs       int64 // sync when the oldest unsynced record is this old

	RetentionBytes    int64 // -1: unbounded
	RetentionMs       int64 // -1: unbounded
	FileDeleteDelayMs int64 // removed files keep the suffix .deleted this long

	Compact                bool // cleanup.policy contains compact
	Delete                 bool // cleanup.policy contains delete
	DeleteRetentionMs      int64
	MinCompactionLagMs     int64
	MaxCompactionLagMs     int64
	MinCleanableDirtyRatio float64

	MaxMessageBytes      int32
	KeepCompression      bool // compression.type=producer
	Compression          record.Compression
	GzipLevel            int
	LZ4Level             int
	ZstdLevel            int
	TimestampType        record.TimestampType
	TimestampBeforeMaxMs int64 // largest allowed age of a CreateTime timestamp
	TimestampAfterMaxMs  int64 // how far a CreateTime timestamp may lie ahead
	Preallocate          bool
	ValidateRecords      bool // record.validation=records; compacted topics always do
}

// DefaultConfig gives the defaults of CONFIG §2.
func DefaultConfig() Config {
	const day = 24 * 60 * 60 * 1000
	return Config{
		SegmentBytes:           1 << 30,
		SegmentMs:              7 * day,
		SegmentIndexBytes:      10 << 20,
		IndexIntervalBytes:     4096,
		FlushMessages:          math.MaxInt64,
		FlushMs:                math.MaxInt64,
		RetentionBytes:         -1,
		RetentionMs:            7 * day,
		FileDeleteDelayMs:      60_000,
		Delete:                 true,
		DeleteRetentionMs:      day,
		MaxCompactionLagMs:     math.MaxInt64,
		MinCleanableDirtyRatio: 0.5,
		MaxMessageBytes:        1048588,
		KeepCompression:        true,
		GzipLevel:              -1,
		LZ4Level:               9,
		ZstdLevel:              3,
		TimestampBeforeMaxMs:   math.MaxInt64,
		TimestampAfterMaxMs:    60 * 60 * 1000,
	}
}
