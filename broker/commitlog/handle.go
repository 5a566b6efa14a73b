package commitlog

import (
	"sync/atomic"

	"github.com/leatstream/leat/broker/vfs"
)

// handle is an open log file with a count of its users. It starts with one user,
// the segment; the file is closed when the last user is gone.
type handle struct {
	f    vfs.File
	refs atomic.Int64
}

func newHandle(f vfs.File) *handle {
	h := &handle{f: f}
	h.refs.Store(1)
	return h
}

// acquire adds a user; false says that the file is closed.
func (h *handle) acquire() bool {
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

// release takes a user away.
func (h *handle) release() error {
	switch n := h.refs.Add(-1); {
	case n == 0:
		return h.f.Close()
	case n < 0:
		panic("commitlog: file handle released more often than acquired")
	}
	return nil
}
