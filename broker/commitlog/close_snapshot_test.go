package commitlog

import (
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/vfs"
)

// A stop on a full volume may leave no producer snapshot. The log is read for
// the state of its producers then, so that duplicates are still known.
func TestProducersAreKnownAfterAStopWithoutSnapshot(t *testing.T) {
	fsys := vfs.NewMem()
	open := func() (*Manager, *Log) {
		m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fsys, ProducerIDExpiration: 1 << 62}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		l, err := m.GetOrCreate(world0, [16]byte{1}, DefaultConfig())
		if err != nil {
			t.Fatal(err)
		}
		return m, l
	}
	m, l := open()
	first := mustAppend(t, l, idempotent(t, 5, 0, 0, 2), OriginClient)
	fsys.Inject(&vfs.Rule{Glob: "*.snapshot", Err: syscall.ENOSPC})
	if err := m.Close(-1); err != nil {
		t.Fatal(err)
	}
	fsys.Heal()
	_, l = open()
	if info := mustAppend(t, l, idempotent(t, 5, 0, 0, 2), OriginClient); !info.Duplicate || info.FirstOffset != first.FirstOffset {
		t.Errorf("the same batch again: %+v", info)
	}
}
