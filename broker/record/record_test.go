package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var codecs = []Compression{None, Gzip, Snappy, LZ4, Zstd}

func build(t testing.TB, opts BuilderOptions, n, size int) Batch {
	t.Helper()
	var w Builder
	w.Reset(opts)
	for i := range n {
		w.Append(1000+int64(i%7), []byte(fmt.Sprintf("key-%d", i)), bytes.Repeat([]byte{byte(i)}, size),
			Header{Key: []byte("h"), Value: []byte{byte(i)}}, Header{Key: []byte("null")})
	}
	out, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return Batch(out)
}

func TestBuildReadRoundTrip(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.String(), func(t *testing.T) {
			opts := NewOptions()
			opts.Compression, opts.BaseOffset, opts.LeaderEpoch = c, 42, 7
			opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = 9, 3, math.MaxInt32-1, true
			b := build(t, opts, 100, 300)
			if err := b.Validate(Checks{Mode: ModeRecords, RequireKey: true}); err != nil {
				t.Fatal(err)
			}
			if err := b.Validate(Checks{}); err != nil {
				t.Fatal(err)
			}
			if b.Compression() != c || b.LastOffset() != 141 || b.LeaderEpoch() != 7 || !b.IsTransactional() || b.IsControl() {
				t.Fatalf("header: %v %d %d", b.Compression(), b.LastOffset(), b.LeaderEpoch())
			}
			if b.LastSequence() != 97 {
				t.Fatalf("last sequence %d does not wrap", b.LastSequence())
			}
			checkIteration(t, b)
		})
	}
}

func checkIteration(t *testing.T, b Batch) {
	t.Helper()
	var it Iterator
	defer it.Close()
	if err := it.Reset(b, 0); err != nil {
		t.Fatal(err)
	}
	i := 0
	for ; it.Next(); i++ {
		r := &it.Record
		headers, err := r.Headers(nil)
		if err != nil || len(headers) != 2 || string(headers[0].Key) != "h" || headers[1].Value != nil {
			t.Fatalf("headers %v, %v", headers, err)
		}
		if r.Offset != b.BaseOffset()+int64(i) || string(r.Key) != fmt.Sprintf("key-%d", i) || r.Timestamp != 1000+int64(i%7) {
			t.Fatalf("record %d: %+v", i, r)
		}
	}
	if it.Err() != nil || i != int(b.Count()) {
		t.Fatalf("%d records, %v", i, it.Err())
	}
}

// TestAgainstKmsg compares header and records with an independent codec.
func TestAgainstKmsg(t *testing.T) {
	b := build(t, NewOptions(), 10, 20)
	var k kmsg.RecordBatch
	if err := k.ReadFrom(b); err != nil {
		t.Fatal(err)
	}
	if int(k.Length) != len(b)-LogOverhead || uint32(k.CRC) != b.CRC() || k.NumRecords != 10 || k.LastOffsetDelta != 9 ||
		k.FirstTimestamp != 1000 || k.MaxTimestamp != 1006 || k.ProducerID != -1 || k.Magic != 2 {
		t.Fatalf("kmsg reads %+v", k)
	}
	rest := k.Records
	for i := range 10 {
		length, n := varint(rest)
		var r kmsg.Record
		if err := r.ReadFrom(rest[:n+int(length)]); err != nil {
			t.Fatal(err)
		}
		if int(r.OffsetDelta) != i || len(r.Headers) != 2 || r.Headers[1].Value != nil || string(r.Key) != fmt.Sprintf("key-%d", i) {
			t.Fatalf("record %d: %+v", i, r)
		}
		rest = rest[n+int(length):]
	}
	if again := k.AppendTo(nil); !bytes.Equal(again, b) {
		t.Fatal("kmsg encodes the header differently")
	}
}

// TestHandMadeBytes holds one batch byte for byte, as a Java producer lays it out.
func TestHandMadeBytes(t *testing.T) {
	var w Builder
	opts := NewOptions()
	w.Reset(opts)
	w.Append(1, []byte("k"), []byte("v"))
	w.Append(3, nil, nil)
	got, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "0000000000000000" + "00000041" + "ffffffff" + "02" + hex.EncodeToString(got[17:21]) + "0000" + "00000001" +
		"0000000000000001" + "0000000000000003" + "ffffffffffffffff" + "ffff" + "ffffffff" + "00000002" +
		"10" + "00" + "00" + "00" + "026b" + "0276" + "00" + // length 8, attributes, ts +0, offset +0, k, v, no headers
		"0c" + "00" + "04" + "02" + "01" + "01" + "00" // length 6, ts +2, offset +1, null, null
	if hex.EncodeToString(got) != want {
		t.Fatalf("got  %x\nwant %s", []byte(got), want)
	}
}

func TestValidateRefuses(t *testing.T) {
	mutate := func(at int, v byte, fix bool) Batch {
		b := Batch(bytes.Clone(build(t, NewOptions(), 3, 10)))
		b[at] = v
		if fix {
			b.UpdateCRC()
		}
		return b
	}
	noKey := func() Batch {
		var w Builder
		w.Reset(NewOptions())
		w.Append(1, nil, []byte("v"))
		out, _ := w.Build(nil)
		return out
	}
	tests := []struct {
		name   string
		batch  Batch
		checks Checks
		want   error
	}{
		{"flipped bit", mutate(70, 0xff, false), Checks{}, ErrCorruptBatch},
		{"old magic", mutate(magicAt, 1, false), Checks{}, ErrUnsupportedFormat},
		{"unknown magic", mutate(magicAt, 3, false), Checks{}, ErrCorruptBatch},
		{"count too large", mutate(countAt+3, 4, true), Checks{}, ErrInvalidRecord},
		{"count and delta too large", func() Batch {
			b := mutate(countAt+3, 4, false)
			b[lastDeltaAt+3] = 3
			b.UpdateCRC()
			return b
		}(), Checks{}, ErrInvalidRecord},
		{"count and delta too small", func() Batch {
			b := mutate(countAt+3, 2, false)
			b[lastDeltaAt+3] = 1
			b.UpdateCRC()
			return b
		}(), Checks{}, ErrInvalidRecord},
		{"unknown codec", mutate(attributesAt+1, 5, true), Checks{}, ErrUnsupportedCompression},
		{"no key on a compacted topic", noKey(), Checks{Mode: ModeRecords, RequireKey: true}, ErrInvalidRecord},
		{"timestamp in the future", build(t, NewOptions(), 1, 1), Checks{MinTimestamp: 0, MaxTimestamp: 999}, ErrInvalidTimestamp},
		{"timestamp in the future, by record", build(t, NewOptions(), 1, 1), Checks{Mode: ModeRecords, MaxTimestamp: 999}, ErrInvalidTimestamp},
		{"timestamp too old", build(t, NewOptions(), 1, 1), Checks{MinTimestamp: 2000, MaxTimestamp: 3000}, ErrInvalidTimestamp},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.batch.Validate(tt.checks); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func TestOffsetDeltas(t *testing.T) {
	for _, c := range []Compression{None, LZ4} {
		var w Builder
		opts := NewOptions()
		opts.Compression = c
		w.Reset(opts)
		w.Append(1, nil, []byte("a"))
		w.count = 5
		w.Append(1, nil, []byte("b"))
		w.count = 2
		out, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		b := Batch(out)
		if err := b.Validate(Checks{Mode: ModeRecords}); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%v records mode: %v", c, err)
		}
		if err := b.Validate(Checks{}); (c == None) != errors.Is(err, ErrInvalidRecord) {
			t.Errorf("%v header mode: %v", c, err)
		}
	}
}

func TestDecompressionIsBounded(t *testing.T) {
	for _, c := range codecs[1:] {
		packed, err := Compress(nil, c, Levels{}, make([]byte, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decompress(nil, c, packed, 1000); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%v: %v", c, err)
		}
		if out, err := Decompress(nil, c, packed, 1<<20); err != nil || len(out) != 1<<20 {
			t.Errorf("%v: %d bytes, %v", c, len(out), err)
		}
		if _, err := Decompress(nil, c, packed[:len(packed)/2], 0); err == nil && c != Gzip {
			t.Errorf("%v: half of the input is taken", c)
		}
	}
}

func TestPlainSnappyBlock(t *testing.T) {
	// Snappy of "hello" without framing: length, literal tag, bytes.
	out, err := Decompress(nil, Snappy, append([]byte{5, 4 << 2}, "hello"...), 0)
	if err != nil || string(out) != "hello" {
		t.Fatalf("%q, %v", out, err)
	}
}

func TestRecompress(t *testing.T) {
	for _, from := range codecs {
		for _, to := range codecs {
			opts := NewOptions()
			opts.Compression = from
			b := build(t, opts, 20, 100)
			out, err := Recompress(nil, b, to, Levels{}, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := Batch(out).Validate(Checks{Mode: ModeRecords}); err != nil || Batch(out).Compression() != to {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			checkIteration(t, out)
		}
	}
}

func TestMarker(t *testing.T) {
	for _, typ := range []MarkerType{Abort, Commit} {
		out, err := AppendMarker(nil, 5, 2, 99, Marker{Type: typ, CoordinatorEpoch: 4})
		if err != nil {
			t.Fatal(err)
		}
		b := Batch(out)
		m, ts, ok, err := b.ReadMarker()
		if err != nil || !ok || m.Type != typ || m.CoordinatorEpoch != 4 || ts != 99 || !b.IsControl() || !b.IsTransactional() {
			t.Fatalf("%+v %d %v %v", m, ts, ok, err)
		}
	}
}

func TestLogAppendTime(t *testing.T) {
	b := build(t, NewOptions(), 3, 3)
	b.SetMaxTimestamp(LogAppendTime, 5555)
	if err := b.Validate(Checks{Mode: ModeRecords}); err != nil {
		t.Fatal(err)
	}
	var it Iterator
	defer it.Close()
	_ = it.Reset(b, 0)
	for it.Next() {
		if it.Record.Timestamp != 5555 {
			t.Fatalf("timestamp %d", it.Record.Timestamp)
		}
	}
}

func TestNext(t *testing.T) {
	one := build(t, NewOptions(), 1, 5)
	two := append(bytes.Clone(one), one...)
	for n := range len(two) {
		b, rest, err := Next(two[:n])
		switch {
		case n == 0 && (b != nil || err != nil):
			t.Fatalf("empty: %v %v", b, err)
		case n > 0 && n < len(one) && !errors.Is(err, ErrTruncated):
			t.Fatalf("%d bytes: %v", n, err)
		case n >= len(one) && (err != nil || len(b) != len(one) || len(rest) != n-len(one)):
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

func TestVarint(t *testing.T) {
	for _, v := range []int64{0, -1, 1, 63, -64, 64, math.MaxInt32, math.MinInt32, math.MaxInt64, math.MinInt64} {
		b := appendVarint(nil, v)
		if got, n := varlong(b); got != v || n != len(b) || varintSize(v) != n {
			t.Errorf("%d: got %d in %d bytes, size %d", v, got, n, varintSize(v))
		}
		if got, n := varint(b); (v == int64(int32(v))) != (n > 0 && int64(got) == v) {
			t.Errorf("%d as 32 bits: %d, %d", v, got, n)
		}
		if _, n := varlong(b[:len(b)-1]); n != 0 {
			t.Errorf("%d: a cut number is taken", v)
		}
	}
	if _, n := varlong(bytes.Repeat([]byte{0xff}, 11)); n != 0 {
		t.Error("an endless number is taken")
	}
}

func TestIteratorAllocatesNothingPerRecord(t *testing.T) {
	for _, c := range []Compression{None, Snappy} {
		opts := NewOptions()
		opts.Compression = c
		b := build(t, opts, 1000, 50)
		var it Iterator
		n := testing.AllocsPerRun(20, func() {
			if err := it.Reset(b, 0); err != nil {
				t.Fatal(err)
			}
			for it.Next() {
			}
		})
		it.Close()
		if n > 10 { // the race detector empties pools at random
			t.Errorf("%v: %v allocations for 1000 records", c, n)
		}
	}
}

func TestParseCompression(t *testing.T) {
	for _, c := range codecs {
		if got, err := ParseCompression(c.String()); err != nil || got != c {
			t.Errorf("%v: %v, %v", c, got, err)
		}
	}
	if _, err := ParseCompression("brotli"); !errors.Is(err, ErrUnsupportedCompression) || !strings.Contains(err.Error(), "brotli") {
		t.Errorf("%v", err)
	}
}

// FuzzBatch feeds arbitrary bytes to everything that reads a batch.
func FuzzBatch(f *testing.F) {
	for _, c := range codecs {
		opts := NewOptions()
		opts.Compression = c
		f.Add([]byte(build(f, opts, 3, 20)))
	}
	marker, _ := AppendMarker(nil, 1, 1, 1, Marker{})
	f.Add(marker)
	f.Fuzz(func(t *testing.T, data []byte) {
		b, rest, err := Next(data)
		if err != nil || b == nil {
			return
		}
		if len(b)+len(rest) != len(data) || b.Size() != len(b) {
			t.Fatalf("cut %d and %d of %d", len(b), len(rest), len(data))
		}
		b.UpdateCRC() // so that the fuzzer gets behind the checksum
		_ = b.Validate(Checks{})
		deep := b.Validate(Checks{Mode: ModeRecords, MaxSize: 1 << 20})
		_, _, _, _ = b.ReadMarker()
		var it Iterator
		defer it.Close()
		n := 0
		if it.Reset(b, 1<<20) == nil {
			for it.Next() {
				_, _ = it.Record.Headers(nil)
				n++
			}
		}
		if deep == nil && n != int(b.Count()) {
			t.Fatalf("valid with %d records, header says %d", n, b.Count())
		}
	})
}

// FuzzDecompress feeds arbitrary bytes to the codecs.
func FuzzDecompress(f *testing.F) {
	for _, c := range codecs {
		packed, _ := Compress(nil, c, Levels{}, []byte("some bytes, some bytes, some bytes"))
		f.Add(int8(c), packed)
	}
	f.Fuzz(func(t *testing.T, codec int8, data []byte) {
		const limit = 1 << 16
		if out, err := Decompress(nil, Compression(codec), data, limit); err == nil && len(out) > limit {
			t.Fatalf("%d bytes pass the bound", len(out))
		}
	})
}

// FuzzUsualRecord: what the quick look at a record takes, the thorough one takes
// with the same size; and the quick one takes records of the usual shapes.
func FuzzUsualRecord(f *testing.F) {
	for _, length := range []int64{0, 1, 5, 6, 7, 63, 64, 100, 8191, 8192, 1 << 20, 1<<20 + 1} {
		for _, ts := range []int64{0, -1, 63, 64, 8192, 1 << 20, 1 << 40} {
			for _, index := range []int64{0, 63, 64, 8191, 8192, 1 << 20} {
				b := append(appendVarint(nil, length), 0)
				b = appendVarint(appendVarint(b, ts), index)
				f.Add(append(b, make([]byte, 200)...), uint32(index))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, index uint32) {
		index &= 1<<31 - 1
		size := usualRecord(b, uint(index))
		if size == 0 {
			return
		}
		if want, err := checkRecord(b, int32(index), 1); err != nil || size != want {
			t.Fatalf("%x at %d: %d, want %d, %v", b[:min(len(b), 32)], index, size, want, err)
		}
	})
}

func TestUsualRecordsAreTaken(t *testing.T) {
	for _, size := range []int{10, 100, 1000, 20_000} {
		b := build(t, NewOptions(), 8191/8, size)
		rest := b.Records()
		for i := range b.Count() {
			n := usualRecord(rest, uint(i))
			if n == 0 {
				t.Fatalf("record %d of %d bytes goes the long way", i, size)
			}
			rest = rest[n:]
		}
		if len(rest) != 0 {
			t.Fatalf("%d bytes are left", len(rest))
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, size := range []int{100, 1000} {
		for _, mode := range []struct {
			name string
			mode Mode
		}{{"header", ModeHeader}, {"records", ModeRecords}} {
			for _, c := range []Compression{None, LZ4, Zstd} {
				opts := NewOptions()
				opts.Compression = c
				batch := build(b, opts, 16<<10/size, size)
				b.Run(fmt.Sprintf("%s/%v/%dB", mode.name, c, size), func(b *testing.B) {
					b.SetBytes(int64(len(batch)))
					b.ReportAllocs()
					for b.Loop() {
						if err := batch.Validate(Checks{Mode: mode.mode}); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
