package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/vfs"
)

const (
	recordHeader = 8 // size and CRC
	// maxRecord bounds one record: a multi's payloads, and a path and fixed fields per change.
	maxRecord = coordination.MaxDataSize + coordination.MaxMultiOps*(coordination.MaxPathSize+32) + 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn: the bytes end before the record does, or its CRC does not match.
var errTorn = errors.New("embedded: torn record")

// appendTx appends the record of a transaction.
func appendTx(dst []byte, t *tx) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, recordHeader)...)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.zxid))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.timeMs))
	for i := range t.changes {
		ch := &t.changes[i]
		dst = append(dst, byte(ch.kind))
		dst = binary.LittleEndian.AppendUint16(dst, uint16(len(ch.path)))
		dst = append(dst, ch.path...)
		if ch.kind == changeCreate {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(ch.owner))
		}
		if ch.kind != changeDelete {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(len(ch.data)))
			dst = append(dst, ch.data...)
		}
	}
	body := dst[start+recordHeader:]
	binary.LittleEndian.PutUint32(dst[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[start+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// decodeTx reads the first record of b and returns what follows it. errTorn
// means that no whole record begins here; any other error that a whole record
// makes no sense. The changes share memory with b.
func decodeTx(b []byte) (*tx, []byte, error) {
	if len(b) < recordHeader {
		return nil, nil, errTorn
	}
	size := binary.LittleEndian.Uint32(b)
	if size < 16 || size > maxRecord || int(size) > len(b)-recordHeader {
		return nil, nil, errTorn
	}
	body, rest := b[recordHeader:recordHeader+size], b[recordHeader+size:]
	if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, nil, errTorn
	}
	r := reader{b: body}
	t := &tx{zxid: int64(r.u64()), timeMs: int64(r.u64())}
	for len(r.b) > 0 && r.err == nil {
		ch := change{kind: changeKind(r.u8()), path: string(r.bytes(int(r.u16())))}
		if ch.kind < changeCreate || ch.kind > changeDelete {
			return nil, nil, fmt.Errorf("%w: change of kind %d", ErrCorrupt, ch.kind)
		}
		if ch.kind == changeCreate {
			ch.owner = int64(r.u64())
		}
		if ch.kind != changeDelete {
			ch.data = r.bytes(int(r.u32()))
		}
		t.changes = append(t.changes, ch)
	}
	return t, rest, r.err
}

// reader takes fixed-size fields off a slice; the first short read sticks.
type reader struct {
	b   []byte
	err error
}

func (r *reader) bytes(n int) []byte {
	if r.err != nil || n < 0 || n > len(r.b) {
		r.err = fmt.Errorf("%w: field of %d bytes in %d", ErrCorrupt, n, len(r.b))
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() uint8 {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u16() uint16 {
	if b := r.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// checkReplay says whether a logged transaction fits the tree, so that a damaged
// but well-formed log cannot break an invariant of the core.
func (c *core) checkReplay(t *tx) error {
	if t.zxid <= c.zxid {
		return fmt.Errorf("%w: zxid %d after %d", ErrCorrupt, t.zxid, c.zxid)
	}
	return nil
}

// replay applies a logged transaction change by change, each only if it fits.
func (c *core) replay(t *tx) error {
	if err := c.checkReplay(t); err != nil {
		return err
	}
	for _, ch := range t.changes {
		if !c.fits(ch) {
			return fmt.Errorf("%w: change %d of %q does not fit the tree at zxid %d", ErrCorrupt, ch.kind, ch.path, t.zxid)
		}
		c.applyChange(ch, t.zxid, t.timeMs)
	}
	c.zxid = t.zxid
	return nil
}

func (c *core) fits(ch change) bool {
	n := c.nodes[ch.path]
	switch ch.kind {
	case changeCreate:
		if checkPath(ch.path) != nil || n != nil || ch.path == "/" {
			return false
		}
		parent, _ := split(ch.path)
		return c.nodes[parent] != nil
	case changeSet:
		return n != nil
	default:
		return n != nil && ch.path != "/" && len(n.children) == 0
	}
}

// wal is the log file that is being written. Offsets are explicit: a failed
// append never leaves the position in doubt.
type wal struct {
	file vfs.File
	size int64
}

// write appends records and makes them durable.
func (w *wal) write(b []byte) error {
	if _, err := w.file.WriteAt(b, w.size); err != nil {
		return err
	}
	if err := w.file.Datasync(); err != nil {
		return err
	}
	w.size += int64(len(b))
	return nil
}

// createWAL begins a log file and makes its name durable.
func createWAL(fsys vfs.FS, dir, name string) (*wal, error) {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return nil, err
	}
	if err := fsys.SyncDir(dir); err != nil {
		f.Close()
		return nil, err
	}
	return &wal{file: f}, nil
}
