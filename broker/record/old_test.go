package record

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"reflect"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"
)

// old is one message in the words of another implementation of the format.
type old struct {
	offset, time int64
	key, value   []byte
	attributes   int8
}

// kmsgMessage encodes m with kmsg.
func kmsgMessage(magic int8, m old) []byte {
	var b []byte
	if magic == 0 {
		b = (&kmsg.MessageV0{Offset: m.offset, Magic: 0, Attributes: m.attributes, Key: m.key, Value: m.value}).AppendTo(nil)
	} else {
		b = (&kmsg.MessageV1{Offset: m.offset, Magic: 1, Attributes: m.attributes, Timestamp: m.time, Key: m.key, Value: m.value}).AppendTo(nil)
	}
	return seal(b)
}

// seal sets size and checksum.
func seal(b []byte) []byte {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[12:], crc32.ChecksumIEEE(b[16:]))
	return b
}

func kmsgSet(magic int8, messages ...old) (set []byte) {
	for _, m := range messages {
		set = append(set, kmsgMessage(magic, m)...)
	}
	return set
}

// squeeze compresses with the codecs' own tools.
func squeeze(t testing.TB, c Compression, magic int8, set []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	switch c {
	case Gzip:
		w = gzip.NewWriter(&out)
	case LZ4:
		w = lz4.NewWriter(&out)
	case Snappy:
		return snappy.Encode(nil, set) // without framing, as librdkafka did
	}
	if _, err := w.Write(set); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if b := out.Bytes(); c == LZ4 && magic == 0 {
		b[6] = byte(xxh32(b[:6]) >> 8) // the frame has no optional fields
	}
	return out.Bytes()
}

// wrapper compresses messages into one; offsets inside count from 0 in format 1.
func wrapper(t testing.TB, c Compression, magic int8, messages ...old) []byte {
	t.Helper()
	last := messages[len(messages)-1]
	return kmsgMessage(magic, old{offset: last.offset, time: last.time, attributes: int8(c), value: squeeze(t, c, magic, kmsgSet(magic, messages...))})
}

// readOld takes a set apart with kmsg, wrappers too, the way an old client does.
func readOld(t testing.TB, set []byte) (out []old) {
	t.Helper()
	for len(set) > 0 {
		size := 12 + int(binary.BigEndian.Uint32(set[8:]))
		one := set[:size]
		set = set[size:]
		if got := crc32.ChecksumIEEE(one[16:]); got != binary.BigEndian.Uint32(one[12:]) {
			t.Fatalf("checksum of a message is wrong")
		}
		m := old{time: NoTimestamp}
		if one[16] == 0 {
			var v kmsg.MessageV0
			if err := v.ReadFrom(one); err != nil {
				t.Fatal(err)
			}
			m.offset, m.key, m.value, m.attributes = v.Offset, v.Key, v.Value, v.Attributes
		} else {
			var v kmsg.MessageV1
			if err := v.ReadFrom(one); err != nil {
				t.Fatal(err)
			}
			m.offset, m.time, m.key, m.value, m.attributes = v.Offset, v.Timestamp, v.Key, v.Value, v.Attributes
		}
		if m.attributes&7 == 0 {
			out = append(out, m)
			continue
		}
		inner := readOld(t, expand(t, Compression(m.attributes&7), one[16], m.value))
		if one[16] == 1 {
			first := m.offset - inner[len(inner)-1].offset
			for i := range inner {
				inner[i].offset += first
				if m.attributes&8 != 0 {
					inner[i].time, inner[i].attributes = m.time, 8
				}
			}
		}
		out = append(out, inner...)
	}
	return out
}

func expand(t testing.TB, c Compression, magic byte, b []byte) []byte {
	t.Helper()
	var out []byte
	var err error
	switch c {
	case Gzip:
		r, gerr := gzip.NewReader(bytes.NewReader(b))
		if gerr != nil {
			t.Fatal(gerr)
		}
		out, err = io.ReadAll(r)
	case Snappy:
		out, err = Decompress(nil, Snappy, b, 0)
	case LZ4:
		if magic == 0 {
			if b[6] != byte(xxh32(b[:6])>>8) {
				t.Fatal("format 0 needs the checksum of the whole header")
			}
			b = bytes.Clone(b)
			b[6] = byte(xxh32(b[4:6]) >> 8)
		}
		out, err = io.ReadAll(lz4.NewReader(bytes.NewReader(b)))
	}
	if err != nil {
		t.Fatalf("%v: %v", c, err)
	}
	return out
}

func TestXXH32(t *testing.T) {
	for text, want := range map[string]uint32{
		"": 0x02cc5d05, "a": 0x550d7456, "abc": 0x32d153ff,
		"Nobody inspects the spammish repetition": 0xe2293b2f,
	} {
		if got := xxh32([]byte(text)); got != want {
			t.Errorf("%q: %08x, want %08x", text, got, want)
		}
	}
}

// someMessages have null and empty parts.
func someMessages() []old {
	return []old{
		{offset: 0, time: 1000, key: []byte("k"), value: []byte("v")},
		{offset: 1, time: 900, value: bytes.Repeat([]byte("long "), 40000)},
		{offset: 2, time: 1100, key: []byte{}, value: []byte{}},
		{offset: 3, time: 1050, key: []byte("gone")},
	}
}

// asOld lists the records of the one batch in b.
func asOld(t testing.TB, b []byte) (out []old) {
	t.Helper()
	batch, rest, err := Next(b)
	if err != nil || len(rest) > 0 {
		t.Fatalf("no single batch: %v, %d bytes more", err, len(rest))
	}
	if err := batch.Validate(Checks{Mode: ModeRecords}); err != nil {
		t.Fatal(err)
	}
	var it Iterator
	defer it.Close()
	if err := it.Reset(batch, 0); err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		r := &it.Record
		out = append(out, old{offset: r.Offset, time: r.Timestamp, key: clone(r.Key), value: clone(r.Value)})
	}
	return out
}

func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}

func withoutTime(ms []old) []old {
	for i := range ms {
		ms[i].time = NoTimestamp
	}
	return ms
}

// TestUpConvert: what another implementation wrote comes out of the batch.
func TestUpConvert(t *testing.T) {
	for magic := range int8(2) {
		want := someMessages()
		if magic == 0 {
			want = withoutTime(want)
		}
		sets := map[Compression][]byte{None: kmsgSet(magic, someMessages()...)}
		for _, c := range []Compression{Gzip, Snappy, LZ4} {
			sets[c] = wrapper(t, c, magic, someMessages()...)
		}
		for c, set := range sets {
			for cutAt, tail := range map[string][]byte{"": nil, "cut": set[:20], "cut size": set[:9]} {
				out, n, err := UpConvert([]byte("before"), append(bytes.Clone(set), tail...), Levels{}, 0)
				if err != nil || n != len(want) || string(out[:6]) != "before" {
					t.Fatalf("format %d, %v, %s: %d records, %v", magic, c, cutAt, n, err)
				}
				if got := asOld(t, out[6:]); !reflect.DeepEqual(got, want) {
					t.Errorf("format %d, %v, %s: got %.200v", magic, c, cutAt, got)
				}
				if b := Batch(out[6:]); b.Compression() != c || b.HasProducerID() {
					t.Errorf("format %d: codec %v, want %v", magic, b.Compression(), c)
				}
			}
		}
	}
}

func TestUpConvertRefuses(t *testing.T) {
	one := old{value: []byte("v"), time: 5}
	good := kmsgMessage(1, one)
	garbled := bytes.Clone(good)
	garbled[len(garbled)-1] ^= 1
	inner := bytes.Clone(good)
	inner[len(inner)-1] ^= 1
	wrap := func(c Compression, set []byte) []byte {
		return kmsgMessage(1, old{attributes: int8(c), value: squeeze(t, c, 1, set)})
	}
	small := bytes.Clone(good)
	binary.BigEndian.PutUint32(small[8:], 13)
	lengths := bytes.Clone(good)
	binary.BigEndian.PutUint32(lengths[30:], 2)
	future := bytes.Clone(good)
	future[16] = 3
	badLZ4 := squeeze(t, LZ4, 0, kmsgSet(1, one)) // format 1 wants the right checksum
	cases := []struct {
		name  string
		set   []byte
		limit int
		err   error
	}{
		{"checksum", garbled, 0, ErrCorruptBatch},
		{"checksum of the second", append(bytes.Clone(good), garbled...), 0, ErrCorruptBatch},
		{"checksum inside", wrap(Gzip, inner), 0, ErrCorruptBatch},
		{"size", small, 0, ErrCorruptBatch},
		{"magic", future, 0, ErrCorruptBatch},
		{"lengths", seal(lengths), 0, ErrInvalidRecord},
		{"nested", wrap(Gzip, wrap(Snappy, good)), 0, ErrInvalidRecord},
		{"format 0 in 1", wrap(Gzip, kmsgMessage(0, one)), 0, ErrInvalidRecord},
		{"batch inside", wrap(Gzip, batchOf(t, NewOptions(), []old{one})), 0, ErrInvalidRecord},
		{"cut inside", wrap(Gzip, good[:len(good)-1]), 0, ErrInvalidRecord},
		{"nothing inside", wrap(Gzip, nil), 0, ErrInvalidRecord},
		{"null inside", kmsgMessage(1, old{attributes: 1}), 0, ErrInvalidRecord},
		{"garbage inside", kmsgMessage(0, old{attributes: 1, value: []byte("?")}), 0, ErrCorruptBatch},
		{"LogAppendTime", kmsgMessage(1, old{attributes: 8}), 0, ErrInvalidTimestamp},
		{"zstd", kmsgMessage(1, old{attributes: 4, value: []byte("?")}), 0, ErrInvalidRecord},
		{"format 0 behind 1", append(bytes.Clone(good), kmsgMessage(0, one)...), 0, ErrInvalidRecord},
		{"plain behind a wrapper", append(wrap(Gzip, good), good...), 0, ErrInvalidRecord},
		{"wrapper behind a plain one", append(bytes.Clone(good), wrap(Gzip, good)...), 0, ErrInvalidRecord},
		{"two wrappers", append(wrap(Gzip, good), wrap(Gzip, good)...), 0, ErrInvalidRecord},
		{"batch behind", append(bytes.Clone(good), batchOf(t, NewOptions(), []old{one})...), 0, ErrInvalidRecord},
		{"offset of the wrapper", kmsgMessage(1, old{offset: 1, attributes: 1, value: squeeze(t, Gzip, 1, kmsgSet(1, old{}, old{offset: 2}))}), 0, ErrInvalidRecord},
		{"negative time", kmsgMessage(1, old{time: -2}), 0, ErrInvalidTimestamp},
		{"codec 7", kmsgMessage(0, old{attributes: 7, value: []byte("?")}), 0, ErrUnsupportedCompression},
		{"LZ4 of format 0 in 1", kmsgMessage(1, old{attributes: 3, value: badLZ4}), 0, ErrCorruptBatch},
		{"too large", wrap(Gzip, kmsgMessage(1, old{value: make([]byte, 9000)})), 9000, ErrTooLarge},
	}
	for _, tc := range cases {
		out, n, err := UpConvert([]byte("x"), tc.set, Levels{}, tc.limit)
		if !errors.Is(err, tc.err) || n != 0 || string(out) != "x" {
			t.Errorf("%s: %v, want %v; %d records, %d bytes", tc.name, err, tc.err, n, len(out))
		}
	}
	for size := range len(good) {
		if out, n, err := UpConvert(nil, good[:size], Levels{}, 0); err != nil || n != 0 || out != nil {
			t.Errorf("message cut at %d: %d records, %v", size, n, err)
		}
	}
}

// batchOf builds a batch with the messages' keys, values and times.
func batchOf(t testing.TB, opts BuilderOptions, messages []old) Batch {
	t.Helper()
	var w Builder
	w.Reset(opts)
	for _, m := range messages {
		w.Append(m.time, m.key, m.value, Header{Key: []byte("h"), Value: []byte("dropped")})
	}
	b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDownConvert: another implementation reads what comes out.
func TestDownConvert(t *testing.T) {
	for magic := range int8(2) {
		for _, c := range []Compression{None, Gzip, Snappy, LZ4} {
			for _, base := range []int64{0, 1 << 40} {
				opts := NewOptions()
				opts.BaseOffset, opts.Compression = base, c
				opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = 7, 1, 0, true
				b := batchOf(t, opts, someMessages())
				want := someMessages()
				for i := range want {
					want[i].offset += base
				}
				if magic == 0 {
					want = withoutTime(want)
				}
				d := Down{Magic: magic, MaxBytes: 1 << 30}
				out, n, err := d.Convert([]byte("before"), b)
				d.Close()
				if err != nil || n != 4 || string(out[:6]) != "before" {
					t.Fatalf("format %d, %v: %d records, %v", magic, c, n, err)
				}
				if got := readOld(t, out[6:]); !reflect.DeepEqual(got, want) {
					t.Errorf("format %d, %v, base %d: got %.300v", magic, c, base, got)
				}
			}
		}
	}
}

// TestDownConvertLogAppendTime: format 1 says so and carries the broker's time.
func TestDownConvertLogAppendTime(t *testing.T) {
	for _, c := range []Compression{None, Gzip} {
		opts := NewOptions()
		opts.Compression = c
		b := batchOf(t, opts, someMessages())
		b.SetMaxTimestamp(LogAppendTime, 5000)
		d := Down{Magic: 1, MaxBytes: 1 << 30}
		out, _, err := d.Convert(nil, b)
		d.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range readOld(t, out) {
			if m.time != 5000 || m.attributes != 8 {
				t.Errorf("%v: time %d, attributes %d", c, m.time, m.attributes)
			}
		}
	}
}

func TestDownConvertBounds(t *testing.T) {
	plain := batchOf(t, NewOptions(), someMessages())
	d := Down{Magic: 1, MaxBytes: 1 << 30, From: 2}
	defer d.Close()
	out, n, err := d.Convert(nil, plain)
	if got := readOld(t, out); err != nil || n != 2 || got[0].offset != 2 {
		t.Errorf("from 2: %d records, %v", n, err)
	}
	d.From, d.MaxBytes = 0, 1
	if out, n, err := d.Convert(nil, plain); err != nil || n != 1 || len(readOld(t, out)) != 1 {
		t.Errorf("one byte: %d records, %v; want the first message", n, err)
	}
	opts := NewOptions()
	opts.Compression = Zstd
	if _, _, err := d.Convert(nil, batchOf(t, opts, someMessages())); !errors.Is(err, ErrUnsupportedCompression) {
		t.Errorf("zstd: %v", err)
	}
	opts = NewOptions()
	opts.Control, opts.Transactional, opts.ProducerID, opts.ProducerEpoch = true, true, 1, 1
	if out, n, err := d.Convert(nil, batchOf(t, opts, someMessages()[:1])); err != nil || n != 0 || len(out) != 0 {
		t.Errorf("control batch: %d records, %v", n, err)
	}
	garbled := Batch(bytes.Clone(plain))
	garbled[len(garbled)-1] ^= 1
	if _, _, err := d.Convert(nil, garbled); !errors.Is(err, ErrCorruptBatch) {
		t.Errorf("garbled: %v", err)
	}
}

// Down and up again gives the same records, whatever they are.
func TestConversionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		magic := int8(rapid.IntRange(0, 1).Draw(t, "magic"))
		opts := NewOptions()
		opts.Compression = Compression(rapid.IntRange(0, 3).Draw(t, "codec"))
		var w Builder
		w.Reset(opts)
		var want []string
		for i := range rapid.IntRange(1, 20).Draw(t, "records") {
			ts := rapid.Int64Range(0, 1<<50).Draw(t, "time")
			key, value := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "key"), rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "value")
			if rapid.Bool().Draw(t, "null") {
				key, value = nil, nil
			}
			w.Append(ts, key, value)
			if magic == 0 {
				ts = NoTimestamp
			}
			want = append(want, fmt.Sprint(i, ts, key == nil, key, value == nil, value))
		}
		b, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		d := Down{Magic: magic, MaxBytes: 1 << 30}
		defer d.Close()
		set, n, err := d.Convert(nil, b)
		if err != nil || n != len(want) {
			t.Fatal(n, err)
		}
		back, n, err := UpConvert(nil, set, Levels{}, 0)
		if err != nil || n != len(want) {
			t.Fatal(n, err)
		}
		var it Iterator
		defer it.Close()
		if err := it.Reset(back, 0); err != nil {
			t.Fatal(err)
		}
		for i := 0; it.Next(); i++ {
			r := &it.Record
			if got := fmt.Sprint(r.Offset, r.Timestamp, r.Key == nil, r.Key, r.Value == nil, r.Value); got != want[i] {
				t.Fatalf("record %d: %s, want %s", i, got, want[i])
			}
		}
		if it.Err() != nil {
			t.Fatal(it.Err())
		}
	})
}

// FuzzUpConvert: any bytes are refused, or give one valid batch with the records
// that another implementation reads, which goes down and up again unchanged.
func FuzzUpConvert(f *testing.F) {
	for magic := range int8(2) {
		f.Add(kmsgSet(magic, old{value: []byte("v")}, old{key: []byte("k")}), true)
		for _, c := range []Compression{Gzip, Snappy, LZ4} {
			f.Add(wrapper(f, c, magic, old{value: []byte("v"), time: 3}, old{key: []byte("k"), time: 4, offset: 1}), true)
		}
	}
	f.Fuzz(func(t *testing.T, set []byte, sealed bool) {
		if sealed {
			set = sealAll(set)
		}
		out, n, err := UpConvert(nil, set, Levels{}, 1<<20)
		if err != nil || n == 0 {
			if len(out) > 0 {
				t.Fatal("bytes without records")
			}
			return
		}
		b := Batch(out)
		if err := b.Validate(Checks{Mode: ModeRecords}); err != nil || int(b.Count()) != n {
			t.Fatalf("%d records, batch: %v", n, err)
		}
		if m, _, _ := NextMessage(set); m.Compression() != LZ4 || m.Magic() != 0 { // readOld is strict about LZ4 of format 0
			if want := readOld(t, wholeMessages(set)); !reflect.DeepEqual(contents(asOld(t, out)), contents(want)) {
				t.Fatalf("got %.300v, want %.300v", asOld(t, out), want)
			}
		}
		d := Down{Magic: 1, MaxBytes: 1 << 30}
		defer d.Close()
		down, m, err := d.Convert(nil, b)
		if err != nil || m != n {
			t.Fatal(m, err)
		}
		again, m, err := UpConvert(nil, down, Levels{}, 4<<20)
		if err != nil || m != n || !reflect.DeepEqual(asOld(t, again), asOld(t, out)) {
			t.Fatal(m, err)
		}
	})
}

// wholeMessages leaves out a partial message at the end.
func wholeMessages(set []byte) []byte {
	for rest := set; ; {
		m, next, err := NextMessage(rest)
		if m == nil || err != nil {
			return set[:len(set)-len(rest)]
		}
		rest = next
	}
}

// sealAll gives whole messages the checksum that they should have.
func sealAll(set []byte) []byte {
	set = bytes.Clone(set)
	for rest := set; ; {
		m, next, err := NextMessage(rest)
		if m == nil || err != nil {
			return set
		}
		seal(m)
		rest = next
	}
}

// contents are times, keys and values.
func contents(ms []old) (out []string) {
	for _, m := range ms {
		out = append(out, fmt.Sprint(m.time, m.key == nil, m.key, m.value == nil, m.value))
	}
	return out
}

// FuzzDownConvert: any batch is refused or gives whole messages, in which another
// implementation finds the batch's records.
func FuzzDownConvert(f *testing.F) {
	for _, c := range []Compression{None, Gzip, Snappy, LZ4, Zstd} {
		opts := NewOptions()
		opts.Compression = c
		f.Add([]byte(batchOf(f, opts, someMessages()[:1])), int8(c%2))
	}
	f.Fuzz(func(t *testing.T, data []byte, magic int8) {
		b := Batch(data)
		if len(b) >= HeaderSize {
			b.UpdateCRC()
		}
		d := Down{Magic: magic & 1, MaxBytes: 1 << 30, From: math.MinInt64, Limit: 1 << 20}
		defer d.Close()
		out, n, err := d.Convert(nil, b)
		if err != nil && len(out) > 0 {
			t.Fatal("bytes and an error")
		}
		if got := readOld(t, out); len(got) != n || n > 0 && !reflect.DeepEqual(contents(got), contents(stored(t, b, d.Magic))) {
			t.Fatalf("%d records: got %.300v, want %.300v", n, got, stored(t, b, d.Magic))
		}
	})
}

// stored lists the records of a batch as a format can tell them.
func stored(t testing.TB, b Batch, magic int8) (out []old) {
	t.Helper()
	var it Iterator
	defer it.Close()
	if err := it.Reset(b, 0); err != nil {
		t.Fatal(err)
	}
	for it.Next() {
		r := &it.Record
		out = append(out, old{time: r.Timestamp, key: clone(r.Key), value: clone(r.Value)})
	}
	if magic == 0 {
		out = withoutTime(out)
	}
	return out
}

func BenchmarkConvert(b *testing.B) {
	var w Builder
	w.Reset(NewOptions())
	for range 1000 {
		w.Append(1, nil, make([]byte, 100))
	}
	batch, err := w.Build(nil)
	if err != nil {
		b.Fatal(err)
	}
	d := Down{Magic: 1, MaxBytes: 1 << 30}
	defer d.Close()
	set, _, err := d.Convert(nil, batch)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("down", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(set)))
		var out []byte
		for b.Loop() {
			out, _, _ = d.Convert(out[:0], batch)
		}
	})
	b.Run("up", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(set)))
		var out []byte
		for b.Loop() {
			out, _, _ = UpConvert(out[:0], set, Levels{}, 0)
		}
	})
}
