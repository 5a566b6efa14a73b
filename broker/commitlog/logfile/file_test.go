package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/vfs"
)

// disk opens files of a memory file system, as many as left says.
type disk struct {
	mem  *vfs.Mem
	left int
}

type entry struct {
	*disk
	name string
}

type opened struct {
	vfs.File
	disk *disk
}

func (e entry) OpenLog(flags int) (vfs.File, error) {
	if e.left == 0 {
		return nil, &fs.PathError{Op: "open", Path: e.name, Err: syscall.EMFILE}
	}
	f, err := e.mem.OpenFile(e.name, flags, 0o644)
	if err != nil {
		return nil, err
	}
	e.left--
	return opened{f, e.disk}, nil
}

func (o opened) Close() error {
	o.disk.left++
	return o.File.Close()
}

// files creates count files of one byte each, synced if clean.
func files(t *testing.T, d *disk, limit *Limit, count int, clean bool) []*File {
	t.Helper()
	out := make([]*File, count)
	for i := range out {
		out[i] = new(File)
		out[i].Init(entry{d, fmt.Sprint("/", i)}, limit)
		if err := out[i].Create(); err != nil {
			t.Fatal(err)
		}
		h, err := out[i].Acquire()
		if err != nil {
			t.Fatal(err)
		}
		out[i].Touch()
		if _, err := h.File.WriteAt([]byte{byte(i)}, 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Release(); err != nil {
			t.Fatal(err)
		}
		if clean {
			out[i].BeginSync()
			if err := out[i].Sync(); err != nil || out[i].Dirty() {
				t.Fatal(err, out[i].Dirty())
			}
		}
	}
	return out
}

func TestLimit(t *testing.T) {
	d := &disk{mem: vfs.NewMem(), left: 100}
	limit := NewLimit(3 * Share)
	dirty := files(t, d, limit, 5, false)
	if n := limit.Count(); n != 5 {
		t.Errorf("%d files are open before they are synced", n)
	}
	for _, f := range dirty {
		f.BeginSync()
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
	if n := limit.Count(); n > 3 || d.left != 100-n {
		t.Errorf("%d files are open after they were synced, %d can be opened", n, d.left)
	}
	for i, f := range dirty {
		h, err := f.Acquire()
		if err != nil {
			t.Fatal(err)
		}
		s := NewSlice(h, nil, 0, 1, 0, 1)
		if got, err := s.Bytes(nil); err != nil || len(got) != 1 || got[0] != byte(i) {
			t.Errorf("file %d: %v, %v", i, got, err)
		}
		s.Release()
		s.Release()
	}
	for _, f := range dirty {
		if err := errors.Join(f.Close(), f.Close()); err != nil || !f.Closed() {
			t.Error(err)
		}
		if _, err := f.Acquire(); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed file is opened: %v", err)
		}
		if err := f.Sync(); err != nil {
			t.Errorf("sync of a closed file: %v", err)
		}
	}
	if limit.Count() != 0 || d.left != 100 {
		t.Errorf("%d files are counted, %d can be opened", limit.Count(), d.left)
	}
}

// A refusal of the system makes room if a file can be closed.
func TestRefused(t *testing.T) {
	d := &disk{mem: vfs.NewMem(), left: 4}
	limit := NewLimit(1000)
	clean := files(t, d, limit, 2, true)
	dirty := files(t, d, limit, 2, false)
	more := files(t, d, limit, 2, false) // in the place of the clean ones
	var last File
	last.Init(entry{d, "/last"}, limit)
	if err := last.Create(); !errors.Is(err, syscall.EMFILE) {
		t.Errorf("opened beyond the limit: %v", err)
	}
	for _, f := range slices.Concat(clean, dirty, more) {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	if d.left != 4 {
		t.Errorf("%d files can be opened after all were closed, want 4", d.left)
	}
}
