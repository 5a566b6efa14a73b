package format

import "errors"

// ErrCorruptFile says that a checkpoint, snapshot or index file cannot be read.
var ErrCorruptFile = errors.New("commitlog: corrupt file")
