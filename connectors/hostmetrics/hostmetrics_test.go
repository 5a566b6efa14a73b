package hostmetrics

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v4/cpu"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/connect/connecttest"
	"github.com/leatstream/leat/connect/data"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	connecttest.CheckSource(t, Plugin(), map[string]string{"interval.ms": "100", "host": "h"})
}

func TestEveryGroupGivesValidRecords(t *testing.T) {
	s := connecttest.StartSource(t, Plugin(), map[string]string{"interval.ms": "100", "host": "h1"})
	seen := map[string]bool{}
	for range 3 {
		for _, r := range s.Next(1) {
			v := r.Value.(*data.Struct)
			if err := v.Validate(); err != nil {
				t.Fatal(err)
			}
			name, _ := v.Get("name")
			seen[name.(string)] = true
			if r.Key != "h1" {
				t.Errorf("key is %v", r.Key)
			}
			x, _ := v.Get("value")
			if name == "system.cpu.utilization" && (x.(float64) < 0 || x.(float64) > 1) {
				t.Errorf("utilisation is %v", x)
			}
		}
	}
	for _, want := range []string{"system.cpu.time", "system.memory.utilization", "system.load.1m", "system.process.count", "system.network.io"} {
		if !seen[want] {
			t.Errorf("no record of %s; there are %v", want, seen)
		}
	}
}

func TestReadsAnotherProc(t *testing.T) {
	proc := t.TempDir()
	if err := os.WriteFile(filepath.Join(proc, "loadavg"), []byte("7.50 6.25 5.00 1/2 3\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := connecttest.StartSource(t, Plugin(), map[string]string{"metrics": "load", "host.proc": proc})
	v, _ := s.Next(3)[0].Value.(*data.Struct).Get("value")
	if v != 7.5 {
		t.Errorf("load is %v, want that of the given proc", v)
	}
}

func TestUtilization(t *testing.T) {
	a := cpu.TimesStat{User: 10, System: 5, Idle: 100}
	for _, c := range []struct {
		now  cpu.TimesStat
		want float64
		ok   bool
	}{
		{cpu.TimesStat{User: 12, System: 6, Idle: 107}, 0.3, true},
		{cpu.TimesStat{User: 10, System: 5, Idle: 110}, 0, true},
		{a, 0, false},
		{cpu.TimesStat{}, 0, false}, // the host was restarted
	} {
		if got, ok := utilization(a, c.now); got != c.want || ok != c.ok {
			t.Errorf("%+v: %v %v", c.now, got, ok)
		}
	}
}

func TestSamplesAreAligned(t *testing.T) {
	at := nextSample(time.Unix(1003, 5), 10*time.Second)
	if at.Unix() != 1010 || at.Nanosecond() != 0 {
		t.Errorf("next sample at %v", at)
	}
}
