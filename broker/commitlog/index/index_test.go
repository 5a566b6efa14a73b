package index

import (
	"bytes"
	"io/fs"
	"os"
	"testing"

	"github.com/leatstream/leat/broker/vfs"
)

// memFolder opens the files of a segment in a memory file system.
type memFolder struct{ vfs.FS }

func (f memFolder) OpenIndex(suffix string) (vfs.File, error) {
	return f.OpenFile(suffix, os.O_RDONLY, 0)
}

// An index answers alike while it grows in memory, after sealing, and when it is
// read again.
func TestFloor(t *testing.T) {
	mem := memFolder{vfs.NewMem()}
	var x File[Offset]
	x.Reset()
	const count = 5*sparseStride + 3
	for i := range uint32(count) {
		x.Append(Offset{10 + 2*i, 100 * (i + 1)})
	}
	check := func(state string) {
		t.Helper()
		if x.Len() != count {
			t.Fatalf("%s: %d entries", state, x.Len())
		}
		for key := int64(8); key < 2*count+20; key++ {
			e, ok, err := x.Floor(mem, ".index", key)
			want := min((key-10)/2, count-1)
			if err != nil || ok != (key >= 10) || ok && e != (Offset{uint32(10 + 2*want), uint32(100 * (want + 1))}) {
				t.Fatalf("%s: floor of %d: %v, %v, %v", state, key, e, ok, err)
			}
		}
	}
	check("dense")
	if err := x.Flush(mem, ".index", true, false); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Stat(".index"); err == nil {
		t.Fatal("a file is made without being asked for")
	}
	if err := x.Flush(mem, ".index", true, true); err != nil {
		t.Fatal(err)
	}
	dense := x.Known()
	x.Seal()
	if n := len(x.Known()); n != count/sparseStride+1 {
		t.Errorf("sealed: %d entries are in memory", n)
	}
	check("sealed")
	again, err := Read(mem, ".index", 1<<20, func(prev *Offset, e Offset) bool { return prev == nil || e.Rel > prev.Rel })
	if err != nil || len(again) != count || !bytes.Equal(Encode(again), Encode(dense)) {
		t.Fatalf("read again: %d entries, %v", len(again), err)
	}
	x.Set(again, count)
	check("read again")
	if err := mem.Remove(".index"); err != nil {
		t.Fatal(err)
	}
	x.Seal()
	if _, _, err := x.Floor(mem, ".index", 11); err == nil {
		t.Error("an entry is found without the file")
	}
	if _, err := Read(mem, ".index", 1, func(*Time, Time) bool { return true }); err == nil || !os.IsNotExist(err) && err != fs.ErrNotExist {
		t.Errorf("missing: %v", err)
	}
}

// A tail knows the latest batches and never one that it has forgotten.
func TestTail(t *testing.T) {
	var x Tail
	if _, ok := x.Floor(1 << 30); ok {
		t.Error("an empty tail knows a batch")
	}
	for i := range uint32(3 * tailSize) {
		x.Add(10*(i+1), 100*(i+1))
	}
	const oldest = 10 * (2*tailSize + 1)
	if e, ok := x.Floor(oldest - 1); ok {
		t.Errorf("forgotten: %v", e)
	}
	if e, ok := x.Floor(oldest + 5); !ok || e != (Offset{oldest, 10 * oldest}) {
		t.Errorf("oldest: %v, %v", e, ok)
	}
}

func FuzzDecoders(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 9}, int64(0))
	f.Add(make([]byte, 48), int64(5))
	f.Add(appendTxn(nil, AbortedTxn{1, 2, 3, 4}), int64(0))
	f.Fuzz(func(t *testing.T, data []byte, base int64) {
		if list, err := DecodeTxns(data, base); err == nil {
			var again []byte
			for _, e := range list {
				again = appendTxn(again, e)
			}
			if !bytes.Equal(again, data) {
				t.Fatal("transaction index does not survive")
			}
		}
		_, _ = DecodeOffsets(data, base)
		_, _ = DecodeTimes(data, base)
		_, _ = parse(data, func(prev *Offset, e Offset) bool { return prev == nil || e.Rel > prev.Rel })
		_, _ = parse(data, func(prev *Time, e Time) bool { return prev == nil || e.Timestamp > prev.Timestamp })
	})
}
