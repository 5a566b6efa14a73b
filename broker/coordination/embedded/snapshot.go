package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/vfs"
)

// ErrCorrupt: the files of a tree are damaged beyond a torn tail.
var ErrCorrupt = errors.New("embedded: corrupt tree files")

const (
	snapshotMagic   = "LEATTREE"
	snapshotVersion = 1
	snapshotHeader  = len(snapshotMagic) + 4 + 8 + 8
	// maxFileSize bounds what recovery reads into memory at once, in bytes.
	maxFileSize = 4 << 30
)

// encodeSnapshot writes the whole tree, parents before children.
func (c *core) encodeSnapshot() []byte {
	paths := make([]string, 0, len(c.nodes))
	for path := range c.nodes {
		paths = append(paths, path)
	}
	slices.Sort(paths) // "/" < "/a" < "/a/b": parents sort before their children
	b := make([]byte, 0, int(c.bytes)+len(c.nodes)*80+64)
	b = append(b, snapshotMagic...)
	b = binary.LittleEndian.AppendUint32(b, snapshotVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(c.zxid))
	b = binary.LittleEndian.AppendUint64(b, uint64(len(paths)))
	for _, path := range paths {
		b = appendNode(b, path, c.nodes[path])
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func appendNode(b []byte, path string, n *node) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(len(path)))
	b = append(b, path...)
	for _, v := range []int64{n.stat.Czxid, n.stat.Mzxid, n.stat.Pzxid, n.stat.Ctime, n.stat.Mtime, n.stat.EphemeralOwner} {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range []int32{n.stat.Version, n.stat.Cversion, n.stat.Aversion, n.created} {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(n.data)))
	return append(b, n.data...)
}

// decodeSnapshot builds a core from a snapshot.
func decodeSnapshot(b []byte, limits Limits) (*core, error) {
	if len(b) < snapshotHeader+4 || string(b[:len(snapshotMagic)]) != snapshotMagic {
		return nil, fmt.Errorf("%w: no snapshot", ErrCorrupt)
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, fmt.Errorf("%w: CRC of the snapshot", ErrCorrupt)
	}
	r := reader{b: body[len(snapshotMagic):]}
	if v := r.u32(); v != snapshotVersion {
		return nil, fmt.Errorf("%w: snapshot version %d", ErrCorrupt, v)
	}
	c := newCore(limits)
	c.zxid = int64(r.u64())
	count := r.u64()
	for range count {
		if err := c.readNode(&r); err != nil {
			return nil, err
		}
	}
	if len(r.b) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last node", ErrCorrupt, len(r.b))
	}
	return c, nil
}

func (c *core) readNode(r *reader) error {
	path := string(r.bytes(int(r.u16())))
	n := &node{}
	for _, v := range []*int64{&n.stat.Czxid, &n.stat.Mzxid, &n.stat.Pzxid, &n.stat.Ctime, &n.stat.Mtime, &n.stat.EphemeralOwner} {
		*v = int64(r.u64())
	}
	for _, v := range []*int32{&n.stat.Version, &n.stat.Cversion, &n.stat.Aversion, &n.created} {
		*v = int32(r.u32())
	}
	n.data = append([]byte(nil), r.bytes(int(r.u32()))...)
	if r.err != nil {
		return r.err
	}
	if path == "/" {
		*c.nodes["/"] = *n
		return nil
	}
	if !c.fits(change{kind: changeCreate, path: path}) {
		return fmt.Errorf("%w: node %q in the snapshot", ErrCorrupt, path)
	}
	parent, name := split(path)
	c.link(c.nodes[parent], path, name, n)
	return nil
}

func snapshotName(zxid int64) string { return fmt.Sprintf("snapshot-%016x", zxid) }
func logName(zxid int64) string      { return fmt.Sprintf("log-%016x", zxid) }

// listFiles returns the zxids of the files with a prefix, ascending.
func listFiles(fsys vfs.FS, dir, prefix string) ([]int64, error) {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var zxids []int64
	for _, e := range entries {
		hex, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || len(hex) != 16 {
			continue
		}
		if zxid, err := strconv.ParseInt(hex, 16, 64); err == nil {
			zxids = append(zxids, zxid)
		}
	}
	slices.Sort(zxids)
	return zxids, nil
}

// recoverTree reads the newest whole snapshot and the logs after it, and returns
// the tree with the log to go on writing. A torn tail of the newest log is cut
// off; torn tells how many bytes that were.
func recoverTree(fsys vfs.FS, dir string, limits Limits) (c *core, w *wal, torn int64, err error) {
	c, err = loadSnapshot(fsys, dir, limits)
	if err != nil {
		return nil, nil, 0, err
	}
	logs, err := listFiles(fsys, dir, "log-")
	if err != nil {
		return nil, nil, 0, err
	}
	// The log whose number is the snapshot's holds what came after it; a log with
	// a lower number is left over from before and holds nothing new.
	logs = slices.DeleteFunc(logs, func(z int64) bool { return z < c.zxid })
	for i, z := range logs {
		w, torn, err = replayLog(fsys, filepath.Join(dir, logName(z)), c, i == len(logs)-1)
		if err != nil {
			return nil, nil, 0, err
		}
		if i < len(logs)-1 {
			w.file.Close()
		}
	}
	if w == nil {
		w, err = createWAL(fsys, dir, filepath.Join(dir, logName(c.zxid)))
	}
	return c, w, torn, err
}

// loadSnapshot reads the newest snapshot, or begins an empty tree. A snapshot
// gets its name only when it is whole and synced, so a bad one is corruption.
func loadSnapshot(fsys vfs.FS, dir string, limits Limits) (*core, error) {
	snapshots, err := listFiles(fsys, dir, "snapshot-")
	if err != nil {
		return nil, err
	}
	if len(snapshots) == 0 {
		return newCore(limits), nil
	}
	zxid := snapshots[len(snapshots)-1]
	b, err := vfs.ReadFile(fsys, filepath.Join(dir, snapshotName(zxid)), maxFileSize)
	if err != nil {
		return nil, err
	}
	c, err := decodeSnapshot(b, limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", snapshotName(zxid), err)
	}
	return c, nil
}

func replayLog(fsys vfs.FS, name string, c *core, last bool) (*wal, int64, error) {
	b, err := vfs.ReadFile(fsys, name, maxFileSize)
	if err != nil {
		return nil, 0, err
	}
	rest := b
	for len(rest) > 0 {
		t, next, err := decodeTx(rest)
		if err == nil {
			err = c.replay(t)
		}
		if errors.Is(err, errTorn) && last {
			break
		}
		if err != nil {
			return nil, 0, fmt.Errorf("%s at byte %d: %w", name, len(b)-len(rest), err)
		}
		rest = next
	}
	f, err := fsys.OpenFile(name, os.O_RDWR, 0o644)
	if err != nil {
		return nil, 0, err
	}
	w := &wal{file: f, size: int64(len(b) - len(rest))}
	if len(rest) > 0 {
		if err := truncateSync(f, w.size); err != nil {
			f.Close()
			return nil, 0, err
		}
	}
	return w, int64(len(rest)), nil
}

func truncateSync(f vfs.File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return err
	}
	return f.Sync()
}

// writeSnapshot makes the tree durable as one file, begins a new log, and removes
// the files that recovery no longer needs.
func writeSnapshot(fsys vfs.FS, dir string, c *core, old *wal) (*wal, error) {
	final := filepath.Join(dir, snapshotName(c.zxid))
	tmp := final + ".tmp"
	if err := vfs.WriteFile(fsys, tmp, c.encodeSnapshot(), 0o644); err != nil {
		return nil, err
	}
	if err := fsys.Rename(tmp, final); err != nil {
		return nil, err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, err
	}
	w, err := createWAL(fsys, dir, filepath.Join(dir, logName(c.zxid)))
	if err != nil {
		return nil, err
	}
	old.file.Close()
	return w, removeOlder(fsys, dir, c.zxid)
}

// removeOlder deletes snapshots and logs from before a snapshot, and temporary
// files of snapshots that were not finished.
func removeOlder(fsys vfs.FS, dir string, zxid int64) error {
	for _, prefix := range []string{"snapshot-", "log-"} {
		zxids, err := listFiles(fsys, dir, prefix)
		if err != nil {
			return err
		}
		for _, z := range zxids {
			if z < zxid {
				if err := remove(fsys, filepath.Join(dir, fmt.Sprintf("%s%016x", prefix, z))); err != nil {
					return err
				}
			}
		}
	}
	return removeTemporary(fsys, dir)
}

func removeTemporary(fsys vfs.FS, dir string) error {
	entries, err := fsys.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "snapshot-") && strings.HasSuffix(e.Name(), ".tmp") {
			if err := remove(fsys, filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func remove(fsys vfs.FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
