package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync/atomic"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/vfs"
)

// AbortedTxn is one aborted transaction in a range of the log.
type AbortedTxn struct {
	ProducerID       int64
	FirstOffset      int64 // of the transaction's first record
	LastOffset       int64 // of its marker
	LastStableOffset int64 // of the log when the marker was appended
}

// txnEntrySize is the size of one entry of a .txnindex file:
//
//	version int16 = 0 | producer id int64 | first offset int64 |
//	last offset int64 | last stable offset int64
const txnEntrySize = 34

// maxTxnIndex bounds a .txnindex file, in bytes.
const maxTxnIndex = 1 << 30

func appendTxn(dst []byte, t AbortedTxn) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0)
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.ProducerID))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.FirstOffset))
	dst = binary.BigEndian.AppendUint64(dst, uint64(t.LastOffset))
	return binary.BigEndian.AppendUint64(dst, uint64(t.LastStableOffset))
}

// DecodeTxns reads the entries of a .txnindex file of the segment that starts
// at base.
func DecodeTxns(data []byte, base int64) ([]AbortedTxn, error) {
	if len(data)%txnEntrySize != 0 {
		return nil, fmt.Errorf("%w: txnindex of %d bytes", format.ErrCorruptFile, len(data))
	}
	out := make([]AbortedTxn, 0, len(data)/txnEntrySize)
	for ; len(data) > 0; data = data[txnEntrySize:] {
		be := binary.BigEndian
		t := AbortedTxn{
			ProducerID: int64(be.Uint64(data[2:])), FirstOffset: int64(be.Uint64(data[10:])),
			LastOffset: int64(be.Uint64(data[18:])), LastStableOffset: int64(be.Uint64(data[26:])),
		}
		if be.Uint16(data) != 0 || t.LastOffset < base || t.FirstOffset > t.LastOffset {
			return nil, fmt.Errorf("%w: txnindex entry %+v", format.ErrCorruptFile, t)
		}
		out = append(out, t)
	}
	return out, nil
}

// Txns lists the transactions whose abort marker lies in one segment, in
// the order of their markers. The file exists only once there is one. Entries may
// be read concurrently with the rest, which belongs to the log's writer.
type Txns struct {
	Dirty bool // the file needs a sync
	Stale bool // the file may hold anything, if it is there at all

	list atomic.Pointer[[]AbortedTxn] // nil: not loaded; replaced, never changed
}

// Loaded tells whether the entries are in memory.
func (x *Txns) Loaded() bool { return x.list.Load() != nil }

// Entries gives all entries, which must not be changed; none if they are not loaded.
func (x *Txns) Entries() []AbortedTxn {
	if p := x.list.Load(); p != nil {
		return *p
	}
	return nil
}

// Set replaces the entries in memory.
func (x *Txns) Set(list []AbortedTxn) { x.list.Store(&list) }

// Load reads the file; a missing one is empty.
func (x *Txns) Load(fsys vfs.FS, name string, base int64) error {
	data, err := vfs.ReadFile(fsys, name, maxTxnIndex)
	if errors.Is(err, fs.ErrNotExist) {
		x.Set(nil)
		return nil
	}
	if err != nil {
		return err
	}
	list, err := DecodeTxns(data, base)
	if err == nil {
		x.Set(list)
	}
	return err
}

// Add appends entries to memory and file.
func (x *Txns) Add(fsys vfs.FS, name string, txns []AbortedTxn) error {
	old := x.Entries()
	var buf []byte
	for _, t := range txns {
		buf = appendTxn(buf, t)
	}
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(buf, int64(len(old)*txnEntrySize))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	x.Set(append(slices.Clip(old), txns...))
	x.Dirty = true
	return nil
}

// Rewrite replaces the file by the given entries; none removes it.
func (x *Txns) Rewrite(fsys vfs.FS, name string, list []AbortedTxn) error {
	x.Set(list)
	x.Dirty = false
	x.Stale = false
	if len(list) == 0 {
		if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	var buf []byte
	for _, t := range list {
		buf = appendTxn(buf, t)
	}
	return vfs.WriteFile(fsys, name, buf, 0o644)
}
