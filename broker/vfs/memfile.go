package vfs

import (
	"io"
	"io/fs"
	"slices"
	"syscall"
	"time"
)

// memFile is an open file of Mem. It stays usable after its name is removed.
type memFile struct {
	m      *Mem
	n      *memNode
	name   string
	closed bool
}

func (f *memFile) enter(op Op, size int) error { return f.m.enter(op, f.name, size) }

// Name implements File.
func (f *memFile) Name() string { return f.name }

// FD implements File; memory has no descriptor.
func (f *memFile) FD() (uintptr, bool) { return 0, false }

// ReadAt implements io.ReaderAt.
func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.enter(OpRead, len(p)); err != nil {
		return 0, err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return 0, errClosedFile
	}
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements io.WriterAt.
func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	fault := f.enter(OpWrite, len(p))
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return 0, errClosedFile
	}
	take := len(p)
	if short, ok := fault.(*shortWrite); ok {
		take, fault = min(take, short.n), short.err
	} else if fault != nil {
		return 0, fault
	}
	if grow := off + int64(take) - int64(len(f.n.data)); grow > 0 && f.m.limit > 0 && f.m.used+grow > f.m.limit {
		take = max(0, take-int(f.m.used+grow-f.m.limit))
		fault = &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	if take > 0 {
		f.put(p[:take], off)
	}
	return take, fault
}

func (f *memFile) put(p []byte, off int64) {
	end := int(off) + len(p)
	if have := len(f.n.data); end > have {
		f.n.data = slices.Grow(f.n.data, end-have)[:end]
		clear(f.n.data[have:])
		f.m.used += int64(end - have)
	}
	copy(f.n.data[off:], p)
	f.n.modified = time.Now()
}

// Truncate implements File.
func (f *memFile) Truncate(size int64) error {
	if err := f.enter(OpTruncate, 0); err != nil {
		return err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	have := int64(len(f.n.data))
	if size > have {
		f.put(make([]byte, size-have), have)
		return nil
	}
	f.n.data = slices.Clone(f.n.data[:size])
	f.m.used -= have - size
	return nil
}

// Sync implements File.
func (f *memFile) Sync() error {
	if err := f.enter(OpSync, 0); err != nil {
		return err
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return errClosedFile
	}
	f.n.synced = slices.Clone(f.n.data)
	return nil
}

// Datasync implements File.
func (f *memFile) Datasync() error { return f.Sync() }

// Preallocate implements File; memory needs no reservation.
func (f *memFile) Preallocate(int64, int64) error { return nil }

// Size implements File.
func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.n.data)), nil
}

// Close implements io.Closer.
func (f *memFile) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if f.closed {
		return errClosedFile
	}
	f.closed = true
	return nil
}
