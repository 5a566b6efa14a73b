package record

import (
	"bytes"
	"testing"
)

// FuzzBuilder: whatever a batch is built of comes out of it again, with every
// codec.
func FuzzBuilder(f *testing.F) {
	f.Add([]byte("key"), []byte("value"), []byte("header"), int64(1_700_000_000_000), uint8(3))
	f.Add([]byte{}, []byte(nil), []byte(nil), int64(-1), uint8(200))
	f.Fuzz(func(t *testing.T, key, value, header []byte, ts int64, n uint8) {
		if ts < 0 || ts > 1<<52 || len(key)+len(value)+len(header) > 1<<14 {
			return
		}
		type entry struct {
			ts         int64
			key, value []byte
			headers    []Header
		}
		var in []entry
		for i := range int(n)%7 + 1 {
			e := entry{ts: ts + int64(i)*int64(n), key: key, value: value}
			if i%3 == 1 {
				e.key = nil
			}
			if i%3 == 2 {
				e.value, e.headers = nil, []Header{{Key: header, Value: value}, {Key: []byte("null")}}
			}
			in = append(in, e)
		}
		opts := NewOptions()
		opts.Compression = Compression(n % 5)
		var w Builder
		w.Reset(opts)
		for _, e := range in {
			w.Append(e.ts, e.key, e.value, e.headers...)
		}
		data, err := w.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		b := Batch(data)
		if err := b.Validate(Checks{Mode: ModeRecords}); err != nil {
			t.Fatalf("built and not valid: %v", err)
		}
		var it Iterator
		defer it.Close()
		if err := it.Reset(b, 0); err != nil {
			t.Fatal(err)
		}
		for i, e := range in {
			if !it.Next() {
				t.Fatalf("%d of %d records, %v", i, len(in), it.Err())
			}
			r := &it.Record
			headers, err := r.Headers(nil)
			if err != nil || r.Timestamp != e.ts || !same(r.Key, e.key) || !same(r.Value, e.value) || len(headers) != len(e.headers) {
				t.Fatalf("record %d is %+v, %v, want %+v", i, r, err, e)
			}
			for j, h := range headers {
				if !bytes.Equal(h.Key, e.headers[j].Key) || !same(h.Value, e.headers[j].Value) {
					t.Fatalf("header %d is %+v, want %+v", j, h, e.headers[j])
				}
			}
		}
		if it.Next() || it.Err() != nil {
			t.Fatalf("more than was built, or %v", it.Err())
		}
	})
}

// same also tells nil from empty.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }
