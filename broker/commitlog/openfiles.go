package commitlog

import (
	"sync"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/vfs"
)

// openFiles bounds how many log files stay open between uses. Files whose bytes
// are synced are closed when there are too many, those that were not used for
// longest first, about; the next use opens them again. A file with unsynced
// bytes stays open whatever their number: the error of a write-back that fails
// is told to those who had the file open. All methods may be called
// concurrently; a nil openFiles has no bound.
//
// The order is that of a clock: a hand goes round the files, passes those that
// were used since it came by, and takes the first that was not. So a use costs
// no lock.
type openFiles struct {
	limit int

	mu   sync.Mutex
	ring []*segment
	hand int
}

const (
	// maxOpenFiles is how many log files stay open at most. To open one again
	// takes microseconds.
	maxOpenFiles = 2048
	// openFilesShare is the part of the process's files that logs may keep
	// open; connections and stores need the others.
	openFilesShare = 2
)

// newOpenFiles gives the bound for a process that may open limit files, 0: unknown.
func newOpenFiles(limit int) *openFiles {
	if limit <= 0 {
		limit = maxOpenFiles
	}
	return &openFiles{limit: max(1, min(maxOpenFiles, limit/openFilesShare))}
}

// add notes that s has an open file, and closes others if there are too many.
// The caller holds no openMu.
func (o *openFiles) add(s *segment) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.slot == 0 && s.file.Load() != nil { // not closed again meanwhile
		o.ring = append(o.ring, s)
		s.slot = len(o.ring)
	}
	o.shrink()
}

// synced closes files if there are too many: there is one more that can be closed.
func (o *openFiles) synced() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shrink()
}

// shrink is called under mu.
func (o *openFiles) shrink() {
	for len(o.ring) > o.limit && o.evict() {
	}
}

// remove notes that s has no open file.
func (o *openFiles) remove(s *segment) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.slot > 0 {
		o.drop(s)
	}
}

// drop takes s out of the ring; called under mu.
func (o *openFiles) drop(s *segment) {
	last := o.ring[len(o.ring)-1]
	o.ring[s.slot-1], last.slot = last, s.slot
	o.ring[len(o.ring)-1] = nil
	o.ring = o.ring[:len(o.ring)-1]
	s.slot = 0
}

// evict closes one file. It returns false when all are in use or unsynced, or
// seem so: it does not look at more than evictScan of them. Called under mu.
func (o *openFiles) evict() bool {
	for range min(2*len(o.ring), evictScan) {
		if o.hand >= len(o.ring) {
			o.hand = 0
		}
		s := o.ring[o.hand]
		if !s.recent.Swap(false) && s.giveUpFile() {
			o.drop(s)
			return true
		}
		o.hand++
	}
	return false
}

// evictScan bounds what one opening costs when few files can be closed.
const evictScan = 256

// makeRoom closes a file after the system has refused to open another one. The
// caller may hold the openMu of the segment that wants it.
func (o *openFiles) makeRoom(refused error) bool {
	if o == nil || !volume.OutOfFiles(refused) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.evict()
}

// count is how many log files are open.
func (o *openFiles) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.ring)
}

// giveUpFile closes the file if nobody uses it and all its bytes are synced.
func (s *segment) giveUpFile() bool {
	if !s.openMu.TryLock() {
		return false // it is being opened, closed or loaded
	}
	defer s.openMu.Unlock()
	h := s.file.Load()
	if h == nil {
		return true
	}
	if s.dirty.Load() || s.syncing.Load() || h.refs.Load() > 1 {
		return false
	}
	s.file.Store(nil)
	if s.dirty.Load() { // a writer has come meanwhile, and may have seen the file
		s.file.Store(h)
		return false
	}
	_ = h.release() // all is synced: there is nothing that a close could lose
	return true
}

// openLogFile opens the segment's log file, if need be in place of another one.
func (s *segment) openLogFile(flags int) (vfs.File, error) {
	for {
		f, err := s.dir.fs.OpenFile(s.path(format.LogSuffix), flags, 0o644)
		if err == nil || !s.dir.open.makeRoom(err) {
			return f, err
		}
	}
}
