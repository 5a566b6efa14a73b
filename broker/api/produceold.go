package api

import (
	"encoding/binary"
	"errors"

	"github.com/leatstream/leat/broker/record"
)

// maxConverted bounds what the records of one partition of a request may take
// after decompression when they are converted, in bytes. It is Kafka's bound for
// a whole request.
const maxConverted = 100 << 20

// oldRecords takes what the versions before format 2 carry: a set of messages of
// formats 0 and 1, which becomes one batch. Kafka never checked that the format
// fits the version, so batches of format 2 pass as they are. Nothing, and a
// single message that is cut, are taken and do nothing.
//
// A converted batch is memory of its own: it must outlive the request, which may
// be answered while the append still runs.
func oldRecords(b []byte, levels record.Levels) (batches []byte, converted bool, err error) {
	first, rest, err := record.Next(b)
	switch {
	case len(b) == 0 || cut(b) || errors.Is(err, record.ErrTruncated):
		return nil, false, nil
	case errors.Is(err, record.ErrUnsupportedFormat):
		batches, records, err := record.UpConvert(nil, b, levels, maxConverted)
		if err != nil || records == 0 {
			return nil, false, err
		}
		return batches, true, nil
	case err == nil && first.BaseOffset() != 0:
		return nil, false, errBaseOffset
	}
	for err == nil && len(rest) > 0 && !cut(rest) {
		_, rest, err = record.Next(rest)
	}
	if errors.Is(err, record.ErrUnsupportedFormat) {
		err = errOldBatch
	}
	return b[:len(b)-len(rest)], false, err
}

// cut reports whether b ends inside its first message, of any format.
func cut(b []byte) bool {
	return len(b) < record.LogOverhead || int64(int32(binary.BigEndian.Uint32(b[8:]))) > int64(len(b)-record.LogOverhead)
}

// levels are the compression levels for batches of a topic.
func (c *produceCall) levels(topic string) record.Levels {
	cfg := c.a.Configs.Topic(topic)
	return record.Levels{Gzip: cfg.GzipLevel, LZ4: cfg.LZ4Level, Zstd: cfg.ZstdLevel}
}
