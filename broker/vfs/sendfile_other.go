//go:build !linux

package vfs

import (
	"errors"
	"syscall"
)

// Sender is not available here; callers fall back to reading and writing.
type Sender struct{}

// NewSender returns errors.ErrUnsupported.
func NewSender(syscall.Conn) (*Sender, error) { return nil, errors.ErrUnsupported }

// SendFile implements FileSender.
func (*Sender) SendFile(uintptr, int64, int64) (int64, error) { return 0, errors.ErrUnsupported }
