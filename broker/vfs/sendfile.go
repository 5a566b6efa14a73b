package vfs

// FileSender is a writer that can send a range of an open file without copying
// it through user space. The range must exist; a short file is an error.
type FileSender interface {
	SendFile(fd uintptr, offset, length int64) (sent int64, err error)
}
