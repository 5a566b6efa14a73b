package commitlog

import (
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// countingFS counts the log files that are open, and refuses more than limit.
type countingFS struct {
	vfs.FS
	open  atomic.Int64
	limit atomic.Int64 // 0: none
}

type countedFile struct {
	vfs.File
	fs *countingFS
}

func (c *countingFS) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	if filepath.Ext(name) != format.LogSuffix {
		return c.FS.OpenFile(name, flag, perm)
	}
	if n := c.open.Add(1); c.limit.Load() > 0 && n > c.limit.Load() {
		c.open.Add(-1)
		return nil, &fs.PathError{Op: "open", Path: name, Err: syscall.EMFILE}
	}
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		c.open.Add(-1)
		return nil, err
	}
	return &countedFile{f, c}, nil
}

func (f *countedFile) Close() error {
	f.fs.open.Add(-1)
	return f.File.Close()
}

// openCounting opens a manager that keeps keep files open.
func openCounting(t testing.TB, keep int) (*countingFS, *Manager) {
	t.Helper()
	fsys := &countingFS{FS: vfs.NewMem()}
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fsys, FileLimit: keep * logfile.Share}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(-1); err != nil {
			t.Error(err)
		}
		if n := fsys.open.Load(); n != 0 {
			t.Errorf("%d log files are still open", n)
		}
	})
	return fsys, m
}

// manySegments creates a log of n segments with one batch each.
func manySegments(t testing.TB, m *Manager, partition int32, n int) *Log {
	t.Helper()
	cfg := DefaultConfig()
	cfg.SegmentBytes = 300
	l, err := m.GetOrCreate(record.TopicPartition{Topic: "many", Partition: partition}, [16]byte{1}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		mustAppend(t, l, plain(t, strings.Repeat("v", 200), strconv.Itoa(i)), OriginClient)
	}
	if got := len(*l.segments.Load()); got != n {
		t.Fatalf("%d segments, want %d", got, n)
	}
	return l
}

// readSegments reads every batch of a log that manySegments made.
func readSegments(t testing.TB, l *Log) {
	t.Helper()
	for offset := int64(0); offset < l.EndOffset(); offset += 2 {
		s, err := l.Read(offset, 1000, true, l.EndOffset())
		if err != nil || s.FirstOffset() != offset {
			t.Errorf("read at %d: %d, %v", offset, s.FirstOffset(), err)
			return
		}
		got, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Errorf("read at %d: %v", offset, err)
			return
		}
		if err := record.Batch(got).CheckCRC(); err != nil || record.Batch(got).BaseOffset() != offset {
			t.Errorf("read at %d: batch %d, %v", offset, record.Batch(got).BaseOffset(), err)
			return
		}
	}
}

func TestOpenFilesAreBounded(t *testing.T) {
	fsys, m := openCounting(t, 10)
	l := manySegments(t, m, 0, 40)
	if n := fsys.open.Load(); n != 40 {
		t.Fatalf("%d files are open before anything is synced, want all 40", n)
	}
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	readSegments(t, l)
	mustAppend(t, l, plain(t, strings.Repeat("v", 200), "x"), OriginClient) // opens a file
	if n, counted := fsys.open.Load(), int64(m.open.Count()); n > 10 || n != counted {
		t.Fatalf("%d files are open and %d counted, want at most 10", n, counted)
	}
	readSegments(t, l)
	if n := fsys.open.Load(); n > 10 {
		t.Fatalf("%d files are open after reading, want at most 10", n)
	}
}

func TestSliceOutlivesItsFilesPlace(t *testing.T) {
	fsys, m := openCounting(t, 2)
	l := manySegments(t, m, 0, 20)
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	s, err := l.Read(0, 1000, true, l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		readSegments(t, l)
	}
	got, err := s.Bytes(nil)
	if err != nil || record.Batch(got).CheckCRC() != nil {
		t.Fatal(err)
	}
	s.Release()
	readSegments(t, l)
	if n := fsys.open.Load(); n > 2 {
		t.Fatalf("%d files are open, want at most 2", n)
	}
}

// TestOutOfFiles: a refusal of the system makes room, and where there is none it
// is an error of the one request, not the end of the directory.
func TestOutOfFiles(t *testing.T) {
	fsys, m := openCounting(t, 1000)
	l := manySegments(t, m, 0, 20)
	fsys.limit.Store(20)
	big := plain(t, strings.Repeat("v", 200))
	if _, err := l.AppendAsLeader(big, 0, AppendOptions{Now: testNow.UnixMilli()}); err == nil {
		t.Fatal("a file was opened above the limit")
	}
	if err := l.usable(); err != nil {
		t.Fatalf("the directory is off line: %v", err)
	}
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, big, OriginClient)
	other := manySegments(t, m, 1, 5)
	readSegments(t, other)
	if n := fsys.open.Load(); n > 20 {
		t.Fatalf("%d files are open, want at most 20", n)
	}
}

// TestOpenFilesConcurrently runs readers, a writer and syncs over a few files;
// the race detector and the count of open files at the end are the judges.
func TestOpenFilesConcurrently(t *testing.T) {
	_, m := openCounting(t, 3)
	var logs []*Log
	for p := range int32(4) {
		logs = append(logs, manySegments(t, m, p, 10))
	}
	var wg sync.WaitGroup
	for _, l := range logs {
		wg.Go(func() {
			for i := range 100 {
				mustAppend(t, l, plain(t, strings.Repeat("v", 200), strconv.Itoa(i)), OriginClient)
			}
		})
		wg.Go(func() {
			for range 30 {
				readSegments(t, l)
				if err := l.Sync(l.EndOffset()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, l := range logs {
		if err := l.Sync(l.EndOffset()); err != nil {
			t.Fatal(err)
		}
		readSegments(t, l)
	}
	if n := m.open.Count(); n > 3 {
		t.Fatalf("%d files are open, want at most 3", n)
	}
}
