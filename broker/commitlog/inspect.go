package commitlog

import (
	"path/filepath"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/commitlog/format"
)

// The functions of this file read single files of a log for tools. They change
// nothing and need no Manager; files of a running broker may be read too, whose
// last bytes may then be missing.

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
	case format.RecoveryPointFile, format.LogStartFile, format.HighWatermarkFile, format.CleanerOffsetFile:
		return KindOffsets, 0
	case format.EpochFile:
		return KindEpochs, 0
	case format.PartitionMetadataFile:
		return KindTopicID, 0
	}
	for _, suffix := range [...]string{format.DeletedSuffix, format.CleanedSuffix, format.SwapSuffix} {
		name = strings.TrimSuffix(name, suffix)
	}
	ext := filepath.Ext(name)
	base, err := strconv.ParseInt(strings.TrimSuffix(name, ext), 10, 64)
	if err != nil || base < 0 {
		return KindUnknown, 0
	}
	k = map[string]Kind{
		format.LogSuffix: KindLog, format.IndexSuffix: KindOffsetIndex, format.TimeIndexSuffix: KindTimeIndex,
		format.TxnIndexSuffix: KindTxnIndex, format.SnapshotSuffix: KindSnapshot,
	}[ext]
	return k, base
}
