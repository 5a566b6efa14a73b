package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/damage"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/inspect"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

const rotRecords = 120

var rotDir = "/data/" + world0.String() + "/"

func rotConfig() Config {
	c := DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 16<<10, 2048
	return c
}

// rotten gives a file system with a closed log of several segments, one record
// per batch, two leader epochs.
func rotten(t *testing.T) *vfs.Mem {
	t.Helper()
	mem := vfs.NewMem()
	m, l := openTest(t, mem, rotConfig())
	for i := range rotRecords {
		b := makeBatch(t, record.NewOptions(), testNow.UnixMilli()+int64(i), strings.Repeat(fmt.Sprint(i%10), 500+i*13%400))
		if _, err := l.AppendAsLeader(b, int32(i/70), AppendOptions{Now: testNow.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	return mem
}

// flip turns one bit of a file around.
func flip(t *testing.T, fsys vfs.FS, name string, at int64, bit int) {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1 << bit
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// checkAll checks every sealed segment and gives what is wrong with side files.
func checkAll(t *testing.T, l *Log) (problems []inspect.Problem) {
	t.Helper()
	for _, s := range l.SealedSegments() {
		c, err := l.CheckSegment(s.BaseOffset)
		if err != nil {
			t.Fatal(err)
		}
		for done := false; !done; {
			var p []inspect.Problem
			if _, p, done, err = c.Step(1000); err != nil {
				t.Fatal(err)
			}
			problems = append(problems, p...)
		}
		c.Close()
	}
	return problems
}

// readEverything reads at each offset: offsets of damage are refused, all others
// give their batch, and no slice reaches into damage.
func readEverything(t *testing.T, l *Log) (refused int) {
	t.Helper()
	lost := damage.List(l.Damage())
	for offset := l.StartOffset(); offset < l.EndOffset(); offset++ {
		s, err := l.Read(offset, 5000, true, l.EndOffset())
		if lost.Lost(offset) {
			refused++
			if !errors.Is(err, ErrCorruptBatch) {
				t.Errorf("offset %d is damaged and gives %d bytes, %v", offset, s.Size(), err)
			}
			s.Release()
			continue
		}
		if err != nil || s.FirstOffset() != offset {
			t.Errorf("offset %d is intact and gives %d: %v", offset, s.FirstOffset(), err)
			continue
		}
		data, err := s.Bytes(nil)
		if err != nil {
			t.Fatal(err)
		}
		for next := offset; len(data) > 0; next++ {
			b, rest, err := record.Next(data)
			if errors.Is(err, record.ErrTruncated) {
				break // cut at maxBytes
			}
			if err != nil || b.CheckCRC() != nil || b.BaseOffset() != next {
				t.Errorf("offset %d gives damaged bytes at offset %d: %v", offset, next, err)
				break
			}
			data = rest
		}
		s.Release()
	}
	return refused
}

// One bit anywhere in a sealed log file is found; the batch that it is in is
// refused, before and after a restart, and everything else is read.
func TestOneBitOfSegment(t *testing.T) {
	base := rotten(t)
	m, l := openTest(t, base.Clone(), rotConfig())
	segments := l.SealedSegments()
	if len(segments) < 4 {
		t.Fatalf("%d sealed segments", len(segments))
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(10, 10))
	const block = 256
	for n, s := range segments {
		for at := int64(0); at < s.Size; at += block {
			pos, bit := min(at+rng.Int64N(block), s.Size-1), rng.IntN(8)
			mem := base.Clone()
			flip(t, mem, rotDir+format.FileName(s.BaseOffset, format.LogSuffix), pos, bit)
			m, l := openTest(t, mem, rotConfig())
			if p := checkAll(t, l); len(p) > 0 {
				t.Errorf("segment %d, position %d, bit %d: the indexes are fine, but %v", s.BaseOffset, pos, bit, p)
			}
			found := l.Damage()
			if len(found) != 1 || found[0].Segment != s.BaseOffset || found[0].Position > pos || found[0].End <= pos || found[0].Next-found[0].First != 1 {
				t.Fatalf("segment %d, position %d, bit %d: found %+v", s.BaseOffset, pos, bit, found)
			}
			if got := readEverything(t, l); got != 1 {
				t.Fatalf("%d offsets are refused", got)
			}
			if err := m.Close(-1); err != nil {
				t.Fatal(err)
			}
			if (n+int(at/block))%8 > 0 {
				continue
			}
			m, l = openTest(t, mem, rotConfig())
			if again := l.Damage(); len(again) != 1 || again[0].Position != found[0].Position || again[0].End != found[0].End {
				t.Fatalf("after a restart: %+v, before: %+v", again, found)
			}
			readEverything(t, l)
			if err := m.Close(-1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// One bit in each block of all sealed segments at once, indexes there or gone.
func TestOneBitPerBlock(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 4))
		mem := rotten(t)
		m, l := openTest(t, mem, rotConfig())
		type place struct{ segment, pos int64 }
		var flipped []place
		for _, s := range l.SealedSegments() {
			for at := int64(0); at < s.Size; at += 4096 {
				pos := min(at+rng.Int64N(4096), s.Size-1)
				flip(t, mem, rotDir+format.FileName(s.BaseOffset, format.LogSuffix), pos, rng.IntN(8))
				flipped = append(flipped, place{s.BaseOffset, pos})
			}
			if seed%2 == 0 {
				_ = mem.Remove(rotDir + format.FileName(s.BaseOffset, format.IndexSuffix))
			}
		}
		if err := m.Close(-1); err != nil {
			t.Fatal(err)
		}
		m, l = openTest(t, mem, rotConfig())
		checkAll(t, l)
		found := l.Damage()
		for _, p := range flipped {
			hit := false
			for _, d := range found {
				hit = hit || d.Segment == p.segment && d.Position <= p.pos && p.pos < d.End
			}
			if !hit {
				t.Errorf("seed %d: segment %d, position %d was not found", seed, p.segment, p.pos)
			}
		}
		if refused := readEverything(t, l); refused < len(found) || refused > len(flipped)+len(l.SealedSegments()) {
			t.Errorf("seed %d: %d offsets are refused for %d bits", seed, refused, len(flipped))
		}
		if err := m.Close(-1); err != nil {
			t.Fatal(err)
		}
	}
}

// One bit in each place of the indexes is found, and the index made as it was.
func TestOneBitOfIndex(t *testing.T) {
	base := rotten(t)
	for _, suffix := range []string{format.IndexSuffix, format.TimeIndexSuffix} {
		name := rotDir + format.FileName(0, suffix)
		want, err := vfs.ReadFile(base, name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for at := range want {
			mem := base.Clone()
			flip(t, mem, name, int64(at), at%8)
			m, l := openTest(t, mem, rotConfig())
			problems := checkAll(t, l)
			if len(problems) == 0 || problems[0].File != format.FileName(0, suffix) || problems[0].Topic != world0.Topic {
				t.Fatalf("%s, byte %d: %v", name, at, problems)
			}
			if len(l.Damage()) > 0 {
				t.Errorf("%s, byte %d: records are marked: %v", name, at, l.Damage())
			}
			if got, err := vfs.ReadFile(mem, name, 1<<20); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s, byte %d: not as it was: %v", name, at, err)
			}
			if p := checkAll(t, l); len(p) > 0 {
				t.Errorf("%s, byte %d: still wrong: %v", name, at, p)
			}
			readEverything(t, l)
			if err := m.Close(-1); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A read that meets bytes which are no batch marks them itself.
func TestReadMarksDamage(t *testing.T) {
	mem := rotten(t)
	flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 16, 3) // the format of the first batch
	m, l := openTest(t, mem, rotConfig())
	if _, err := l.Read(0, 1000, true, l.EndOffset()); !errors.Is(err, ErrCorruptBatch) {
		t.Fatalf("read: %v", err)
	}
	if d := l.Damage(); len(d) != 1 || d[0].Position != 0 || d[0].First != 0 || d[0].Next != 1 {
		t.Errorf("marked: %+v", d)
	}
	readEverything(t, l)
	if got := m.damage.all()[foundByRead]; got != 1 {
		t.Errorf("%d found by reading, want 1", got)
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
}

// A reader that cannot make sense of the bytes it was given has them checked.
func TestSuspectBytesAreMarked(t *testing.T) {
	mem := rotten(t)
	flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 100, 3) // among the records
	m, l := openTest(t, mem, rotConfig())
	for range 2 {
		s, err := l.Read(1, 1000, true, l.EndOffset())
		if err != nil {
			t.Fatal(err)
		}
		s.Suspect() // intact
		s.Release()
	}
	s, err := l.Read(0, 1000, true, l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	s.Suspect()
	s.Release()
	if d := l.Damage(); len(d) != 1 || d[0].Position != 0 || d[0].Next != 1 {
		t.Errorf("marked: %+v", d)
	}
	if got := readEverything(t, l); got != 1 {
		t.Errorf("%d offsets are refused", got)
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
}

// Marks go with what they mark, and those of bytes that are read well again.
func TestMarksGo(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(t *testing.T, mem *vfs.Mem, l *Log)
	}{
		{"retention", func(t *testing.T, _ *vfs.Mem, l *Log) {
			if _, err := l.DeleteSegments(l.SealedSegments()[1].BaseOffset); err != nil {
				t.Fatal(err)
			}
		}},
		{"truncation", func(t *testing.T, _ *vfs.Mem, l *Log) {
			if err := l.TruncateTo(2); err != nil {
				t.Fatal(err)
			}
		}},
		{"healing", func(t *testing.T, mem *vfs.Mem, l *Log) {
			flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 4000, 1)
			checkAll(t, l)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := rotten(t)
			flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 4000, 1)
			m, l := openTest(t, mem, rotConfig())
			checkAll(t, l)
			if len(l.Damage()) != 1 {
				t.Fatal("the bit was not found")
			}
			c.act(t, mem, l)
			if d := l.Damage(); len(d) > 0 {
				t.Errorf("still marked: %+v", d)
			}
			if err := m.Close(-1); err != nil {
				t.Fatal(err)
			}
			if data, err := vfs.ReadFile(mem, "/data/"+format.DamageFile, 1000); err != nil || string(data) != "0\n0\n" {
				t.Errorf("list of damage: %q, %v", data, err)
			}
		})
	}
}

// What happens to a segment while it is checked ends the check and marks nothing.
func TestSegmentChangesWhileChecked(t *testing.T) {
	for _, c := range []struct {
		name string
		act  func(l *Log) error
	}{
		{"retention", func(l *Log) error { _, err := l.DeleteSegments(l.SealedSegments()[1].BaseOffset); return err }},
		{"truncation", func(l *Log) error { return l.TruncateTo(3) }},
		{"truncation in full", func(l *Log) error { return l.TruncateFullyAndStartAt(500) }},
		{"deletion", func(l *Log) error { return l.release() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := rotten(t)
			flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 9000, 1)
			m, l := openTest(t, mem, rotConfig())
			check, err := l.CheckSegment(0)
			if err != nil {
				t.Fatal(err)
			}
			defer check.Close()
			if _, _, done, err := check.Step(1); err != nil || done {
				t.Fatal(done, err)
			}
			if err := c.act(l); err != nil {
				t.Fatal(err)
			}
			for err == nil {
				_, _, _, err = check.Step(1)
			}
			if !errors.Is(err, ErrSegmentsChanged) && !errors.Is(err, ErrClosed) {
				t.Errorf("check: %v", err)
			}
			if d := l.Damage(); len(d) > 0 && c.name != "deletion" {
				t.Errorf("marked: %+v", d)
			}
			_ = m.Close(-1)
		})
	}
}

// A crash at any step of finding and storing marks loses no record, and the
// marks are there or found again.
func TestCrashWhileMarking(t *testing.T) {
	mem := rotten(t)
	flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 3000, 5)
	flip(t, mem, rotDir+format.FileName(0, format.LogSuffix), 9000, 5)
	m, l := openTest(t, mem, rotConfig())
	rng := rand.New(rand.NewPCG(3, 3))
	var crashes []*vfs.Mem
	mem.Observe(func(c vfs.Call) {
		if c.Op.Mutates() {
			crashes = append(crashes, mem.Crash(rng))
		}
	})
	checkAll(t, l)
	mem.Observe(nil)
	want := len(l.Damage())
	if want != 2 || len(crashes) == 0 {
		t.Fatalf("%d marks, %d places to crash", want, len(crashes))
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	for i, after := range append(crashes, mem.Crash(rng)) {
		m, l := openTest(t, after, rotConfig())
		if l.EndOffset() != rotRecords {
			t.Fatalf("crash %d: end %d", i, l.EndOffset())
		}
		checkAll(t, l)
		if d := l.Damage(); len(d) != want {
			t.Errorf("crash %d: %+v", i, d)
		}
		readEverything(t, l)
		if err := m.Close(-1); err != nil {
			t.Fatal(err)
		}
	}
}
