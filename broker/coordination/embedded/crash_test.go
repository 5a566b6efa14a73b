package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
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

// TestCrash writes to a Store while the disk is copied before random operations
// as a power cut would leave it. The tree recovered from each copy must be the
// one of some moment, not before the last answered change, and whole.
func TestCrash(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { crashOnce(t, seed) })
	}
}

// copyOfDisk is what a crash would have left, and what had been answered by then.
type copyOfDisk struct {
	fs       *vfs.Mem
	answered int64 // zxid
}

func crashOnce(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	fs := vfs.NewMem()
	cfg := Config{Dir: "/deep/tree", FS: fs, SnapshotBytes: int64(300 + rng.IntN(2000)), BatchCalls: 1 + rng.IntN(8)}
	s, stop := start(t, cfg)
	tree, err := s.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	history := map[int64][]string{0: {}} // persistent nodes by zxid
	var answered atomic.Int64
	var copies []copyOfDisk
	diskRng := rand.New(rand.NewPCG(seed, 3)) // of the Store's goroutine
	fs.Observe(func(c vfs.Call) {
		if c.Op.Mutates() && diskRng.IntN(6) == 0 && len(copies) < 40 {
			copies = append(copies, copyOfDisk{fs.Crash(diskRng), answered.Load()})
		}
	})
	for range 150 {
		if _, err := tree.Multi(context.Background(), randomOps(rng)...); err != nil {
			continue
		}
		_, err := s.do(context.Background(), func(_ *call, s *Store, _ int64) {
			history[s.core.zxid] = s.core.dump(true)
			answered.Store(s.core.zxid)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop()
	for i, c := range copies {
		cfg.FS = c.fs
		s, err := Open(cfg, nil, nil)
		if err != nil {
			t.Fatalf("copy %d: %v", i, err)
		}
		// Deleting what a dead session left takes a zxid of its own.
		got := s.core.dump(true)
		want, found := history[s.core.zxid]
		if !found || !slices.Equal(got, want) {
			want, found = history[s.core.zxid-1]
		}
		if !found || !slices.Equal(got, want) || s.core.zxid < c.answered {
			t.Fatalf("copy %d: tree at zxid %d, answered %d:\n%v\nwant\n%v", i, s.core.zxid, c.answered, got, want)
		}
		s.core.check(t)
		s.Close()
	}
}

// TestDiskFails: when a change cannot be made durable the Store stops, and the
// caller learns that the outcome is not known.
func TestDiskFails(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(Config{Dir: "/tree", FS: fs}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(context.Background()) }()
	tree, err := s.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	fs.Inject(&vfs.Rule{Op: vfs.OpSync, Err: syscall.EIO})
	_, _, err = tree.Create(context.Background(), "/a", nil, coordination.Persistent)
	if !errors.Is(err, coordination.ErrConnectionLoss) {
		t.Fatalf("create: %v", err)
	}
	if err := <-done; !errors.Is(err, syscall.EIO) {
		t.Fatalf("run: %v", err)
	}
	<-tree.Session().Done()
	if _, _, err := tree.Get(context.Background(), "/"); !errors.Is(err, coordination.ErrClosed) {
		t.Fatalf("get: %v", err)
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
