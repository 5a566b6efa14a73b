package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/commitlog/epoch"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/commitlog/swap"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// openOptions is what opening a log needs to know beyond its folder.
type openOptions struct {
	fs            vfs.FS
	path          string
	tp            record.TopicPartition
	config        Config
	health        *volume.Health
	open          *logfile.Limit // bounds the open log files; nil: no bound
	logger        *slog.Logger
	hooks         hooks
	clean         bool  // the log was closed in order
	recoveryPoint int64 // everything below is known to be synced
	start         int64 // checkpointed start offset
	cleaned       int64 // checkpointed cleaned offset, notCleaned: none
	idleExpiry    int64 // ms
	now           time.Time
}

// openLog opens the log in a folder, creating it when missing. After an
// unordered stop everything from the recovery point on is read and the log cut
// at the first byte that is not a valid batch.
func openLog(o openOptions) (*Log, error) {
	l := &Log{
		tp: o.tp, dir: newFolder(o.fs, o.path), health: o.health,
		logger: o.logger, hooks: o.hooks, idleExpiry: o.idleExpiry,
	}
	l.dir.log = l
	l.dir.open = o.open
	l.Configure(o.config)
	l.topicID.Store(&[16]byte{})
	l.cleaned.Store(o.cleaned)
	found, err := l.listFolder(o)
	if err != nil {
		return nil, err
	}
	if l.fresh {
		l.begin(o)
		return l, nil
	}
	if err := l.loadSegments(o, found); err != nil {
		_ = l.closeFiles()
		return nil, err
	}
	return l, nil
}

// listing is what a log's folder holds.
type listing struct {
	logs      []int64 // bases, ascending
	sizes     map[int64]int64
	snapshots []int64
	indexed   bool // an index file holds something
	indexes   int  // index files, .txnindex left out
	epochs    bool
	topicID   bool

	epochsGood bool // the file of epochs was readable, or missing
}

// begin gives a log without records its first segment. What its folder is to hold
// is made by complete, or by the first record.
func (l *Log) begin(o openOptions) {
	s := newSegment(l.dir, max(0, o.start))
	s.file.Promise()
	l.epochs = &epoch.Cache{}
	l.producers = producer.New()
	s.jitter = l.jitter(s.base)
	s.created = o.now.UnixMilli()
	s.resetIndexes()
	s.becomeEmpty()
	l.segments.Store(&[]*segment{s})
	for _, offset := range []*atomic.Int64{&l.start, &l.end, &l.flushed, &l.safe} {
		offset.Store(s.base)
	}
}

// becomeEmpty readies a segment without bytes for appends.
func (s *segment) becomeEmpty() {
	s.txns.Set(nil)
	s.loaded.Store(true)
	s.tail.Store(&index.Tail{})
}

// listFolder makes or reads the folder and clears away what a crash left of
// deletions and unfinished replacements.
func (l *Log) listFolder(o openOptions) (listing, error) {
	found := listing{sizes: map[int64]int64{}}
	entries, err := o.fs.ReadDir(o.path)
	if errors.Is(err, fs.ErrNotExist) {
		l.fresh = true
		return found, o.fs.MkdirAll(o.path, 0o755)
	}
	if err != nil {
		return found, err
	}
	changed, err := swap.Finish(o.fs, o.path, entries, l.tp, l.logger)
	if err == nil && changed {
		entries, err = o.fs.ReadDir(o.path)
	}
	if err != nil {
		return found, err
	}
	var side []string
	for _, e := range entries {
		name := e.Name()
		switch base, suffix := format.SplitName(name); {
		case strings.HasSuffix(name, format.DeletedSuffix), strings.HasSuffix(name, ".tmp"):
			err = o.fs.Remove(l.dir.name(name))
		case suffix == format.LogSuffix:
			var info fs.FileInfo
			if info, err = e.Info(); err == nil {
				found.logs = append(found.logs, base)
				found.sizes[base] = info.Size()
			}
		case suffix == format.SnapshotSuffix:
			found.snapshots = append(found.snapshots, base)
		case suffix != "":
			side = append(side, name)
			if suffix != format.TxnIndexSuffix {
				found.indexes++
			}
			if !found.indexed {
				var info fs.FileInfo
				if info, err = e.Info(); err == nil {
					found.indexed = info.Size() > 0
				}
			}
		case name == format.EpochFile:
			found.epochs = true
		case name == format.PartitionMetadataFile:
			found.topicID = true
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return found, err
		}
	}
	slices.Sort(found.logs)
	slices.Sort(found.snapshots)
	return found, l.removeOrphans(found, side)
}

// removeOrphans deletes index files without a log file.
func (l *Log) removeOrphans(found listing, side []string) error {
	for _, name := range side {
		base, _ := format.SplitName(name)
		if _, ok := found.sizes[base]; ok {
			continue
		}
		if err := l.dir.fs.Remove(l.dir.name(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// loadSegments builds the log's state from its folder.
func (l *Log) loadSegments(o openOptions, found listing) error {
	l.noteSynced(o, found)
	if err := l.loadSideFiles(&found); err != nil {
		return err
	}
	var list []*segment
	for _, base := range found.logs {
		s := newSegment(l.dir, base)
		s.size.Store(found.sizes[base])
		s.jitter = l.jitter(base)
		s.created = o.now.UnixMilli()
		list = append(list, s)
	}
	if len(list) == 0 {
		s := newSegment(l.dir, max(0, o.start))
		if l.fresh && s.base == 0 {
			l.begin(o)
			return nil
		}
		if err := s.create(o.now.UnixMilli()); err != nil {
			return err
		}
		s.jitter = l.jitter(s.base)
		list = append(list, s)
		l.dirDirty = true
		if s.base > 0 { // the start offset, which leaves the checkpoint, is in this name
			if err := l.syncFolder(); err != nil {
				return err
			}
		}
	}
	l.segments.Store(&list)
	end, checked, err := l.recover(o, found)
	if err != nil {
		return err
	}
	return l.settle(o, found, end, checked)
}

// noteSynced judges what the process before has left unsynced: of a log with
// nothing below its recovery point that may be everything.
func (l *Log) noteSynced(o openOptions, found listing) {
	never := o.recoveryPoint <= 0 && (len(found.logs) == 0 || found.logs[0] == 0)
	switch {
	case never && (!o.clean || len(found.logs) == 0 || found.empty()):
		l.fresh = true
	case !o.clean:
		l.dirDirty = true
	}
}

// empty tells whether the folder holds one segment without bytes.
func (f *listing) empty() bool { return len(f.logs) == 1 && f.sizes[f.logs[0]] == 0 && !f.indexed }

func (l *Log) loadSideFiles(found *listing) error {
	l.epochs = &epoch.Cache{}
	var err error
	if found.epochs {
		if l.epochs, err = epoch.Load(l.dir.fs, l.dir.name(format.EpochFile)); err != nil {
			if !errors.Is(err, format.ErrCorruptFile) {
				return err
			}
			l.logger.Warn("leader epochs are unreadable and will be refilled from the log", "partition", l.tp, "err", err)
		}
	}
	if found.epochsGood = err == nil; found.epochsGood {
		l.stored = l.epochs.History()
	}
	if found.topicID {
		id, err := format.ReadTopicID(l.dir.fs, l.dir.name(format.PartitionMetadataFile))
		if errors.Is(err, format.ErrCorruptFile) && l.fresh {
			l.logger.Info("topic id was never synced and is unknown until the controller tells it", "partition", l.tp, "err", err)
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", l.dir.name(format.PartitionMetadataFile), err)
		}
		l.topicID.Store(&id)
	}
	return nil
}

// notChecked is the second result of recover when no segment was read through.
const notChecked = math.MaxInt64

// recover finds the end of the log. After an orderly stop it looks at the last
// segment only, else it checks every batch of every segment that may hold
// unsynced bytes; checked is the base of the first of those.
func (l *Log) recover(o openOptions, found listing) (end, checked int64, err error) {
	list := *l.segments.Load()
	if found.empty() {
		list[0].resetIndexes()
		list[0].becomeEmpty()
		list[0].hasIndexes = found.indexes == 2 // no more than one segment's, which are not orphans
		return list[0].base, notChecked, nil
	}
	if o.clean {
		end, err = l.openActive(list[len(list)-1])
		if err == nil || !scan.BadBytes(err) {
			return end, notChecked, err
		}
		l.logger.Warn("closed log is damaged at its end, recovering", "partition", l.tp, "err", err)
	}
	// The segment of the last safe record counts too: if it was sealed right at
	// the recovery point, its indexes may not have been synced.
	first := floorSegment(list, o.recoveryPoint-1)
	l.tellRecovery(list[first:])
	for i := first; i < len(list); i++ {
		next, cut, err := l.recoverSegment(list[i])
		if err != nil {
			return 0, 0, err
		}
		end = next
		if cut || i+1 < len(list) && !l.continues(end, list[i+1].base, o.recoveryPoint) {
			return end, list[first].base, l.dropAfter(list, i)
		}
	}
	return end, list[first].base, nil
}

// continues tells whether a segment at next can follow one that ends at end.
// Compaction takes the last records of a segment too, in Kafka's folders without
// a trace; such a hole stays when the topic is not compacted any more. No crash
// makes a hole below the recovery point.
func (l *Log) continues(end, next, recoveryPoint int64) bool {
	return next == end || next > end && (l.Config().Compact || next <= max(l.cleaned.Load(), recoveryPoint))
}

// dropAfter removes the segments after the i-th: what follows a hole is not
// part of the log any more.
func (l *Log) dropAfter(list []*segment, i int) error {
	for j := len(list) - 1; j > i; j-- {
		l.logger.Warn("removing a segment after a damaged one", "partition", l.tp, "segment", list[j].base, "bytes", list[j].size.Load())
		if err := l.dropSegment(list[j]); err != nil {
			return err
		}
	}
	kept := slices.Clip(list[:i+1])
	l.segments.Store(&kept)
	// Without this another crash could bring the segments back, to continue
	// what will be appended now.
	return l.dir.fs.SyncDir(*l.dir.path.Load())
}

// openActive opens the last segment of a log that was closed in order: it
// trusts the indexes and reads headers after the last indexed batch.
func (l *Log) openActive(s *segment) (end int64, err error) {
	h, err := s.file.Acquire()
	if err != nil {
		return 0, err
	}
	defer h.Release()
	interval := l.Config().IndexIntervalBytes
	if s.size.Load() == 0 {
		s.resetIndexes()
	} else if err := s.readIndexes(); err != nil {
		if !errors.Is(err, format.ErrCorruptFile) && !errors.Is(err, fs.ErrNotExist) {
			return 0, err
		}
		if err := s.rebuild(h.File, interval); err != nil {
			return 0, err
		}
	}
	if err := s.txns.Load(l.dir.fs, s.path(format.TxnIndexSuffix), s.base); err != nil {
		return 0, err
	}
	end = s.base
	sc := scan.New(h.File, s.indexed, s.size.Load(), scan.HeaderChunk)
	defer sc.Free()
	for {
		b, size, err := sc.Header()
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
		end = b.LastOffset() + 1
		sc.Skip(size)
	}
	return end, l.becomeActive(s, h.File, end)
}

// becomeActive readies an opened segment for appends.
func (l *Log) becomeActive(s *segment, f vfs.File, end int64) error {
	if s.size.Load() > 0 {
		sc := scan.New(f, 0, s.size.Load(), record.HeaderSize)
		defer sc.Free()
		b, _, err := sc.Header()
		if err != nil {
			return err
		}
		s.firstTS = b.MaxTimestamp()
	}
	s.allocated = s.size.Load()
	s.loaded.Store(true)
	t := &index.Tail{}
	if s.size.Load() > 0 && s.holds(end) {
		t.Add(s.rel(end), uint32(s.size.Load()))
	}
	s.tail.Store(t)
	return nil
}

// recoverSegment reads every batch of a segment, rebuilds its indexes and the
// leader epochs, and cuts the file at the first byte that is no valid batch.
func (l *Log) recoverSegment(s *segment) (end int64, cut bool, err error) {
	h, err := s.file.Acquire()
	if err != nil {
		return 0, false, err
	}
	defer h.Release()
	s.file.Touch() // what is here may never have reached the disk
	s.resetIndexes()
	interval := l.Config().IndexIntervalBytes
	epochs := l.epochs.History()
	end = s.base
	sc := scan.New(h.File, 0, min(s.size.Load(), math.MaxInt32), scan.BatchChunk)
	defer sc.Free()
	for {
		var b record.Batch
		if b, err = l.nextValid(sc, s, end, epochs); err != nil {
			break
		}
		s.note(b, sc.Pos, interval)
		if e := (epoch.Entry{Epoch: b.LeaderEpoch(), StartOffset: b.BaseOffset()}); e.Epoch >= 0 && (len(epochs) == 0 || e.Epoch > epochs[len(epochs)-1].Epoch) {
			epochs = epochs.Add(e)
		}
		end = b.LastOffset() + 1
		sc.Skip(len(b))
	}
	if err != io.EOF && !scan.BadBytes(err) {
		return 0, false, err
	}
	if size := s.size.Load(); sc.Pos < size {
		cut = true
		l.logger.Warn("cutting a log at damaged or incomplete bytes", "partition", l.tp, "segment", s.base,
			"position", sc.Pos, "bytes", size-sc.Pos, "cause", err)
		if l.hooks.damaged != nil {
			l.hooks.damaged(l, foundByRecovery)
		}
		if err := h.File.Truncate(sc.Pos); err != nil {
			return 0, false, err
		}
		// Without this another crash could bring back intact batches from
		// beyond the cut, to continue what will be appended now.
		if err := h.File.Datasync(); err != nil {
			return 0, false, err
		}
		s.size.Store(sc.Pos)
	}
	l.epochs.Set(epochs)
	s.closeTimes()
	if err := s.flushIndexes(false); err != nil {
		if !volume.IsFull(err) {
			return 0, false, err
		}
		if err := s.dropIndexes(); err != nil {
			return 0, false, err
		}
	}
	s.unsynced = s.size.Load() > 0 // else there are no index files
	if err := l.staleTxns(s); err != nil {
		return 0, false, err
	}
	return end, cut, l.becomeActive(s, h.File, end)
}

// staleTxns forgets what a crash has left of a segment's transaction index: the
// replay of producer state fills it again, if there is anything to replay.
func (l *Log) staleTxns(s *segment) error {
	s.txns.Set(nil)
	s.txns.Stale = s.size.Load() > 0
	if s.txns.Stale {
		return nil
	}
	err := l.dir.fs.Remove(s.path(format.TxnIndexSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l.dirDirty = true
	return err
}

// nextValid gives the next batch if it is intact and in its place.
func (l *Log) nextValid(sc *scan.Scanner, s *segment, expected int64, epochs epoch.History) (record.Batch, error) {
	b, err := sc.Batch()
	if err != nil {
		return nil, err
	}
	if err := b.CheckCRC(); err != nil {
		return nil, err
	}
	if b.BaseOffset() < expected || b.LastOffsetDelta() < 0 || !s.holds(b.LastOffset()) {
		return nil, fmt.Errorf("%w: batch at offset %d, expected %d", ErrCorruptBatch, b.BaseOffset(), expected)
	}
	// Bytes that a truncation removed may come back when its effect was lost;
	// they carry an older epoch than what was written over their beginning.
	if known := epochs.At(b.BaseOffset()); b.LeaderEpoch() >= 0 && b.LeaderEpoch() < known {
		return nil, fmt.Errorf("%w: batch of epoch %d within epoch %d", ErrCorruptBatch, b.LeaderEpoch(), known)
	}
	return b, nil
}

// settle sets offsets, epochs and producer state once the segments stand.
func (l *Log) settle(o openOptions, found listing, end, checked int64) error {
	list := *l.segments.Load()
	for _, s := range list[:len(list)-1] {
		s.tail.Store(nil)
		s.offsets.SealIfLoaded()
		s.times.SealIfLoaded()
	}
	l.end.Store(end)
	l.cleaned.Store(min(o.cleaned, end))
	l.flushed.Store(min(end, max(list[0].base, o.recoveryPoint)))
	l.safe.Store(min(l.flushed.Load(), checked))
	l.start.Store(max(list[0].base, o.start))
	l.producers = producer.New()
	if o.start > end {
		// The records up to the start offset are gone: begin there.
		return l.restart(o.start)
	}
	if checked == notChecked {
		l.flushed.Store(end)
		l.safe.Store(end)
	}
	entries := l.epochs.History().WithoutEnd(end).WithoutStart(l.start.Load())
	if err := l.storeEpochs(found, entries, end); err != nil {
		return err
	}
	l.snapshots = found.snapshots
	if err := l.dropStraySnapshots(min(end, checked)); err != nil {
		return err
	}
	// Segments that were checked get their transaction index anew, so the
	// replay must begin before them.
	if err := l.reloadProducers(min(end, checked), end, o.now.UnixMilli()); err != nil {
		return err
	}
	return l.keepRecoveryPoint(o, checked)
}

// keepRecoveryPoint makes the indexes durable of a segment that was checked
// although it ends at the recovery point. That stays where it is then: if it moved
// down with every crash, holes that compaction has left would come to lie above it.
func (l *Log) keepRecoveryPoint(o openOptions, checked int64) error {
	list := *l.segments.Load()
	i := floorSegment(list, checked)
	if checked == notChecked || i+1 >= len(list) || list[i+1].base > min(o.recoveryPoint, l.flushed.Load()) {
		return nil
	}
	s := list[i]
	for _, suffix := range [...]string{format.IndexSuffix, format.TimeIndexSuffix} {
		if err := syncFile(l.dir, s.path(suffix)); err != nil {
			return err
		}
	}
	s.unsynced = false
	l.safe.Store(list[i+1].base)
	return nil
}

// storeEpochs takes over the epochs that recovery found, and makes the file agree
// if it tells anything else of the records up to end.
func (l *Log) storeEpochs(found listing, entries epoch.History, end int64) error {
	l.epochs.Set(entries)
	if found.epochsGood && slices.Equal(l.stored.WithoutEnd(end), entries) {
		l.storedBehind = len(l.stored) > len(entries)
		return nil
	}
	if !found.epochs && len(entries) == 0 {
		return nil
	}
	if err := l.health.ReplaceFile(l.dir.fs, l.dir.name(format.EpochFile), entries.Encode()); err != nil {
		l.storedBehind = true
		if !volume.IsFull(err) {
			return err
		}
		return nil
	}
	l.stored = entries
	return nil
}

// dropStraySnapshots keeps the snapshots at segment bases and the newest one,
// none beyond the offset up to which they can be trusted: a crash may have
// brought back what a truncation had removed.
func (l *Log) dropStraySnapshots(trusted int64) error {
	bases := map[int64]bool{}
	for _, s := range *l.segments.Load() {
		bases[s.base] = true
	}
	newest := int64(-1)
	for _, o := range l.snapshots {
		if o <= trusted {
			newest = max(newest, o)
		}
	}
	return l.dropSnapshots(func(o int64) bool { return o > trusted || !bases[o] && o != newest })
}

// reloadProducers builds the producer state at end from the newest readable
// snapshot at or below newest and the batches after it. Segments that begin after
// newest get their snapshot anew.
func (l *Log) reloadProducers(newest, end, now int64) error {
	from, state, err := l.loadSnapshot(newest, now)
	if err != nil {
		return err
	}
	l.producers = state
	var u producer.Update
	for _, s := range *l.segments.Load() {
		if s.base > newest && s.base > from {
			l.takeSnapshot(s.base)
		}
		if err := l.replaySegment(s, from, end, &u); err != nil {
			return err
		}
	}
	l.producers.Expire(now, l.idleExpiry)
	l.unstable.Store(l.producers.Unstable())
	return nil
}

// loadSnapshot reads the newest good snapshot at or below newest; without one
// the state is empty and the replay starts at the first segment.
func (l *Log) loadSnapshot(newest, now int64) (from int64, state *producer.State, err error) {
	first := (*l.segments.Load())[0].base
	for i := len(l.snapshots) - 1; i >= 0; i-- {
		offset := l.snapshots[i]
		if offset > newest || offset < first {
			continue
		}
		name := l.dir.name(format.FileName(offset, format.SnapshotSuffix))
		data, err := vfs.ReadFile(l.dir.fs, name, producer.MaxSnapshot)
		if err != nil {
			return 0, nil, err
		}
		producers, err := producer.DecodeSnapshot(data)
		if err != nil {
			l.logger.Warn("producer snapshot is damaged, replaying more of the log", "file", name, "err", err)
			if err := l.dropSnapshots(func(o int64) bool { return o == offset }); err != nil {
				return 0, nil, err
			}
			continue
		}
		state := producer.New()
		state.Load(producers)
		state.Expire(now, l.idleExpiry)
		return offset, state, nil
	}
	return first, producer.New(), nil
}

// replaySegment applies the batches of [from, end) that one segment holds.
// Transactions that they abort are put back into the transaction index if they
// are missing there.
func (l *Log) replaySegment(s *segment, from, end int64, u *producer.Update) error {
	list := *l.segments.Load()
	if i := floorSegment(list, s.base); i+1 < len(list) && list[i+1].base <= from {
		return nil
	}
	if s.size.Load() == 0 || from >= end {
		return nil
	}
	h, err := s.file.Acquire()
	if err != nil {
		return err
	}
	defer h.Release()
	at, ok, err := s.locate(h.File, max(from, s.base), s.size.Load(), l.Config().IndexIntervalBytes)
	if err != nil || !ok {
		return err
	}
	if !s.txns.Loaded() {
		if err := s.txns.Load(l.dir.fs, s.path(format.TxnIndexSuffix), s.base); err != nil && !errors.Is(err, format.ErrCorruptFile) {
			return err
		}
	}
	aborted, err := l.replayBatches(scan.New(h.File, at.pos, s.size.Load(), scan.HeaderChunk), end, u)
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(slices.Clone(s.txns.Entries()), func(t AbortedTxn) bool { return t.LastOffset >= from })
	kept = append(kept, aborted...)
	if slices.Equal(kept, s.txns.Entries()) && s.txns.Loaded() && !s.txns.Stale {
		return nil
	}
	return s.txns.Rewrite(l.dir.fs, s.path(format.TxnIndexSuffix), kept)
}

// replayBatches applies the batches below end and gives the transactions that
// they abort.
func (l *Log) replayBatches(sc *scan.Scanner, end int64, u *producer.Update) (aborted []AbortedTxn, err error) {
	defer sc.Free()
	for {
		b, size, err := sc.Header()
		if err == io.EOF {
			return aborted, nil
		}
		if err != nil {
			return nil, err
		}
		if b.BaseOffset() >= end {
			return aborted, nil
		}
		if b.IsControl() {
			if b, err = sc.Batch(); err != nil {
				return nil, err
			}
		}
		txns, err := l.producers.Replay(u, b)
		if err != nil {
			return nil, err
		}
		aborted = append(aborted, txns...)
		sc.Skip(size)
	}
}

// closeFiles lets go of open files after a failed opening.
func (l *Log) closeFiles() error {
	var errs []error
	if list := l.segments.Load(); list != nil {
		for _, s := range *list {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}
