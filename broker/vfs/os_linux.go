package vfs

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// Datasync implements File with fdatasync(2).
func (o *osFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(o.fd))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return &fs.PathError{Op: "fdatasync", Path: o.f.Name(), Err: err}
		}
	}
}

// FileLimit is how many files the process may have open, 0 when unknown.
func FileLimit() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(limit.Cur, 1<<30))
}

// Preallocate implements File with fallocate(2), keeping the size.
func (o *osFile) Preallocate(offset, length int64) error {
	for {
		err := unix.Fallocate(int(o.fd), unix.FALLOC_FL_KEEP_SIZE, offset, length)
		switch {
		case err == nil, errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: "fallocate", Path: o.f.Name(), Err: err}
		}
	}
}

// allocate takes blocks for the first size bytes with fallocate(2) and makes the
// file that long.
func (o *osFile) allocate(size int64) error {
	for {
		err := unix.Fallocate(int(o.fd), 0, 0, size)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return errors.ErrUnsupported
		case !errors.Is(err, unix.EINTR):
			return &fs.PathError{Op: "fallocate", Path: o.f.Name(), Err: err}
		}
	}
}
