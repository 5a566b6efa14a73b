package commitlog

import (
	"testing"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/vfs"
)

// A log that is closed in order has both its indexes, though they be empty:
// Kafka takes a missing one for damage.
func TestClosedLogHasIndexes(t *testing.T) {
	for name, prepare := range map[string]func(*Log) error{
		"never written": func(*Log) error { return nil },
		"written": func(l *Log) error {
			_, err := l.AppendAsLeader(plain(t, "a"), 0, AppendOptions{Now: testNow.UnixMilli()})
			return err
		},
		"emptied": func(l *Log) error { return l.TruncateFullyAndStartAt(77) },
	} {
		fsys := vfs.NewMem()
		m, l := openTest(t, fsys, DefaultConfig())
		if err := prepare(l); err != nil {
			t.Fatal(name, err)
		}
		active := l.active()
		if err := m.Close(1); err != nil {
			t.Fatal(name, err)
		}
		for _, suffix := range []string{format.LogSuffix, format.IndexSuffix, format.TimeIndexSuffix} {
			if _, err := fsys.Stat(active.path(suffix)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
