package vfs

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestConformance runs one story on both implementations.
func TestConformance(t *testing.T) {
	for name, fsys := range map[string]FS{"os": OS{}, "mem": NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a", "b")
			if err := fsys.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "f")
			if _, err := fsys.OpenFile(file, os.O_RDWR, 0); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("missing file: %v", err)
			}
			if err := WriteFile(fsys, file, []byte("hello"), 0o644); err != nil {
				t.Fatal(err)
			}
			f, err := fsys.OpenFile(file, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("world"), 7); err != nil {
				t.Fatal(err)
			}
			for _, step := range []func() error{f.Datasync, f.Sync, func() error { return f.Preallocate(0, 1<<16) }, func() error { return f.Truncate(9) }} {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			if size, err := f.Size(); size != 9 || err != nil {
				t.Fatalf("size %d, %v", size, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if err := fsys.Rename(file, file+"2"); err != nil {
				t.Fatal(err)
			}
			if err := fsys.SyncDir(dir); err != nil {
				t.Fatal(err)
			}
			if data, err := ReadFile(fsys, file+"2", 100); err != nil || !bytes.Equal(data, []byte("hello\x00\x00wo")) {
				t.Fatalf("%q, %v", data, err)
			}
			if _, err := ReadFile(fsys, file+"2", 3); err == nil {
				t.Fatal("a file beyond the limit is read")
			}
			if entries, err := fsys.ReadDir(dir); err != nil || len(entries) != 1 || entries[0].Name() != "f2" {
				t.Fatalf("%v, %v", entries, err)
			}
			lock, err := fsys.Lock(filepath.Join(dir, ".lock"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fsys.Lock(filepath.Join(dir, ".lock")); !errors.Is(err, ErrLocked) {
				t.Fatalf("second lock: %v", err)
			}
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
			if err := fsys.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := fsys.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("removed folder: %v", err)
			}
		})
	}
}

func TestCrashKeepsWhatWasSynced(t *testing.T) {
	lostName, lostBytes, keptBytes := false, false, false
	for seed := range uint64(100) {
		m := NewMem()
		if err := errors.Join(m.MkdirAll("/d", 0), m.SyncDir("/"), WriteFile(m, "/d/a", []byte("synced"), 0), m.SyncDir("/d")); err != nil {
			t.Fatal(err)
		}
		f, _ := m.OpenFile("/d/a", os.O_RDWR, 0)
		_, _ = f.WriteAt([]byte(" and not"), 6)
		_ = WriteFile(m, "/d/b", []byte("x"), 0)
		c := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		data, err := ReadFile(c, "/d/a", 100)
		if err != nil || !bytes.HasPrefix(data, []byte("synced")) {
			t.Fatalf("seed %d: %q, %v", seed, data, err)
		}
		lostBytes = lostBytes || len(data) == 6
		keptBytes = keptBytes || string(data) == "synced and not"
		_, err = c.Stat("/d/b")
		lostName = lostName || err != nil
	}
	if !lostName || !lostBytes || !keptBytes {
		t.Errorf("crashes are too tame: name lost %v, bytes lost %v, kept %v", lostName, lostBytes, keptBytes)
	}
}

func TestFaults(t *testing.T) {
	m := NewMem()
	m.Inject(&Rule{Op: OpWrite, Glob: "*.log", Skip: 1, Times: 1, Err: syscall.ENOSPC, Short: 2})
	f, err := m.OpenFile("/a.log", os.O_RDWR|os.O_CREATE, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, syscall.ENOSPC, nil} {
		n, err := f.WriteAt([]byte("abcd"), int64(i*4))
		if !errors.Is(err, want) || (want != nil) != (n == 2) {
			t.Errorf("write %d: %d, %v", i, n, err)
		}
	}
	m.Heal()
	m.SetCapacity(m.Used() + 1)
	if n, err := f.WriteAt([]byte("xyz"), 12); n != 1 || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full: %d, %v", n, err)
	}
}
