package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrLocked is returned by FS.Lock when another owner holds the lock.
var ErrLocked = errors.New("vfs: file is locked by another process")

// Usage is the space of the volume that holds a path, in bytes.
type Usage struct {
	Total int64
	Free  int64 // what an unprivileged writer can still use
}

// FS is a file system. All methods may be called concurrently.
// Errors satisfy errors.Is(err, fs.ErrNotExist) and friends, and keep the
// syscall.Errno (EIO, ENOSPC) reachable with errors.As.
type FS interface {
	// OpenFile opens name with the flags of package os.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Remove deletes one file or one empty folder.
	Remove(name string) error
	// RemoveAll deletes name and everything below it; a missing name is no error.
	RemoveAll(name string) error
	// Rename replaces newName if it exists and is a file.
	Rename(oldName, newName string) error
	MkdirAll(name string, perm fs.FileMode) error
	// ReadDir lists a folder in name order.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SyncDir makes the entries of a folder durable: creations, renames and
	// removals inside it.
	SyncDir(name string) error
	// Lock takes an exclusive lock on a file, creating it when missing. Closing
	// the result releases it. A lock held elsewhere gives ErrLocked.
	Lock(name string) (io.Closer, error)
	// Usage reports the space of the volume that holds name.
	Usage(name string) (Usage, error)
}

// File is an open file. ReadAt and WriteAt may be called concurrently with
// each other and with Sync; Close must come last.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Name is the path given to OpenFile.
	Name() string
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes contents and metadata durable.
	Sync() error
	// Datasync makes contents and the size durable.
	Datasync() error
	// Preallocate reserves space for [offset, offset+length) without changing
	// the size. A file system that cannot do so returns nil.
	Preallocate(offset, length int64) error
	// FD is the descriptor for sendfile; ok is false when there is none.
	// It stays valid until Close.
	FD() (fd uintptr, ok bool)
}

// ReadFile returns the contents of a small file. Files larger than limit bytes
// are refused, so that a damaged file cannot exhaust memory.
func ReadFile(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errTooLarge}
	}
	buf := make([]byte, size)
	n, err := f.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return buf[:n], nil
}

var errTooLarge = errors.New("file is larger than its format allows")

// WriteFile creates or replaces name with data and syncs it. It does not sync
// the folder.
func WriteFile(fsys FS, name string, data []byte, perm fs.FileMode) error {
	f, err := fsys.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, perm)
	if err != nil {
		return err
	}
	if _, err = f.WriteAt(data, 0); err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// ReplaceFile writes data to name so that a crash leaves the old or the new
// contents: temporary file, sync, rename, sync of the folder.
func ReplaceFile(fsys FS, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := WriteFile(fsys, tmp, data, 0o644); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
