package commitlog

import (
	"testing"
	"time"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testNow is the wall clock of tests that pass time in.
var testNow = time.UnixMilli(1_700_000_000_000)

// makeBatch builds a plain batch with one record per value.
func makeBatch(t testing.TB, opts record.BuilderOptions, ts int64, values ...string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(opts)
	for _, v := range values {
		b.Append(ts, []byte("k"), []byte(v))
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func plain(t testing.TB, values ...string) []byte {
	return makeBatch(t, record.NewOptions(), testNow.UnixMilli(), values...)
}

// openTest opens a manager with one log on a file system.
func openTest(t testing.TB, fsys vfs.FS, cfg Config) (*Manager, *Log) {
	t.Helper()
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{"/data"}, FS: fsys, BrokerID: 1, ClusterID: "c", Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(world0, [16]byte{1}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}

func mustAppend(t testing.TB, l *Log, batch []byte, origin Origin) AppendInfo {
	t.Helper()
	info, err := l.AppendAsLeader(batch, 0, AppendOptions{Origin: origin, Now: testNow.UnixMilli()})
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// openOS is openTest on the real disk.
func openOS(t testing.TB, cfg Config) (*Manager, *Log) {
	t.Helper()
	m, err := OpenManager(t.Context(), ManagerConfig{Dirs: []string{t.TempDir()}, Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(world0, [16]byte{1}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, l
}
