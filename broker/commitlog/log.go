package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leatstream/leat/broker/commitlog/epoch"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// Log is the log of one partition replica.
//
// Appends and truncations come from one caller at a time (the replica); Read
// and the other readers may run concurrently with everything. Lock order:
// filesMu before syncMu before mu before a segment's loadMu.
type Log struct {
	tp        record.TopicPartition
	dir       *folder
	health    *volume.Health
	logger    *slog.Logger
	hooks     hooks
	made      int64       // number of the change of the log directory that made the folder; 0: it was there
	finishing atomic.Bool // the manager has been asked to make the folder's files

	cfg      atomic.Pointer[Config]
	segments atomic.Pointer[[]*segment] // by base offset, never empty; replaced, never changed
	start    atomic.Int64               // first readable offset
	end      atomic.Int64               // next offset; published last
	flushed  atomic.Int64               // every record below is synced
	safe     atomic.Int64               // ≤ flushed; also the indexes of the segments below are synced
	unstable atomic.Bool                // producers has open or unreplicated transactions
	closed   atomic.Bool
	topicID  atomic.Pointer[[16]byte]
	cleaned  atomic.Int64 // compacted below; notCleaned: never
	cuts     atomic.Int64 // truncations so far
	epochs   *epoch.Cache

	filesMu sync.Mutex // removal, cutting and replacement of segment files
	syncMu  sync.Mutex // one sync at a time; waiters share its result
	mu      sync.Mutex // appends, truncations, the segment list
	// Guarded by mu:
	producers *producer.State
	snapshots []int64         // offsets of the snapshot files, ascending
	unsynced  []int64         // snapshots written since the last sync
	pending   producer.Update // scratch of the append under way
	// stored is what the epoch file holds. It may be behind epochs by entries
	// without records, which opening drops again; the next append mends it.
	stored       epoch.History
	storedBehind bool
	// fresh: nothing of the log was ever synced but its folder's place in the log
	// directory. Then the topic id and the epoch of the first records need no sync
	// of their own: the first sync of the log does them too, and before it a crash
	// leaves nothing that recovery would not read from the first record on.
	fresh       bool
	idUnwritten bool  // partition.metadata lacks the topic's id; the first record brings it at the latest
	dirDirty    bool  // folder entries changed since the last sync
	records     int64 // appended since the last sync
	oldest      int64 // ms, when the first of them came; 0: none
	idleExpiry  int64 // ms after which silent producers are forgotten
}

// hooks are what a log asks of its manager. All may be nil.
type hooks struct {
	// remove deletes files after file.delete.delay.ms.
	remove func(names []string, delayMs int64)
	// filled tells that the first record came into a segment.
	filled func(l *Log)
	// written tells that what lies beside the segments should be synced soon, and
	// the segments below upTo.
	written func(l *Log, upTo int64)
	// rolled tells that the segments below upTo are sealed.
	rolled func(l *Log, upTo int64)
	// truncated stores the recovery point, which has changed, before it returns.
	truncated func(l *Log) error
	// advanced tells that the start offset moved by request.
	advanced func(l *Log) error
	// cleaned tells that the log was compacted further.
	cleaned func(l *Log) error
	// damaged tells that marks were added or, without a finder, taken away.
	damaged func(l *Log, finder string)
}

// Partition names the partition.
func (l *Log) Partition() record.TopicPartition { return l.tp }

// Dir is the log directory that holds the log's folder.
func (l *Log) Dir() string { return l.health.Path }

// Path is the log's folder.
func (l *Log) Path() string { return *l.dir.path.Load() }

// StartOffset is the first offset that may be read.
func (l *Log) StartOffset() int64 { return l.start.Load() }

// EndOffset is the offset that the next record gets.
func (l *Log) EndOffset() int64 { return l.end.Load() }

// FlushedOffset is the offset below which every record is synced.
func (l *Log) FlushedOffset() int64 { return l.flushed.Load() }

// recoveryPoint is what the checkpoint gets: recovery need not look at segments
// that end at or below it.
func (l *Log) recoveryPoint() int64 { return min(l.safe.Load(), l.flushed.Load()) }

// Config gives the current configuration.
func (l *Log) Config() Config { return *l.cfg.Load() }

// Configure replaces the configuration; it applies from the next operation on.
func (l *Log) Configure(c Config) { l.cfg.Store(&c) }

// Size is the size of all segments in bytes.
func (l *Log) Size() int64 {
	var n int64
	for _, s := range *l.segments.Load() {
		n += s.size.Load()
	}
	return n
}

// usable tells whether the log may be touched at all.
func (l *Log) usable() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return l.health.Err()
}

// OffLine tells why the log's directory is off line; nil while it is not.
func (l *Log) OffLine() error { return l.health.Err() }

// ShortOfSpace tells that the log's volume is full: records are refused, and
// what may be deleted should be.
func (l *Log) ShortOfSpace() bool { return l.health.Reserve.Err() != nil }

// active is the segment that takes appends.
func (l *Log) active() *segment {
	list := *l.segments.Load()
	return list[len(list)-1]
}

// floorSegment gives the place of the last segment whose base is ≤ offset, or 0.
func floorSegment(list []*segment, offset int64) int {
	lo, hi := 1, len(list)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if list[mid].base <= offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// TopicID is the topic's id from partition.metadata; zero when unknown.
func (l *Log) TopicID() [16]byte { return *l.topicID.Load() }

// SetTopicID stores the topic's id if there is none yet; another id gives
// ErrInconsistentTopicID.
func (l *Log) SetTopicID(id [16]byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch have := l.TopicID(); {
	case have == id:
		return nil
	case have != [16]byte{}:
		return fmt.Errorf("%w: %v", ErrInconsistentTopicID, l.tp)
	}
	if err := l.usable(); err != nil {
		return err
	}
	l.topicID.Store(&id)
	if l.idUnwritten = true; l.fresh && l.EndOffset() == (*l.segments.Load())[0].base {
		return nil
	}
	err := l.writeID()
	if err != nil {
		l.topicID.Store(&[16]byte{})
		l.idUnwritten = false
	}
	return err
}

// writeID writes the topic's id unless the file has it. The caller holds mu.
func (l *Log) writeID() error {
	if !l.idUnwritten {
		return nil
	}
	if err := l.writeSide(format.PartitionMetadataFile, format.EncodeTopicID(l.TopicID())); err != nil {
		return l.health.FailUnlessFull("write partition.metadata", err)
	}
	l.idUnwritten = false
	return nil
}

// incomplete tells whether the folder lacks the topic's id.
func (l *Log) incomplete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idUnwritten
}

// LastStableOffset is the smaller of highWatermark and the first offset of a
// transaction that is open or whose marker is not below highWatermark.
func (l *Log) LastStableOffset(highWatermark int64) int64 {
	if !l.unstable.Load() {
		return highWatermark
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	first, ok := l.producers.FirstUnstable(highWatermark)
	l.unstable.Store(ok)
	if !ok {
		return highWatermark
	}
	return min(first, highWatermark)
}

// EpochEndOffset answers OffsetForLeaderEpoch: the largest epoch of this log
// that is ≤ epoch, and the offset at which it ends. An unknown epoch gives
// (-1, -1).
func (l *Log) EpochEndOffset(epoch int32) (foundEpoch int32, endOffset int64) {
	return l.epochs.EndOffset(epoch, l.EndOffset())
}

// LatestEpoch is the newest leader epoch in the log; ok is false when it has none.
func (l *Log) LatestEpoch() (epoch int32, ok bool) {
	e, ok := l.epochs.Latest()
	return e.Epoch, ok
}

// EpochForOffset is the leader epoch of the record at offset, -1 when unknown.
func (l *Log) EpochForOffset(offset int64) int32 { return l.epochs.At(offset) }

// StartEpoch notes that epoch begins at startOffset; a leader calls it when it
// becomes leader, before the first append. An epoch without records tells the
// file nothing: the append that brings its first record writes it.
func (l *Log) StartEpoch(leaderEpoch int32, startOffset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.usable(); err != nil {
		return err
	}
	if leaderEpoch < 0 {
		return nil
	}
	e, end := epoch.Entry{Epoch: leaderEpoch, StartOffset: startOffset}, l.EndOffset()
	if !l.epochs.Needs(e) {
		return nil
	}
	next := l.epochs.History().Add(e)
	if startOffset < end || !slices.Equal(next.WithoutEnd(end), l.stored.WithoutEnd(end)) {
		return l.writeEpochs(next)
	}
	l.epochs.Set(next)
	l.storedBehind = true
	return nil
}

// assignEpoch notes an epoch's start unless it is known. The caller holds mu.
func (l *Log) assignEpoch(leaderEpoch int32, start int64) error {
	if leaderEpoch < 0 {
		return nil
	}
	if e := (epoch.Entry{Epoch: leaderEpoch, StartOffset: start}); l.epochs.Needs(e) {
		return l.writeEpochs(l.epochs.History().Add(e))
	}
	if l.storedBehind {
		return l.writeEpochs(l.epochs.History())
	}
	return nil
}

// writeEpochs replaces the epoch history in file and memory. The caller holds mu.
func (l *Log) writeEpochs(entries epoch.History) error {
	if slices.Equal(entries, l.stored) {
		l.epochs.Set(entries)
		l.storedBehind = false
		return nil
	}
	if err := l.writeSide(format.EpochFile, entries.Encode()); err != nil {
		return l.health.FailUnlessFull("write "+format.EpochFile, err)
	}
	if l.fresh && l.hooks.written != nil {
		l.hooks.written(l, (*l.segments.Load())[0].base) // nothing is sealed, but the rest is to be synced
	}
	l.epochs.Set(entries)
	l.stored, l.storedBehind = entries, false
	return nil
}

// writeSide replaces a file beside the segments: durably, unless the log is fresh
// and without records. Then the first record has it synced. The caller holds mu.
func (l *Log) writeSide(file string, data []byte) error {
	name := l.dir.name(file)
	if list := *l.segments.Load(); l.fresh && len(l.stored) == 0 && l.EndOffset() == list[0].base {
		return writeUnsynced(l.dir.fs, name, data)
	}
	err := l.health.ReplaceFile(l.dir.fs, name, data)
	if err == nil {
		l.dirDirty = false // replaceFile has synced the folder
	}
	return err
}

// AdvanceStart moves the start offset up (DeleteRecords, or a leader's start
// offset on a follower). The caller has checked it against the high watermark.
// Moving down is ignored; above the end gives ErrOffsetOutOfRange.
func (l *Log) AdvanceStart(offset int64) error {
	l.mu.Lock()
	err := l.advanceStart(offset)
	l.mu.Unlock()
	if err == nil && l.hooks.advanced != nil {
		err = l.hooks.advanced(l)
	}
	return err
}

func (l *Log) advanceStart(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if offset > l.EndOffset() {
		return fmt.Errorf("%w: start %d above the end %d", ErrOffsetOutOfRange, offset, l.EndOffset())
	}
	if offset <= l.StartOffset() {
		return nil
	}
	l.start.Store(offset)
	return l.writeEpochs(l.epochs.History().WithoutStart(offset))
}

// ProducerInfo describes an active producer (DescribeProducers).
type ProducerInfo struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32
	LastTimestamp    int64
	CoordinatorEpoch int32
	TxnStartOffset   int64 // -1: no open transaction
}

// Producers lists the producers that the log remembers, by id.
func (l *Log) Producers() []ProducerInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]ProducerInfo, 0, l.producers.Len())
	for _, p := range l.producers.Entries() {
		out = append(out, ProducerInfo{
			ProducerID: p.ProducerID, Epoch: p.Epoch, LastSequence: p.LastSequence, LastTimestamp: p.Timestamp,
			CoordinatorEpoch: p.CoordinatorEpoch, TxnStartOffset: p.TxnFirstOffset,
		})
	}
	return out
}

// ExpireProducers forgets producers that have been silent for too long.
func (l *Log) ExpireProducers(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.producers.Len() > 0 {
		l.producers.Expire(now.UnixMilli(), l.idleExpiry)
	}
}

// jitter picks how much earlier than segment.ms a segment is rolled, the same
// for a segment each time it is asked, different from log to log.
func (l *Log) jitter(base int64) int64 {
	cfg := l.cfg.Load()
	limit := min(cfg.SegmentJitterMs, cfg.SegmentMs)
	if limit <= 0 {
		return 0
	}
	h := uint64(base)*0x9e3779b97f4a7c15 + uint64(l.tp.Partition)*0xbf58476d1ce4e5b9
	for _, c := range []byte(l.tp.Topic) {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return int64(h % uint64(limit))
}

// ahead is what waits to be written to the active segment before an append.
type ahead struct{ batches, bytes int }

// shouldRoll tells whether the next append of size bytes, with largest
// timestamp ts and last offset last, needs a new segment. With something ahead of
// it true may also mean that the segment must be looked at without.
func (l *Log) shouldRoll(s *segment, cfg *Config, a ahead, size int, ts, last, now int64) bool {
	have := s.size.Load() + int64(a.bytes)
	if have == 0 {
		return !s.holds(last)
	}
	if have > int64(cfg.SegmentBytes)-int64(size) || have+int64(size) > math.MaxInt32 {
		return true
	}
	age := cfg.SegmentMs - s.jitter
	if cfg.Compact && cfg.MaxCompactionLagMs > 0 {
		age = min(age, cfg.MaxCompactionLagMs)
	}
	waited := now - s.created
	if s.firstTS >= 0 && ts >= 0 {
		waited = ts - s.firstTS
	}
	return waited > age || s.full(cfg.SegmentIndexBytes, a.batches) || !s.holds(last)
}

// roll seals the active segment and starts a new one at base. When it fails the
// log is as before. The caller holds mu.
func (l *Log) roll(base, now int64) error {
	old := l.active()
	if old.base == base {
		panic(fmt.Sprintf("commitlog: %v: rolling at %d, where the active segment begins", l.tp, base))
	}
	next := newSegment(l.dir, base)
	next.jitter = l.jitter(base)
	if err := next.create(now); err != nil {
		return l.health.FailUnlessFull("create segment", err)
	}
	l.seal(old)
	l.takeSnapshot(base)
	list := *l.segments.Load()
	list = append(slices.Clip(list), next)
	l.segments.Store(&list)
	l.dirDirty = true
	if l.hooks.rolled != nil {
		l.hooks.rolled(l, base)
	}
	return nil
}

// seal ends appends to a segment. Index files that cannot be written are
// rebuilt when they are next needed, so errors are only reported.
func (l *Log) seal(s *segment) {
	s.closeTimes()
	if h, err := s.file.Acquire(); err == nil {
		if s.allocated > s.size.Load() {
			_ = h.File.Truncate(s.size.Load()) // gives reserved blocks back
		}
		h.Release()
	}
	if err := s.flushIndexes(false); err != nil {
		l.logger.Warn("cannot write index files", "partition", l.tp, "segment", s.base, "err", err)
		if err := s.dropIndexes(); err != nil {
			_ = l.health.Fail("drop index", err)
		}
	} else {
		s.offsets.Seal()
		s.times.Seal()
	}
	s.unsynced = true
	l.safe.Store(min(l.safe.Load(), s.base))
	s.tail.Store(nil)
}

// takeSnapshot writes the producer state at offset. Without it recovery replays
// more of the log, so errors are only reported. The caller holds mu.
func (l *Log) takeSnapshot(offset int64) {
	if n := len(l.snapshots); n > 0 && l.snapshots[n-1] >= offset {
		return
	}
	name := l.dir.name(format.FileName(offset, format.SnapshotSuffix))
	if err := writeUnsynced(l.dir.fs, name, l.producers.Encode()); err != nil {
		l.logger.Warn("cannot write producer snapshot", "file", name, "err", err)
		_ = l.dir.fs.Remove(name)
		return
	}
	l.snapshots = append(l.snapshots, offset)
	l.unsynced = append(l.unsynced, offset)
}

// Close syncs the log and leaves it as an orderly stop does: indexes complete
// and a producer snapshot at the end. A failed directory is only closed.
func (l *Log) Close() error {
	var err error
	if l.usable() == nil {
		err = l.closeInOrder()
	}
	return errors.Join(err, l.release())
}

func (l *Log) closeInOrder() error {
	l.mu.Lock()
	full := l.completeIndexes()
	if err := l.usable(); err != nil || l.empty() {
		l.mu.Unlock()
		return errors.Join(full, err)
	}
	s := l.active()
	if h, err := s.file.Acquire(); err == nil {
		if s.allocated > s.size.Load() {
			_ = h.File.Truncate(s.size.Load())
		}
		h.Release()
	}
	l.takeSnapshot(l.EndOffset())
	l.dirDirty = true
	l.mu.Unlock()
	return errors.Join(full, l.syncAll())
}

// completeIndexes makes the index files of the active segment whole and durable.
// An error other than of a full volume takes the directory off line. The caller
// holds mu.
func (l *Log) completeIndexes() error {
	s := l.active()
	if s.size.Load() == 0 {
		if err := l.complete(); err != nil {
			return err
		}
	}
	if l.empty() {
		return nil
	}
	s.closeTimes()
	if err := s.flushIndexes(true); err != nil {
		return l.health.FailUnlessFull("close indexes", err)
	}
	return nil
}

// finish makes the files of a new log, so that neither its first record nor a
// stop need to. An error has taken the directory off line, or is met again then.
func (l *Log) finish() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.usable() == nil && l.active().size.Load() == 0 {
		_ = l.complete()
	}
}

// complete makes the files that belong to a log without records. The caller holds mu.
func (l *Log) complete() error {
	s := l.active()
	if err := s.file.Make(); err != nil {
		return l.health.FailUnlessFull("make log file", err)
	}
	if err := l.writeID(); err != nil {
		return err
	}
	if err := s.makeIndexes(); err != nil {
		return l.health.FailUnlessFull("make indexes", err)
	}
	return nil
}

// empty tells whether the log never held anything and is on disk as it is in
// memory, so that there is nothing to close in order. The caller holds mu.
func (l *Log) empty() bool {
	list := *l.segments.Load()
	return len(list) == 1 && list[0].size.Load() == 0 && list[0].base == l.EndOffset() && !list[0].unsynced &&
		l.producers.Len() == 0 && len(l.snapshots) == 0 && !l.dirDirty
}

// idle tells whether there is nothing that time would take from the log: neither
// records nor producers.
func (l *Log) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := *l.segments.Load()
	return len(list) == 1 && list[0].size.Load() == 0 && l.producers.Len() == 0
}

// release closes the files without writing anything.
func (l *Log) release() error {
	l.filesMu.Lock()
	defer l.filesMu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, s := range *l.segments.Load() {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// removeFiles deletes files of the log now or, through the manager, later: they
// get the suffix .deleted first. A crash in between leaves that suffix, which
// opening cleans up.
func (l *Log) removeFiles(names []string) error {
	var renamed []string
	for _, name := range names {
		err := l.dir.fs.Rename(name, name+format.DeletedSuffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		renamed = append(renamed, name+format.DeletedSuffix)
	}
	if l.hooks.remove != nil {
		l.hooks.remove(renamed, l.cfg.Load().FileDeleteDelayMs)
		return nil
	}
	for _, name := range renamed {
		if err := l.dir.fs.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// files lists the names that a segment may have.
func (s *segment) files() []string {
	return []string{s.path(format.LogSuffix), s.path(format.IndexSuffix), s.path(format.TimeIndexSuffix), s.path(format.TxnIndexSuffix), s.path(format.SnapshotSuffix)}
}

// writeUnsynced creates or replaces a file without syncing it.
func writeUnsynced(fsys vfs.FS, name string, data []byte) error {
	f, err := fsys.OpenFile(name, createFlags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
