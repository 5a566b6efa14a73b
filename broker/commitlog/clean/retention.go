package clean

import (
	"time"

	"github.com/leatstream/leat/broker/commitlog"
)

// Retention deletes old segments. Its Apply is a commitlog.ManagerConfig.Retain.
type Retention struct {
	// HighWatermark gives a log's high watermark; ok is false while it is
	// unknown, and then nothing is deleted.
	HighWatermark func(l *commitlog.Log) (offset int64, ok bool)
}

// Apply deletes the segments of one log that its configuration does not keep.
func (r Retention) Apply(l *commitlog.Log, now time.Time) (segments int, err error) { return 0, nil }
