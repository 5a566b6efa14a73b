package embedded

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/coordinationtest"
	"github.com/leatstream/leat/broker/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start opens a Store and runs it until the test ends or stop is called.
func start(t testing.TB, cfg Config) (*Store, func()) {
	t.Helper()
	s, err := Open(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	stop := func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return s, stop
}

type factory struct{ store *Store }

func (f factory) Open(t *testing.T) coordination.Tree {
	tree, err := f.store.Connect(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// Expire moves the session's deadline into the past, on the Store's goroutine.
func (f factory) Expire(t *testing.T, tree coordination.Tree) {
	c := tree.(*client)
	_, err := f.store.do(context.Background(), func(_ *call, s *Store, nowMs int64) {
		c.autoAlive = false
		s.core.sessions[c.id].deadlineMs = nowMs - 1
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestConformanceOnDisk(t *testing.T) {
	coordinationtest.Run(t, func(t *testing.T) coordinationtest.Factory {
		s, _ := start(t, Config{Dir: t.TempDir()})
		return factory{s}
	})
}

func TestConformanceInMemory(t *testing.T) {
	coordinationtest.Run(t, func(t *testing.T) coordinationtest.Factory {
		s, _ := start(t, Config{Dir: "/tree", FS: vfs.NewMem(), SnapshotBytes: 200, BatchCalls: 3})
		return factory{s}
	})
}

func TestSessionTimeout(t *testing.T) {
	s, _ := start(t, Config{Dir: "/tree", FS: vfs.NewMem()})
	ctx := context.Background()
	tree, err := s.ConnectTimeout(ctx, MinSessionTimeout)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := tree.Create(ctx, "/e", nil, coordination.Ephemeral); err != nil {
		t.Fatal(err)
	}
	select {
	case <-tree.Session().Done():
	case <-time.After(10 * time.Second):
		t.Fatal("a silent session lives on")
	}
	if !errors.Is(tree.Session().Err(), coordination.ErrSessionExpired) {
		t.Fatal(tree.Session().Err())
	}
	other, _ := s.Connect(ctx)
	if _, ok, _ := other.Exists(ctx, "/e"); ok {
		t.Fatal("the ephemeral of an expired session is there")
	}
}

func TestReopen(t *testing.T) {
	fs := vfs.NewMem()
	cfg := Config{Dir: "/tree", FS: fs}
	ctx := context.Background()
	s, stop := start(t, cfg)
	a, _ := s.Connect(ctx)
	_, first, _ := a.Create(ctx, "/p", []byte("x"), coordination.Persistent)
	_, _, _ = a.Create(ctx, "/p/s", nil, coordination.PersistentSequential)
	_, _, _ = a.Create(ctx, "/e", nil, coordination.Ephemeral)
	if _, err := Open(cfg, nil, nil); !errors.Is(err, vfs.ErrLocked) {
		t.Fatalf("a second Store on one folder: %v", err)
	}
	stop()
	if _, _, err := a.Get(ctx, "/p"); !errors.Is(err, coordination.ErrClosed) {
		t.Fatalf("use of a stopped Store: %v", err)
	}
	s, _ = start(t, cfg)
	b, _ := s.Connect(ctx)
	data, stat, err := b.Get(ctx, "/p")
	if err != nil || string(data) != "x" || stat.Czxid != first.Czxid || stat.NumChildren != 1 {
		t.Fatalf("%q %+v %v", data, stat, err)
	}
	if _, ok, _ := b.Exists(ctx, "/e"); ok {
		t.Fatal("the ephemeral of an earlier process is there")
	}
	path, next, _ := b.Create(ctx, "/p/s", nil, coordination.PersistentSequential)
	if path != "/p/s0000000001" || next.Czxid <= first.Czxid {
		t.Fatalf("%s %+v", path, next)
	}
}

func BenchmarkCreate(b *testing.B) {
	s, _ := start(b, Config{Dir: b.TempDir()})
	ctx := context.Background()
	tree, _ := s.Connect(ctx)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := tree.Create(ctx, "/n", nil, coordination.PersistentSequential); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGet(b *testing.B) {
	s, _ := start(b, Config{Dir: b.TempDir()})
	ctx := context.Background()
	tree, _ := s.Connect(ctx)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := tree.Get(ctx, "/"); err != nil {
			b.Fatal(err)
		}
	}
}
