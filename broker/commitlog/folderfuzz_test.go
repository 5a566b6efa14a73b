package commitlog

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

func fuzzConfig() Config {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.TimestampAfterMaxMs = 700, 60, math.MaxInt64
	return cfg
}

// fuzzDisk is a log directory with a file of every kind, and their names.
func fuzzDisk(t testing.TB) (*vfs.Mem, []string) {
	t.Helper()
	mem := vfs.NewMem()
	m, l := openTest(t, mem, fuzzConfig())
	for i := range int32(20) {
		if i%4 == 0 {
			mustAppend(t, l, plain(t, fmt.Sprint(i)), OriginClient)
			continue
		}
		opts := record.NewOptions()
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = 7, 0, i, true
		mustAppend(t, l, makeBatch(t, opts, testNow.UnixMilli()+int64(i), "x"), OriginCoordinator)
		marker, err := record.AppendMarker(nil, 7, 0, testNow.UnixMilli(), record.Marker{})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, marker, OriginCoordinator)
	}
	if err := l.AdvanceStart(3); err != nil {
		t.Fatal(err)
	}
	if err := m.WriteHighWatermarks(map[record.TopicPartition]int64{world0: 9}); err != nil {
		t.Fatal(err)
	}
	if err := l.SetCleanedOffset(5, 0); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(4); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		format.DamageFile:  format.EncodeDamage([]format.DamagePlace{{TopicPartition: world0, Position: 70}}),
		"t-0/" + movedFile: []byte("/elsewhere"),
	} {
		if err := vfs.WriteFile(mem, filepath.Join("/data", name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	for _, dir := range []string{"/data", "/data/t-0"} {
		entries, err := mem.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if !e.IsDir() && e.Name() != format.LockFile {
				names = append(names, filepath.Join(dir, e.Name()))
			}
		}
	}
	return mem, names
}

// FuzzFolder puts any bytes into any file of a log directory. It is opened or
// refused; what is open can be read, appended to, checked and closed, and opened
// once more with all that was appended.
func FuzzFolder(f *testing.F) {
	disk, names := fuzzDisk(f)
	for _, suffix := range []string{format.LogSuffix, format.IndexSuffix, format.TimeIndexSuffix, format.TxnIndexSuffix, format.SnapshotSuffix} {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.HasSuffix(n, suffix) }) {
			f.Fatalf("no %s among %s", suffix, names)
		}
	}
	for i, name := range names {
		data, err := vfs.ReadFile(disk, name, 1<<20)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), true, data)
		f.Add(uint8(i), false, data[:len(data)/2])
		f.Add(uint8(i), true, append(slices.Clone(data), 0, 0, 0, 0, 0, 0, 0, 1))
	}
	f.Fuzz(func(t *testing.T, which uint8, clean bool, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		mem := disk.Clone()
		if !clean {
			_ = mem.Remove("/data/" + format.CleanShutdownFile)
		}
		if err := vfs.WriteFile(mem, names[int(which)%len(names)], data, 0o644); err != nil {
			t.Fatal(err)
		}
		useFolder(t, mem)
	})
}

func useFolder(t *testing.T, mem *vfs.Mem) {
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: mem, BrokerID: 1, ClusterID: "c", Defaults: fuzzConfig()}, nil, nil)
	if err != nil {
		return
	}
	_, _ = m.ReadHighWatermarks()
	l, ok := m.Log(world0)
	if !ok {
		t.Fatal("the log is not there and nothing is said")
	}
	for offset := l.StartOffset(); offset < l.EndOffset() && offset < l.StartOffset()+100; offset++ {
		s, err := l.Read(offset, 200, true, l.EndOffset())
		if err == nil {
			_, _ = s.Bytes(nil)
			s.Release()
		}
	}
	_, _ = l.AbortedTransactions(0, l.EndOffset())
	_, _, _ = l.OffsetForTimestamp(testNow.UnixMilli(), l.EndOffset())
	_, _, _ = l.MaxTimestamp()
	_, _ = l.Segments()
	for _, s := range l.SealedSegments() {
		if c, err := l.CheckSegment(s.BaseOffset); err == nil {
			_, _, _, _ = c.Step(math.MaxInt64)
			c.Close()
		}
	}
	info, appended := l.AppendAsLeader(plain(t, "new"), 9, AppendOptions{Origin: OriginCoordinator, Now: testNow.UnixMilli()})
	_ = m.Checkpoint()
	if err := m.Close(1); err != nil || appended != nil {
		return
	}
	m, err = OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: mem, BrokerID: 1, ClusterID: "c", Defaults: fuzzConfig()}, nil, nil)
	if err != nil {
		t.Fatalf("closed in order and not opened again: %v", err)
	}
	l, _ = m.Log(world0)
	s, err := l.Read(info.FirstOffset, 1, true, l.EndOffset())
	if err != nil || s.FirstOffset() != info.FirstOffset {
		t.Fatalf("the record at %d is lost: log [%d, %d), %v", info.FirstOffset, l.StartOffset(), l.EndOffset(), err)
	}
	s.Release()
	_ = m.abandon()
}
