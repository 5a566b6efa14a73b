package replica

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// BenchmarkAppendContended is many connections that append to one partition on
// the disk, each one batch at a time. cpu-ns/op is the processor time of the
// process, system calls included: unlike the time that passed it does not depend
// on what else the machine does.
func BenchmarkAppendContended(b *testing.B) {
	for _, size := range []int{100, 16 << 10} {
		for _, conns := range []int{1, 2, 4, 10, 64} {
			b.Run(fmt.Sprintf("%dB/conns=%d", size, conns), func(b *testing.B) { appendContended(b, size, conns) })
		}
	}
}

func appendContended(b *testing.B, size, conns int) {
	f := openDisk(b)
	at := tp("bench", 0)
	f.lead(at, 0)
	r, err := f.find(at, TopicID{})
	if err != nil {
		b.Fatal(err)
	}
	var left atomic.Int64
	var end atomic.Int64
	worker := func(batch []byte) {
		req := &AppendRequest{Acks: 1, Entries: []AppendEntry{{TP: at, Batches: batch}}, Results: make([]AppendResult, 0, 1)}
		done := func(res []AppendResult) {
			if res[0].Err != nil {
				b.Error(res[0].Err)
				left.Store(0)
			}
			end.Store(res[0].Info.LastOffset)
		}
		for n := left.Add(-1); n >= 0; n = left.Add(-1) {
			f.Append(req, done)
			if n%4096 == 0 { // keep the disk that a long run takes small
				if _, err := r.log().DeleteSegments(end.Load()); err != nil {
					b.Error(err)
				}
			}
		}
	}
	run := func(n int) {
		left.Store(int64(n))
		var all sync.WaitGroup
		for range conns {
			batch := sized(b, size)
			all.Go(func() { worker(batch) })
		}
		all.Wait()
	}
	run(100 * conns)
	b.SetBytes(int64(size))
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime(b)
	run(b.N)
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
}

// openDisk is a fixture on the real disk.
func openDisk(b *testing.B) *fixture {
	b.Helper()
	cfg := commitlog.DefaultConfig()
	cfg.SegmentBytes, cfg.FileDeleteDelayMs = 64<<20, 0
	logs, err := commitlog.OpenManager(b.Context(), commitlog.ManagerConfig{Dirs: []string{b.TempDir()}, BrokerID: self, Defaults: cfg}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	f := &fixture{t: b, logs: logs, topic: map[string]TopicConfig{"bench": {MinISR: 1, Delete: true, Log: cfg}}}
	if f.Manager, err = NewManager(Config{BrokerID: self, TopicConfig: f.config}, logs, nil, prometheus.NewRegistry()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		f.close()
		if err := logs.Close(-1); err != nil {
			b.Error(err)
		}
	})
	return f
}

// sized is a batch with one record of size bytes.
func sized(b testing.TB, size int) []byte {
	var batch record.Builder
	batch.Reset(record.NewOptions())
	batch.Append(time.Now().UnixMilli(), nil, slices.Repeat([]byte{'x'}, size))
	out, err := batch.Build(nil)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// cpuTime is the processor time of the process so far.
func cpuTime(b testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
