package commitlog

import (
	"slices"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
)

// SegmentInfo describes one segment for the decision what to delete.
type SegmentInfo struct {
	BaseOffset int64
	NextOffset int64 // base of the next segment, or the log's end
	Size       int64 // bytes of the log file
	Largest    int64 // largest timestamp in ms; the file's time if no record has one, -1 while there is no record
	Active     bool
}

// Segments describes the segments in order.
func (l *Log) Segments() ([]SegmentInfo, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	end := l.EndOffset()
	list := *l.segments.Load()
	interval := l.cfg.Load().IndexIntervalBytes
	out := make([]SegmentInfo, len(list))
	for i, s := range list {
		if err := s.load(interval); err != nil {
			if s.replaced.Load() {
				return l.Segments()
			}
			return nil, l.readError(s.base, err)
		}
		out[i] = SegmentInfo{BaseOffset: s.base, NextOffset: end, Size: s.size.Load(), Largest: s.maxTS.Load(), Active: i == len(list)-1}
		if out[i].Largest < 0 && !(out[i].Active && out[i].Size == 0) {
			if info, err := l.dir.fs.Stat(s.path(format.LogSuffix)); err == nil {
				out[i].Largest = info.ModTime().UnixMilli()
			}
		}
		if i > 0 {
			out[i-1].NextOffset = s.base
		}
	}
	return out, nil
}

// Roll seals the active segment, unless it is empty, so that it can be deleted.
func (l *Log) Roll(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if l.active().size.Load() == 0 {
		return nil
	}
	return l.roll(l.EndOffset(), now.UnixMilli())
}

// DeleteSegments takes whole sealed segments from the start of the log, those
// that end at or below upTo, and moves the start offset up. Their files go after
// file.delete.delay.ms; slices in flight stay readable. The caller answers for
// upTo ≤ high watermark.
func (l *Log) DeleteSegments(upTo int64) (deleted int, err error) {
	l.filesMu.Lock()
	defer l.filesMu.Unlock()
	deleted, err = l.deleteSegments(upTo)
	if deleted == 0 || err != nil {
		return deleted, err
	}
	// The names tell the start offset from now on, so that it leaves the
	// checkpoint. Nobody but other removals waits for this.
	if err := l.syncFolder(); err != nil {
		return deleted, l.health.Fail("delete segment", err)
	}
	return deleted, nil
}

// deleteSegments does it up to the sync of the folder. The caller holds filesMu.
func (l *Log) deleteSegments(upTo int64) (deleted int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return 0, err
	}
	list := *l.segments.Load()
	n := 0
	for n < len(list)-1 && list[n+1].base <= upTo {
		n++
	}
	if n == 0 {
		return 0, nil
	}
	if err := l.syncSide(); err != nil {
		return 0, l.health.Fail("delete segment", err)
	}
	if err := l.advanceStart(max(l.StartOffset(), list[n].base)); err != nil {
		return 0, err
	}
	kept := slices.Clone(list[n:])
	l.segments.Store(&kept)
	for _, s := range list[:n] {
		if err := l.removeFiles(s.files()); err != nil {
			return deleted, l.health.Fail("delete segment", err)
		}
		l.snapshots = slices.DeleteFunc(l.snapshots, func(o int64) bool { return o == s.base })
		deleted++
		if err := s.close(); err != nil {
			return deleted, l.health.Fail("delete segment", err)
		}
	}
	return deleted, nil
}
