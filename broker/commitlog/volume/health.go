package volume

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"

	"github.com/leatstream/leat/broker/vfs"
)

// Health is whether a log directory may be used. All logs of a directory
// share one; the first failure takes the directory off line for good.
type Health struct {
	Path    string
	Reserve *Reserve // set before the logs are opened; nil: nothing is held back
	failed  atomic.Pointer[dirFailure]
	onFail  func(dir string, err error) // called once
}

// NewHealth gives the health of the log directory at path, which is on line. onFail
// is called once, when it is not any more.
func NewHealth(path string, onFail func(dir string, err error)) *Health {
	return &Health{Path: path, onFail: onFail}
}

type dirFailure struct{ err error }

// Err is nil while the directory is on line, else an ErrStorage.
func (d *Health) Err() error {
	if f := d.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// Fail takes the directory off line and gives the error to return.
func (d *Health) Fail(op string, cause error) error {
	if errors.Is(cause, ErrStorage) {
		cause = fmt.Errorf("%s: %w", op, cause)
	} else {
		cause = fmt.Errorf("%w: %s: %s: %w", ErrStorage, d.Path, op, cause)
	}
	if d.failed.CompareAndSwap(nil, &dirFailure{cause}) && d.onFail != nil {
		d.onFail(d.Path, cause)
	}
	return cause
}

// IsFull tells whether err says that the volume or a quota is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// FailUnlessFull answers a failed write: a full volume is an ErrNoSpace and
// leaves the directory on line, as do too many open files; anything else takes
// it off line.
func (d *Health) FailUnlessFull(op string, err error) error {
	if OutOfFiles(err) {
		return fmt.Errorf("%w: %s: %w", ErrStorage, op, err)
	}
	if IsFull(err) {
		d.Reserve.release(err)
		return fmt.Errorf("%w: %s: %w", ErrNoSpace, op, err)
	}
	return d.Fail(op, err)
}

// OutOfFiles tells whether err says that the process or the system has too many
// files open: a reason to try again, not to give a directory up.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// ReplaceFile replaces a small file, if need be in the space held back.
func (d *Health) ReplaceFile(fsys vfs.FS, name string, data []byte) error {
	err := vfs.ReplaceFile(fsys, name, data)
	if err != nil && IsFull(err) {
		d.Reserve.release(err)
		return vfs.ReplaceFile(fsys, name, data)
	}
	return err
}
