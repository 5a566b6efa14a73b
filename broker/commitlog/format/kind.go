package format

import (
	"path/filepath"
	"strconv"
	"strings"
)

// Kind tells what a file of a log directory holds.
type Kind uint8

// The kinds of files, by their names.
const (
	KindUnknown Kind = iota
	KindLog
	KindOffsetIndex
	KindTimeIndex
	KindTxnIndex
	KindSnapshot
	KindOffsets // a checkpoint of offsets by partition
	KindEpochs
	KindTopicID
)

// KindOf tells from a file's name what it holds, and for the files of a segment
// the segment's base offset (of a snapshot: its offset). The suffixes .deleted,
// .cleaned and .swap make no difference.
func KindOf(path string) (k Kind, base int64) {
	name := filepath.Base(path)
	switch name {
	case RecoveryPointFile, LogStartFile, HighWatermarkFile, CleanerOffsetFile:
		return KindOffsets, 0
	case EpochFile:
		return KindEpochs, 0
	case PartitionMetadataFile:
		return KindTopicID, 0
	}
	for _, suffix := range [...]string{DeletedSuffix, CleanedSuffix, SwapSuffix} {
		name = strings.TrimSuffix(name, suffix)
	}
	ext := filepath.Ext(name)
	base, err := strconv.ParseInt(strings.TrimSuffix(name, ext), 10, 64)
	if err != nil || base < 0 {
		return KindUnknown, 0
	}
	k = map[string]Kind{
		LogSuffix: KindLog, IndexSuffix: KindOffsetIndex, TimeIndexSuffix: KindTimeIndex,
		TxnIndexSuffix: KindTxnIndex, SnapshotSuffix: KindSnapshot,
	}[ext]
	return k, base
}
