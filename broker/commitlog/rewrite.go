package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/record"
)

// Rewrite replaces adjacent sealed segments by others with the same or fewer
// records: the caller reads the old batches (it is a BatchReader) and appends
// those that stay; Commit then exchanges the files, Abandon drops the new ones.
//
// How the files change hands, so that a crash at any point leaves the old
// segments or the new ones:
//
//  1. The new files are written as .cleaned and synced.
//  2. All are renamed to .swap. While one .cleaned is left, the old ones count.
//  3. The old files are renamed to .deleted.
//  4. The new logs lose the suffix, then their indexes.
//
// The folder is synced after each step. swap.Finish does what a crash left undone.
//
// It belongs to one goroutine. One Rewrite of a log at a time.
type Rewrite struct {
	*BatchReader
	outs   []*rewritten
	limit  int64 // bytes of one new segment
	buffer int   // bytes collected before a write
}

// rewritten is a new segment being written.
type rewritten struct {
	*segment
	h    *logfile.Handle
	buf  []byte // not yet in the file
	txns []AbortedTxn
}

// BeginRewrite starts replacing the sealed segments whose base offsets lie in
// [from, to). Buffer is how many bytes are read ahead and collected before a write. Everything
// in the segments is synced first, so that no recovery looks for the old bytes.
func (l *Log) BeginRewrite(from, to int64, buffer int) (*Rewrite, error) {
	if l.recoveryPoint() < to {
		if err := l.syncAll(); err != nil {
			return nil, err
		}
	}
	r, err := l.ReadBatches(from, to)
	if err != nil {
		return nil, err
	}
	if len(r.list) == 0 || r.list[0].base != from {
		return nil, fmt.Errorf("%w: no segment begins at %d", ErrSegmentsChanged, from)
	}
	r.readAhead = max(buffer, scan.HeaderChunk)
	w := &Rewrite{BatchReader: r, limit: math.MaxInt32, buffer: buffer}
	return w, w.start(from)
}

// start begins another new segment.
func (w *Rewrite) start(base int64) error {
	s := newSegment(w.log.dir, base)
	s.jitter = w.log.jitter(base)
	s.created = w.list[0].created
	f, err := s.dir.fs.OpenFile(s.path(format.LogSuffix)+format.CleanedSuffix, createFlags, 0o644)
	if err != nil {
		return w.failed("create segment", err)
	}
	h := s.file.Adopt(f)
	s.resetIndexes()
	s.loaded.Store(true)
	w.outs = append(w.outs, &rewritten{segment: s, h: h})
	return nil
}

// failed sorts out an error of writing: a full volume is no reason to give the
// directory up, nor is a log that was closed or deleted, folder and all.
func (w *Rewrite) failed(op string, err error) error {
	if w.log.deletedBefore(err) {
		return ErrClosed
	}
	return w.log.health.FailUnlessFull(op, err)
}

// Append adds a batch, whose bytes are copied. Offsets must increase.
func (w *Rewrite) Append(b record.Batch) error {
	out := w.outs[len(w.outs)-1]
	pos := out.size.Load()
	if pos > 0 && (pos+int64(len(b)) > w.limit || !out.holds(b.LastOffset())) {
		if err := w.flush(out); err != nil {
			return err
		}
		if err := w.start(b.BaseOffset()); err != nil {
			return err
		}
		out, pos = w.outs[len(w.outs)-1], 0
	}
	if !out.holds(b.LastOffset()) {
		return fmt.Errorf("%w: offset %d does not fit a segment that begins at %d", ErrCorruptBatch, b.LastOffset(), out.base)
	}
	out.note(b, pos, w.log.cfg.Load().IndexIntervalBytes)
	out.buf = append(out.buf, b...)
	out.size.Store(pos + int64(len(b)))
	if len(out.buf) < w.buffer {
		return nil
	}
	return w.flush(out)
}

// Aborted notes a transaction whose abort marker was appended last.
func (w *Rewrite) Aborted(t AbortedTxn) {
	out := w.outs[len(w.outs)-1]
	out.txns = append(out.txns, t)
}

func (w *Rewrite) flush(out *rewritten) error {
	if len(out.buf) == 0 {
		return nil
	}
	if _, err := out.h.File.WriteAt(out.buf, out.size.Load()-int64(len(out.buf))); err != nil {
		return w.failed("write segment", err)
	}
	out.buf = out.buf[:0]
	return nil
}

// Size is how many bytes the new segments have.
func (w *Rewrite) Size() int64 {
	n := int64(0)
	for _, out := range w.outs {
		n += out.size.Load()
	}
	return n
}

// Abandon drops the new segments. It does nothing after Commit.
func (w *Rewrite) Abandon() {
	w.Close()
	for _, out := range w.outs {
		_ = out.close()
		for _, suffix := range segmentSuffixes {
			_ = w.log.dir.fs.Remove(out.path(suffix) + format.CleanedSuffix) // opening removes what stays
		}
	}
	w.outs = nil
}

// segmentSuffixes are the files that a segment consists of; the log comes first.
var segmentSuffixes = [...]string{format.LogSuffix, format.IndexSuffix, format.TimeIndexSuffix, format.TxnIndexSuffix}

// Commit makes the new segments part of the log in place of the old ones.
// ErrSegmentsChanged says that the old ones are not what they were: nothing has
// happened then. Readers are not disturbed.
func (w *Rewrite) Commit() error {
	w.Close()
	l := w.log
	for _, out := range w.outs {
		if err := w.finish(out); err != nil {
			return err
		}
	}
	l.filesMu.Lock()
	defer l.filesMu.Unlock()
	if err := w.unchanged(); err != nil {
		return err
	}
	if err := l.syncFolder(); err != nil {
		return l.health.Fail("sync folder", err)
	}
	// Records are missing at the ends of the new segments, which recovery must
	// not take for lost. It starts behind them once this is stored.
	if err := l.storeRecoveryPoint(); err != nil {
		return err
	}
	if err := w.exchange(); err != nil {
		for _, out := range w.outs {
			_ = out.close()
		}
		w.outs = nil // the files tell the next opening how far this came
		return l.health.Fail("replace segments", err)
	}
	for _, out := range w.outs {
		out.offsets.Seal()
		out.times.Seal()
		out.file.Admit() // from here on its file may be closed and opened by name
	}
	w.outs = nil
	return nil
}

// finish completes and syncs the files of a new segment.
func (w *Rewrite) finish(out *rewritten) error {
	if err := w.flush(out); err != nil {
		return err
	}
	out.buf = nil
	out.closeTimes()
	out.allocated = out.size.Load()
	fsys := out.dir.fs
	err := out.h.File.Sync()
	if err != nil {
		return w.log.health.Fail("sync segment", err)
	}
	err = out.offsets.Flush(fsys, out.path(format.IndexSuffix)+format.CleanedSuffix, true, true)
	err = errors.Join(err, out.times.Flush(fsys, out.path(format.TimeIndexSuffix)+format.CleanedSuffix, true, true))
	err = errors.Join(err, out.segment.txns.Rewrite(fsys, out.path(format.TxnIndexSuffix)+format.CleanedSuffix, out.txns))
	if err != nil {
		return w.failed("write index", err)
	}
	return nil
}

// unchanged tells whether the old segments are still there as they were read.
// The caller holds filesMu, which keeps it true.
func (w *Rewrite) unchanged() error {
	l := w.log
	if err := l.usable(); err != nil {
		return err
	}
	list := *l.segments.Load()
	i := slices.Index(list, w.list[0])
	n := len(w.list)
	if l.cuts.Load() != w.cuts || i < 0 || i+n >= len(list) || !slices.Equal(list[i:i+n], w.list) {
		return fmt.Errorf("%w: %v", ErrSegmentsChanged, l.tp)
	}
	return nil
}

// exchange does steps 2 to 4. The caller holds filesMu.
func (w *Rewrite) exchange() error {
	l := w.log
	for _, out := range slices.Backward(w.outs) {
		if err := w.rename(out, segmentSuffixes[:], format.CleanedSuffix, format.SwapSuffix); err != nil {
			return err
		}
	}
	if err := l.syncFolder(); err != nil {
		return err
	}
	stay := w.publish()
	for _, s := range w.list {
		names := s.files()
		if stay(s.base) {
			names = names[:len(names)-1] // the snapshot
		}
		if err := errors.Join(s.close(), l.removeFiles(names)); err != nil {
			return err
		}
	}
	if err := l.syncFolder(); err != nil {
		return err
	}
	for _, suffixes := range [...][]string{segmentSuffixes[:1], segmentSuffixes[1:]} {
		for _, out := range w.outs {
			if err := w.rename(out, suffixes, format.SwapSuffix, ""); err != nil {
				return err
			}
		}
		if err := l.syncFolder(); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) syncFolder() error { return l.dir.fs.SyncDir(*l.dir.path.Load()) }

// rename changes what comes after the suffixes of a new segment's files.
func (w *Rewrite) rename(out *rewritten, suffixes []string, from, to string) error {
	for _, suffix := range suffixes {
		name := out.path(suffix)
		err := out.dir.fs.Rename(name+from, name+to)
		if err != nil && !(suffix == format.TxnIndexSuffix && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	return nil
}

// publish shows the new segments to readers and gives a test for the bases at
// which producer snapshots stay. From here on a reader that used an old segment
// asks again.
func (w *Rewrite) publish() (stay func(base int64) bool) {
	l := w.log
	l.mu.Lock()
	defer l.mu.Unlock()
	list := *l.segments.Load()
	i := slices.Index(list, w.list[0])
	fresh := slices.Clone(list[:i])
	for _, out := range w.outs {
		fresh = append(fresh, out.segment)
	}
	fresh = append(fresh, list[i+len(w.list):]...)
	l.segments.Store(&fresh)
	for _, s := range w.list {
		s.replaced.Store(true)
	}
	stay = func(base int64) bool {
		return slices.ContainsFunc(w.outs, func(out *rewritten) bool { return out.base == base })
	}
	l.snapshots = slices.DeleteFunc(l.snapshots, func(offset int64) bool {
		old := slices.ContainsFunc(w.list, func(s *segment) bool { return s.base == offset })
		return old && !stay(offset)
	})
	return stay
}
