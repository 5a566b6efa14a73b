package commitlog

import (
	"testing"
	"time"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

func TestManagerKeepsWhatItOwns(t *testing.T) {
	fs := vfs.NewMem()
	m, l := openTest(t, fs, DefaultConfig())
	mustAppend(t, l, plain(t, "a", "b", "c"), OriginClient)
	if err := l.AdvanceStart(2); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fs, BrokerID: 1}, nil, nil); err == nil {
		t.Fatal("a locked directory is opened twice")
	}
	hw := map[record.TopicPartition]int64{world0: 3, {Topic: "unknown"}: 1}
	if err := m.WriteHighWatermarks(hw); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(42); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fs, BrokerID: 2}, nil, nil); err == nil {
		t.Fatal("another broker's directory is opened")
	}
	m, l = openTest(t, fs, DefaultConfig())
	if m.PreviousBrokerEpoch() != 42 || l.StartOffset() != 2 || l.EndOffset() != 3 || l.TopicID() != [16]byte{1} {
		t.Fatalf("epoch %d, log [%d,%d)", m.PreviousBrokerEpoch(), l.StartOffset(), l.EndOffset())
	}
	got, err := m.ReadHighWatermarks()
	if err != nil || len(got) != 1 || got[world0] != 3 {
		t.Fatalf("%v, %v", got, err)
	}
	if _, err := m.GetOrCreate(world0, [16]byte{9}, DefaultConfig()); err == nil {
		t.Fatal("another topic id is taken")
	}
	if err := m.Delete(world0); err != nil {
		t.Fatal(err)
	}
	if _, ok := m.Log(world0); ok {
		t.Fatal("deleted log is found")
	}
	m.dirs[0].removeDue(time.Now().Add(time.Hour))
	entries, err := fs.ReadDir("/data")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			t.Errorf("%s is left", e.Name())
		}
	}
}
