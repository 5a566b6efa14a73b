package clean

import (
	"context"
	"fmt"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

var now = time.UnixMilli(1_700_000_000_000)

// openLog makes a log of ten one-record segments, a second apart, the last now.
func openLog(t *testing.T, change func(*commitlog.Config)) *commitlog.Log {
	t.Helper()
	c := commitlog.DefaultConfig()
	c.SegmentBytes, c.RetentionMs = 100, -1
	change(&c)
	m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{"/d"}, FS: vfs.NewMem(), Defaults: c}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return fillLog(t, m, c)
}

func fillLog(t *testing.T, m *commitlog.Manager, c commitlog.Config) *commitlog.Log {
	t.Helper()
	l, err := m.GetOrCreate(record.TopicPartition{Topic: "t"}, [16]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		var b record.Builder
		b.Reset(record.NewOptions())
		b.Append(now.UnixMilli()-int64(9-i)*1000, []byte("k"), make([]byte, 20))
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendAsLeader(batch, 0, commitlog.AppendOptions{Now: now.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestRetention(t *testing.T) {
	size := openLog(t, func(*commitlog.Config) {}).Size() / 10
	tests := []struct {
		name   string
		change func(*commitlog.Config)
		hw     int64
		start  int64 // moved there first
		want   int64 // start offset afterwards
	}{
		{"keeps everything", func(*commitlog.Config) {}, 10, 0, 0},
		{"by time", func(c *commitlog.Config) { c.RetentionMs = 3500 }, 10, 0, 6},
		{"by time, below the high watermark", func(c *commitlog.Config) { c.RetentionMs = 3500 }, 4, 0, 4},
		{"by size", func(c *commitlog.Config) { c.RetentionBytes = 3 * size }, 10, 0, 7},
		{"by size, high watermark in the middle", func(c *commitlog.Config) { c.RetentionBytes = 0 }, 5, 0, 5},
		{"by start offset", func(c *commitlog.Config) { c.Delete, c.Compact = false, true }, 10, 4, 4},
		{"compacted only ignores time", func(c *commitlog.Config) { c.Delete, c.RetentionMs = false, 1 }, 10, 0, 0},
		{"everything is old: the active segment goes too", func(c *commitlog.Config) { c.RetentionMs = 0; c.TimestampBeforeMaxMs = math.MaxInt64 }, 10, 0, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := openLog(t, tt.change)
			if err := l.AdvanceStart(tt.start); err != nil {
				t.Fatal(err)
			}
			r := Retention{HighWatermark: func(*commitlog.Log) (int64, bool) { return tt.hw, true }}
			if _, err := r.Apply(l, now); err != nil {
				t.Fatal(err)
			}
			if l.StartOffset() != tt.want || l.EndOffset() != 10 {
				t.Errorf("log is [%d,%d), want start %d", l.StartOffset(), l.EndOffset(), tt.want)
			}
		})
	}
}

func TestQuietLogEmpties(t *testing.T) {
	l := openLog(t, func(c *commitlog.Config) { c.RetentionMs = 5000 })
	r := Retention{HighWatermark: func(*commitlog.Log) (int64, bool) { return 10, true }}
	if _, err := r.Apply(l, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if l.StartOffset() != 10 || l.Size() != 0 {
		t.Errorf("start %d, %d bytes", l.StartOffset(), l.Size())
	}
}

func TestUnknownHighWatermarkDeletesNothing(t *testing.T) {
	l := openLog(t, func(c *commitlog.Config) { c.RetentionMs = 0 })
	r := Retention{HighWatermark: func(*commitlog.Log) (int64, bool) { return 0, false }}
	if n, err := r.Apply(l, now.Add(time.Hour)); n != 0 || err != nil {
		t.Error(fmt.Sprint(n, err))
	}
}

// A log that grows past its limit loses its oldest segments when it rolls; it does
// not wait for the check of all logs, five minutes later.
func TestSizeHoldsBetweenChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := commitlog.DefaultConfig()
		c.SegmentBytes, c.RetentionMs, c.RetentionBytes = 100, -1, 250
		all := Retention{HighWatermark: func(l *commitlog.Log) (int64, bool) { return l.EndOffset(), true }}
		m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{
			Dirs: []string{"/d"}, FS: vfs.NewMem(), Defaults: c, RetentionInterval: 24 * time.Hour, Retain: all.Apply,
		}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		l := fillLog(t, m, c)
		synctest.Wait()
		if size := l.Size(); size < 250 || size >= 250+2*100 || l.EndOffset() != 10 {
			t.Errorf("%d bytes are left, end %d", size, l.EndOffset())
		}
		stop()
		<-ended
	})
}
