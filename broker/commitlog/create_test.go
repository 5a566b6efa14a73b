package commitlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// newPartitions opens a manager on fsys and creates n logs, prepared together.
func newPartitions(t testing.TB, fsys vfs.FS, dir string, n int32) *Manager {
	t.Helper()
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{dir}, FS: fsys, BrokerID: 1, ClusterID: "c"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	createPartitions(t, m, n)
	return m
}

func createPartitions(t testing.TB, m *Manager, n int32) {
	t.Helper()
	for p := range n {
		if err := m.Prepare(record.TopicPartition{Topic: "many", Partition: p}, [16]byte{1}, DefaultConfig()); err != nil {
			t.Fatal(err)
		}
	}
	for p := range n {
		if _, err := m.GetOrCreate(record.TopicPartition{Topic: "many", Partition: p}, [16]byte{1}, DefaultConfig()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNewLogsShareASync counts what a hundred new partitions cost, and looks what
// a power cut leaves of them.
func TestNewLogsShareASync(t *testing.T) {
	for seed := range uint64(30) {
		disk := vfs.NewMem()
		m := newPartitions(t, disk, "/data", 0)
		syncs := 0
		disk.Observe(func(c vfs.Call) {
			if c.Op == vfs.OpSync || c.Op == vfs.OpSyncDir {
				syncs++
			}
		})
		createPartitions(t, m, 100)
		disk.Observe(nil)
		if syncs != 1 {
			t.Fatalf("%d syncs for 100 new partitions", syncs)
		}
		again := newPartitions(t, disk.Crash(rand.New(rand.NewPCG(seed, 1))), "/data", 0)
		for p := range int32(100) {
			l, ok := again.Log(record.TopicPartition{Topic: "many", Partition: p})
			if !ok {
				t.Fatalf("seed %d: partition %d is gone", seed, p)
			}
			if id := l.TopicID(); id != [16]byte{1} && id != [16]byte{} {
				t.Fatalf("seed %d: topic id %v", seed, id)
			}
		}
		createPartitions(t, again, 100) // and the controller tells the ids again
	}
}

// TestFirstSyncKeepsAll: what an acknowledged record needs is there once the
// record is synced, though nothing else of the log ever was.
func TestFirstSyncKeepsAll(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 2))
		disk := vfs.NewMem()
		_, l := openTest(t, disk, DefaultConfig())
		if rng.IntN(2) == 0 { // a process was killed between creation and first record
			var m *Manager
			if m, l = openTest(t, disk.Crash(rng), DefaultConfig()); m == nil {
				t.Fatal("no manager")
			}
			disk = m.cfg.FS.(*vfs.Mem)
		}
		if err := l.StartEpoch(3, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendAsLeader(plain(t, "a", "b"), 3, AppendOptions{Now: testNow.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
		if err := l.Sync(2); err != nil {
			t.Fatal(err)
		}
		_, l = openOnly(t, disk.Crash(rng))
		if epoch, _ := l.LatestEpoch(); l.EndOffset() != 2 || epoch != 3 || l.TopicID() != [16]byte{1} {
			t.Fatalf("seed %d: end %d, epoch %d, topic id %v", seed, l.EndOffset(), epoch, l.TopicID())
		}
	}
}

// openOnly opens the log that openTest has created, without creating it.
func openOnly(t testing.TB, fsys vfs.FS) (*Manager, *Log) {
	t.Helper()
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fsys, BrokerID: 1, ClusterID: "c"}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, ok := m.Log(world0)
	if !ok {
		t.Fatal("the log is gone")
	}
	return m, l
}

// TestNewLogIsFinished: the files of a new log are made a little later, and a
// process that is killed before finds a log all the same.
func TestNewLogIsFinished(t *testing.T) {
	want := []string{"00000000000000000000.index", "00000000000000000000.log", "00000000000000000000.timeindex", "partition.metadata"}
	for _, how := range []string{"later", "closed", "killed"} {
		disk := vfs.NewMem()
		m, l := openTest(t, disk, DefaultConfig())
		var err error
		switch how {
		case "later":
			m.dirs[0].step(time.Now().Add(2 * finishDelay))
		case "closed":
			err = m.Close(1)
		case "killed":
			if err = m.abandon(); err == nil {
				m, l = openTest(t, disk, DefaultConfig())
				m.dirs[0].step(time.Now().Add(2 * finishDelay))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		entries, err := disk.ReadDir(l.Path())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		slices.Sort(names)
		if !slices.Equal(names, want) || l.TopicID() != [16]byte{1} {
			t.Errorf("%s: %v", how, names)
		}
	}
}

// TestTornTopicID: a topic id that was never synced may be half there after a
// power cut; one that was synced may not.
func TestTornTopicID(t *testing.T) {
	disk := vfs.NewMem()
	_, l := openTest(t, disk, DefaultConfig())
	name := l.dir.name(format.PartitionMetadataFile)
	if err := writeUnsynced(disk, name, []byte("version: 0\ntopic")); err != nil {
		t.Fatal(err)
	}
	m, l := openOnly(t, disk.Crash(rand.New(rand.NewPCG(1, 1))))
	if id := l.TopicID(); id != [16]byte{} {
		t.Fatalf("topic id %v from half a file", id)
	}
	if err := l.SetTopicID([16]byte{1}); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, plain(t, "a"), OriginClient)
	if err := errors.Join(l.Sync(1), m.Checkpoint()); err != nil {
		t.Fatal(err)
	}
	fsys := m.cfg.FS.(*vfs.Mem).Crash(rand.New(rand.NewPCG(1, 1)))
	if err := writeUnsynced(fsys, name, []byte("version: 0\ntopic")); err != nil {
		t.Fatal(err)
	}
	_, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fsys, BrokerID: 1, ClusterID: "c"}, nil, nil)
	if !errors.Is(err, format.ErrCorruptFile) {
		t.Fatalf("err %v", err)
	}
}

// BenchmarkPartitions creates, closes and opens a thousand partitions on the real
// disk; time, memory and allocations are those of a thousand.
func BenchmarkPartitions(b *testing.B) {
	const n = 1000
	b.Run("create", func(b *testing.B) {
		b.ReportAllocs()
		for i := range b.N {
			m := newPartitions(b, vfs.OS{}, fmt.Sprintf("%s/%d", b.TempDir(), i), n)
			b.StopTimer()
			_ = m.abandon()
			b.StartTimer()
		}
	})
	for _, clean := range []bool{true, false} {
		b.Run(fmt.Sprintf("open/clean=%v", clean), func(b *testing.B) {
			b.ReportAllocs()
			dir := b.TempDir()
			m := newPartitions(b, vfs.OS{}, dir, n)
			for range b.N {
				b.StopTimer()
				if err := m.Close(1); err != nil {
					b.Fatal(err)
				}
				if !clean {
					if err := os.Remove(dir + "/" + format.CleanShutdownFile); err != nil {
						b.Fatal(err)
					}
				}
				b.StartTimer()
				m = newPartitions(b, vfs.OS{}, dir, 0)
			}
			_ = m.abandon()
		})
	}
}
