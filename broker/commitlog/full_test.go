package commitlog

import (
	"errors"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog/volume"
	"github.com/leatstream/leat/broker/vfs"
)

// A volume without a single free byte, the reserve gone as well, is opened; what
// retention deletes makes room, and records are taken again.
func TestStartWithoutAFreeByte(t *testing.T) {
	mem := vfs.NewMem()
	cfg := DefaultConfig()
	cfg.SegmentBytes = 400
	open := func() (*Manager, *Log) {
		t.Helper()
		m, err := OpenManager(t.Context(), ManagerConfig{
			Dirs: []string{"/data"}, FS: mem, BrokerID: 1, ClusterID: "c", Defaults: cfg, ReserveBytes: 500,
			Retain: func(l *Log, _ time.Time) (int, error) { return l.DeleteSegments(l.EndOffset()) },
		}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, ok := m.Log(world0)
		if !ok {
			if l, err = m.GetOrCreate(world0, [16]byte{1}, cfg); err != nil {
				t.Fatal(err)
			}
		}
		return m, l
	}
	_, l := open()
	for range 60 {
		mustAppend(t, l, plain(t, "some value"), OriginClient)
	}
	if err := l.Sync(60); err != nil {
		t.Fatal(err)
	}
	mem = mem.Clone() // killed
	if err := mem.Remove("/data/" + volume.ReserveFile); err != nil {
		t.Fatal(err)
	}
	mem.SetCapacity(mem.Used())
	m, l := open()
	if l.EndOffset() != 60 || len(everything(t, l)) == 0 {
		t.Fatalf("log ends at %d", l.EndOffset())
	}
	if _, err := l.AppendAsLeader(plain(t, "v"), 0, AppendOptions{Now: testNow.UnixMilli()}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("append: %v", err)
	}
	for range 2 { // removals free what the reserve needs
		m.dirs[0].work.retain.Store(true)
		m.dirs[0].work.space.Store(true)
		m.dirs[0].step(testNow)
	}
	if info := mustAppend(t, l, plain(t, "v"), OriginClient); info.FirstOffset != 60 {
		t.Errorf("append at %d", info.FirstOffset)
	}
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
}
