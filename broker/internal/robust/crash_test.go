package robust

import (
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/deploy/testbed"
)

var seed = flag.Uint64("seed", 1, "seed of the moments at which processes are killed")

// brokerFlags make segments roll and offsets partitions few, so that more
// happens within a run.
func brokerFlags() []string {
	return []string{"--override", "log.segment.bytes=1048576", "--override", "offsets.topic.num.partitions=4"}
}

// pause waits for a random time: kills shall come at any moment.
func pause(rng *rand.Rand, most time.Duration) {
	<-time.After(time.Duration(rng.Int64N(int64(most))))
}

// No kill -9 loses what was acknowledged, committed or produced idempotently.
func TestKillsUnderLoad(t *testing.T) {
	t.Parallel()
	rounds := 8
	if testing.Short() {
		rounds = 2
	}
	rng := rand.New(rand.NewPCG(*seed, 0))
	dir, port := t.TempDir(), testbed.FreePort(t)
	s := testbed.StartServer(t, dir, port, brokerFlags()...)
	l := startLoad(t, s.Addr)
	for range rounds {
		l.grows(t, s, 300)
		pause(rng, 400*time.Millisecond)
		s.Kill()
		pause(rng, 100*time.Millisecond)
		s = testbed.StartServer(t, dir, port, brokerFlags()...)
	}
	l.grows(t, s, 300)
	l.check(t)
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, s.Stderr())
	}
}

// Kills soon after the start hit a server while it recovers.
func TestKillsWhileStarting(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("covered in part by TestKillsUnderLoad")
	}
	rng := rand.New(rand.NewPCG(*seed, 1))
	dir, port := t.TempDir(), testbed.FreePort(t)
	s := testbed.StartServer(t, dir, port, brokerFlags()...)
	l := startLoad(t, s.Addr)
	l.grows(t, s, 2000)
	s.Kill()
	for range 15 {
		args := append([]string{"server", "start", "--data-dir", dir, "--port", "0", "--admin-addr", ""}, brokerFlags()...)
		p := testbed.Start(t, nil, testbed.Binary(t), args...)
		pause(rng, 60*time.Millisecond)
		p.Kill()
	}
	s = testbed.StartServer(t, dir, port, brokerFlags()...)
	l.grows(t, s, 300)
	l.check(t)
}

// A server that stands still for a while goes on as if nothing had happened,
// and takes its group's member back.
func TestPauses(t *testing.T) {
	t.Parallel()
	long := 7 * time.Second // longer than the group's session
	if testing.Short() {
		long = 500 * time.Millisecond
	}
	s := testbed.StartServer(t, t.TempDir(), testbed.FreePort(t), brokerFlags()...)
	l := startLoad(t, s.Addr)
	for _, d := range []time.Duration{200 * time.Millisecond, long} {
		l.grows(t, s, 300)
		s.Signal(syscall.SIGSTOP)
		<-time.After(d)
		s.Signal(syscall.SIGCONT)
	}
	l.grows(t, s, 300)
	l.check(t)
}

// SIGTERM under load leaves a mark, and the next start takes it away and finds
// everything.
func TestOrderlyStop(t *testing.T) {
	t.Parallel()
	dir, port := t.TempDir(), testbed.FreePort(t)
	mark := filepath.Join(dir, "log", ".kafka_cleanshutdown")
	there := func() bool { _, err := os.Stat(mark); return err == nil }
	s := testbed.StartServer(t, dir, port, brokerFlags()...)
	l := startLoad(t, s.Addr)
	for range 2 {
		l.grows(t, s, 500)
		if there() {
			t.Error("a running server has the mark of a clean shutdown")
		}
		if code := s.Stop(t); code != 0 || !there() {
			t.Fatalf("exit code %d, mark %v, stderr:\n%s", code, there(), s.Stderr())
		}
		s = testbed.StartServer(t, dir, port, brokerFlags()...)
	}
	l.grows(t, s, 300)
	l.check(t)
}
