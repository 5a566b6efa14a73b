package commitlog

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/vfs"
)

const testReserve = 64 << 10

// openReserved opens a manager that holds space back, with one log of small segments.
func openReserved(t *testing.T, fsys vfs.FS) (*Manager, *Log) {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SegmentBytes = 16 << 10
	m, err := OpenManager(t.Context(), ManagerConfig{
		Dirs: []string{"/data"}, FS: fsys, BrokerID: 1, ClusterID: "c", Defaults: cfg, ReserveBytes: testReserve,
		Retain: func(l *Log, _ time.Time) (int, error) { return l.DeleteSegments(l.StartOffset()) },
	}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(world0, [16]byte{1}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

// fillVolume appends until the volume is full and tells the end of what was taken.
func fillVolume(t *testing.T, l *Log, size int) int64 {
	t.Helper()
	for range 10000 {
		_, err := l.AppendAsLeader(plain(t, strings.Repeat("x", size)), 0, AppendOptions{Now: testNow.UnixMilli()})
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrNoSpace) {
			t.Fatal(err)
		}
		return l.EndOffset()
	}
	t.Fatal("the volume is never full")
	return 0
}

// upkeep does what the directory's worker would do now.
func spaceUpkeep(m *Manager) {
	for _, d := range m.dirs {
		d.work.space.Store(true)
		d.step(testNow)
	}
}

// A full volume takes no records; reading, DeleteRecords and retention go on in
// the space that was held back, and when there is enough again so do appends.
func TestFullVolumeRecovers(t *testing.T) {
	mem := vfs.NewMem()
	mem.SetCapacity(512 << 10)
	m, l := openReserved(t, mem)
	end := fillVolume(t, l, 5000)
	if free := freeBytes(t, mem); free < testReserve {
		t.Fatalf("%d bytes are free on the full volume, the reserve was not released", free)
	}
	if !l.ShortOfSpace() {
		t.Error("the log does not know that the volume is full")
	}
	if _, err := l.AppendAsLeader(plain(t, "small"), 0, AppendOptions{Now: testNow.UnixMilli()}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("append of a record that would fit in the reserve: %v", err)
	}
	if s, err := l.Read(0, 1<<20, true, end); err != nil || s.Size() == 0 {
		t.Errorf("read: %d bytes, %v", s.Size(), err)
	} else {
		s.Release()
	}
	spaceUpkeep(m)
	if !l.ShortOfSpace() {
		t.Error("records are taken although nothing was deleted")
	}
	if err := l.AdvanceStart(end); err != nil {
		t.Fatalf("DeleteRecords: %v", err)
	}
	spaceUpkeep(m) // deletes segments
	spaceUpkeep(m) // finds the space
	if l.ShortOfSpace() {
		t.Fatalf("no records are taken with %d bytes free", freeBytes(t, mem))
	}
	mustAppend(t, l, plain(t, "again"), OriginClient)
	if info, err := mem.Stat("/data/" + volume.ReserveFile); err != nil || info.Size() != testReserve {
		t.Errorf("reserve after recovery: %v, %v", info, err)
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
}

// Whatever is left of a volume, a broker starts on it, deletes and comes back.
func TestStartOnFullVolume(t *testing.T) {
	full := vfs.NewMem()
	full.SetCapacity(512 << 10)
	m, l := openReserved(t, full)
	for range 40 {
		mustAppend(t, l, plain(t, strings.Repeat("x", 5000)), OriginClient)
	}
	if err := m.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	for _, left := range []int64{0, 1, 100, 4000, testReserve / 8, testReserve/8 + 1, testReserve} {
		for _, clean := range []bool{true, false} {
			t.Run(fmt.Sprint(left, " ", clean), func(t *testing.T) {
				mem := full.Clone()
				if clean {
					m, _ := openReserved(t, mem)
					if err := m.Close(-1); err != nil {
						t.Fatal(err)
					}
				}
				mem.SetCapacity(mem.Used() + left)
				if err := volume.ReleaseReserve(mem, "/data"); err != nil {
					t.Fatal(err)
				}
				m, l := openReserved(t, mem)
				if l.EndOffset() != 40 {
					t.Fatalf("end %d, want 40", l.EndOffset())
				}
				if err := l.AdvanceStart(35); err != nil {
					t.Fatalf("DeleteRecords: %v", err)
				}
				spaceUpkeep(m)
				spaceUpkeep(m)
				mustAppend(t, l, plain(t, "again"), OriginClient)
				if err := m.Close(-1); err != nil {
					t.Fatal(err)
				}
				m, l = openReserved(t, mem)
				if l.StartOffset() != 35 || l.EndOffset() != 41 {
					t.Errorf("[%d, %d), want [35, 41)", l.StartOffset(), l.EndOffset())
				}
				if err := m.Close(-1); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
}

// A volume that is full at any write loses nothing that was acknowledged, takes
// no directory off line, and is forgotten when there is space.
func TestNoSpaceAtEveryWrite(t *testing.T) {
	for skip, writes := 0, 1; skip <= writes; skip++ {
		mem := vfs.NewMem()
		m, l := openReserved(t, mem)
		writes = 0
		mem.Observe(func(c vfs.Call) {
			if c.Op == vfs.OpWrite {
				writes++
			}
		})
		rule := &vfs.Rule{Op: vfs.OpWrite, Skip: skip, Times: 1, Err: syscall.ENOSPC, Short: skip * 37 % 500}
		mem.Inject(rule)
		var kept []int64
		for i := range 12 {
			info, err := l.AppendAsLeader(plain(t, strings.Repeat("x", 4000)), int32(i/4), AppendOptions{Now: testNow.UnixMilli()})
			switch {
			case err == nil:
				kept = append(kept, info.FirstOffset)
			case !errors.Is(err, ErrNoSpace):
				t.Fatalf("write %d: %v", skip, err)
			default:
				spaceUpkeep(m) // there is space in truth, as the worker finds out
			}
			if i == 8 {
				if err := l.AdvanceStart(5); err != nil {
					t.Fatalf("write %d: DeleteRecords: %v", skip, err)
				}
				spaceUpkeep(m)
			}
		}
		if err := l.health.Err(); err != nil {
			t.Fatalf("write %d: %v", skip, err)
		}
		mem.Heal()
		mem.Observe(nil)
		if err := m.Close(-1); err != nil {
			t.Fatalf("write %d: %v", skip, err)
		}
		m, l = openReserved(t, mem)
		if int(l.EndOffset()) != len(kept) || l.StartOffset() != 5 {
			t.Fatalf("write %d: [%d, %d), %d were acknowledged", skip, l.StartOffset(), l.EndOffset(), len(kept))
		}
		if err := m.Close(-1); err != nil {
			t.Fatal(err)
		}
	}
}

func freeBytes(t *testing.T, fsys vfs.FS) int64 {
	t.Helper()
	u, err := fsys.Usage("/data")
	if err != nil {
		t.Fatal(err)
	}
	return u.Free
}

// A log directory without a reserve in its configuration gets none and loses one.
func TestNoReserve(t *testing.T) {
	mem := vfs.NewMem()
	m, _ := openReserved(t, mem)
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: mem, BrokerID: 1, ClusterID: "c"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Stat("/data/" + volume.ReserveFile); err == nil {
		t.Error("the reserve is still there")
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
}
