package commitlog

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// After a kill an opening reads what was not synced, not what is stored, and
// reads it once.
func TestRecoveryReadsWhatWasNotSynced(t *testing.T) {
	fsys := vfs.NewMem()
	cfg := DefaultConfig()
	cfg.SegmentBytes = 1 << 20
	m, l := openTest(t, fsys, cfg)
	batch := strings.Repeat("x", 300<<10)
	add := func(n int) (size int64) {
		for range n {
			size += int64(mustAppend(t, l, plain(t, batch), OriginClient).Size)
		}
		return size
	}
	add(150)
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	if err := m.Checkpoint(); err != nil {
		t.Fatal(err)
	}
	unsynced := add(10)
	disk := fsys.Clone()
	var read atomic.Int64
	disk.Observe(func(c vfs.Call) {
		if c.Op == vfs.OpRead {
			read.Add(int64(c.Size))
		}
	})
	_, again := openTest(t, disk, cfg)
	if again.EndOffset() != l.EndOffset() {
		t.Fatalf("log ends at %d, not %d", again.EndOffset(), l.EndOffset())
	}
	// The segment that holds the recovery point is read from its start.
	if limit := unsynced + 2*int64(cfg.SegmentBytes); read.Load() > limit {
		t.Errorf("%d bytes were read, %d of %d were not synced", read.Load(), unsynced, l.Size())
	}
}

// Recovery says what it has to do and what it has done.
func TestRecoveryIsReported(t *testing.T) {
	fsys := vfs.NewMem()
	cfg := DefaultConfig()
	open := func(disk *vfs.Mem) (*Manager, string) {
		var out bytes.Buffer
		m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: disk, Defaults: cfg, RecoveryThreads: 3}, slog.New(slog.NewTextHandler(&out, nil)), nil)
		if err != nil {
			t.Fatal(err)
		}
		return m, out.String()
	}
	m, out := open(fsys)
	if strings.Contains(out, "logs") {
		t.Errorf("an empty directory reports %s", out)
	}
	for i := range int32(4) {
		l, err := m.GetOrCreate(record.TopicPartition{Topic: "t", Partition: i}, [16]byte{1}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, plain(t, fmt.Sprint(i)), OriginClient)
		if err := l.Sync(1); err != nil {
			t.Fatal(err)
		}
	}
	if _, out := open(fsys.Crash(rand.New(rand.NewPCG(1, 1)))); !strings.Contains(out, `msg="recovering logs" dir=/data logs=4`) || !strings.Contains(out, `msg="logs are open" dir=/data logs=4 recovered=true`) {
		t.Errorf("after a crash: %s", out)
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	if _, out := open(fsys); strings.Contains(out, "recovering") || !strings.Contains(out, "logs=4 recovered=false") {
		t.Errorf("after a stop: %s", out)
	}
}

// Directories are recovered side by side, and in each as many logs as there are
// threads. The test blocks for good if they are not.
func TestRecoveryIsParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := vfs.NewMem()
		config := ManagerConfig{Dirs: []string{"/a", "/b"}, FS: fsys, RecoveryThreads: 3}
		m, err := OpenManager(t.Context(), config, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		const logs = 6 // three in each directory
		for i := range int32(logs) {
			l, err := m.GetOrCreate(record.TopicPartition{Topic: "t", Partition: i}, [16]byte{1}, DefaultConfig())
			if err != nil {
				t.Fatal(err)
			}
			mustAppend(t, l, plain(t, "v"), OriginClient)
			if err := l.Sync(1); err != nil {
				t.Fatal(err)
			}
		}
		config.FS = fsys.Clone() // killed
		var seen sync.Map
		var count atomic.Int32
		all := make(chan struct{})
		config.FS.(*vfs.Mem).Observe(func(c vfs.Call) {
			if c.Op != vfs.OpRead || filepath.Ext(c.Name) != format.LogSuffix {
				return
			}
			if _, again := seen.LoadOrStore(c.Name, true); !again && count.Add(1) == logs {
				close(all)
			}
			<-all
		})
		again, err := OpenManager(t.Context(), config, nil, nil)
		if err != nil || len(again.Logs()) != logs {
			t.Fatal(len(again.Logs()), err)
		}
		_ = again.abandon()
		_ = m.abandon()
	})
}
