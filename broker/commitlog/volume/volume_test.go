package volume

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/vfs"
)

// The first failure takes a directory off line; a full volume and a lack of files
// do not.
func TestHealth(t *testing.T) {
	told := 0
	h := NewHealth("/d", func(dir string, err error) {
		if told++; dir != "/d" || !errors.Is(err, ErrStorage) {
			t.Errorf("told %s, %v", dir, err)
		}
	})
	for cause, full := range map[error]bool{syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EMFILE: false, syscall.ENFILE: false} {
		err := h.FailUnlessFull("write", fmt.Errorf("wrapped: %w", cause))
		if !errors.Is(err, ErrStorage) || !errors.Is(err, cause) || errors.Is(err, ErrNoSpace) != full || h.Err() != nil {
			t.Errorf("%v: %v, off line: %v", cause, err, h.Err())
		}
	}
	first := h.FailUnlessFull("write", syscall.EIO)
	second := h.Fail("sync", first)
	if !errors.Is(first, syscall.EIO) || !errors.Is(second, syscall.EIO) || h.Err() != first || told != 1 {
		t.Errorf("%v, then %v; off line: %v, told %d times", first, second, h.Err(), told)
	}
}

// The reserve goes when the volume is full and comes back with the space.
func TestReserve(t *testing.T) {
	mem := vfs.NewMem()
	mem.SetCapacity(1 << 20)
	if err := mem.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	full := 0
	s := NewReserve(mem, "/d", 128<<10, slog.New(slog.DiscardHandler), func() { full++ })
	s.Open()
	if info, err := mem.Stat("/d/" + ReserveFile); err != nil || info.Size() != 128<<10 || s.Err() != nil {
		t.Fatalf("%v, %v, %v", info, err, s.Err())
	}
	usage, err := mem.Usage("/d")
	if err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(mem, "/d/x", make([]byte, usage.Free-100), 0o644); err != nil {
		t.Fatal(err)
	}
	h := NewHealth("/d", nil)
	h.Reserve = s
	if err := h.ReplaceFile(mem, "/d/small", make([]byte, 1000)); err != nil {
		t.Errorf("a small file on a full volume: %v", err)
	}
	if _, err := mem.Stat("/d/" + ReserveFile); err == nil || !errors.Is(s.Err(), ErrNoSpace) || full != 1 {
		t.Errorf("the reserve is there: %v, %v, told %d times", err == nil, s.Err(), full)
	}
	s.Watch()
	if s.Err() == nil {
		t.Error("records are taken without space")
	}
	if err := mem.Remove("/d/x"); err != nil {
		t.Fatal(err)
	}
	s.Watch()
	if _, err := mem.Stat("/d/" + ReserveFile); err != nil || s.Err() != nil {
		t.Errorf("with space again: %v, %v", err, s.Err())
	}
	var none *Reserve
	none.Watch()
	if none.Err() != nil {
		t.Error("no reserve, and no records are taken")
	}
}
