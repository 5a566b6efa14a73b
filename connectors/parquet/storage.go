package parquet

import (
	"io"
)

// Storage is what the sink needs of a file system. Paths are relative to its
// root and use "/". Errors wrap fs.ErrExist and fs.ErrNotExist where they say so.
type Storage interface {
	// Create makes a new file, and the folders above it; fs.ErrExist if there is one.
	Create(path string) (File, error)
	// RenameNoReplace moves a closed file; fs.ErrExist if the target exists,
	// and then nothing has changed. When it returns nil the new name survives
	// a crash. After any other error the file may have either name.
	RenameNoReplace(from, to string) error
	// List names what is in a folder, in order; a missing folder is empty.
	List(dir string) ([]string, error)
	// Remove deletes a file; a missing one is no error.
	Remove(path string) error
}

// File is a file being written. What was written is safe from a crash when
// Close has returned nil, and not before.
type File interface {
	io.Writer
	Close() error
}
