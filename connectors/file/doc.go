// Package file is a source that tails text files: one record per line or
// multi-line event, over rotation by rename and by copy-and-truncate.
//
// A file is known by device and inode together with a fingerprint of its first
// bytes, which grows with the file up to 1,000 bytes; its path is only where
// it was seen last. Of each file the stored offset says how far its events
// were written to the log, so a restarted task goes on behind the last one:
//
//	{"id": …} → {"pos", "dev", "ino", "fp", "fp_len", "path", "lines"}
//
// pos only ever moves past the end of an event. A line without its newline
// waits; it is emitted, with the header partial, only when its file is gone.
//
// A task belongs to one goroutine; the only others are the file watcher's,
// which end with Stop.
package file
