package format

import (
	"fmt"
	"strconv"
)

// The suffixes of a segment's files.
const (
	LogSuffix       = ".log"
	IndexSuffix     = ".index"
	TimeIndexSuffix = ".timeindex"
	TxnIndexSuffix  = ".txnindex"
	SnapshotSuffix  = ".snapshot"
	DeletedSuffix   = ".deleted" // after the others: waits for removal
	CleanedSuffix   = ".cleaned" // is being written, to replace others
	SwapSuffix      = ".swap"    // is whole and about to replace others
)

// FileName gives the name of a segment's file: 20 digits and a suffix.
func FileName(base int64, suffix string) string { return fmt.Sprintf("%020d%s", base, suffix) }

// SplitName takes the name of a segment's file apart; other names give "".
func SplitName(name string) (base int64, suffix string) {
	if len(name) < 21 || name[20] != '.' {
		return 0, ""
	}
	base, err := strconv.ParseInt(name[:20], 10, 64)
	if err != nil || base < 0 {
		return 0, ""
	}
	switch suffix = name[20:]; suffix {
	case LogSuffix, IndexSuffix, TimeIndexSuffix, TxnIndexSuffix, SnapshotSuffix:
		return base, suffix
	}
	return 0, ""
}
