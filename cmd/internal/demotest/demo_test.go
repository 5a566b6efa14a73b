package demotest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leatstream/leat/deploy/testbed"
)

// summary is the part of the demo's JSON that the tests look at.
type summary struct {
	FirstRecordMs float64 `json:"first_record_ms"`
	Windows       struct {
		Closed, Open int
		EventsClosed int64 `json:"events_closed"`
		EventsOpen   int64 `json:"events_open"`
		EventsLate   int64 `json:"events_late"`
	}
	Parquet struct {
		Dir   string
		Files int
		Rows  int64
	}
	EventsProduced int64 `json:"events_produced"`
	EventsCounted  int64 `json:"events_counted"`
	Balanced       bool
}

// The length of windows. The short one closes some within a few seconds.
func window() time.Duration {
	if testing.Short() {
		return 2 * time.Second
	}
	return 5 * time.Second
}

func startDemo(t *testing.T, dir string, args ...string) *testbed.Process {
	t.Helper()
	args = append([]string{"demo", "--no-open", "--port", "0", "--data-dir", dir, "--window", window().String(), "--format", "json"}, args...)
	return testbed.Start(t, nil, testbed.Binary(t), args...)
}

// finish runs the demo on a folder to its end and returns its summary, after
// the checks that hold for each.
func finish(t *testing.T, dir string, runFor time.Duration) summary {
	t.Helper()
	p := startDemo(t, dir, "--for", runFor.String())
	if code := p.Wait(t); code != 0 {
		t.Fatalf("exit code %d:\n%s\n%s", code, p.Stderr(), p.Stdout())
	}
	var s summary
	if err := json.Unmarshal([]byte(p.Stdout()), &s); err != nil {
		t.Fatalf("summary: %v\n%s", err, p.Stdout())
	}
	w := s.Windows
	switch {
	case !s.Balanced:
		t.Errorf("the counts do not add up:\n%s", p.Stdout())
	case s.FirstRecordMs <= 0:
		t.Errorf("no first record:\n%s", p.Stdout())
	case w.Closed == 0 || s.EventsProduced == 0:
		t.Errorf("nothing happened:\n%s", p.Stdout())
	case w.EventsClosed+w.EventsOpen+w.EventsLate != s.EventsCounted:
		t.Errorf("the windows do not sum up:\n%s", p.Stdout())
	}
	return s
}

func seconds(full, short int) time.Duration {
	if testing.Short() {
		full = short
	}
	return time.Duration(full) * time.Second
}

// exact checks a summary of runs in which nothing crashed.
func exact(t *testing.T, s summary) {
	t.Helper()
	if s.EventsCounted != s.EventsProduced || s.Windows.EventsLate != 0 {
		t.Errorf("%d events produced, %d counted, %d late", s.EventsProduced, s.EventsCounted, s.Windows.EventsLate)
	}
}

func TestDemoAddsUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := finish(t, dir, seconds(15, 6))
	exact(t, s)
	exportMatches(t, s)
	windowsMatch(t, dir, func(counted, exported int64) bool { return counted == exported })
	if s.FirstRecordMs > 1000 {
		t.Logf("first record after %.0f ms", s.FirstRecordMs) // the machine may be busy
	}
}

// With SIGTERM in the middle, the second run goes on where the first ended: no
// event is lost or counted twice.
func TestDemoGoesOnAfterSIGTERM(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startDemo(t, dir)
	p.Until(t, "events arrive", func() bool { return grown(dir, "activity-0", 200<<10) })
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(t); code != 0 {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, p.Stderr())
	}
	if _, err := os.Stat(filepath.Join(dir, "broker", "log", ".kafka_cleanshutdown")); err != nil {
		t.Errorf("no mark of a clean shutdown: %v", err)
	}
	noTemporaryFiles(t, dir)
	s := finish(t, dir, seconds(12, 6))
	exact(t, s)
	exportMatches(t, s)
	windowsMatch(t, dir, func(counted, exported int64) bool { return counted == exported })
}

// Kills in the middle may repeat counts, and lose none. Each exported offset is
// in one file all the same.
func TestDemoGoesOnAfterKills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := startDemo(t, dir)
	p.Until(t, "events arrive", func() bool { return grown(dir, "activity-0", 300<<10) })
	p.Kill()
	p = startDemo(t, dir)
	// The second time, the kill comes in the middle of the export.
	p.Until(t, "a file is written", func() bool { return len(parquetFiles(t, dir)) > 0 })
	p.Kill()
	s := finish(t, dir, seconds(20, 12))
	if s.EventsCounted < s.EventsProduced {
		t.Errorf("%d events produced, only %d counted", s.EventsProduced, s.EventsCounted)
	}
	exportMatches(t, s)
	windowsMatch(t, dir, func(counted, exported int64) bool { return counted >= exported })
	noTemporaryFiles(t, dir)
}

// A demo without a folder of its own leaves nothing behind.
func TestDemoLeavesNothing(t *testing.T) {
	t.Parallel()
	tmp := t.TempDir()
	p := testbed.Start(t, []string{"TMPDIR=" + tmp}, testbed.Binary(t), "demo", "--no-open", "--port", "0", "--for", "2s")
	if code := p.Wait(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, p.Stderr())
	}
	if !strings.Contains(p.Stdout(), "The counts add up.") {
		t.Errorf("summary:\n%s", p.Stdout())
	}
	if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// grown tells whether the log of a partition has reached a size in bytes.
func grown(dir, partition string, size int64) bool {
	segments, _ := filepath.Glob(filepath.Join(dir, "broker", "log", partition, "*.log"))
	var total int64
	for _, path := range segments {
		if info, err := os.Stat(path); err == nil {
			total += info.Size()
		}
	}
	return total >= size
}
