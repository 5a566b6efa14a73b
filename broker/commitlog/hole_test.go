package commitlog

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// A reader whose offset lies in a hole between two segments goes on with the
// first batch after it, whatever the second segment's index holds.
func TestReadInAHoleBetweenSegments(t *testing.T) {
	fsys := vfs.NewMem()
	cfg := DefaultConfig()
	cfg.Compact, cfg.IndexIntervalBytes = true, 50
	m, l := openTest(t, fsys, cfg)
	for _, offsets := range [][]int64{{0, 1, 9}, {10, 11, 12, 13, 14, 15}, {16}} {
		for _, offset := range offsets {
			o := record.NewOptions()
			o.BaseOffset = offset
			if _, err := l.AppendAsFollower(makeBatch(t, o, testNow.UnixMilli()+offset, "v")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Roll(testNow); err != nil {
			t.Fatal(err)
		}
	}
	if err := dropLast(l, 0); err != nil { // the record at 9
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		for offset := int64(2); offset < 11; offset++ {
			s, err := l.Read(offset, 1, true, l.EndOffset())
			if err != nil || s.FirstOffset() != 10 {
				t.Errorf("%s: read at %d gives %d, %v", what, offset, s.FirstOffset(), err)
			}
			s.Release()
		}
	}
	check("live")
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	_, l = openTest(t, fsys, cfg)
	check("opened")
}

// holed gives a log [0, 21) of three segments with a hole before offset 10, and
// then has the topic be compacted no more.
func holed(t *testing.T, fsys *vfs.Mem) *Log {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Compact = true
	m, l := openTest(t, fsys, cfg)
	for n := range 2 {
		for range 10 {
			mustAppend(t, l, plain(t, "v"), OriginCoordinator)
		}
		if err := l.Roll(testNow); err != nil {
			t.Fatal(n, err)
		}
	}
	mustAppend(t, l, plain(t, "v"), OriginCoordinator)
	if err := dropLast(l, 0); err != nil {
		t.Fatal(err)
	}
	m.Configure(world0.Topic, DefaultConfig())
	return l
}

// outlivesKills has a log end at the same offset after every one of some kills.
func outlivesKills(t *testing.T, fsys *vfs.Mem, kills int, seed uint64, end int64) {
	t.Helper()
	for kill := range kills {
		fsys = fsys.Crash(rand.New(rand.NewPCG(uint64(kill), seed)))
		if _, l := openTest(t, fsys, DefaultConfig()); l.EndOffset() != end {
			t.Fatalf("after kill %d the log ends at %d", kill, l.EndOffset())
		}
	}
}

// A hole that compaction has left is not taken for lost records, whatever the
// policy is by then and however often the broker is killed.
func TestHolesOutliveKills(t *testing.T) {
	fsys := vfs.NewMem()
	l := holed(t, fsys)
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	outlivesKills(t, fsys, 6, 2, 21)
}

// A truncation may end in a hole; the next segment begins there.
func TestSegmentAfterATruncationInAHole(t *testing.T) {
	fsys := vfs.NewMem()
	_, l := openTest(t, fsys, DefaultConfig())
	for _, offset := range []int64{0, 9} {
		o := record.NewOptions()
		o.BaseOffset = offset
		if _, err := l.AppendAsFollower(makeBatch(t, o, testNow.UnixMilli(), "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.TruncateTo(5); err != nil {
		t.Fatal(err)
	}
	if err := l.Roll(testNow); err != nil {
		t.Fatal(err)
	}
	if info := mustAppend(t, l, plain(t, "v"), OriginClient); info.FirstOffset != 5 {
		t.Fatalf("appended at %d", info.FirstOffset)
	}
	if err := l.Sync(6); err != nil {
		t.Fatal(err)
	}
	outlivesKills(t, fsys, 3, 3, 6)
}

// A start offset moved by DeleteRecords holds after retention has removed the
// segments below it, also when the power fails right then.
func TestStartOffsetOutlivesItsCheckpoint(t *testing.T) {
	for seed := range uint64(20) {
		fsys := vfs.NewMem()
		m, l := openTest(t, fsys, DefaultConfig())
		for range 5 {
			mustAppend(t, l, plain(t, "v"), OriginClient)
			if err := l.Roll(testNow); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.AdvanceStart(5); err != nil {
			t.Fatal(err)
		}
		if n, err := l.DeleteSegments(5); n != 5 || err != nil {
			t.Fatal(n, err)
		}
		if err := m.Checkpoint(); err != nil {
			t.Fatal(err)
		}
		for kill := range uint64(2) {
			fsys = fsys.Crash(rand.New(rand.NewPCG(seed, kill)))
			if _, l = openTest(t, fsys, DefaultConfig()); l.StartOffset() != 5 || l.EndOffset() != 5 {
				t.Fatalf("after kill %d the log is [%d, %d)", kill, l.StartOffset(), l.EndOffset())
			}
		}
	}
}

// dropLast rewrites the segment at base without its last batch.
func dropLast(l *Log, base int64) error {
	list := *l.segments.Load()
	w, err := l.BeginRewrite(base, list[floorSegment(list, base)+1].base, 1<<10)
	if err != nil {
		return err
	}
	defer w.Abandon()
	var last record.Batch
	for {
		b, err := w.Next()
		if err != nil {
			break
		}
		if last != nil {
			if err := w.Append(last); err != nil {
				return err
			}
		}
		last = append(record.Batch(nil), b...)
	}
	if last == nil {
		return fmt.Errorf("segment %d is empty", base)
	}
	return w.Commit()
}

// A log that was cut in a hole ends there; its copy does so too, and takes its
// place.
func TestMoveOfALogThatEndsInAHole(t *testing.T) {
	fsys := vfs.NewMem()
	m := openTwo(t, fsys)
	l, err := m.GetOrCreate(world0, [16]byte{1}, m.cfg.Defaults)
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 9} {
		o := record.NewOptions()
		o.BaseOffset = offset
		if _, err := l.AppendAsFollower(makeBatch(t, o, testNow.UnixMilli(), "v")); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.TruncateTo(5); err != nil {
		t.Fatal(err)
	}
	v := mustMove(t, m, "/b")
	copyMove(t, v)
	moved, err := v.Commit()
	if err != nil || moved.EndOffset() != 5 {
		t.Fatalf("moved log ends at %d, %v", moved.EndOffset(), err)
	}
	if info := mustAppend(t, moved, plain(t, "v"), OriginClient); info.FirstOffset != 5 {
		t.Errorf("appended at %d", info.FirstOffset)
	}
}
