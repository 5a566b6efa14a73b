package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/vfs"
)

// dump lists a tree: every node with its data, versions and zxids.
func (c *core) dump(persistentOnly bool) []string {
	var out []string
	for path, n := range c.nodes {
		if path != "/" && !(persistentOnly && n.stat.EphemeralOwner != 0) {
			out = append(out, fmt.Sprintf("%s=%q v%d czxid %d mzxid %d", path, n.data, n.stat.Version, n.stat.Czxid, n.stat.Mzxid))
		}
	}
	slices.Sort(out)
	return out
}

// checkCore verifies the invariants of a core.
func (c *core) check(t *testing.T) {
	t.Helper()
	bytes := int64(0)
	for path, n := range c.nodes {
		if path == "/" {
			continue
		}
		bytes += int64(len(path) + len(n.data))
		parentPath, name := split(path)
		parent := c.nodes[parentPath]
		if parent == nil || parent.children[name] != n {
			t.Fatalf("%s is not a child of its parent", path)
		}
		if n.stat.EphemeralOwner != 0 && len(n.children) > 0 {
			t.Fatalf("ephemeral %s has children", path)
		}
		if n.stat.Mzxid > c.zxid || n.stat.Pzxid > c.zxid || n.stat.Czxid > n.stat.Mzxid {
			t.Fatalf("%s has zxids %+v in a tree at %d", path, n.stat, c.zxid)
		}
		if n.stat.Cversion != 2*n.created-int32(len(n.children)) {
			t.Fatalf("%s: %d changes of children, %d created, %d there", path, n.stat.Cversion, n.created, len(n.children))
		}
	}
	if bytes != c.bytes {
		t.Fatalf("%d bytes, counted %d", c.bytes, bytes)
	}
	for id, s := range c.sessions {
		for path := range s.ephemerals {
			if n := c.nodes[path]; n == nil || n.stat.EphemeralOwner != id {
				t.Fatalf("session %x does not own %s", id, path)
			}
		}
	}
}

// randomOps makes a multi of one to four operations over few paths, so that
// they collide.
func randomOps(rng *rand.Rand) []coordination.Op {
	paths := []string{"/a", "/b", "/a/x", "/a/y", "/a/x/1", "/b/q"}
	ops := make([]coordination.Op, 1+rng.IntN(4))
	for i := range ops {
		path := paths[rng.IntN(len(paths))]
		data := bytes.Repeat([]byte{byte('a' + rng.IntN(26))}, rng.IntN(40))
		version := int32(rng.IntN(5) - 1)
		switch rng.IntN(6) {
		case 0, 1:
			ops[i] = coordination.Create(path, data, coordination.Mode(rng.IntN(4)))
		case 2, 3:
			ops[i] = coordination.Set(path, data, version)
		case 4:
			ops[i] = coordination.Delete(path, version)
		case 5:
			ops[i] = coordination.Check(path, version)
		}
	}
	return ops
}

// TestCoreRandom: random multis keep the invariants; a failed one changes
// nothing; replaying the log and the snapshot gives the same tree.
func TestCoreRandom(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		c := newCore(Limits{})
		var log []byte
		owner, _ := c.openSession(1000, 1)
		for now := int64(2); now < 300; now++ {
			if rng.IntN(30) == 0 {
				if end, _, _, _ := c.endSession(owner, now); end != nil {
					log = appendTx(log, end)
				}
				owner, _ = c.openSession(1000, now)
			}
			before, zxid := c.dump(false), c.zxid
			_, done, _, err := c.execute(owner, randomOps(rng), now)
			c.check(t)
			if err != nil && (c.zxid != zxid || !slices.Equal(before, c.dump(false))) {
				t.Fatalf("seed %d: a failed multi changed the tree", seed)
			}
			if done != nil {
				log = appendTx(log, done)
			}
		}
		replayed := newCore(Limits{})
		for rest := log; len(rest) > 0; {
			var one *tx
			var err error
			if one, rest, err = decodeTx(rest); err == nil {
				err = replayed.replay(one)
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		loaded, err := decodeSnapshot(c.encodeSnapshot(), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for name, other := range map[string]*core{"log": replayed, "snapshot": loaded} {
			other.check(t)
			if other.zxid != c.zxid || !slices.Equal(other.dump(false), c.dump(false)) {
				t.Fatalf("seed %d: the %s gives another tree:\n%v\n%v", seed, name, other.dump(false), c.dump(false))
			}
		}
	}
}

// TestCrash writes to a Store while the disk is copied at random moments as a
// crash would leave it. Every change that was answered must be in each later
// copy; what was not answered may be, but only whole.
func TestCrash(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashOnce(t, seed) })
	}
}

func crashOnce(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	fs := vfs.NewMem()
	last := int64(0)
	var survived []string
	for range 4 { // lives
		cfg := Config{Dir: "/tree", FS: fs, SnapshotBytes: int64(300 + rng.IntN(3000)), BatchCalls: 1 + rng.IntN(8)}
		s, stop := start(t, cfg)
		if got := s.core.dump(true); survived != nil && !slices.Equal(got, survived) {
			t.Fatalf("after the crash:\n%v\nwant\n%v", got, survived)
		}
		if s.core.zxid < last {
			t.Fatalf("zxid %d after %d", s.core.zxid, last)
		}
		tree, err := s.Connect(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for range rng.IntN(120) {
			results, err := tree.Multi(context.Background(), randomOps(rng)...)
			if err == nil {
				for _, r := range results {
					last = max(last, r.Stat.Mzxid)
				}
			}
		}
		// Answered calls are durable: a crash now keeps exactly them.
		_, _, err = tree.Create(context.Background(), "/mark", nil, coordination.PersistentSequential)
		if err != nil {
			t.Fatal(err)
		}
		crashed := fs.Crash(rng)
		stop()
		survived = s.core.dump(true)
		if sessionOwned := s.core.dump(false); len(sessionOwned) > len(survived) {
			// Ephemerals of the dead process go when the tree is opened, and take
			// nothing else with them.
			survived = s.core.dump(true)
		}
		fs = crashed
	}
}

// TestTornTail cuts and garbles the log at every byte: what is whole before the
// damage is kept, nothing else appears.
func TestTornTail(t *testing.T) {
	fs := vfs.NewMem()
	s, stop := start(t, Config{Dir: "/tree", FS: fs})
	tree, _ := s.Connect(context.Background())
	for i := range 5 {
		if _, _, err := tree.Create(context.Background(), fmt.Sprintf("/n%d", i), []byte("data"), coordination.Persistent); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	name := filepath.Join("/tree", logName(0))
	whole, err := vfs.ReadFile(fs, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	size := len(whole) / 5
	for cut := range len(whole) {
		garbled := slices.Clone(whole)
		garbled[cut] ^= 0x41
		for what, content := range map[string][]byte{"cut": whole[:cut], "garbled": garbled} {
			disk := vfs.NewMem()
			if err := disk.MkdirAll("/tree", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := vfs.WriteFile(disk, name, content, 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: "/tree", FS: disk}, nil, nil)
			if err != nil {
				t.Fatalf("%s at %d: %v", what, cut, err)
			}
			if got := len(s.core.nodes) - 1; got != cut/size {
				t.Fatalf("%s at %d: %d nodes, want %d", what, cut, got, cut/size)
			}
			s.Close()
		}
	}
}

func TestCorruptSnapshotIsRefused(t *testing.T) {
	c := newCore(Limits{})
	_, _, _, err := c.execute(0, []coordination.Op{coordination.Create("/a", []byte("x"), coordination.Persistent)}, 1)
	if err != nil {
		t.Fatal(err)
	}
	good := c.encodeSnapshot()
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 1
		if _, err := decodeSnapshot(bad, Limits{}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

func TestLimits(t *testing.T) {
	s, _ := start(t, Config{Dir: "/tree", FS: vfs.NewMem(), Limits: Limits{Nodes: 3, Bytes: 100, Watches: 1, Sessions: 1}})
	ctx := context.Background()
	tree, err := s.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Connect(ctx); !errors.Is(err, coordination.ErrTooLarge) {
		t.Fatalf("second session: %v", err)
	}
	if _, _, err := tree.Create(ctx, "/big", make([]byte, 100), coordination.Persistent); !errors.Is(err, coordination.ErrTooLarge) {
		t.Fatalf("bytes: %v", err)
	}
	for _, path := range []string{"/a", "/b"} {
		if _, _, err := tree.Create(ctx, path, nil, coordination.Persistent); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := tree.Create(ctx, "/c", nil, coordination.Persistent); !errors.Is(err, coordination.ErrTooLarge) {
		t.Fatalf("nodes: %v", err)
	}
	if _, _, _, err := tree.GetW(ctx, "/a"); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := tree.GetW(ctx, "/a"); !errors.Is(err, coordination.ErrTooLarge) {
		t.Fatalf("watches: %v", err)
	}
}

func FuzzDecodeTx(f *testing.F) {
	f.Add(appendTx(nil, &tx{zxid: 1, timeMs: 2, changes: []change{{kind: changeCreate, path: "/a", data: []byte("x")}, {kind: changeSet, path: "/a"}, {kind: changeDelete, path: "/a"}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		one, rest, err := decodeTx(b)
		if err != nil {
			return
		}
		if again := appendTx(nil, one); !bytes.Equal(again, b[:len(b)-len(rest)]) {
			t.Fatalf("%x was written as %x", b, again)
		}
		_ = newCore(Limits{}).replay(one)
	})
}

func FuzzDecodeSnapshot(f *testing.F) {
	c := newCore(Limits{})
	_, _, _, _ = c.execute(0, []coordination.Op{coordination.Create("/a", []byte("x"), coordination.Persistent)}, 1)
	f.Add(c.encodeSnapshot())
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := decodeSnapshot(b, Limits{}); err == nil {
			c.check(t)
		}
	})
}
