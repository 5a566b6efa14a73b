package commitlog

import (
	"errors"
	"io/fs"
	"math"
	"slices"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/producer"
)

// TruncateTo removes every record at or above offset. An offset at or above the
// end changes nothing; one below the first segment empties the log and restarts
// it there. An offset inside a batch removes the whole batch.
func (l *Log) TruncateTo(offset int64) error {
	l.filesMu.Lock()
	defer l.filesMu.Unlock()
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if offset >= l.EndOffset() {
		return nil
	}
	if offset < (*l.segments.Load())[0].base {
		return l.restart(offset)
	}
	if err := l.truncate(offset); err != nil {
		return l.health.Fail("truncate", err)
	}
	return l.storeRecoveryPoint()
}

// TruncateFullyAndStartAt empties the log and restarts it at offset.
func (l *Log) TruncateFullyAndStartAt(offset int64) error {
	l.filesMu.Lock()
	defer l.filesMu.Unlock()
	l.syncMu.Lock()
	defer l.syncMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	return l.restart(offset)
}

// storeRecoveryPoint has the recovery point on disk before it returns: after a
// truncation a crash could else leave unsynced bytes below the stored one.
func (l *Log) storeRecoveryPoint() error {
	if l.hooks.truncated == nil {
		return nil
	}
	return l.hooks.truncated(l)
}

// truncate cuts the log at offset, which lies in one of its segments. The later
// segments go first, durably: a crash in between leaves a log whose last segment
// is checked as a whole, never a hole.
func (l *Log) truncate(offset int64) error {
	list := *l.segments.Load()
	i := floorSegment(list, offset)
	s := list[i]
	end, size, err := l.cutPoint(s, offset)
	if err != nil {
		return err
	}
	l.cuts.Add(1)
	l.end.Store(end)
	l.cleaned.Store(min(l.cleaned.Load(), end))
	kept := slices.Clip(list[:i+1])
	l.segments.Store(&kept)
	l.flushed.Store(min(l.flushed.Load(), end))
	l.safe.Store(min(l.safe.Load(), end))
	l.start.Store(min(l.start.Load(), end))
	for j := len(list) - 1; j > i; j-- {
		if err := l.dropSegment(list[j]); err != nil {
			return err
		}
	}
	l.dirDirty = false
	if err := l.dir.fs.SyncDir(*l.dir.path.Load()); err != nil {
		return err
	}
	if err := l.cutSegment(s, size, end); err != nil {
		return err
	}
	if err := l.writeEpochs(l.epochs.History().WithoutEnd(end)); err != nil {
		return err
	}
	if err := l.dropSnapshots(func(o int64) bool { return o > end }); err != nil {
		return err
	}
	// The new end may lie in a gap and the next segment begin there. With the
	// recovery point at the end that hole is not taken for lost records.
	if err := l.doSync(l.collectSync(math.MaxInt64)); err != nil {
		return err
	}
	l.flushed.Store(end)
	l.safe.Store(end)
	return l.reloadProducers(end, end, time.Now().UnixMilli())
}

// cutPoint finds the new end and size of a segment that is to lose everything
// at or above offset: the end is offset, or the base of the batch that contains it.
func (l *Log) cutPoint(s *segment, offset int64) (end, size int64, err error) {
	interval := l.cfg.Load().IndexIntervalBytes
	if err := s.load(interval); err != nil {
		return 0, 0, err
	}
	h, err := s.file.Acquire()
	if err != nil {
		return 0, 0, err
	}
	defer h.Release()
	s.tail.Store(nil) // look-ups must not trust boundaries that are going away
	size = s.size.Load()
	at, ok, err := s.locate(h.File, offset, size, interval)
	if err != nil || !ok {
		return offset, size, err
	}
	return min(offset, at.base), at.pos, nil
}

// cutSegment shortens a segment durably and makes it active.
func (l *Log) cutSegment(s *segment, size, end int64) error {
	h, err := s.file.Acquire()
	if err != nil {
		return err
	}
	defer h.Release()
	s.size.Store(size)
	s.setDamage(s.damaged().Cut(size))
	if err := h.File.Truncate(size); err != nil {
		return err
	}
	if err := h.File.Datasync(); err != nil {
		return err
	}
	s.allocated = size
	if err := l.cutIndexes(s, h, size, end); err != nil {
		return err
	}
	t := &index.Tail{}
	if size > 0 {
		t.Add(s.rel(end), uint32(size))
	}
	s.tail.Store(t)
	return nil
}

// cutIndexes brings a shortened segment's indexes in line with its log file.
func (l *Log) cutIndexes(s *segment, h *logfile.Handle, size, end int64) error {
	if err := s.rebuild(h.File, l.cfg.Load().IndexIntervalBytes); err != nil {
		return err
	}
	if size == 0 {
		s.created = time.Now().UnixMilli()
	}
	txns := s.txns.Entries()
	kept := slices.DeleteFunc(slices.Clone(txns), func(t AbortedTxn) bool { return t.LastOffset >= end })
	if len(kept) == len(txns) {
		return nil
	}
	return s.txns.Rewrite(l.dir.fs, s.path(format.TxnIndexSuffix), kept)
}

// dropSegment takes a segment's files away at once.
func (l *Log) dropSegment(s *segment) error {
	for _, name := range s.files() {
		if err := l.dir.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.close()
}

// restart empties the log and begins it anew at offset. The caller holds both
// locks.
func (l *Log) restart(offset int64) error {
	if err := l.doRestart(offset); err != nil {
		return l.health.Fail("restart log", err)
	}
	return l.storeRecoveryPoint()
}

func (l *Log) doRestart(offset int64) error {
	if err := l.syncSide(); err != nil {
		return err
	}
	now := time.Now().UnixMilli()
	list := *l.segments.Load()
	l.start.Store(offset) // readers that meet a dropped segment find it out of range
	l.end.Store(offset)
	l.cuts.Add(1)
	l.cleaned.Store(notCleaned)
	for j := len(list) - 1; j >= 0; j-- {
		if err := l.dropSegment(list[j]); err != nil {
			return err
		}
	}
	if err := l.dropSnapshots(func(int64) bool { return true }); err != nil {
		return err
	}
	next := newSegment(l.dir, offset)
	if err := next.create(now); err != nil {
		return err
	}
	next.jitter = l.jitter(offset)
	l.flushed.Store(offset)
	l.safe.Store(offset)
	l.segments.Store(&[]*segment{next})
	l.producers = producer.New()
	l.unstable.Store(false)
	l.dirDirty = false
	if err := l.dir.fs.SyncDir(*l.dir.path.Load()); err != nil {
		return err
	}
	return l.writeEpochs(nil)
}
