package swap

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// batch gives one record at an offset.
func batch(t *testing.T, offset int64) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(record.NewOptions())
	b.Append(0, nil, []byte("v"))
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	record.Batch(out).SetBaseOffset(offset)
	return out
}

func TestFinish(t *testing.T) {
	const a, b, c = "00000000000000000000", "00000000000000000010", "00000000000000000020"
	for _, tt := range []struct {
		name        string
		files, want string // logs hold the record at their base + 5
		changed     bool
	}{
		{"nothing to do", a + ".log " + b + ".log", a + ".log " + b + ".log", false},
		{"being written", a + ".log " + b + ".log " + a + ".log.cleaned", a + ".log " + b + ".log", true},
		{"one of two is renamed", a + ".log " + b + ".log " + a + ".log.cleaned " + b + ".log.swap", a + ".log " + b + ".log", true},
		{"an index is not renamed", a + ".log " + a + ".log.swap " + a + ".index.cleaned", a + ".log", true},
		{"all are renamed", a + ".log " + a + ".index " + b + ".log " + a + ".log.swap " + a + ".index.swap " + b + ".log.swap", a + ".index " + a + ".log " + b + ".log", true},
		{"the old ones are gone", a + ".log.swap " + b + ".log", a + ".log " + b + ".log", true},
		{"what is not covered stays", a + ".log " + a + ".snapshot " + c + ".log " + a + ".log.swap " + b + ".log.swap", a + ".log " + a + ".snapshot " + b + ".log " + c + ".log", true},
	} {
		mem := vfs.NewMem()
		if err := mem.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		for name := range strings.FieldsSeq(tt.files) {
			base := map[string]int64{a: 0, b: 10, c: 20}[name[:20]]
			if err := vfs.WriteFile(mem, "/d/"+name, batch(t, base+5), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := mem.ReadDir("/d")
		if err != nil {
			t.Fatal(err)
		}
		changed, err := Finish(mem, "/d", entries, record.TopicPartition{}, slog.New(slog.DiscardHandler))
		if err != nil || changed != tt.changed {
			t.Errorf("%s: %v, %v", tt.name, changed, err)
		}
		if entries, err = mem.ReadDir("/d"); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range entries {
			got = append(got, e.Name())
		}
		if slices.Sort(got); strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}
