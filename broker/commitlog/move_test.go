package commitlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// openTwo opens a manager with the directories /a and /b.
func openTwo(t testing.TB, fsys vfs.FS) *Manager {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.FlushMessages, cfg.TimestampAfterMaxMs = 600, 100, 1, 1<<60
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/a", "/b"}, FS: fsys, Defaults: cfg, ProducerIDExpiration: 1 << 62}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// fillMoved gives a log in /a with transactions, several epochs and a start
// offset within a batch.
func fillMoved(t testing.TB, m *Manager) *Log {
	t.Helper()
	l, err := m.GetOrCreate(world0, [16]byte{1}, m.cfg.Defaults)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int32(12) {
		if i%5 == 0 {
			if err := l.StartEpoch(i, l.EndOffset()); err != nil {
				t.Fatal(err)
			}
		}
		opts := record.NewOptions()
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = 7, 0, i*2, true
		mustAppend(t, l, makeBatch(t, opts, testNow.UnixMilli()+int64(i), "x", strings.Repeat("y", int(15*i))), OriginCoordinator)
		marker, err := record.AppendMarker(nil, 7, 0, testNow.UnixMilli(), record.Marker{Type: record.MarkerType(i % 2)})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, marker, OriginCoordinator)
	}
	if err := l.AdvanceStart(4); err != nil {
		t.Fatal(err)
	}
	return l
}

// state is all that matters of a log.
func state(t testing.TB, l *Log) string {
	t.Helper()
	data := everything(t, l)
	aborted, err := l.AbortedTransactions(l.StartOffset(), l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(l.StartOffset(), l.EndOffset(), l.TopicID(), l.Producers(), l.epochs.History(), aborted, data[:strings.LastIndexByte(data, '[')])
}

func mustMove(t testing.TB, m *Manager, dir string) *Move {
	t.Helper()
	v, err := m.BeginMove(world0, dir)
	if err != nil || v == nil {
		t.Fatal(v, err)
	}
	return v
}

func copyMove(t testing.TB, v *Move) {
	t.Helper()
	for range 1000 {
		if _, done, err := v.Copy(300); err != nil {
			t.Fatal(err)
		} else if done {
			return
		}
	}
	t.Fatal("the copy does not come to an end")
}

// A moved log is the same, after any crash during the exchange too; it is in
// exactly one directory then.
func TestMove(t *testing.T) {
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 5))
		fsys := vfs.NewMem()
		m := openTwo(t, fsys)
		l := fillMoved(t, m)
		want := state(t, l)
		v := mustMove(t, m, "/b")
		copyMove(t, v)
		if d := m.Dirs()[1]; len(d.Futures) != 1 || d.Futures[0] != v.Future() || len(d.Logs) != 0 {
			t.Errorf("directory shows %+v", d)
		}
		var clones []*vfs.Mem
		fsys.Observe(func(c vfs.Call) {
			if c.Op.Mutates() {
				clones = append(clones, fsys.Crash(rng))
			}
		})
		moved, err := v.Commit()
		fsys.Observe(nil)
		if err != nil {
			t.Fatal(err)
		}
		clones = append(clones, fsys.Crash(rng))
		if got, _ := m.Log(world0); got != moved || moved.Dir() != "/b" || moved.Path() != "/b/t-0" || state(t, moved) != want {
			t.Errorf("%s is another log than before", moved.Path())
		}
		mustAppend(t, moved, plain(t, "more"), OriginCoordinator)
		if _, err := l.Read(4, 100, true, 5); !errors.Is(err, ErrClosed) {
			t.Errorf("the old log gives %v", err)
		}
		old := 0
		for i, c := range clones {
			m := openTwo(t, c)
			l, ok := m.Log(world0)
			if !ok || state(t, l) != want {
				t.Fatalf("seed %d, crash %d of %d: another log", seed, i, len(clones))
			}
			if l.Dir() == "/a" {
				old++
			}
			for _, d := range m.dirs {
				d.step(testNow.AddDate(100, 0, 0))
			}
			for _, dir := range []string{"/a", "/b"} {
				entries, err := c.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range entries {
					if e.IsDir() && (e.Name() != "t-0" || dir != l.Dir()) {
						t.Errorf("seed %d, crash %d: %s/%s is left over", seed, i, dir, e.Name())
					}
				}
			}
			if err := m.Close(1); err != nil {
				t.Fatal(err)
			}
		}
		if old == 0 || old == len(clones) {
			t.Errorf("%d of %d crashes leave the old log", old, len(clones))
		}
	}
}

// Every operation of the exchange fails once. No record is lost then, not even
// of those that the log goes on to take.
func TestMoveErrorAtEveryOperation(t *testing.T) {
	failures := 0
	for skip := range 80 {
		fsys := vfs.NewMem()
		m := openTwo(t, fsys)
		l := fillMoved(t, m)
		v := mustMove(t, m, "/b")
		copyMove(t, v)
		want := state(t, l)
		fsys.Inject(&vfs.Rule{Skip: skip, Times: 1, Err: syscall.EIO})
		_, err := v.Commit()
		fsys.Heal()
		if err != nil {
			failures++
		}
		if now, ok := m.Log(world0); ok && now.usable() == nil {
			mustAppend(t, now, plain(t, "more"), OriginCoordinator)
			want = state(t, now)
		}
		for seed := range uint64(6) {
			again, ok := openTwo(t, fsys.Crash(rand.New(rand.NewPCG(uint64(skip), seed)))).Log(world0)
			if !ok || state(t, again) != want {
				t.Errorf("operation %d (%v): another log after a restart", skip, err)
			}
		}
	}
	if failures < 15 {
		t.Errorf("only %d failures", failures)
	}
}

func TestMoveFollowsItsSource(t *testing.T) {
	fsys := vfs.NewMem()
	m := openTwo(t, fsys)
	l := fillMoved(t, m)
	v := mustMove(t, m, "/b")
	if _, _, err := v.Copy(300); err != nil {
		t.Fatal(err)
	}
	copyMove(t, v)
	mustAppend(t, l, plain(t, "one more"), OriginCoordinator)
	if _, err := v.Commit(); !errors.Is(err, ErrMoveBehind) {
		t.Errorf("commit of a copy that is behind: %v", err)
	}
	copyMove(t, v)
	end := l.EndOffset()
	if err := l.TruncateTo(end - 3); err != nil {
		t.Fatal(err)
	}
	for l.EndOffset() < end { // as far as before, with other records
		mustAppend(t, l, plain(t, "another"), OriginCoordinator)
	}
	copyMove(t, v)
	if err := l.AdvanceStart(20); err != nil {
		t.Fatal(err)
	}
	if _, err := l.DeleteSegments(20); err != nil {
		t.Fatal(err)
	}
	want := state(t, l)
	moved, err := v.Commit()
	if err != nil {
		t.Fatal(err)
	}
	if state(t, moved) != want {
		t.Error("another log than before")
	}
}

func TestMoveEnds(t *testing.T) {
	fsys := vfs.NewMem()
	m := openTwo(t, fsys)
	l := fillMoved(t, m)
	want := state(t, l)
	if _, err := m.BeginMove(world0, "/c"); !errors.Is(err, ErrUnknownDir) {
		t.Errorf("unknown directory: %v", err)
	}
	if _, err := m.BeginMove(record.TopicPartition{Topic: "none"}, "/b"); !errors.Is(err, ErrUnknownLog) {
		t.Errorf("unknown log: %v", err)
	}
	if v, err := m.BeginMove(world0, "/a"); v != nil || err != nil {
		t.Errorf("to where it is: %v, %v", v, err)
	}
	v := mustMove(t, m, "/b")
	if again := mustMove(t, m, "/b"); again != v {
		t.Error("a second move to the same place")
	}
	copyMove(t, v)
	if _, err := m.BeginMove(world0, "/a"); err != nil { // back to where it is
		t.Fatal(err)
	}
	if _, _, err := v.Copy(1); !errors.Is(err, ErrClosed) {
		t.Errorf("copy after a cancellation: %v", err)
	}
	if _, err := v.Commit(); !errors.Is(err, ErrClosed) || len(m.Dirs()[1].Futures) != 0 || state(t, l) != want {
		t.Errorf("commit after a cancellation: %v", err)
	}

	mustMove(t, m, "/b")
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
	m = openTwo(t, fsys)
	if got := m.Interrupted(); len(got) != 1 || got[world0] != "/b" {
		t.Errorf("interrupted %v", got)
	}

	v = mustMove(t, m, "/b")
	fsys.Inject(&vfs.Rule{Op: vfs.OpWrite, Glob: "*.log", Err: syscall.EIO})
	if _, _, err := v.Copy(300); !errors.Is(err, ErrStorage) {
		t.Errorf("copy to a bad disk: %v", err)
	}
	if err := v.Cancel(); err != nil {
		t.Fatal(err)
	}
	if l, _ := m.Log(world0); l.OffLine() != nil || state(t, l) != want || m.Dirs()[1].Err == nil {
		t.Error("a bad disk must take its own directory off line, no other")
	}
	fsys.Heal()

	m = openTwo(t, fsys.Clone())
	v = mustMove(t, m, "/b")
	if err := m.Delete(world0); err != nil {
		t.Fatal(err)
	}
	if _, _, err := v.Copy(1); !errors.Is(err, ErrClosed) || len(m.Dirs()[1].Futures) != 0 {
		t.Errorf("copy of a deleted log: %v", err)
	}
}
