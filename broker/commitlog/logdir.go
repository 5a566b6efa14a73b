package commitlog

import (
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
)

// dirHealth is whether a log directory may be used. All logs of a directory
// share one; the first failure takes the directory off line for good.
type dirHealth struct {
	path   string
	space  *space // nil: nothing is held back
	failed atomic.Pointer[dirFailure]
	onFail func(dir string, err error) // called once
	open   *openFiles                  // of all directories; nil: no bound
}

type dirFailure struct{ err error }

// err is nil while the directory is on line, else an ErrStorage.
func (d *dirHealth) err() error {
	if f := d.failed.Load(); f != nil {
		return f.err
	}
	return nil
}

// fail takes the directory off line and gives the error to return.
func (d *dirHealth) fail(op string, cause error) error {
	if errors.Is(cause, ErrStorage) {
		cause = fmt.Errorf("%s: %w", op, cause)
	} else {
		cause = fmt.Errorf("%w: %s: %s: %w", ErrStorage, d.path, op, cause)
	}
	if d.failed.CompareAndSwap(nil, &dirFailure{cause}) && d.onFail != nil {
		d.onFail(d.path, cause)
	}
	return cause
}

// noSpace tells whether err says that the volume or a quota is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// failUnlessFull answers a failed write: a full volume is an ErrNoSpace and
// leaves the directory on line, as do too many open files; anything else takes
// it off line.
func (d *dirHealth) failUnlessFull(op string, err error) error {
	if outOfFiles(err) {
		return fmt.Errorf("%w: %s: %w", ErrStorage, op, err)
	}
	if noSpace(err) {
		d.space.release(err)
		return fmt.Errorf("%w: %s: %w", ErrNoSpace, op, err)
	}
	return d.fail(op, err)
}
