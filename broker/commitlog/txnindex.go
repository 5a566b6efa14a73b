package commitlog

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

// decodeTxns reads the entries of a .txnindex file of the segment that starts
// at base.
func decodeTxns(data []byte, base int64) ([]AbortedTxn, error) {
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

// txnIndex lists the transactions whose abort marker lies in one segment, in
// the order of their markers. The file exists only once there is one.
type txnIndex struct {
	list  atomic.Pointer[[]AbortedTxn] // nil: not loaded; replaced, never changed
	dirty bool                         // the file needs a sync
	stale bool                         // the file may hold anything, if it is there at all
}

func (x *txnIndex) entries() []AbortedTxn {
	if p := x.list.Load(); p != nil {
		return *p
	}
	return nil
}

func (x *txnIndex) set(list []AbortedTxn) { x.list.Store(&list) }

// load reads the file; a missing one is empty.
func (x *txnIndex) load(fsys vfs.FS, name string, base int64) error {
	data, err := vfs.ReadFile(fsys, name, maxTxnIndex)
	if errors.Is(err, fs.ErrNotExist) {
		x.set(nil)
		return nil
	}
	if err != nil {
		return err
	}
	list, err := decodeTxns(data, base)
	if err == nil {
		x.set(list)
	}
	return err
}

// add appends entries to memory and file.
func (x *txnIndex) add(fsys vfs.FS, name string, txns []AbortedTxn) error {
	old := x.entries()
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
	x.set(append(slices.Clip(old), txns...))
	x.dirty = true
	return nil
}

// rewrite replaces the file by the given entries; none removes it.
func (x *txnIndex) rewrite(fsys vfs.FS, name string, list []AbortedTxn) error {
	x.set(list)
	x.dirty = false
	x.stale = false
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
