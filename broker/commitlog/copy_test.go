package commitlog

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// One fetch of a compacted log may hold batches more than 2³¹ offsets apart,
// which no segment can hold together.
func TestCopyOfDistantOffsetsInOneAppend(t *testing.T) {
	fsys := vfs.NewMem()
	m, l := openTest(t, fsys, DefaultConfig())
	want := []int64{0, 7, 3 << 30, 3<<30 + 1, 9 << 30}
	var data []byte
	for _, offset := range want {
		o := record.NewOptions()
		o.BaseOffset, o.LeaderEpoch = offset, 2
		data = append(data, makeBatch(t, o, testNow.UnixMilli(), "v")...)
	}
	info, err := l.AppendAsFollower(data)
	if err != nil || info.FirstOffset != 0 || info.LastOffset != 9<<30 {
		t.Fatalf("%+v, %v", info, err)
	}
	if err := l.Sync(l.EndOffset()); err != nil {
		t.Fatal(err)
	}
	check := func(what string, l *Log) {
		t.Helper()
		var got []int64
		for offset := int64(0); offset < l.EndOffset(); offset = got[len(got)-1] + 1 {
			s, err := l.Read(offset, 1, true, l.EndOffset())
			if err != nil || s.Size() == 0 {
				t.Fatalf("%s: read at %d: %v", what, offset, err)
			}
			got = append(got, s.FirstOffset())
			s.Release()
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: batches at %d, want %d", what, got, want)
		}
	}
	check("live", l)
	_, crashed := openTest(t, fsys.Crash(rand.New(rand.NewPCG(1, 1))), DefaultConfig())
	check("after a crash", crashed)
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	_, l = openTest(t, fsys, DefaultConfig())
	check("after a stop", l)
}
