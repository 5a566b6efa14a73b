//go:build unix

package file

import (
	"io/fs"
	"syscall"
)

// inodeOf gives a file's device and inode.
func inodeOf(info fs.FileInfo) inode {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return inode{dev: uint64(st.Dev), ino: uint64(st.Ino)} //nolint:unconvert // the types differ between systems
	}
	return inode{}
}
