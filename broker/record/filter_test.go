package record

import (
	"bytes"
	"fmt"
	"testing"
)

func filterBatch(t testing.TB, c Compression, tt TimestampType) Batch {
	t.Helper()
	opts := NewOptions()
	opts.BaseOffset, opts.LeaderEpoch, opts.Compression, opts.TimestampType = 1000, 7, c, tt
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = 5, 2, 30
	var w Builder
	w.Reset(opts)
	for i := range 10 {
		value := bytes.Repeat([]byte{byte(i)}, 100)
		if i == 4 {
			value = nil
		}
		w.Append(int64(5000+i*100), fmt.Appendf(nil, "k%d", i), value, Header{Key: []byte("h"), Value: []byte{byte(i)}})
	}
	b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func readAll(t *testing.T, b Batch) (out []string) {
	t.Helper()
	if err := b.CheckCRC(); err != nil {
		t.Fatal(err)
	}
	var it Iterator
	defer it.Close()
	if err := it.Reset(b, 0); err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		r := &it.Record
		headers, err := r.Headers(nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d %d %s %x %v", r.Offset, r.Timestamp, r.Key, r.Value, headers))
	}
	if err := it.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFilterKeepsWhatItKeeps(t *testing.T) {
	var f Filter
	defer f.Close()
	for _, c := range []Compression{None, Gzip, Snappy, LZ4, Zstd} {
		for _, tt := range []TimestampType{CreateTime, LogAppendTime} {
			for mask := range 1 << 10 {
				if mask%37 != 0 && mask != 1<<10-1 {
					continue
				}
				for _, horizon := range []int64{NoTimestamp, 99, 1 << 50} {
					b := filterBatch(t, c, tt)
					keep := func(r *Record) bool { return mask>>r.OffsetDelta&1 == 1 }
					out, kept, err := f.Apply([]byte("x"), b, FilterOptions{DeleteHorizon: horizon}, keep)
					if err != nil {
						t.Fatal(err)
					}
					checkFiltered(t, b, Batch(out[1:]), kept, mask, horizon)
				}
			}
		}
	}
}

func checkFiltered(t *testing.T, b, got Batch, kept int32, mask int, horizon int64) {
	t.Helper()
	var want []string
	for i, r := range readAll(t, b) {
		if mask>>i&1 == 1 {
			want = append(want, r)
		}
	}
	if int(kept) != len(want) {
		t.Fatalf("kept %d, want %d", kept, len(want))
	}
	if kept == 0 {
		if len(got) != 0 {
			t.Fatal("a batch without records")
		}
		return
	}
	if have := readAll(t, got); fmt.Sprint(have) != fmt.Sprint(want) {
		t.Fatalf("mask %b horizon %d:\n%v\nwant\n%v", mask, horizon, have, want)
	}
	if got.BaseOffset() != b.BaseOffset() || got.LastOffset() != b.LastOffset() || got.LastSequence() != b.LastSequence() ||
		got.LeaderEpoch() != b.LeaderEpoch() || got.ProducerID() != 5 || got.ProducerEpoch() != 2 || got.Compression() != b.Compression() {
		t.Fatalf("header changed: %x", got[:HeaderSize])
	}
	have, marked := got.DeleteHorizon()
	if tombstone := mask>>4&1 == 1; marked != (tombstone && horizon != NoTimestamp) || marked && have != horizon {
		t.Fatalf("horizon %d %v, want %d", have, marked, horizon)
	}
}

func TestFilterKeepsAHorizon(t *testing.T) {
	var f Filter
	b := filterBatch(t, None, CreateTime)
	all := func(*Record) bool { return true }
	out, _, err := f.Apply(nil, b, FilterOptions{DeleteHorizon: 77}, all)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := f.Apply(nil, out, FilterOptions{DeleteHorizon: 88}, all)
	if err != nil || !bytes.Equal(again, out) {
		t.Fatalf("a second horizon: %v", err)
	}
}

func TestAppendEmpty(t *testing.T) {
	b := filterBatch(t, Zstd, CreateTime)
	e := Batch(AppendEmpty(nil, b))
	if got := readAll(t, e); len(got) != 0 || len(e) != HeaderSize || e.Size() != HeaderSize {
		t.Fatalf("%d bytes, %v", len(e), got)
	}
	if e.BaseOffset() != 1000 || e.LastOffset() != 1009 || e.LastSequence() != 39 || e.Compression() != None || e.MaxTimestamp() != b.MaxTimestamp() {
		t.Fatalf("header %x", e[:])
	}
}

func TestFilterRefusesDamage(t *testing.T) {
	var f Filter
	good := filterBatch(t, None, CreateTime)
	for i := HeaderSize; i < len(good); i++ {
		b := Batch(bytes.Clone(good))
		b[i] ^= 0x80
		keep := func(r *Record) bool { return r.OffsetDelta%2 == 0 }
		out, _, err := f.Apply(nil, b, FilterOptions{DeleteHorizon: 5}, keep)
		if err == nil && len(out) > 0 {
			if err := Batch(out).CheckCRC(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
