package vfs

import (
	"io/fs"
	"path/filepath"
)

// Op is a kind of file system operation.
type Op string

// The operations that a Rule can match and Observe sees.
const (
	OpOpen     Op = "open"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpRemove   Op = "remove"
	OpRename   Op = "rename"
	OpMkdir    Op = "mkdir"
	OpReadDir  Op = "readdir"
	OpStat     Op = "stat"
	OpSyncDir  Op = "syncdir"
)

// Mutates tells whether the operation can change what a crash leaves.
func (o Op) Mutates() bool {
	switch o {
	case OpRead, OpReadDir, OpStat, OpOpen:
		return false
	}
	return true
}

// Call is one operation about to happen.
type Call struct {
	Op   Op
	Name string // for a rename the new name
	Size int    // bytes of a read or write
}

// Rule makes matching operations of a Mem fail.
type Rule struct {
	Op    Op     // empty: any
	Glob  string // pattern for the last part of the name; empty: any
	Skip  int    // let this many matches pass first
	Times int    // fail this many, 0: all from then on
	Err   error  // such as syscall.EIO, syscall.ENOSPC
	Short int    // a write persists this many bytes before it fails

	seen int
}

// Inject adds rules; the first that matches an operation decides.
func (m *Mem) Inject(rules ...*Rule) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rules = append(m.rules, rules...)
}

// Heal removes all rules.
func (m *Mem) Heal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rules = nil
}

// Observe has fn called before every operation, by whoever does it and without
// locks held, so that it may call Crash. One observer at a time; nil ends it.
func (m *Mem) Observe(fn func(Call)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.before = fn
}

// shortWrite asks for a partial write.
type shortWrite struct {
	n   int
	err error
}

func (s *shortWrite) Error() string { return s.err.Error() }

// enter runs the observer and gives the error to inject, if any.
func (m *Mem) enter(op Op, name string, size int) error {
	m.mu.Lock()
	before := m.before
	m.mu.Unlock()
	if before != nil {
		before(Call{Op: op, Name: name, Size: size})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rules {
		if !r.matches(op, name) {
			continue
		}
		r.seen++
		if r.seen <= r.Skip || r.Times > 0 && r.seen > r.Skip+r.Times {
			continue
		}
		err := &fs.PathError{Op: string(op), Path: name, Err: r.Err}
		if op == OpWrite {
			return &shortWrite{n: r.Short, err: err}
		}
		return err
	}
	return nil
}

func (r *Rule) matches(op Op, name string) bool {
	if r.Op != "" && r.Op != op {
		return false
	}
	if r.Glob == "" {
		return true
	}
	ok, err := filepath.Match(r.Glob, filepath.Base(name))
	return err == nil && ok
}
