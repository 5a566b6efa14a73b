package vfs

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Mem is a file system in memory for tests. It keeps apart what has been synced
// and what has not, can be cloned as a crash would leave it, and fails on
// request. All methods may be called concurrently.
//
// Model of durability: a file's bytes are durable as of its last Sync or
// Datasync; a folder's entries as of its last SyncDir, and folder operations
// reach the disk in order, so that a crash keeps some prefix of those since.
type Mem struct {
	mu     sync.Mutex
	root   *memNode
	locks  map[string]bool
	rules  []*Rule
	limit  int64 // bytes of capacity, 0: unbounded
	used   int64
	before func(Call)
}

// memNode is a file or a folder.
type memNode struct {
	dir bool

	data     []byte // of a file
	synced   []byte // as of the last sync
	modified time.Time

	entries map[string]*memNode // of a folder
	durable map[string]*memNode // as of the last SyncDir
	pending []memChange         // since then, in order
}

// memChange is one folder operation: name now stands for node, nil: removed.
// A rename is two changes of which a crash keeps both or none.
type memChange struct {
	name   string
	node   *memNode
	joined bool // belongs together with the next change
}

var _ FS = (*Mem)(nil)

// NewMem returns an empty file system.
func NewMem() *Mem {
	return &Mem{root: newMemDir(), locks: map[string]bool{}}
}

func newMemDir() *memNode {
	return &memNode{dir: true, entries: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// SetCapacity bounds the bytes in files; writing more gives ENOSPC after a
// partial write. Zero removes the bound.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.limit = bytes
}

// Used is the number of bytes in files.
func (m *Mem) Used() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.used
}

// Crash gives a copy of the file system as a power cut at this moment would
// leave it: synced bytes and entries, and of the rest what rng chooses, per file
// nothing, everything, or a torn mixture. Locks are gone.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.root = m.root.crash(rng, map[*memNode]*memNode{})
	c.used = c.root.bytes()
	return c
}

// Clone gives an exact copy with everything durable.
func (m *Mem) Clone() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := NewMem()
	c.root = m.root.clone()
	c.used = c.root.bytes()
	return c
}

func (n *memNode) clone() *memNode {
	if !n.dir {
		return &memNode{data: slices.Clone(n.data), synced: slices.Clone(n.data), modified: n.modified}
	}
	c := newMemDir()
	for name, child := range n.entries {
		c.entries[name] = child.clone()
		c.durable[name] = c.entries[name]
	}
	return c
}

func (n *memNode) bytes() int64 {
	total := int64(len(n.data))
	for _, child := range n.entries {
		total += child.bytes()
	}
	return total
}

func (n *memNode) crash(rng *rand.Rand, done map[*memNode]*memNode) *memNode {
	if c, ok := done[n]; ok {
		return c
	}
	if !n.dir {
		data := tear(rng, n.synced, n.data)
		c := &memNode{data: data, synced: slices.Clone(data), modified: n.modified}
		done[n] = c
		return c
	}
	survived := map[string]*memNode{}
	for name, child := range n.durable {
		survived[name] = child
	}
	keep := rng.IntN(len(n.pending) + 1)
	for keep > 0 && n.pending[keep-1].joined {
		keep--
	}
	for _, change := range n.pending[:keep] {
		applyChange(survived, change)
	}
	c := newMemDir()
	done[n] = c
	names := make([]string, 0, len(survived))
	for name := range survived {
		names = append(names, name)
	}
	slices.Sort(names) // the same seed must give the same crash
	for _, name := range names {
		c.entries[name] = survived[name].crash(rng, done)
		c.durable[name] = c.entries[name]
	}
	return c
}

func applyChange(entries map[string]*memNode, c memChange) {
	if c.node == nil {
		delete(entries, c.name)
	} else {
		entries[c.name] = c.node
	}
}

// sector is the unit in which a torn write persists, in bytes.
const sector = 512

// tear chooses what a crash leaves of a file that was synced as old and is now
// cur.
func tear(rng *rand.Rand, old, cur []byte) []byte {
	switch rng.IntN(4) {
	case 0:
		return slices.Clone(old)
	case 1:
		return slices.Clone(cur)
	}
	lo, hi := min(len(old), len(cur)), max(len(old), len(cur))
	out := make([]byte, lo+rng.IntN(hi-lo+1))
	for at := 0; at < len(out); at += sector {
		end := min(at+sector, len(out))
		from := cur
		if rng.IntN(2) == 0 {
			from = old // beyond old's end: zeros, as of a hole
		}
		if at < len(from) {
			copy(out[at:end], from[at:min(end, len(from))])
		}
		// What both agree on was never at stake.
		for i := at; i < min(end, lo); i++ {
			if old[i] == cur[i] {
				out[i] = cur[i]
			}
		}
	}
	return out
}

// split gives the cleaned parts of a path.
func split(name string) []string {
	name = strings.Trim(filepath.ToSlash(filepath.Clean(name)), "/")
	if name == "" || name == "." {
		return nil
	}
	return strings.Split(name, "/")
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// find gives a node, or nil. The caller holds mu.
func (m *Mem) find(name string) *memNode {
	n := m.root
	for _, part := range split(name) {
		if n == nil || !n.dir {
			return nil
		}
		n = n.entries[part]
	}
	return n
}

// parent gives the folder that holds name, and name's last part.
func (m *Mem) parent(op, name string) (*memNode, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	dir := m.find(strings.Join(parts[:len(parts)-1], "/"))
	if dir == nil || !dir.dir {
		return nil, "", notExist(op, name)
	}
	return dir, parts[len(parts)-1], nil
}

// change applies a folder operation and remembers it for crashes.
func (n *memNode) change(c memChange) {
	applyChange(n.entries, c)
	n.pending = append(n.pending, c)
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int, _ fs.FileMode) (File, error) {
	if err := m.enter(OpOpen, name, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("open", name)
	if err != nil {
		return nil, err
	}
	n := dir.entries[base]
	switch {
	case n != nil && n.dir:
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	case n != nil && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil && flag&os.O_CREATE == 0:
		return nil, notExist("open", name)
	case n == nil:
		n = &memNode{modified: time.Now()}
		dir.change(memChange{name: base, node: n})
	case flag&os.O_TRUNC != 0:
		m.used -= int64(len(n.data))
		n.data = nil
	}
	return &memFile{m: m, n: n, name: name}, nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	if err := m.enter(OpRemove, name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n := dir.entries[base]
	if n == nil {
		return notExist("remove", name)
	}
	if len(n.entries) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: syscall.ENOTEMPTY}
	}
	dir.change(memChange{name: base})
	m.used -= n.bytes()
	return nil
}

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	if err := m.enter(OpRemove, name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	dir, base, err := m.parent("remove", name)
	if err != nil || dir.entries[base] == nil {
		return nil
	}
	m.used -= dir.entries[base].bytes()
	dir.change(memChange{name: base})
	return nil
}

// Rename implements FS.
func (m *Mem) Rename(oldName, newName string) error {
	if err := m.enter(OpRename, newName, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.parent("rename", oldName)
	if err != nil {
		return err
	}
	to, newBase, err := m.parent("rename", newName)
	if err != nil {
		return err
	}
	n := from.entries[oldBase]
	if n == nil {
		return notExist("rename", oldName)
	}
	if over := to.entries[newBase]; over != nil && over != n {
		if over.dir {
			return &fs.PathError{Op: "rename", Path: newName, Err: fs.ErrExist}
		}
		m.used -= over.bytes()
	}
	to.change(memChange{name: newBase, node: n, joined: from == to})
	from.change(memChange{name: oldBase})
	return nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string, _ fs.FileMode) error {
	if err := m.enter(OpMkdir, name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range split(name) {
		next := n.entries[part]
		if next == nil {
			next = newMemDir()
			n.change(memChange{name: part, node: next})
		}
		if !next.dir {
			return &fs.PathError{Op: "mkdir", Path: name, Err: syscall.ENOTDIR}
		}
		n = next
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := m.enter(OpReadDir, name, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.dir {
		return nil, notExist("readdir", name)
	}
	out := make([]fs.DirEntry, 0, len(n.entries))
	for base, child := range n.entries {
		out = append(out, fs.FileInfoToDirEntry(child.info(base)))
	}
	slices.SortFunc(out, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return out, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	if err := m.enter(OpStat, name, 0); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil {
		return nil, notExist("stat", name)
	}
	return n.info(filepath.Base(name)), nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	if err := m.enter(OpSyncDir, name, 0); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.find(name)
	if n == nil || !n.dir {
		return notExist("syncdir", name)
	}
	for _, c := range n.pending {
		applyChange(n.durable, c)
	}
	n.pending = nil
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locks[name] {
		return nil, &fs.PathError{Op: "lock", Path: name, Err: ErrLocked}
	}
	m.locks[name] = true
	return &memLock{m: m, name: name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// Usage implements FS.
func (m *Mem) Usage(string) (Usage, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	total := m.limit
	if total == 0 {
		total = 1 << 40
	}
	return Usage{Total: total, Free: max(0, total-m.used)}, nil
}

// memInfo implements fs.FileInfo.
type memInfo struct {
	name     string
	size     int64
	dir      bool
	modified time.Time
}

func (n *memNode) info(name string) fs.FileInfo {
	return memInfo{name: name, size: int64(len(n.data)), dir: n.dir, modified: n.modified}
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) ModTime() time.Time { return i.modified }
func (i memInfo) Sys() any           { return nil }

func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

// errClosedFile is what a closed file answers.
var errClosedFile = errors.New("vfs: file is closed")
