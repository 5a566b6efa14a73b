package commitlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

func idempotent(t testing.TB, pid int64, epoch int16, seq int32, n int) []byte {
	opts := record.NewOptions()
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = pid, epoch, seq
	values := make([]string, n)
	return makeBatch(t, opts, testNow.UnixMilli(), values...)
}

// TestProducerSequences tells the rules of idempotent producers as a story.
func TestProducerSequences(t *testing.T) {
	_, l := openTest(t, vfs.NewMem(), DefaultConfig())
	steps := []struct {
		name  string
		pid   int64
		epoch int16
		seq   int32
		n     int
		want  error
		at    int64 // first offset, also of a duplicate
		dup   bool
	}{
		{"unknown producer begins anywhere", 1, 0, 10, 2, nil, 0, false},
		{"next", 1, 0, 12, 1, nil, 2, false},
		{"next", 1, 0, 13, 3, nil, 3, false},
		{"next", 1, 0, 16, 1, nil, 6, false},
		{"next", 1, 0, 17, 1, nil, 7, false},
		{"fifth last is a duplicate", 1, 0, 10, 2, nil, 0, true},
		{"last is a duplicate", 1, 0, 17, 1, nil, 7, true},
		{"gap", 1, 0, 19, 1, ErrOutOfOrderSequence, 0, false},
		{"next", 1, 0, 18, 1, nil, 8, false},
		{"sixth last is forgotten", 1, 0, 10, 2, ErrOutOfOrderSequence, 0, false},
		{"same start, other length", 1, 0, 18, 2, ErrOutOfOrderSequence, 0, false},
		{"new epoch must begin at 0", 1, 1, 19, 1, ErrOutOfOrderSequence, 0, false},
		{"new epoch", 1, 1, 0, 1, nil, 9, false},
		{"old epoch is fenced", 1, 0, 19, 1, ErrInvalidProducerEpoch, 0, false},
		{"wrap begins", 2, 0, math.MaxInt32 - 1, 2, nil, 10, false},
		{"wrap to 0", 2, 0, 0, 1, nil, 12, false},
		{"across the wrap", 3, 0, math.MaxInt32, 3, nil, 13, false},
		{"after the wrap", 3, 0, 2, 1, nil, 16, false},
		{"duplicate across the wrap", 3, 0, math.MaxInt32, 3, nil, 13, true},
	}
	for i, s := range steps {
		info, err := l.AppendAsLeader(idempotent(t, s.pid, s.epoch, s.seq, s.n), 0, AppendOptions{Now: testNow.UnixMilli()})
		if !errors.Is(err, s.want) {
			t.Fatalf("step %d (%s): %v, want %v", i, s.name, err, s.want)
		}
		if err == nil && (info.FirstOffset != s.at || info.Duplicate != s.dup) {
			t.Fatalf("step %d (%s): %+v", i, s.name, info)
		}
		if s.dup && info.LogAppendTime != testNow.UnixMilli() {
			t.Fatalf("step %d: a duplicate answers with time %d", i, info.LogAppendTime)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxMessageBytes, cfg.SegmentBytes = 400, 300
	_, l := openTest(t, vfs.NewMem(), cfg)
	marker, _ := record.AppendMarker(nil, 1, 0, 1, record.Marker{})
	stamped := record.Batch(plain(t, "x"))
	stamped.SetMaxTimestamp(record.LogAppendTime, 1)
	future := makeBatch(t, record.NewOptions(), testNow.Add(2*time.Hour).UnixMilli(), "x")
	tests := []struct {
		name  string
		batch []byte
		want  error
	}{
		{"nothing", nil, ErrInvalidRecord},
		{"two batches", append(plain(t, "a"), plain(t, "b")...), ErrInvalidRecord},
		{"cut", plain(t, "a")[:65], ErrCorruptBatch},
		{"marker from a client", marker, ErrInvalidRecord},
		{"too large", plain(t, strings.Repeat("x", 500)), ErrMessageTooLarge},
		{"larger than a segment", plain(t, strings.Repeat("x", 250)), ErrRecordListTooLarge},
		{"producer sets LogAppendTime", stamped, ErrInvalidTimestamp},
		{"future", future, ErrInvalidTimestamp},
		{"no sequence", idempotent(t, 1, 0, -1, 1), ErrInvalidRecord},
	}
	for _, tt := range tests {
		if _, err := l.AppendAsLeader(tt.batch, 0, AppendOptions{Now: testNow.UnixMilli()}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if l.EndOffset() != 0 {
		t.Errorf("a refused batch moved the end to %d", l.EndOffset())
	}
}

func TestLogAppendTimeAndCompressionType(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TimestampType, cfg.KeepCompression, cfg.Compression = record.LogAppendTime, false, record.Zstd
	_, l := openTest(t, vfs.NewMem(), cfg)
	info := mustAppend(t, l, makeBatch(t, record.NewOptions(), 5, "a", "b"), OriginClient)
	if info.LogAppendTime != testNow.UnixMilli() {
		t.Fatalf("append time %d", info.LogAppendTime)
	}
	b := readAll(t, l)[0]
	if b.Compression() != record.Zstd || b.MaxTimestamp() != testNow.UnixMilli() || b.Validate(record.Checks{Mode: record.ModeRecords}) != nil {
		t.Fatalf("stored %v at %d", b.Compression(), b.MaxTimestamp())
	}
}

func readAll(t testing.TB, l *Log) []record.Batch {
	t.Helper()
	var out []record.Batch
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		s, err := l.Read(offset, 1, true, l.EndOffset())
		if err != nil || s.Size() == 0 {
			t.Fatalf("read %d: %d bytes, %v", offset, s.Size(), err)
		}
		data, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			t.Fatal(err)
		}
		b, _, err := record.Next(data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
		offset = b.LastOffset() + 1
	}
	return out
}

func TestReadBounds(t *testing.T) {
	_, l := openTest(t, vfs.NewMem(), DefaultConfig())
	for range 3 {
		mustAppend(t, l, plain(t, "a", "b"), OriginClient) // [0,1] [2,3] [4,5]
	}
	size := len(plain(t, "a", "b"))
	tests := []struct {
		offset  int64
		max     int
		minOne  bool
		limit   int64
		want    int
		wantErr error
	}{
		{0, 1 << 20, true, 6, 3 * size, nil},
		{1, 1 << 20, true, 6, 3 * size, nil}, // whole first batch
		{2, 1 << 20, true, 4, size, nil},
		{0, 1 << 20, true, 3, size, nil}, // a batch across the limit is kept out
		{0, 1, true, 6, size, nil},
		{0, 1, false, 6, 0, nil},
		{0, size + 10, true, 6, size + 10, nil},
		{6, 100, true, 6, 0, nil},
		{4, 100, true, 4, 0, nil},
		{7, 100, true, 6, 0, ErrOffsetOutOfRange},
		{-1, 100, true, 6, 0, ErrOffsetOutOfRange},
	}
	for i, tt := range tests {
		s, err := l.Read(tt.offset, tt.max, tt.minOne, tt.limit)
		if !errors.Is(err, tt.wantErr) || s.Size() != tt.want {
			t.Errorf("case %d: %d bytes, %v; want %d, %v", i, s.Size(), err, tt.want, tt.wantErr)
		}
		s.Release()
	}
}

func TestFullDiskKeepsTheLogReadable(t *testing.T) {
	fs := vfs.NewMem()
	_, l := openTest(t, fs, DefaultConfig())
	mustAppend(t, l, plain(t, "first"), OriginClient)
	fs.SetCapacity(fs.Used() + 30)
	for range 2 {
		_, err := l.AppendAsLeader(idempotent(t, 5, 0, 0, 4), 0, AppendOptions{Now: testNow.UnixMilli()})
		if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
			t.Fatalf("full disk: %v", err)
		}
	}
	if n := len(readAll(t, l)); n != 1 {
		t.Fatalf("%d batches readable", n)
	}
	fs.SetCapacity(0)
	info := mustAppend(t, l, idempotent(t, 5, 0, 0, 4), OriginClient)
	if info.FirstOffset != 1 || info.Duplicate || len(readAll(t, l)) != 2 {
		t.Fatalf("after space came back: %+v", info)
	}
}

func TestFailedSyncTakesTheDirectoryOffLine(t *testing.T) {
	fs := vfs.NewMem()
	failed := make(chan string, 1)
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/a", "/b"}, FS: fs, DirFailed: func(dir string, err error) { failed <- dir }}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string]*Log{}
	for i := range int32(2) {
		l, err := m.GetOrCreate(record.TopicPartition{Topic: "x", Partition: i}, [16]byte{}, DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, plain(t, "v"), OriginClient)
		logs[l.Dir()] = l
	}
	if len(logs) != 2 {
		t.Fatalf("both logs went to one directory")
	}
	fs.Inject(&vfs.Rule{Op: vfs.OpSync, Glob: "*.log", Times: 1, Err: syscall.EIO})
	if err := logs["/a"].Sync(1); !errors.Is(err, ErrStorage) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("sync: %v", err)
	}
	// The disk works again, but what it forgot is unknown: no second try.
	if err := logs["/a"].Sync(1); !errors.Is(err, ErrStorage) {
		t.Fatalf("second sync: %v", err)
	}
	if _, err := logs["/a"].AppendAsLeader(plain(t, "v"), 0, AppendOptions{Now: testNow.UnixMilli()}); !errors.Is(err, ErrStorage) {
		t.Fatalf("append: %v", err)
	}
	mustAppend(t, logs["/b"], plain(t, "v"), OriginClient)
	done := make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- m.Run(ctx) }()
	if dir := <-failed; dir != "/a" {
		t.Fatalf("%s failed", dir)
	}
	cancel()
	<-done
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Stat("/a/" + format.CleanShutdownFile); err == nil {
		t.Fatal("a failed directory is marked as closed in order")
	}
}

// TestEveryOperationFails runs one story with an error at each of its disk
// operations in turn: no panic, and what was acknowledged stays.
func TestEveryOperationFails(t *testing.T) {
	for _, cause := range []error{syscall.EIO, syscall.ENOSPC} {
		for skip := 0; ; skip++ {
			fs := vfs.NewMem()
			rule := &vfs.Rule{Skip: skip, Times: 1, Err: cause, Short: 40}
			fs.Inject(rule)
			acked, finished := failingStory(t, fs)
			fs.Heal()
			checkAcked(t, fs, acked, fmt.Sprintf("%v at operation %d", cause, skip))
			if finished && skip > 150 {
				break
			}
			if skip > 2000 {
				t.Fatal("the story never ends")
			}
		}
	}
}

func failingStory(t *testing.T, fs *vfs.Mem) (acked []int64, finished bool) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.FlushMessages = 400, 100, 1
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fs, Defaults: cfg}, nil, nil)
	if err != nil {
		return nil, false
	}
	defer func() { finished = m.Close(1) == nil && finished }()
	l, err := m.GetOrCreate(world0, [16]byte{1}, cfg)
	if err != nil {
		return nil, false
	}
	finished = true
	for i := range 8 {
		info, err := l.AppendAsLeader(idempotent(t, 9, 0, int32(i)*2, 2), 0, AppendOptions{Now: testNow.UnixMilli()})
		if err != nil {
			return acked, false
		}
		acked = append(acked, info.FirstOffset)
	}
	marker, _ := record.AppendMarker(nil, 9, 0, 5, record.Marker{})
	_, err = l.AppendAsLeader(marker, 0, AppendOptions{Origin: OriginCoordinator, Now: 5})
	return acked, err == nil
}

func checkAcked(t *testing.T, fs *vfs.Mem, acked []int64, what string) {
	t.Helper()
	for _, disk := range []*vfs.Mem{fs.Clone(), fs.Crash(rand.New(rand.NewPCG(1, 2)))} {
		_, l := openTest2(t, disk)
		for _, offset := range acked {
			s, err := l.Read(offset, 1, true, l.EndOffset())
			if err != nil || s.Size() == 0 {
				t.Fatalf("%s: acknowledged offset %d is lost: %v", what, offset, err)
			}
			s.Release()
		}
	}
}

func openTest2(t *testing.T, fs *vfs.Mem) (*Manager, *Log) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 400, 100
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fs, Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(world0, [16]byte{}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

// TestDamageAtEveryByte cuts and garbles a log at each byte of its last batches.
func TestDamageAtEveryByte(t *testing.T) {
	fs := vfs.NewMem()
	m, l := openTest(t, fs, DefaultConfig())
	var ends []int64 // file size after each batch
	for i := range 6 {
		mustAppend(t, l, plain(t, fmt.Sprint("value ", i), "x"), OriginClient)
		ends = append(ends, l.Size())
	}
	name := filepath.Join(l.Path(), format.FileName(0, format.LogSuffix))
	if err := m.abandon(); err != nil {
		t.Fatal(err)
	}
	data, err := vfs.ReadFile(fs, name, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	intact := func(at int) int64 { // offset below which batches are whole
		n := int64(0)
		for _, end := range ends {
			if int64(at) >= end {
				n += 2
			}
		}
		return n
	}
	for at := int(ends[2]); at < len(data); at++ {
		garbled := bytes.Clone(data)
		garbled[at] ^= 0x10
		for what, content := range map[string][]byte{"cut": data[:at], "garbled": garbled} {
			disk := fs.Clone()
			if err := vfs.WriteFile(disk, name, content, 0o644); err != nil {
				t.Fatal(err)
			}
			m, l := openTest(t, disk, DefaultConfig())
			want := intact(at)
			// The leader epoch is outside the checksum and repairs nothing.
			if got := l.EndOffset(); got < want || got > want && what == "cut" {
				t.Fatalf("%s at byte %d: log ends at %d, want %d", what, at, got, want)
			}
			readAll(t, l)
			info := mustAppend(t, l, plain(t, "again"), OriginClient)
			if info.FirstOffset > want && what == "cut" {
				t.Fatalf("next offset %d", info.FirstOffset)
			}
			_ = m.abandon()
		}
	}
}

func TestSliceOverTCP(t *testing.T) {
	m, l := openOS(t, DefaultConfig())
	defer m.Close(1)
	for i := range 40 {
		mustAppend(t, l, plain(t, strings.Repeat(fmt.Sprint(i), 40000)), OriginClient)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s, err := l.Read(0, math.MaxInt32, true, l.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	want, err := s.Bytes(nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		got, err := io.ReadAll(conn)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("received %d of %d bytes, %v", len(got), len(want), err)
		}
	})
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// A segment that is deleted meanwhile stays readable.
	if err := l.Roll(testNow); err != nil {
		t.Fatal(err)
	}
	if n, err := l.DeleteSegments(l.EndOffset()); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := s.WriteTo(conn); err != nil || n != int64(len(want)) {
		t.Fatal(n, err)
	}
	var copied bytes.Buffer
	if n, err := s.WriteTo(&copied); err != nil || n != int64(len(want)) || !bytes.Equal(copied.Bytes(), want) {
		t.Fatal(n, err)
	}
	s.Release()
	s.Release()
	conn.Close()
	wg.Wait()
}

func TestTransactions(t *testing.T) {
	_, l := openTest(t, vfs.NewMem(), DefaultConfig())
	write := func(pid int64, seq int32) {
		opts := record.NewOptions()
		opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = pid, 0, seq, true
		mustAppend(t, l, makeBatch(t, opts, 1, "v"), OriginClient)
	}
	end := func(pid int64, typ record.MarkerType) {
		b, err := record.AppendMarker(nil, pid, 0, 1, record.Marker{Type: typ, CoordinatorEpoch: 1})
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, l, b, OriginCoordinator)
	}
	write(1, 0)          // 0
	write(2, 0)          // 1
	write(1, 1)          // 2
	end(2, record.Abort) // 3
	write(3, 0)          // 4
	if got := l.LastStableOffset(5); got != 0 {
		t.Fatalf("open transaction: stable to %d", got)
	}
	end(1, record.Commit) // 5
	if got := l.LastStableOffset(5); got != 0 {
		t.Fatalf("marker above the high watermark: stable to %d", got)
	}
	if got := l.LastStableOffset(6); got != 4 {
		t.Fatalf("stable to %d, want 4", got)
	}
	end(3, record.Abort) // 6
	if got := l.LastStableOffset(7); got != 7 {
		t.Fatalf("stable to %d, want 7", got)
	}
	aborted, err := l.AbortedTransactions(0, 7)
	if err != nil || len(aborted) != 2 || aborted[0] != (AbortedTxn{ProducerID: 2, FirstOffset: 1, LastOffset: 3}) || aborted[1] != (AbortedTxn{ProducerID: 3, FirstOffset: 4, LastOffset: 6, LastStableOffset: 7}) {
		t.Fatalf("aborted %+v, %v", aborted, err)
	}
	if aborted, _ := l.AbortedTransactions(4, 5); len(aborted) != 1 || aborted[0].ProducerID != 3 {
		t.Fatalf("aborted in [4,5): %+v", aborted)
	}
}

func TestTimestampLookup(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.TimestampAfterMaxMs = 500, 100, math.MaxInt64
	_, l := openTest(t, vfs.NewMem(), cfg)
	times := []int64{100, 50, 200, 150, 300, 250, 400, 120, 500, 450}
	for _, ts := range times {
		mustAppend(t, l, makeBatch(t, record.NewOptions(), ts, "value"), OriginClient)
	}
	for ts := int64(0); ts <= 510; ts += 10 {
		want := int64(-1)
		for i, have := range times {
			if have >= ts {
				want = int64(i)
				break
			}
		}
		got, found, err := l.OffsetForTimestamp(ts, l.EndOffset())
		if err != nil || found != (want >= 0) || found && got.Offset != want {
			t.Errorf("time %d: %+v %v %v, want %d", ts, got, found, err, want)
		}
	}
	if top, found, err := l.MaxTimestamp(); err != nil || !found || top.Offset != 8 || top.Timestamp != 500 {
		t.Errorf("largest: %+v %v %v", top, found, err)
	}
}

func TestFollowerKeepsOffsetsAndEpochs(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentBytes = 300
	_, leader := openTest(t, vfs.NewMem(), DefaultConfig())
	_, follower := openTest(t, vfs.NewMem(), cfg)
	for epoch := range int32(4) {
		if _, err := leader.AppendAsLeader(plain(t, "a", "b"), epoch, AppendOptions{Now: testNow.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := leader.Read(0, 1<<20, true, leader.EndOffset())
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Bytes(nil)
	s.Release()
	if err != nil {
		t.Fatal(err)
	}
	info, err := follower.AppendAsFollower(data[:len(data)-5]) // the last batch is cut
	if err != nil || info.LastOffset != 5 || follower.EndOffset() != 6 {
		t.Fatalf("%+v, %v", info, err)
	}
	if _, err := follower.AppendAsFollower(data); !errors.Is(err, ErrOffsetOutOfRange) {
		t.Fatalf("the same again: %v", err)
	}
	for epoch, want := range map[int32]int64{0: 2, 1: 4, 2: 6, 9: -1} {
		if _, end := follower.EpochEndOffset(epoch); end != want {
			t.Errorf("epoch %d ends at %d, want %d", epoch, end, want)
		}
	}
	if err := follower.TruncateTo(3); err != nil || follower.EndOffset() != 2 {
		t.Fatalf("end %d, %v", follower.EndOffset(), err)
	}
	if epoch, _ := follower.LatestEpoch(); epoch != 0 {
		t.Errorf("latest epoch %d after truncation", epoch)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	_, l := openTest(t, vfs.NewMem(), DefaultConfig())
	for range 100 {
		mustAppend(t, l, plain(t, strings.Repeat("x", 500)), OriginClient)
	}
	for _, offset := range []int64{0, 50, 99} {
		n := testing.AllocsPerRun(50, func() {
			s, err := l.Read(offset, 1000, true, 100)
			if err != nil {
				t.Fatal(err)
			}
			s.Release()
		})
		if n > 0 {
			t.Errorf("read at %d: %v allocations", offset, n)
		}
	}
	var p Prepared
	batch := plain(t, strings.Repeat("x", 500))
	n := testing.AllocsPerRun(50, func() {
		if err := l.Prepare(&p, batch, AppendOptions{Now: testNow.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	})
	if n > 0 {
		t.Errorf("prepare: %v allocations", n)
	}
}

// TestReadersRunBesideEverything reads while batches are appended, segments
// rolled and deleted, and the log is synced.
func TestReadersRunBesideEverything(t *testing.T) {
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 2000, 200
	m, l := openOS(t, cfg)
	const last = 2000
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for l.EndOffset() < last {
				from := max(l.StartOffset(), l.EndOffset()-20)
				s, err := l.Read(from, 500, true, l.EndOffset())
				if errors.Is(err, ErrOffsetOutOfRange) {
					continue // deleted meanwhile
				}
				if err != nil {
					t.Error(err)
					return
				}
				data, err := s.Bytes(nil)
				s.Release()
				if b, _, nerr := record.Next(data); err != nil || nerr == nil && b != nil && b.CheckCRC() != nil {
					t.Errorf("read at %d: %v", from, err)
					return
				}
				if _, _, err := l.OffsetForTimestamp(0, l.EndOffset()); err != nil && !errors.Is(err, ErrOffsetOutOfRange) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for l.EndOffset() < last {
			if _, err := l.DeleteSegments(l.EndOffset() - 100); err != nil {
				t.Error(err)
				return
			}
			if err := l.Sync(l.EndOffset()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for l.EndOffset() < last && !t.Failed() {
		mustAppend(t, l, plain(t, strings.Repeat("x", 50)), OriginClient)
	}
	wg.Wait()
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
}
