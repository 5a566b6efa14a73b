package logfile

import (
	"sync"

	"github.com/leatstream/leat/broker/commitlog/volume"
)

// Limit bounds how many log files stay open between uses. Files whose bytes
// are synced are closed when there are too many, those that were not used for
// longest first, about; the next use opens them again. A file with unsynced
// bytes stays open whatever their number: the error of a write-back that fails
// is told to those who had the file open. All methods may be called
// concurrently; a nil Limit has no bound.
//
// The order is that of a clock: a hand goes round the files, passes those that
// were used since it came by, and takes the first that was not. So a use costs
// no lock.
type Limit struct {
	limit int

	mu   sync.Mutex
	ring []*File
	hand int
}

const (
	// maxOpen is how many log files stay open at most. To open one again
	// takes microseconds.
	maxOpen = 2048
	// Share is the part of the process's files that logs may keep
	// open; connections and stores need the others.
	Share = 2
)

// NewLimit gives the bound for a process that may open limit files, 0: unknown.
func NewLimit(limit int) *Limit {
	if limit <= 0 {
		limit = maxOpen
	}
	return &Limit{limit: max(1, min(maxOpen, limit/Share))}
}

// add notes that s has an open file, and closes others if there are too many.
// The caller holds no mutex of a File.
func (o *Limit) add(s *File) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if s.slot == 0 && s.handle.Load() != nil { // not closed again meanwhile
		o.ring = append(o.ring, s)
		s.slot = len(o.ring)
	}
	o.shrink()
}

// synced closes files if there are too many: there is one more that can be closed.
func (o *Limit) synced() {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.shrink()
}

// shrink is called under mu.
func (o *Limit) shrink() {
	for len(o.ring) > o.limit && o.evict() {
	}
}

// remove notes that s has no open file.
func (o *Limit) remove(s *File) {
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
func (o *Limit) drop(s *File) {
	last := o.ring[len(o.ring)-1]
	o.ring[s.slot-1], last.slot = last, s.slot
	o.ring[len(o.ring)-1] = nil
	o.ring = o.ring[:len(o.ring)-1]
	s.slot = 0
}

// evict closes one file. It returns false when all are in use or unsynced, or
// seem so: it does not look at more than evictScan of them. Called under mu.
func (o *Limit) evict() bool {
	for range min(2*len(o.ring), evictScan) {
		if o.hand >= len(o.ring) {
			o.hand = 0
		}
		s := o.ring[o.hand]
		if !s.recent.Swap(false) && s.giveUp() {
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
// caller may hold the mutex of the File that wants it.
func (o *Limit) makeRoom(refused error) bool {
	if o == nil || !volume.OutOfFiles(refused) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.evict()
}

// Count is how many log files are open.
func (o *Limit) Count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.ring)
}
