package file

import (
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/leatstream/leat/connect"
)

// headBytes is how much of a file's beginning makes its fingerprint.
const headBytes = 1000

// inode names a file of this machine for as long as it exists; afterwards the
// number may be given to another file.
type inode struct{ dev, ino uint64 }

// identity is how a file is recognised: its inode, and the hash of its first
// length bytes, length ≤ headBytes. A length of 0 says nothing.
type identity struct {
	inode  inode
	hash   string
	length int64
}

// hashHead hashes the first n bytes; ok is false if the file has fewer.
func hashHead(r io.ReaderAt, n int64) (string, bool) {
	b := make([]byte, n)
	if got, err := r.ReadAt(b, 0); int64(got) < n {
		_ = err // a short file is not an error here
		return "", false
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), true
}

// startsWith reports whether the file behind r begins as id's did.
func (id identity) startsWith(r io.ReaderAt) bool {
	if id.length == 0 {
		return true
	}
	h, ok := hashHead(r, id.length)
	return ok && h == id.hash
}

// state is what is stored of a file.
type state struct {
	id       string
	identity identity
	pos      int64 // file offset after the last event in the log
	lines    int64 // lines before pos
	path     string
}

func (s *state) partition() map[string]any { return map[string]any{"id": s.id} }

// offset gives the stored form. Device and inode are kept as signed numbers,
// which JSON carries exactly.
func (s *state) offset() map[string]any {
	return map[string]any{"pos": s.pos, "dev": int64(s.identity.inode.dev), "ino": int64(s.identity.inode.ino),
		"fp": s.identity.hash, "fp_len": s.identity.length, "path": s.path, "lines": s.lines}
}

// parseState reads a stored offset; ok is false if it is not of this connector.
func parseState(o connect.SourceOffset) (*state, bool) {
	s := &state{}
	s.id, _ = o.Partition["id"].(string)
	pos, ok := connect.OffsetLong(o.Offset, "pos")
	if s.id == "" || !ok || pos < 0 {
		return nil, false
	}
	dev, _ := connect.OffsetLong(o.Offset, "dev")
	ino, _ := connect.OffsetLong(o.Offset, "ino")
	length, _ := connect.OffsetLong(o.Offset, "fp_len")
	hash, _ := o.Offset["fp"].(string)
	s.pos, s.identity = pos, identity{inode: inode{uint64(dev), uint64(ino)}, hash: hash, length: min(max(length, 0), headBytes)}
	s.lines, _ = connect.OffsetLong(o.Offset, "lines")
	s.path, _ = o.Offset["path"].(string)
	return s, true
}
