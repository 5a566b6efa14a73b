package api

import (
	"testing"

	"github.com/leatstream/leat/broker/record"
)

// FuzzRecords: whatever a client sends as records, it is refused, or what is
// taken is one whole batch at its start (whole batches, from old clients).
func FuzzRecords(f *testing.F) {
	var w record.Builder
	w.Reset(record.NewOptions())
	w.Append(1, []byte("k"), []byte("v"))
	good, err := w.Build(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(append([]byte(nil), good...), good[:20]...))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, version := range []int16{3, 13} {
			got, err := oneBatch(b, version)
			if err == nil && (len(got) < record.HeaderSize || len(got) > len(b) || record.Batch(got).Size() != len(got)) {
				t.Fatalf("version %d took %d of %d bytes", version, len(got), len(b))
			}
			if err != nil && got != nil {
				t.Fatal("records and an error")
			}
		}
		got, converted, err := oldRecords(b, record.Levels{})
		if err == nil && got != nil && !converted && len(got) > len(b) {
			t.Fatalf("took %d of %d bytes", len(got), len(b))
		}
		if converted && record.Batch(got).Validate(record.Checks{Mode: record.ModeRecords}) != nil {
			t.Fatal("old records became no valid batch")
		}
	})
}
