package robust

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/leatstream/leat/deploy/testbed"
)

// No kill -9 loses anything of logs that move between log directories all the
// time, and each is in one directory in the end.
func TestKillsDuringMoves(t *testing.T) {
	t.Parallel()
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	rng := rand.New(rand.NewPCG(*seed, 2))
	dir, port := t.TempDir(), testbed.FreePort(t)
	dirs := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}
	flags := append(brokerFlags(), "--override", "log.dirs="+strings.Join(dirs, ","),
		"--override", "replica.alter.log.dirs.io.max.bytes.per.second=50000000", "--override", "file.delete.delay.ms=0", "--override", "log.segment.delete.delay.ms=0")
	s := testbed.StartServer(t, dir, port, flags...)
	l := startLoad(t, s.Addr)
	m := startMoves(t, s.Addr, dirs)
	for range rounds {
		l.grows(t, s, 300)
		m.grows(t, s, 2)
		pause(rng, 400*time.Millisecond)
		s.Kill()
		pause(rng, 100*time.Millisecond)
		s = testbed.StartServer(t, dir, port, flags...)
	}
	l.grows(t, s, 300)
	m.grows(t, s, 2)
	m.stop()
	s.Until(t, "the last moves end", func() bool { _, futures := m.places(); return futures == 0 })
	l.check(t)
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, s.Stderr())
	}
	found := map[string]int{}
	for _, d := range dirs {
		entries, err := os.ReadDir(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() && !strings.HasSuffix(e.Name(), "-delete") {
				found[e.Name()]++
			}
		}
	}
	for name, n := range found {
		if n != 1 {
			t.Errorf("%s is in %d directories", name, n)
		}
	}
	if len(found) != partitions+4 { // and those of the offsets
		t.Errorf("folders: %v", found)
	}
}

// moves has logs move to and fro, whatever happens to the server.
type moves struct {
	adm    *kadm.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu   sync.Mutex
	last map[string]string // the directory of each partition
	done int               // how often one was found in another than before
}

func startMoves(t testing.TB, addr string, dirs []string) *moves {
	ctx, cancel := context.WithCancel(context.Background())
	m := &moves{adm: kadm.NewClient(dial(t, addr)), cancel: cancel, last: map[string]string{}}
	m.wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			for p := range int32(partitions) {
				m.move(ctx, topic, p, dirs[(i+int(p))%len(dirs)])
			}
			m.move(ctx, "__consumer_offsets", int32(i%4), dirs[i%len(dirs)])
			m.look()
			select {
			case <-ctx.Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { m.stop(); m.adm.Close() })
	return m
}

// move asks for a move. That the server is away is no error.
func (m *moves) move(ctx context.Context, topic string, partition int32, dir string) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req := kadm.AlterReplicaLogDirsReq{}
	req.Add(dir, kadm.TopicsSet{topic: {partition: {}}})
	_, _ = m.adm.AlterAllReplicaLogDirs(ctx, req)
}

// places gives the directories of the logs and how many copies there are, -1 if
// the server does not say.
func (m *moves) places() (at map[string]string, futures int) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	at = map[string]string{}
	all, err := m.adm.DescribeAllLogDirs(ctx, nil)
	if err != nil || len(all) == 0 {
		return nil, -1
	}
	for _, broker := range all {
		for _, d := range broker {
			d.Topics.Each(func(p kadm.DescribedLogDirPartition) {
				if p.IsFuture {
					futures++
					return
				}
				at[p.Topic+"-"+string(rune('0'+p.Partition))] = d.Dir
			})
		}
	}
	return at, futures
}

func (m *moves) look() {
	at, _ := m.places()
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, dir := range at {
		if old, ok := m.last[name]; ok && old != dir {
			m.done++
		}
		m.last[name] = dir
	}
}

// grows waits until that many more logs have moved.
func (m *moves) grows(t testing.TB, s *testbed.Server, by int) {
	t.Helper()
	count := func() int { m.mu.Lock(); defer m.mu.Unlock(); return m.done }
	before := count()
	s.Until(t, "logs move", func() bool { return count() >= before+by })
}

func (m *moves) stop() {
	m.cancel()
	m.wg.Wait()
}
