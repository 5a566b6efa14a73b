package commitlog

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/vfs"
)

// An index file is a run of entries of fixed size whose keys strictly increase.
// The active segment's index lives in memory and reaches its file now and then;
// a sealed segment keeps every sparseStride-th entry and reads the rest from
// the file. Index files are caches: whatever is wrong with one, it is rebuilt
// from the log.
const sparseStride = 64

// indexEntry is what an index needs to know of its entries.
type indexEntry[E any] interface {
	key() int64 // what look-ups compare; strictly increasing
	size() int  // encoded bytes
	encode(b []byte)
	decode(b []byte) E
}

// offsetEntry maps an offset to the position of the batch that contains it.
// Encoded: relative offset int32, position int32.
type offsetEntry struct {
	rel uint32 // offset - base offset of the segment
	pos uint32 // bytes from the start of the log file
}

func (e offsetEntry) key() int64 { return int64(e.rel) }
func (offsetEntry) size() int    { return 8 }

func (e offsetEntry) encode(b []byte) {
	binary.BigEndian.PutUint32(b, e.rel)
	binary.BigEndian.PutUint32(b[4:], e.pos)
}

func (offsetEntry) decode(b []byte) offsetEntry {
	return offsetEntry{binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])}
}

// timeEntry says that no record before and including the offset has a later
// timestamp. Encoded: timestamp int64, relative offset int32.
type timeEntry struct {
	ts  int64 // ms
	rel uint32
}

func (e timeEntry) key() int64 { return e.ts }
func (timeEntry) size() int    { return 12 }

func (e timeEntry) encode(b []byte) {
	binary.BigEndian.PutUint64(b, uint64(e.ts))
	binary.BigEndian.PutUint32(b[8:], e.rel)
}

func (timeEntry) decode(b []byte) timeEntry {
	return timeEntry{int64(binary.BigEndian.Uint64(b)), binary.BigEndian.Uint32(b[8:])}
}

// indexView is one state of an index. Only its last published entries grow:
// entries[:count] never change, so readers need no lock.
type indexView[E indexEntry[E]] struct {
	entries []E // every stride-th entry of the index; len is the capacity
	count   atomic.Int64
	stride  int // 1: all entries are in memory
	total   int // entries in the file, used if stride > 1
}

// index is one index file. Look-ups may run concurrently with append; all
// other methods belong to the log's writer.
type index[E indexEntry[E]] struct {
	view    atomic.Pointer[indexView[E]] // nil: not loaded
	written int                          // entries that the file holds already
	stale   bool                         // the file holds others beyond those
}

func (x *index[E]) loaded() bool { return x.view.Load() != nil }

// set replaces all entries; the file holds the first written of them.
func (x *index[E]) set(entries []E, written int) {
	v := &indexView[E]{entries: entries[:cap(entries)], stride: 1}
	v.count.Store(int64(len(entries)))
	x.view.Store(v)
	x.written = written
}

// len is the number of entries.
func (x *index[E]) len() int {
	v := x.view.Load()
	if v == nil {
		return 0
	}
	if v.stride > 1 {
		return v.total
	}
	return int(v.count.Load())
}

// append adds an entry in memory. The index must be loaded and dense.
func (x *index[E]) append(e E) {
	v := x.view.Load()
	n := v.count.Load()
	if int(n) == len(v.entries) {
		grown := make([]E, max(8, 2*n))
		copy(grown, v.entries[:n])
		next := &indexView[E]{entries: grown, stride: 1}
		next.entries[n] = e
		next.count.Store(n + 1)
		x.view.Store(next)
		return
	}
	v.entries[n] = e
	v.count.Store(n + 1)
}

// last gives the newest entry. The index must be loaded and dense.
func (x *index[E]) last() (e E, ok bool) {
	v := x.view.Load()
	n := v.count.Load()
	if n == 0 {
		return e, false
	}
	return v.entries[n-1], true
}

// floor finds the entry with the largest key ≤ key. With a sparse view it reads
// one block of the segment's file with the given suffix.
func (x *index[E]) floor(s *segment, suffix string, key int64) (e E, ok bool, err error) {
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
	block, err := readEntries[E](s.dir.fs, s.path(suffix), first, min(v.stride, v.total-first))
	if err != nil {
		return e, false, err
	}
	if i = searchKey(block, key); i < 0 {
		return e, false, format.ErrCorruptFile
	}
	return block[i], true, nil
}

// searchKey gives the place of the last entry whose key is ≤ key, or -1.
func searchKey[E indexEntry[E]](entries []E, key int64) int {
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

// flush writes the entries that the file lacks and cuts what lies beyond them.
// Without create a file that is missing stays so.
func (x *index[E]) flush(fsys vfs.FS, name string, sync, create bool) error {
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

func (x *index[E]) writeTail(f vfs.File, entries []E, sync bool) error {
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

// seal makes a long index sparse; its file must hold all entries.
func (x *index[E]) seal() {
	v := x.view.Load()
	n := int(v.count.Load())
	if v.stride > 1 || n <= 2*sparseStride {
		return
	}
	sparse := make([]E, 0, n/sparseStride+1)
	for i := 0; i < n; i += sparseStride {
		sparse = append(sparse, v.entries[i])
	}
	next := &indexView[E]{entries: sparse, stride: sparseStride, total: n}
	next.count.Store(int64(len(sparse)))
	x.view.Store(next)
}

// readEntries reads count entries of a file from the first-th on.
func readEntries[E indexEntry[E]](fsys vfs.FS, name string, first, count int) ([]E, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
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

func decodeEntries[E indexEntry[E]](buf []byte) []E {
	var e E
	size := e.size()
	out := make([]E, 0, len(buf)/size)
	for ; len(buf) >= size; buf = buf[size:] {
		out = append(out, e.decode(buf))
	}
	return out
}

// readIndex reads a whole index file; missing is fs.ErrNotExist. Zeros at the
// end, which Kafka's preallocation leaves after a crash, are cut. Anything else
// out of order gives ErrCorruptFile.
func readIndex[E indexEntry[E]](fsys vfs.FS, name string, maxBytes int64, valid func(prev *E, e E) bool) ([]E, error) {
	data, err := vfs.ReadFile(fsys, name, maxBytes)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		return nil, errors.Join(format.ErrCorruptFile, err)
	}
	return parseIndex(data, valid)
}

func parseIndex[E indexEntry[E]](data []byte, valid func(prev *E, e E) bool) ([]E, error) {
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
