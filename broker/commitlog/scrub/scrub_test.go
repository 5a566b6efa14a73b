package scrub

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func keys(n int) []key {
	out := make([]key, n)
	for i := range out {
		out[i] = key{record.TopicPartition{Topic: "t", Partition: int32(i % 7)}, int64(i) * 1000}
	}
	return out
}

// Every segment is read once per period, spread over it, however often the
// scrubber begins anew.
func TestScheduleReadsEachOncePerPeriod(t *testing.T) {
	const period = 100 * time.Hour
	all := keys(500)
	start := time.UnixMilli(1_700_000_000_000)
	s := newSchedule(period)
	s.see(start, slices.Values(all))
	read := map[key][]time.Time{}
	perHour := map[int]int{}
	for now, end := start, start.Add(3*period); ; {
		k, wait, ok := s.next(now)
		if !ok {
			t.Fatal("nothing to read")
		}
		if now = now.Add(wait); !now.Before(end) {
			break
		}
		read[k] = append(read[k], now)
		perHour[int(now.Sub(start)/time.Hour)]++
		s.done(k, now)
		if len(read[k]) == 2 && k.base%5000 == 0 { // a restart
			s = newSchedule(period)
			s.see(now, slices.Values(all))
		}
	}
	for _, k := range all {
		if n := len(read[k]); n != 3 {
			t.Errorf("%v was read %d times in 3 periods", k, n)
		}
	}
	for hour, n := range perHour {
		if n > 25 {
			t.Errorf("%d of 500 segments in hour %d of 100", n, hour)
		}
	}
}

// What waits is read in the order in which it was due; what is gone is forgotten;
// a shorter period holds at once.
func TestScheduleBacklog(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	s := newSchedule(time.Hour)
	all := keys(50)
	s.see(now, slices.Values(all))
	late := now.Add(2 * time.Hour)
	if s.behind(late) < time.Hour {
		t.Errorf("behind %v", s.behind(late))
	}
	var last time.Time
	seen := map[key]bool{}
	for range all {
		k, wait, ok := s.next(late)
		if !ok || wait != 0 || seen[k] {
			t.Fatalf("%v, %v, %v", k, wait, ok)
		}
		if due := s.known[k].due; due.Before(last) {
			t.Errorf("%v was due before the one that came first", k)
		} else {
			last = due
		}
		seen[k] = true
		s.done(k, late)
	}
	if _, wait, _ := s.next(late); wait == 0 {
		t.Error("something is left")
	}
	s.see(late, slices.Values(all[:3]))
	if len(s.queue) != 3 || len(s.known) != 3 {
		t.Errorf("%d, %d are left of 3", len(s.queue), len(s.known))
	}
	s.setPeriod(time.Second, late)
	if _, wait, _ := s.next(late); wait > time.Second {
		t.Errorf("the first waits %v with a period of a second", wait)
	}
}

// No stretch of time sees more bytes than the rate allows and one burst.
func TestBudget(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const rate, most = 1000.0, 700
	type spent struct {
		at time.Time
		n  int64
	}
	var b budget
	var all []spent
	now := time.UnixMilli(0)
	for range 400 {
		n := rng.Int64N(most)
		all = append(all, spent{now, n})
		now = now.Add(b.spend(n, rate, now))
		if rng.IntN(10) == 0 {
			now = now.Add(time.Duration(rng.Int64N(int64(5 * time.Second)))) // it does something else
		}
	}
	for i := range all {
		sum := int64(0)
		for _, s := range all[i:] {
			sum += s.n
			if allowed := s.at.Sub(all[i].at).Seconds()*rate + rate + most; float64(sum) > allowed {
				t.Fatalf("%d bytes in %v", sum, s.at.Sub(all[i].at))
			}
		}
	}
}

// fixture is a manager in memory with logs of several segments.
type fixture struct {
	mem  *vfs.Mem
	m    *commitlog.Manager
	logs []*commitlog.Log
}

func newFixture(t *testing.T, partitions int) *fixture {
	t.Helper()
	f := &fixture{mem: vfs.NewMem()}
	cfg := commitlog.DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 64<<10, 1024
	var err error
	f.m, err = commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{"/data"}, FS: f.mem, BrokerID: 1, ClusterID: "c", Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		l, err := f.m.GetOrCreate(record.TopicPartition{Topic: "t", Partition: int32(p)}, [16]byte{1}, cfg)
		if err != nil {
			t.Fatal(err)
		}
		var b record.Builder
		for i := range 200 {
			b.Reset(record.NewOptions())
			b.Append(time.Now().UnixMilli(), []byte("k"), []byte(strings.Repeat(fmt.Sprint(i%10), 2000)))
			batch, err := b.Build(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.AppendAsLeader(batch, 0, commitlog.AppendOptions{Now: time.Now().UnixMilli()}); err != nil {
				t.Fatal(err)
			}
		}
		f.logs = append(f.logs, l)
	}
	return f
}

func (f *fixture) sealed() (bytes int64) {
	for _, l := range f.logs {
		for _, s := range l.SealedSegments() {
			bytes += s.Size
		}
	}
	return bytes
}

func (f *fixture) flip(t *testing.T, partition int, base, at int64) {
	t.Helper()
	file, err := f.mem.OpenFile(fmt.Sprintf("/data/t-%d/%020d.log", partition, base), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var b [1]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 4
	if _, err := file.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
}

// value reads a counter or gauge.
func value(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.Metric[0].GetCounter().GetValue() + f.Metric[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// run scrubs for a while.
func run(t *testing.T, s *Scrubber, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	if err := s.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

// In one period every segment is read, no faster than the budget allows, and
// what rots meanwhile is found, marked and refused.
func TestScrubberKeepsBudgetAndFindsDamage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 3)
		const rate = 100 << 10
		type read struct {
			at time.Time
			n  int64
		}
		var reads []read
		f.mem.Observe(func(c vfs.Call) {
			if c.Op == vfs.OpRead && strings.HasSuffix(c.Name, ".log") {
				reads = append(reads, read{time.Now(), int64(c.Size)})
			}
		})
		reg := prometheus.NewRegistry()
		s, err := New(Config{
			Settings: func() Settings { return Settings{BytesPerSecond: rate, Period: time.Minute} },
			Logs:     f.m.Logs,
		}, nil, reg)
		if err != nil {
			t.Fatal(err)
		}
		f.flip(t, 1, f.logs[1].SealedSegments()[2].BaseOffset, 7000)
		run(t, s, 90*time.Second)
		if got, want := value(t, reg, "leat_log_scrub_read_bytes_total"), float64(f.sealed()); got < want {
			t.Errorf("%v bytes were read of %v", got, want)
		}
		for i := range reads {
			sum := int64(0)
			for _, r := range reads[i:] {
				sum += r.n
				if allowed := r.at.Sub(reads[i].at).Seconds()*rate + rate + 2*stepBytes; float64(sum) > allowed {
					t.Fatalf("%d bytes in %v", sum, r.at.Sub(reads[i].at))
				}
			}
		}
		for p, l := range f.logs {
			damage := l.Damage()
			if (p == 1) != (len(damage) == 1) {
				t.Fatalf("partition %d: %v", p, damage)
			}
			for offset := range l.EndOffset() {
				slice, err := l.Read(offset, 1<<20, true, l.EndOffset())
				bad := p == 1 && damage[0].First <= offset && offset < damage[0].Next
				if bad != errors.Is(err, commitlog.ErrCorruptBatch) || !bad && slice.FirstOffset() != offset {
					t.Errorf("partition %d, offset %d: %v", p, offset, err)
				}
				slice.Release()
			}
		}
		f.mem.Observe(nil)
		if err := f.m.Close(-1); err != nil {
			t.Fatal(err)
		}
	})
}

// Without a budget nothing is read; a budget given at run time holds soon.
func TestScrubberFollowsSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 1)
		settings := Settings{Period: time.Minute}
		reg := prometheus.NewRegistry()
		s, err := New(Config{Settings: func() Settings { return settings }, Logs: f.m.Logs}, nil, reg)
		if err != nil {
			t.Fatal(err)
		}
		run(t, s, time.Hour)
		if n := value(t, reg, "leat_log_scrub_read_bytes_total"); n > 0 {
			t.Errorf("%v bytes were read", n)
		}
		settings.BytesPerSecond = 1 << 20
		run(t, s, 3*time.Minute)
		if n := value(t, reg, "leat_log_scrub_segments_total"); n < float64(len(f.logs[0].SealedSegments())) {
			t.Errorf("%v segments were read", n)
		}
		if err := f.m.Close(-1); err != nil {
			t.Fatal(err)
		}
	})
}

// Retention and truncation take segments from under the scrubber; it goes on.
func TestScrubberWithChangingLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 2)
		s, err := New(Config{
			Settings: func() Settings { return Settings{BytesPerSecond: 20 << 10, Period: 20 * time.Second} },
			Logs:     f.m.Logs,
		}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 5 {
				<-time.After(7 * time.Second)
				if list := f.logs[0].SealedSegments(); len(list) > 1 {
					if _, err := f.logs[0].DeleteSegments(list[1].BaseOffset); err != nil {
						t.Error(err)
					}
				}
				if err := f.logs[1].TruncateTo(f.logs[1].EndOffset() - int64(20+i)); err != nil {
					t.Error(err)
				}
			}
		}()
		run(t, s, 2*time.Minute)
		<-done
		for _, l := range f.logs {
			if d := l.Damage(); len(d) > 0 {
				t.Errorf("%v: %+v", l.Partition(), d)
			}
		}
		if err := f.m.Close(-1); err != nil {
			t.Fatal(err)
		}
	})
}
