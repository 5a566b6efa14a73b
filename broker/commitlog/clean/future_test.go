package clean

import (
	"math"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// Records that claim to be of the future age by the time at which they came.
func TestFutureTimestampsDoNotPinTheLog(t *testing.T) {
	const hour = time.Hour
	c := commitlog.DefaultConfig()
	c.SegmentBytes, c.RetentionMs, c.TimestampAfterMaxMs = 100, (10 * hour).Milliseconds(), math.MaxInt64
	m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{"/d"}, FS: vfs.NewMem(), Defaults: c}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(record.TopicPartition{Topic: "t"}, [16]byte{}, c)
	if err != nil {
		t.Fatal(err)
	}
	came := time.Now()
	for _, ahead := range []time.Duration{0, 5 * hour, 1000 * hour, 1 << 62 / time.Duration(time.Millisecond)} {
		var b record.Builder
		b.Reset(record.NewOptions())
		b.Append(came.Add(ahead).UnixMilli(), []byte("k"), make([]byte, 20))
		batch, err := b.Build(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.AppendAsLeader(batch, 0, commitlog.AppendOptions{Now: came.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
	r := Retention{HighWatermark: func(*commitlog.Log) (int64, bool) { return l.EndOffset(), true }}
	for _, step := range []struct {
		after time.Duration
		want  int64 // start offset
	}{
		{4 * hour, 0},   // all are young
		{9 * hour, 0},   // 5 h ahead has become the past: as old as it says
		{11 * hour, 1},  // the first record is too old, the next one is as old as it says
		{16 * hour, 4},  // then those of the far future go by when they came
		{100 * hour, 4}, // and an empty log stays
	} {
		if _, err := r.Apply(l, came.Add(step.after)); err != nil {
			t.Fatal(err)
		}
		if got := l.StartOffset(); got != step.want {
			t.Errorf("after %v: start %d, want %d", step.after, got, step.want)
		}
	}
}
