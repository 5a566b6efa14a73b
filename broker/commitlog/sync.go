package commitlog

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/leatstream/leat/broker/commitlog/format"
)

const createFlags = os.O_RDWR | os.O_CREATE | os.O_TRUNC

// Sync makes everything below upTo durable; concurrent callers share one
// fdatasync. After an error the log directory is off line.
func (l *Log) Sync(upTo int64) error {
	if l.flushed.Load() >= upTo {
		return l.usable()
	}
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	if l.flushed.Load() >= upTo {
		return l.usable()
	}
	return l.syncLocked(math.MaxInt64)
}

// syncSealed makes the segments durable that were sealed below upTo, the base of
// a segment.
func (l *Log) syncSealed(upTo int64) error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	fresh := l.fresh
	l.mu.Unlock()
	if l.safe.Load() >= upTo && !fresh {
		return l.usable()
	}
	return l.syncLocked(upTo)
}

// syncAll syncs also what has no offset: indexes, snapshots, folder entries.
func (l *Log) syncAll() error {
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	return l.syncLocked(math.MaxInt64)
}

// syncWork is what one sync has to do, collected under mu and done without it.
type syncWork struct {
	end       int64
	segments  []*segment // whose logs hold unsynced bytes
	sealed    []*segment // whose index files were never synced
	txns      []*segment
	snapshots []int64
	side      bool // topic id and epochs
	dir       bool
}

// syncLocked does one sync of all segments whose base is below upTo. The caller
// holds syncMu.
func (l *Log) syncLocked(upTo int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	w := l.collectSync(upTo)
	l.mu.Unlock()
	if err := l.doSync(w); err != nil {
		if l.deletedBefore(err) {
			return ErrClosed
		}
		return l.health.Fail("sync", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushed.Store(max(w.end, l.flushed.Load()))
	safe := w.end
	// Segments that were sealed during the sync still wait for theirs.
	list := *l.segments.Load()
	for i := len(list) - 2; i >= 0 && list[i].unsynced; i-- {
		safe = min(w.end, list[i].base)
	}
	l.safe.Store(safe)
	return nil
}

// deletedBefore tells whether err only says that the log was deleted meanwhile
// and its folder has another name or is gone.
func (l *Log) deletedBefore(err error) bool {
	return l.closed.Load() && errors.Is(err, fs.ErrNotExist)
}

// collectSync lists what a sync of the segments below upTo has to do. The caller
// holds mu.
func (l *Log) collectSync(upTo int64) syncWork {
	w := syncWork{end: min(l.EndOffset(), upTo), snapshots: l.unsynced, side: l.fresh, dir: l.dirDirty || l.fresh}
	from := l.flushed.Load()
	list := *l.segments.Load()
	first := floorSegment(list, from)
	for first > 0 && list[first-1].unsynced {
		first--
	}
	for _, s := range list[first:] {
		if s.base >= upTo {
			break
		}
		w.segments = append(w.segments, s)
		s.file.BeginSync()
		if s.unsynced {
			s.unsynced = false
			w.sealed = append(w.sealed, s)
		}
		if s.txns.Dirty {
			s.txns.Dirty = false
			w.txns = append(w.txns, s)
		}
	}
	l.unsynced, l.dirDirty, l.fresh = nil, false, false
	if w.end == l.EndOffset() {
		l.records, l.oldest = 0, 0
	}
	return w
}

func (l *Log) doSync(w syncWork) error {
	for _, s := range w.segments {
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	var names []string
	if w.side {
		names = append(names, l.dir.name(format.PartitionMetadataFile), l.dir.name(format.EpochFile))
	}
	for _, s := range w.sealed {
		names = append(names, s.path(format.IndexSuffix), s.path(format.TimeIndexSuffix))
	}
	for _, s := range w.txns {
		names = append(names, s.path(format.TxnIndexSuffix))
	}
	for _, offset := range w.snapshots {
		names = append(names, l.dir.name(format.FileName(offset, format.SnapshotSuffix)))
	}
	for _, name := range names {
		if err := syncFile(l.dir, name); err != nil {
			return err
		}
	}
	if w.dir {
		return l.dir.fs.SyncDir(*l.dir.path.Load())
	}
	return nil
}

// syncSide makes the topic id and the epochs of a fresh log durable before the
// log begins elsewhere than at 0, from which recovery would know that they may
// not be. The caller holds mu.
func (l *Log) syncSide() error {
	if !l.fresh {
		return nil
	}
	for _, file := range []string{format.PartitionMetadataFile, format.EpochFile} {
		if err := syncFile(l.dir, l.dir.name(file)); err != nil {
			return err
		}
	}
	if err := l.dir.fs.SyncDir(*l.dir.path.Load()); err != nil {
		return err
	}
	l.fresh, l.dirDirty = false, false
	return nil
}

// syncFile makes a side file durable; one that was removed meanwhile is fine.
func syncFile(dir *folder, name string) error {
	f, err := dir.fs.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// dropSnapshots removes snapshot files for which gone is true. The caller holds mu.
func (l *Log) dropSnapshots(gone func(offset int64) bool) error {
	var errs []error
	l.snapshots = slices.DeleteFunc(l.snapshots, func(offset int64) bool {
		if !gone(offset) {
			return false
		}
		err := l.dir.fs.Remove(l.dir.name(format.FileName(offset, format.SnapshotSuffix)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		return true
	})
	l.unsynced = slices.DeleteFunc(l.unsynced, gone)
	return errors.Join(errs...)
}
