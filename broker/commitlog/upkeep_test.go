package commitlog

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// running runs a manager's upkeep within a bubble until the test's end.
func running(t *testing.T, m *Manager) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	return func() {
		cancel()
		<-done
		if err := m.Close(-1); err != nil {
			t.Error(err)
		}
	}
}

// A log that gets nothing more is synced all the same, also as flush.ms changes.
func TestFlushMsOnIdleLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := DefaultConfig()
		cfg.FlushMs = 1000
		m, l := openTest(t, vfs.NewMem(), cfg)
		defer running(t, m)()
		add := func() {
			b := makeBatch(t, record.NewOptions(), time.Now().UnixMilli(), "v")
			if _, err := l.AppendAsLeader(b, 0, AppendOptions{Now: time.Now().UnixMilli()}); err != nil {
				t.Fatal(err)
			}
		}
		wait := func(what string, d time.Duration, want int64) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			if got := l.FlushedOffset(); got != want {
				t.Errorf("%s: synced up to %d, want %d", what, got, want)
			}
		}
		add()
		wait("before flush.ms", 900*time.Millisecond, 0)
		wait("after flush.ms", 1200*time.Millisecond, 1)

		cfg.FlushMs = math.MaxInt64
		m.Configure(l.tp.Topic, cfg)
		add()
		wait("without flush.ms", time.Hour/2, 1)
		if every := m.dirs[0].work.flushEvery.Load(); every != math.MaxInt64 {
			t.Errorf("the worker still looks every %d ms", every)
		}
		cfg.FlushMs = 50
		m.Configure(l.tp.Topic, cfg)
		wait("set again", 110*time.Millisecond, 2)

		copied := makeBatch(t, record.BuilderOptions{BaseOffset: 2, ProducerID: -1, ProducerEpoch: -1, BaseSequence: -1}, 5, "v")
		if _, err := l.AppendAsFollower(copied); err != nil {
			t.Fatal(err)
		}
		wait("a follower's record, before flush.ms", 10*time.Millisecond, 2)
		wait("a follower's record", 110*time.Millisecond, 3)
	})
}

// A follower fetches from its log's end: with flush.messages=1 that is synced.
func TestFollowerIsSyncedBeforeItFetchesOn(t *testing.T) {
	fs := vfs.NewMem()
	cfg := DefaultConfig()
	cfg.FlushMessages = 1
	m, l := openTest(t, fs, cfg)
	for offset := int64(0); offset < 6; offset += 2 {
		o := record.NewOptions()
		o.BaseOffset, o.LeaderEpoch = offset, 3
		if _, err := l.AppendAsFollower(makeBatch(t, o, testNow.UnixMilli(), "a", "b")); err != nil {
			t.Fatal(err)
		}
		if l.FlushedOffset() != l.EndOffset() {
			t.Errorf("the log ends at %d and is synced up to %d", l.EndOffset(), l.FlushedOffset())
		}
	}
	fs.Inject(&vfs.Rule{Op: vfs.OpSync, Glob: "*.log", Err: syscall.EIO})
	o := record.NewOptions()
	o.BaseOffset, o.LeaderEpoch = 6, 3
	if _, err := l.AppendAsFollower(makeBatch(t, o, testNow.UnixMilli(), "a")); !errors.Is(err, ErrStorage) {
		t.Errorf("copy whose sync failed: %v", err)
	}
	_ = m.Close(-1)
}

// Each sync that the upkeep of a directory makes, of logs, indexes, checkpoints
// and folders, fails in turn: the directory goes off line, nothing in it is
// synced or changed again, and the other directory goes on.
func TestEverySyncFailsOnce(t *testing.T) {
	for skip := range 200 {
		if !syncFails(t, skip) {
			if skip < 20 {
				t.Errorf("only %d syncs", skip)
			}
			return
		}
	}
	t.Fatal("the story never ends")
}

func syncFails(t *testing.T, skip int) (failed bool) {
	fs := vfs.NewMem()
	cfg := DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes, cfg.FlushMessages = 400, 100, 2
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/a", "/b"}, FS: fs, Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	logs := map[string]*Log{}
	for i := range int32(2) {
		l, err := m.GetOrCreate(record.TopicPartition{Topic: "x", Partition: i}, [16]byte{}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		logs[l.Dir()] = l
	}
	var seen, later atomic.Int32
	fs.Observe(func(c vfs.Call) {
		if !strings.HasPrefix(c.Name, "/a") {
			return
		}
		switch n := seen.Load(); {
		case n > int32(skip) && c.Op.Mutates():
			later.Add(1)
		case (c.Op == vfs.OpSync || c.Op == vfs.OpSyncDir) && seen.Add(1) == int32(skip)+1:
			fs.Inject(&vfs.Rule{Op: c.Op, Times: 1, Err: syscall.EIO})
		}
	})
	upkeep(t, m, logs["/a"])
	fs.Observe(nil)
	fs.Heal()
	failed = int(seen.Load()) > skip
	what := fmt.Sprintf("sync %d", skip)
	if failed != (logs["/a"].health.Err() != nil) {
		t.Errorf("%s: failed %v, the directory is off line: %v", what, failed, logs["/a"].health.Err())
	}
	if n := later.Load(); n > 0 {
		t.Errorf("%s: %d changes of files after it failed", what, n)
	}
	if err := logs["/b"].Sync(mustAppend(t, logs["/b"], plain(t, "v"), OriginClient).LastOffset + 1); err != nil {
		t.Errorf("%s: the other directory: %v", what, err)
	}
	_ = m.Close(-1)
	return failed
}

// upkeep does what a directory's worker and its callers do in a life. Errors are
// part of it.
func upkeep(t *testing.T, m *Manager, l *Log) {
	d := m.dirOf(l)
	for i := range 6 {
		_, _ = l.AppendAsLeader(idempotent(t, 9, 0, int32(i)*2, 2), 0, AppendOptions{Now: testNow.UnixMilli()})
		if i == 3 {
			_ = l.StartEpoch(1, l.EndOffset())
			_ = l.SetTopicID([16]byte{7})
		}
		d.work.checkpoint.Store(true)
		d.step(testNow)
	}
	_, _ = l.DeleteSegments(l.EndOffset())
	_ = l.AdvanceStart(l.EndOffset() - 1)
	_ = l.TruncateTo(l.EndOffset() - 1)
	_ = m.WriteHighWatermarks(map[record.TopicPartition]int64{l.tp: 3})
	d.work.checkpoint.Store(true)
	d.step(testNow)
	_ = l.Close()
}
