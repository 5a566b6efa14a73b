package commitlog

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/leatstream/leat/broker/commitlog/damage"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/scan"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

const (
	// preallocateStep is how much is reserved ahead of the end, in bytes.
	preallocateStep = 16 << 20
	// reserveShare is the part of a segment's size that is reserved ahead when
	// the configuration does not ask for more, nothing below minReserve bytes.
	reserveShare = 4
	minReserve   = 1 << 20
)

// folder is a log's folder, whose path changes when the log is deleted.
type folder struct {
	fs   vfs.FS
	path atomic.Pointer[string]
	log  *Log           // nil in tests of segments
	open *logfile.Limit // bounds the open log files; nil: no bound
}

func newFolder(fsys vfs.FS, path string) *folder {
	f := &folder{fs: fsys}
	f.path.Store(&path)
	return f
}

func (f *folder) name(file string) string { return filepath.Join(*f.path.Load(), file) }

// segment is a run of batches in one log file, with its indexes.
//
// One writer (the log's mutex) and any number of readers. Fields without
// atomics belong to the writer, but the indexes of a segment that was opened lazily
// are loaded by whoever comes first, under loadMu.
type segment struct {
	base int64
	dir  *folder

	size  atomic.Int64 // bytes of whole batches; published after they are written
	file  logfile.File
	tail  atomic.Pointer[index.Tail] // nil once sealed
	maxTS atomic.Int64               // largest timestamp, -1 if there is none
	maxAt atomic.Int64               // last offset of the first batch that has it

	damage   atomic.Pointer[damage.List] // what cannot be read, nil: nothing known
	replaced atomic.Bool                 // by Rewrite; set before the files change hands

	loadMu  sync.Mutex  // before that of file
	loaded  atomic.Bool // indexes and maxTS are in memory
	offsets index.File[index.Offset]
	times   index.File[index.Time]
	txns    index.Txns

	indexed    int64 // position of the newest offset index entry, 0 if none
	firstTS    int64 // largest timestamp of the first append, -1 if unknown
	created    int64 // ms; age of a segment whose records have no timestamps
	jitter     int64 // ms off segment.ms
	allocated  int64 // bytes reserved in the file
	unsynced   bool  // sealed, and its index files were not synced yet
	hasIndexes bool  // it has index files though it may hold no records
}

func newSegment(dir *folder, base int64) *segment {
	s := &segment{base: base, dir: dir, firstTS: -1}
	s.maxTS.Store(-1)
	s.maxAt.Store(base)
	s.file.Init(s, dir.open)
	return s
}

func (s *segment) path(suffix string) string { return s.dir.name(format.FileName(s.base, suffix)) }

// OpenLog opens the log file of the segment.
func (s *segment) OpenLog(flags int) (vfs.File, error) {
	return s.dir.fs.OpenFile(s.path(format.LogSuffix), flags, 0o644)
}

// OpenIndex opens an index file of the segment for reading.
func (s *segment) OpenIndex(suffix string) (vfs.File, error) {
	return s.dir.fs.OpenFile(s.path(suffix), os.O_RDONLY, 0)
}

// create makes the log file of a new, empty active segment; its index files
// come with the first flush of indexes that finds records.
func (s *segment) create(now int64) error {
	if err := s.file.Create(); err != nil {
		return err
	}
	s.resetIndexes() // stale: what an earlier segment has left there is cut
	s.txns.Set(nil)
	s.loaded.Store(true)
	s.created = now
	s.tail.Store(&index.Tail{})
	return nil
}

// close gives up the segment's own use of the file; slices in flight keep theirs.
func (s *segment) close() error {
	s.loadMu.Lock() // nobody is loading indexes
	defer s.loadMu.Unlock()
	return s.file.Close()
}

// rel makes an offset relative; the caller keeps it within 31 bits.
func (s *segment) rel(offset int64) uint32 { return uint32(offset - s.base) }

// holds tells whether offset can be written relative to this segment.
func (s *segment) holds(offset int64) bool { return offset-s.base <= math.MaxInt32 }

// load brings the indexes of a segment into memory, rebuilding what is missing
// or damaged.
func (s *segment) load(interval int32) error {
	if s.loaded.Load() {
		return nil
	}
	h, err := s.file.Acquire()
	if err != nil {
		return err
	}
	defer h.Release()
	s.loadMu.Lock()
	defer s.loadMu.Unlock()
	if s.file.Closed() {
		return ErrClosed // and the names may belong to another segment now
	}
	if s.loaded.Load() {
		return nil
	}
	if err := s.txns.Load(s.dir.fs, s.path(format.TxnIndexSuffix), s.base); err != nil {
		return err
	}
	if err := s.readIndexes(); err != nil {
		if !errors.Is(err, format.ErrCorruptFile) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := s.remake(h.File, interval); err != nil {
			return err
		}
	}
	s.offsets.SealIfLoaded()
	s.times.SealIfLoaded()
	s.loaded.Store(true)
	return nil
}

// readIndexes loads both index files as they are and checks them against the
// size of the log file.
func (s *segment) readIndexes() error {
	size := s.size.Load()
	offsets, err := index.Read(s.dir.fs, s.path(format.IndexSuffix), 1<<30, func(prev *index.Offset, e index.Offset) bool {
		return e.Pos > 0 && int64(e.Pos) < size && (prev == nil || e.Rel > prev.Rel && e.Pos > prev.Pos)
	})
	if err != nil {
		return err
	}
	times, err := index.Read(s.dir.fs, s.path(format.TimeIndexSuffix), 1<<30, func(prev *index.Time, e index.Time) bool {
		return e.Timestamp >= 0 && e.Rel <= math.MaxInt32 && (prev == nil || e.Timestamp > prev.Timestamp && e.Rel >= prev.Rel)
	})
	if err != nil {
		return err
	}
	if len(times) == 0 && size > 0 {
		return format.ErrCorruptFile // a closed segment always has its largest timestamp here
	}
	s.offsets.Set(offsets, len(offsets))
	s.times.Set(times, len(times))
	if n := len(offsets); n > 0 {
		s.indexed = int64(offsets[n-1].Pos)
	}
	if n := len(times); n > 0 {
		s.maxTS.Store(times[n-1].Timestamp)
		s.maxAt.Store(s.base + int64(times[n-1].Rel))
	}
	return nil
}

// rebuild makes the indexes of an intact log file anew.
func (s *segment) rebuild(f vfs.File, interval int32) error {
	if err := s.rescan(f, interval); err != nil {
		return err
	}
	return s.flushIndexes(false)
}

// remake makes the indexes of a sealed segment anew. No recovery will look at
// them, so that their files are replaced as a whole or, on a full volume, not at
// all: they are in memory then.
func (s *segment) remake(f vfs.File, interval int32) error {
	if err := s.rescan(f, interval); err != nil {
		return err
	}
	offsets, times := s.offsets.Known(), s.times.Known()
	err := vfs.ReplaceFile(s.dir.fs, s.path(format.IndexSuffix), index.Encode(offsets))
	if err == nil {
		err = vfs.ReplaceFile(s.dir.fs, s.path(format.TimeIndexSuffix), index.Encode(times))
	}
	switch {
	case err == nil:
		s.offsets.Set(offsets, len(offsets))
		s.times.Set(times, len(times))
		return nil
	case volume.IsFull(err) || s.dir.log == nil:
		return nil
	}
	return s.dir.log.health.FailUnlessFull("make index anew", err)
}

// dropIndexes removes index files that could not be written: a part of one
// would be taken for the whole.
func (s *segment) dropIndexes() error {
	for _, suffix := range [...]string{format.IndexSuffix, format.TimeIndexSuffix} {
		if err := s.dir.fs.Remove(s.path(suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	s.offsets.Lost()
	s.times.Lost()
	return nil
}

// rescan makes the indexes anew in memory, without what is known to be damaged.
func (s *segment) rescan(f vfs.File, interval int32) error {
	s.resetIndexes()
	marks := s.damaged()
	sc := scan.New(f, 0, s.size.Load(), scan.HeaderChunk)
	defer sc.Free()
	for {
		if d, ok := marks.At(sc.Pos); ok {
			sc.Pos = d.End
			continue
		}
		b, size, err := sc.Header()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Name(), s.bad(sc, err))
		}
		s.note(b, sc.Pos, interval)
		sc.Skip(size)
	}
	s.closeTimes()
	return nil
}

// resetIndexes empties offset and time index.
func (s *segment) resetIndexes() {
	s.offsets.Reset()
	s.times.Reset()
	s.indexed, s.firstTS = 0, -1
	s.maxTS.Store(-1)
	s.maxAt.Store(s.base)
}

// note takes a batch at position pos into the indexes. Both ways that a batch
// gets here, append and rebuild, give the same index.
func (s *segment) note(b record.Batch, pos int64, interval int32) {
	last := b.LastOffset()
	if ts := b.MaxTimestamp(); ts > s.maxTS.Load() {
		s.maxTS.Store(ts)
		s.maxAt.Store(last)
	}
	if pos == 0 {
		s.firstTS = b.MaxTimestamp()
	}
	if pos-s.indexed > int64(interval) {
		s.offsets.Append(index.Offset{Rel: s.rel(last), Pos: uint32(pos)})
		s.closeTimes()
		s.indexed = pos
	}
}

// closeTimes appends the largest timestamp so far to the time index.
func (s *segment) closeTimes() {
	ts := s.maxTS.Load()
	if last, ok := s.times.Last(); ts >= 0 && (!ok || ts > last.Timestamp) {
		s.times.Append(index.Time{Timestamp: ts, Rel: s.rel(s.maxAt.Load())})
	}
}

// flushIndexes brings both index files up to date. A segment without records
// gets none before its log is closed: they would be most of the cost of a new
// partition.
func (s *segment) flushIndexes(sync bool) error {
	create := s.size.Load() > 0
	if err := s.offsets.Flush(s.dir.fs, s.path(format.IndexSuffix), sync, create); err != nil {
		return err
	}
	return s.times.Flush(s.dir.fs, s.path(format.TimeIndexSuffix), sync, create)
}

// makeIndexes makes the index files of a segment without records. A broker that
// opens the folder after a clean stop expects them.
func (s *segment) makeIndexes() error {
	if s.hasIndexes {
		return nil
	}
	all := true
	for _, suffix := range []string{format.IndexSuffix, format.TimeIndexSuffix} {
		f, err := s.dir.fs.OpenFile(s.path(suffix), os.O_RDWR|os.O_CREATE, 0o644)
		if err == nil {
			err = f.Close()
		}
		if err != nil && !volume.IsFull(err) { // a missing index is made anew on opening
			return err
		}
		all = all && err == nil
	}
	s.hasIndexes = all
	return nil
}

// full tells whether an index has reached segment.index.bytes, or may have after
// more batches; the time index keeps a place for the last entry.
func (s *segment) full(maxBytes int32, more int) bool {
	return s.offsets.Len()+more >= int(maxBytes)/8 || s.times.Len()+more >= int(maxBytes)/12-1
}

// located is a batch found in a segment.
type located struct {
	pos  int64
	size int // 0: not read
	base int64
}

// locate finds the first batch whose last offset is ≥ offset. ok is false when
// the segment ends before it.
func (s *segment) locate(f vfs.File, offset, size int64, interval int32) (at located, ok bool, err error) {
	// An offset in a hole before the segment asks for its first batch.
	rel := s.rel(min(max(offset, s.base), s.base+math.MaxInt32))
	var from index.Offset
	if t := s.tail.Load(); t != nil {
		e, found := t.Floor(rel)
		if found && e.Rel == rel && int64(e.Pos) < size {
			return located{pos: int64(e.Pos), base: offset}, true, nil
		}
		if found && int64(e.Pos) < size {
			from = e
		}
	}
	if from.Pos == 0 {
		if err := s.load(interval); err != nil {
			return at, false, err
		}
		if e, found, err := s.offsets.Floor(s, format.IndexSuffix, int64(rel)); err != nil {
			return at, false, err
		} else if found && int64(e.Pos) < size {
			from = e
		}
	}
	sc := scan.New(f, int64(from.Pos), size, scan.HeaderChunk)
	defer sc.Free()
	marks := s.damaged()
	for {
		if d, ok := marks.At(sc.Pos); ok {
			if offset < d.Next {
				return at, false, d
			}
			sc.Pos = d.End
			continue
		}
		b, n, err := sc.Header()
		if err == io.EOF {
			return at, false, nil
		}
		if err != nil {
			return at, false, fmt.Errorf("%s: %w", f.Name(), s.bad(sc, err))
		}
		if b.LastOffset() >= offset {
			return located{pos: sc.Pos, size: n, base: b.BaseOffset()}, true, nil
		}
		sc.Skip(n)
	}
}

// batchSizeAt is the size of the batch at pos.
func batchSizeAt(f vfs.File, pos, end int64) (int, error) {
	sc := scan.New(f, pos, end, record.HeaderSize)
	defer sc.Free()
	_, size, err := sc.Header()
	return size, err
}
