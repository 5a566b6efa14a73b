package vfs

import (
	"errors"
	"os"
)

// reserveChunk is how much Reserve writes at a time where space cannot be
// allocated otherwise, in bytes.
const reserveChunk = 1 << 20

// allocator is a File that can take blocks without writing them; it answers
// errors.ErrUnsupported where the file system cannot.
type allocator interface {
	allocate(size int64) error
}

// Reserve makes name a file of size bytes that takes up as much space of the
// volume, so that removing it gives that space back. When it fails the file is
// gone.
func Reserve(fsys FS, name string, size int64) error {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = fill(f, size)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return errors.Join(err, fsys.Remove(name))
	}
	return nil
}

// fill gives f blocks for size bytes and cuts what lies beyond.
func fill(f File, size int64) error {
	have, err := f.Size()
	if err != nil {
		return err
	}
	if have > size {
		return f.Truncate(size)
	}
	if a, ok := f.(allocator); ok {
		if err := a.allocate(size); !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	zeros := make([]byte, min(reserveChunk, size))
	for have < size {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-have)], have)
		if err != nil {
			return err
		}
		have += int64(n)
	}
	return nil
}
