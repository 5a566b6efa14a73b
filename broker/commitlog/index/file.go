package index

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/vfs"
)

// sparseStride is how many entries of a sealed index share one in memory.
const sparseStride = 64

// view is one state of an index. Only its last published entries grow:
// entries[:count] never change, so readers need no lock.
type view[E Entry[E]] struct {
	entries []E // every stride-th entry of the index; len is the capacity
	count   atomic.Int64
	stride  int // 1: all entries are in memory
	total   int // entries in the file, used if stride > 1
}

// File is one index file: a run of entries of fixed size whose keys strictly
// increase. That of an active segment lives in memory and reaches its file now
// and then; that of a sealed one keeps every sparseStride-th entry and reads the
// rest from the file. Look-ups may run concurrently with append; all other
// methods belong to the log's writer.
type File[E Entry[E]] struct {
	view    atomic.Pointer[view[E]] // nil: not loaded
	written int                     // entries that the file holds already
	stale   bool                    // the file holds others beyond those
}

func (x *File[E]) loaded() bool { return x.view.Load() != nil }

// Set replaces all entries; the file holds the first written of them.
func (x *File[E]) Set(entries []E, written int) {
	v := &view[E]{entries: entries[:cap(entries)], stride: 1}
	v.count.Store(int64(len(entries)))
	x.view.Store(v)
	x.written = written
}

// Reset takes all entries away; what the file holds will be cut.
func (x *File[E]) Reset() {
	x.Set(nil, 0)
	x.stale = true
}

// Known gives the entries that are in memory, which must not be changed: all of
// them, or of a sealed index those that it has kept; none if it is not loaded.
func (x *File[E]) Known() []E {
	v := x.view.Load()
	if v == nil {
		return nil
	}
	return v.entries[:v.count.Load()]
}

// Len is the number of entries.
func (x *File[E]) Len() int {
	v := x.view.Load()
	if v == nil {
		return 0
	}
	if v.stride > 1 {
		return v.total
	}
	return int(v.count.Load())
}

// Append adds an entry in memory. The index must be loaded and dense.
func (x *File[E]) Append(e E) {
	v := x.view.Load()
	n := v.count.Load()
	if int(n) == len(v.entries) {
		grown := make([]E, max(8, 2*n))
		copy(grown, v.entries[:n])
		next := &view[E]{entries: grown, stride: 1}
		next.entries[n] = e
		next.count.Store(n + 1)
		x.view.Store(next)
		return
	}
	v.entries[n] = e
	v.count.Store(n + 1)
}

// Last gives the newest entry. The index must be loaded and dense.
func (x *File[E]) Last() (e E, ok bool) {
	v := x.view.Load()
	n := v.count.Load()
	if n == 0 {
		return e, false
	}
	return v.entries[n-1], true
}

// Opener opens the index files of a segment for reading, by their suffixes.
type Opener interface {
	OpenIndex(suffix string) (vfs.File, error)
}

// Floor finds the entry with the largest key ≤ key. With a sparse view it reads
// one block of the segment's file with the given suffix.
func (x *File[E]) Floor(files Opener, suffix string, key int64) (e E, ok bool, err error) {
	v := x.view.Load()
	entries := v.entries[:v.count.Load()]
	i := searchKey(entries, key)
	if i < 0 {
		return e, false, nil
	}
	if v.stride == 1 {
		return entries[i], true, nil
	}
	first := i * v.stride
	block, err := readEntries[E](files, suffix, first, min(v.stride, v.total-first))
	if err != nil {
		return e, false, err
	}
	if i = searchKey(block, key); i < 0 {
		return e, false, format.ErrCorruptFile
	}
	return block[i], true, nil
}

// searchKey gives the place of the last entry whose key is ≤ key, or -1.
func searchKey[E Entry[E]](entries []E, key int64) int {
	lo, hi := 0, len(entries)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if entries[mid].key() <= key {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// Lost says that the file is gone: the next Flush writes all entries.
func (x *File[E]) Lost() { x.written = 0 }

// Flush writes the entries that the file lacks and cuts what lies beyond them.
// Without create a file that is missing stays so.
func (x *File[E]) Flush(fsys vfs.FS, name string, sync, create bool) error {
	v := x.view.Load()
	if v == nil || v.stride > 1 {
		return nil
	}
	n := int(v.count.Load())
	if n == x.written && !sync && !x.stale {
		return nil
	}
	flags := os.O_RDWR
	if create {
		flags |= os.O_CREATE
	}
	f, err := fsys.OpenFile(name, flags, 0o644)
	if !create && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = x.writeTail(f, v.entries[:n], sync)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (x *File[E]) writeTail(f vfs.File, entries []E, sync bool) error {
	var e E
	size := e.size()
	buf := make([]byte, (len(entries)-x.written)*size)
	for i, e := range entries[x.written:] {
		e.encode(buf[i*size:])
	}
	if len(buf) > 0 {
		if _, err := f.WriteAt(buf, int64(x.written*size)); err != nil {
			return err
		}
	}
	if have, err := f.Size(); err != nil {
		return err
	} else if want := int64(len(entries) * size); have > want {
		if err := f.Truncate(want); err != nil {
			return err
		}
	}
	x.written, x.stale = len(entries), false
	if sync {
		return f.Sync()
	}
	return nil
}

// Seal makes a long index sparse; its file must hold all entries.
func (x *File[E]) Seal() {
	v := x.view.Load()
	n := int(v.count.Load())
	if v.stride > 1 || n <= 2*sparseStride {
		return
	}
	sparse := make([]E, 0, n/sparseStride+1)
	for i := 0; i < n; i += sparseStride {
		sparse = append(sparse, v.entries[i])
	}
	next := &view[E]{entries: sparse, stride: sparseStride, total: n}
	next.count.Store(int64(len(sparse)))
	x.view.Store(next)
}

// SealIfLoaded makes an index sparse if it is in memory.
func (x *File[E]) SealIfLoaded() {
	if x.loaded() && x.written == x.Len() {
		x.Seal()
	}
}

// readEntries reads count entries of a file from the first-th on.
func readEntries[E Entry[E]](files Opener, suffix string, first, count int) ([]E, error) {
	f, err := files.OpenIndex(suffix)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var e E
	buf := make([]byte, count*e.size())
	n, err := f.ReadAt(buf, int64(first*e.size()))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return decodeEntries[E](buf[:n]), nil
}

func decodeEntries[E Entry[E]](buf []byte) []E {
	var e E
	size := e.size()
	out := make([]E, 0, len(buf)/size)
	for ; len(buf) >= size; buf = buf[size:] {
		out = append(out, e.decode(buf))
	}
	return out
}

// Encode gives the contents of an index file with these entries.
func Encode[E Entry[E]](entries []E) []byte {
	var e E
	size := e.size()
	buf := make([]byte, len(entries)*size)
	for i, e := range entries {
		e.encode(buf[i*size:])
	}
	return buf
}

// Read reads a whole index file; missing is fs.ErrNotExist. Zeros at the
// end, which Kafka's preallocation leaves after a crash, are cut. Anything else
// out of order gives ErrCorruptFile.
func Read[E Entry[E]](fsys vfs.FS, name string, maxBytes int64, valid func(prev *E, e E) bool) ([]E, error) {
	data, err := vfs.ReadFile(fsys, name, maxBytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, errors.Join(format.ErrCorruptFile, err)
	}
	return parse(data, valid)
}

func parse[E Entry[E]](data []byte, valid func(prev *E, e E) bool) ([]E, error) {
	var zero E
	end := len(data)
	for end > 0 && data[end-1] == 0 {
		end--
	}
	size := zero.size()
	whole := (end + size - 1) / size * size
	if whole > len(data) || len(data)%size != 0 {
		return nil, format.ErrCorruptFile
	}
	entries := decodeEntries[E](data[:whole])
	var prev *E
	for i := range entries {
		if !valid(prev, entries[i]) {
			return nil, format.ErrCorruptFile
		}
		prev = &entries[i]
	}
	return entries, nil
}
