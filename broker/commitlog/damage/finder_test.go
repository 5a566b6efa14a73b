package damage

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/record"
)

// file gives the log file of a segment that begins at offset 100 with one record
// in each batch, and where the batches begin.
func file(t testing.TB, count int) (data []byte, at []int64) {
	t.Helper()
	for i := range count {
		var b record.Builder
		b.Reset(record.NewOptions())
		b.Append(int64(i), nil, []byte(strings.Repeat("x", 10+i*7%90)))
		out, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		record.Batch(out).SetBaseOffset(100 + int64(i))
		at = append(at, int64(len(data)))
		data = append(data, out...)
	}
	return data, append(at, int64(len(data)))
}

func bounds(data []byte, count int) Bounds {
	return Bounds{
		Base: 100, Limit: 100 + int64(count), Size: int64(len(data)),
		EpochAt: func(int64) int32 { return -1 },
	}
}

// Whatever bit is wrong, exactly the batch that it is in is damaged.
func TestFinder(t *testing.T) {
	const count = 40
	data, at := file(t, count)
	good := bytes.Clone(data)
	rng := rand.New(rand.NewPCG(1, 1))
	for pos := range data {
		data[pos] ^= 1 << rng.IntN(8)
		bad := 0
		for at[bad+1] <= int64(pos) {
			bad++
		}
		for _, start := range []int64{0, at[bad]} {
			f := NewFinder(bytes.NewReader(data), bounds(data, count))
			f.StartAt(start)
			var found List
			for !f.Done() {
				b, d := f.Next()
				if d != nil {
					found = found.With(*d)
				} else if b.BaseOffset() == 100+int64(bad) && pos >= int(at[bad])+16 {
					t.Fatalf("byte %d, from %d: the batch is taken for intact", pos, start)
				}
			}
			in := pos - int(at[bad])
			if in < 8 && start > 0 || in >= 12 && in < 16 {
				continue // base offset and leader epoch are outside the checksum
			}
			if len(found) != 1 || found[0].Position != at[bad] || found[0].End != at[bad+1] && in >= 12 || !errors.Is(&found[0], record.ErrCorruptBatch) {
				t.Fatalf("byte %d of the batch at %d, from %d: %v", in, at[bad], start, found)
			}
		}
		copy(data, good)
	}
}

func TestList(t *testing.T) {
	mark := func(from, to int64) Range { return Range{Position: from, End: to, First: from, Next: to} }
	var l List
	for _, d := range []Range{mark(50, 60), mark(10, 20), mark(30, 40)} {
		l = l.With(d)
	}
	if want := (List{mark(10, 20), mark(30, 40), mark(50, 60)}); !reflect.DeepEqual(l, want) {
		t.Fatalf("%v", l)
	}
	for pos, want := range map[int64]bool{9: false, 10: true, 19: true, 20: false, 35: true, 60: false} {
		if _, ok := l.At(pos); ok != want || l.Lost(pos) != want {
			t.Errorf("position %d: %v", pos, ok)
		}
	}
	for pos, want := range map[int64]int64{0: 10, 5: 5, 15: 0, 20: 10, 25: 5, 60: 100} {
		if got := l.Clip(pos, 100); got != want {
			t.Errorf("%d bytes from %d on", got, pos)
		}
	}
	if got := l.With(mark(15, 30)); !reflect.DeepEqual(got, List{mark(10, 40), mark(50, 60)}) {
		t.Errorf("joined: %v", got)
	}
	if got := l.Cut(40); !reflect.DeepEqual(got, List{mark(10, 20), mark(30, 40)}) || len(l) != 3 {
		t.Errorf("cut: %v", got)
	}
	l = nil
	for i := range int64(3 * maxDamages) {
		l = l.With(mark(10*i, 10*i+1))
	}
	if last := l[len(l)-1]; len(l) != maxDamages || last.End != 10*(3*maxDamages-1)+1 {
		t.Errorf("%d marks, the last ends at %d", len(l), last.End)
	}
}

// Any bytes are passed through, and what is not damaged is a batch.
func FuzzFinder(f *testing.F) {
	data, _ := file(f, 3)
	f.Add(data)
	f.Add(append(bytes.Clone(data[:100]), data...))
	f.Fuzz(func(t *testing.T, data []byte) {
		x := NewFinder(bytes.NewReader(data), bounds(data, 3))
		for !x.Done() {
			before := x.Pos
			b, d := x.Next()
			if x.Pos <= before || d == nil && record.Batch(data[before:x.Pos]).CheckCRC() != nil || d != nil && (d.Position != before || d.End != x.Pos) {
				t.Fatalf("from %d to %d: %v, %v", before, x.Pos, b, d)
			}
		}
	})
}
