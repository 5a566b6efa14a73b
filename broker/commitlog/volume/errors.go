package volume

import (
	"errors"
	"fmt"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrStorage says that the log directory is off line; it wraps the cause.
	ErrStorage = errors.New("commitlog: storage error")
	// ErrNoSpace says that the volume is full. Nothing was appended, the log is
	// readable, and a later append succeeds once there is space. It is also an
	// ErrStorage for whoever needs no distinction; the directory stays on line.
	ErrNoSpace = fmt.Errorf("%w: no space left on the volume", ErrStorage)
)
