//go:build !linux

package vfs

// Datasync implements File.
func (o *osFile) Datasync() error { return o.f.Sync() }

// FileLimit is how many files the process may have open, 0 when unknown.
func FileLimit() int { return 0 }

// Preallocate implements File; other systems have no call that keeps the size.
func (o *osFile) Preallocate(offset, length int64) error { return nil }
