package logfile

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/leatstream/leat/broker/vfs"
)

// ErrClosed says that the log was closed or deleted.
var ErrClosed = errors.New("commitlog: log is closed")

// Opener opens a log file under the name that it has now.
type Opener interface {
	OpenLog(flags int) (vfs.File, error)
}

// File is a log file that is opened when it is used and, within a Limit, closed
// between uses. All methods but Init may be called concurrently.
type File struct {
	opener Opener
	limit  *Limit // nil: no bound

	handle  atomic.Pointer[Handle] // nil: not open
	recent  atomic.Bool            // the file was used since the Limit looked
	dirty   atomic.Bool            // set before bytes are written, cleared when a sync of them begins
	syncing atomic.Bool            // such a sync is under way, or has failed
	slot    int                    // place in the Limit plus one, under its mutex; 0: none

	mu      sync.Mutex // opening and closing
	closed  bool
	missing bool // promised and not made
}

const createFlags = os.O_RDWR | os.O_CREATE | os.O_TRUNC

// Init readies the file for its first use.
func (x *File) Init(opener Opener, limit *Limit) { x.opener, x.limit = opener, limit }

// Create makes the file, empty, and opens it.
func (x *File) Create() error {
	f, err := x.open(createFlags)
	if err != nil {
		return err
	}
	x.Adopt(f)
	x.Admit()
	return nil
}

// Promise says that the file is not there yet. It is made, empty, by the first
// Acquire or by Make.
func (x *File) Promise() { x.missing = true }

// Make makes a file that was promised, unless it is there by now.
func (x *File) Make() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.missing || x.closed {
		return nil
	}
	f, err := x.open(createFlags)
	if err != nil {
		return err
	}
	x.missing = false
	return f.Close()
}

// Adopt takes over an open file and gives it. It stays open until Admit says that
// Opener would find it.
func (x *File) Adopt(f vfs.File) *Handle {
	h := newHandle(f)
	x.handle.Store(h)
	return h
}

// Admit lets the file be closed between uses from now on.
func (x *File) Admit() { x.limit.add(x) }

// Acquire gives the open file with one more user.
func (x *File) Acquire() (*Handle, error) {
	if !x.recent.Load() {
		x.recent.Store(true)
	}
	if h := x.handle.Load(); h != nil && h.acquire() {
		return h, nil
	}
	h, err := x.reopen()
	if err == nil {
		x.limit.add(x)
	}
	return h, err
}

// reopen opens the file, unless somebody was faster.
func (x *File) reopen() (*Handle, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, ErrClosed
	}
	if h := x.handle.Load(); h != nil && h.acquire() {
		return h, nil
	}
	flags := os.O_RDWR
	if x.missing {
		flags = createFlags
	}
	f, err := x.open(flags)
	if err != nil {
		return nil, err
	}
	x.missing = false
	h := newHandle(f)
	h.acquire()
	x.handle.Store(h)
	return h, nil
}

// Close ends the use of the file; whoever has acquired it keeps it until they
// release it.
func (x *File) Close() error {
	defer x.limit.remove(x)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil
	}
	x.closed = true
	if h := x.handle.Swap(nil); h != nil {
		return h.Release()
	}
	return nil
}

// Closed tells whether Close was called.
func (x *File) Closed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.closed
}

// Touch notes that bytes are about to be written: the file stays open until they
// are synced.
func (x *File) Touch() { x.dirty.Store(true) }

// Dirty tells whether bytes were written since the last sync began.
func (x *File) Dirty() bool { return x.dirty.Load() }

// BeginSync notes that a sync of everything written so far is to follow.
func (x *File) BeginSync() {
	x.syncing.Store(true)
	x.dirty.Store(false)
}

// Sync makes the bytes in the file durable. A file that was closed meanwhile needs
// it no longer.
func (x *File) Sync() error {
	h, err := x.Acquire()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	if err != nil {
		return err
	}
	err = h.File.Datasync()
	if err != nil {
		err = fmt.Errorf("%s: %w", h.File.Name(), err)
	} else {
		x.syncing.Store(false)
	}
	_ = h.Release() // all is synced, or the error is told
	x.limit.synced()
	return err
}

// giveUp closes the file if nobody uses it and all its bytes are synced.
func (x *File) giveUp() bool {
	if !x.mu.TryLock() {
		return false // it is being opened or closed
	}
	defer x.mu.Unlock()
	h := x.handle.Load()
	if h == nil {
		return true
	}
	if x.dirty.Load() || x.syncing.Load() || h.refs.Load() > 1 {
		return false
	}
	x.handle.Store(nil)
	if x.dirty.Load() { // a writer has come meanwhile, and may have seen the file
		x.handle.Store(h)
		return false
	}
	_ = h.Release() // all is synced: there is nothing that a close could lose
	return true
}

// open opens the file, if need be in place of another one.
func (x *File) open(flags int) (vfs.File, error) {
	for {
		f, err := x.opener.OpenLog(flags)
		if err == nil || !x.limit.makeRoom(err) {
			return f, err
		}
	}
}
