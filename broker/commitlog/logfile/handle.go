package logfile

import (
	"sync/atomic"

	"github.com/leatstream/leat/broker/vfs"
)

// Handle is an open log file with a count of its users. It starts with one user,
// its File; it is closed when the last user is gone.
type Handle struct {
	File vfs.File
	refs atomic.Int64
}

func newHandle(f vfs.File) *Handle {
	h := &Handle{File: f}
	h.refs.Store(1)
	return h
}

// acquire adds a user; false says that the file is closed.
func (h *Handle) acquire() bool {
	for {
		n := h.refs.Load()
		if n == 0 {
			return false
		}
		if h.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release takes a user away. An error is that of closing the file.
func (h *Handle) Release() error {
	switch n := h.refs.Add(-1); {
	case n == 0:
		return h.File.Close()
	case n < 0:
		panic("commitlog: file handle released more often than acquired")
	}
	return nil
}
