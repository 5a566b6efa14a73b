package store

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/leatstream/leat/connect"
)

func TestOffsetsSurviveReopening(t *testing.T) {
	path, ctx := filepath.Join(t.TempDir(), "offsets.json"), context.Background()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]any{"file": "a", "n": int64(1)}
	want := map[string]any{"pos": int64(9007199254740993), "name": "x", "f": 1.5, "ok": true}
	set := func(offsets ...connect.SourceOffset) {
		t.Helper()
		if err := f.Set(ctx, "c", offsets); err != nil {
			t.Fatal(err)
		}
	}
	set(connect.SourceOffset{Partition: part, Offset: want}, connect.SourceOffset{Partition: map[string]any{"file": "b"}, Offset: want})
	set(connect.SourceOffset{Partition: map[string]any{"file": "b"}})
	for range 2 {
		got, err := f.Get(ctx, "c", part)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %v, %v", got, err)
		}
		if other, err := f.Get(ctx, "d", part); other != nil || err != nil {
			t.Errorf("another connector has %v, %v", other, err)
		}
		list, err := f.List(ctx, "c")
		if err != nil || len(list) != 1 || !reflect.DeepEqual(list[0].Partition, part) {
			t.Errorf("list is %v, %v", list, err)
		}
		if f, err = OpenFile(path); err != nil {
			t.Fatal(err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if len(left) > 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestAFailedSetChangesNothing(t *testing.T) {
	dir, ctx := t.TempDir(), context.Background()
	f, err := OpenFile(filepath.Join(dir, "sub", "offsets.json"))
	if err != nil {
		t.Fatal(err)
	}
	part := map[string]any{"p": "a"}
	if err := f.Set(ctx, "c", []connect.SourceOffset{{Partition: part, Offset: map[string]any{"n": 1}}}); err == nil {
		t.Error("the folder is missing, yet nothing failed")
	}
	if got, _ := f.Get(ctx, "c", part); got != nil {
		t.Errorf("an offset that was not stored is read: %v", got)
	}
	if err := f.Set(ctx, "c", []connect.SourceOffset{{Partition: map[string]any{"x": func() {}}, Offset: part}}); err == nil {
		t.Error("a partition that JSON cannot hold was taken")
	}
}

func TestCorruptFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "offsets.json")
	if err := os.WriteFile(path, []byte(`{"c":`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFile(path); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}
