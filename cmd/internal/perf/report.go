package perf

import (
	"syscall"
	"time"
)

// Report is the result of a run. Latencies are in milliseconds and 0 when none
// were measured.
type Report struct {
	Mode             string  `json:"mode" col:"Mode,name"`
	Topic            string  `json:"topic" col:"Topic"`
	Records          int64   `json:"records" col:"Records"`
	Failed           int64   `json:"failed" col:"Failed"`
	Bytes            int64   `json:"bytes" col:"Bytes,bytes"`
	Seconds          float64 `json:"seconds" col:"Seconds"`
	RecordsPerSecond float64 `json:"records_per_second" col:"Records/s"`
	MBPerSecond      float64 `json:"mb_per_second" col:"MB/s"`
	LatencyCount     int64   `json:"latency_count" col:"Latencies,wide"`
	LatencyMean      float64 `json:"latency_mean_ms" col:"Mean ms"`
	LatencyP50       float64 `json:"latency_p50_ms" col:"p50 ms"`
	LatencyP95       float64 `json:"latency_p95_ms" col:"p95 ms"`
	LatencyP99       float64 `json:"latency_p99_ms" col:"p99 ms"`
	LatencyP999      float64 `json:"latency_p999_ms" col:"p99.9 ms"`
	LatencyMax       float64 `json:"latency_max_ms" col:"Max ms"`
	CPUSeconds       float64 `json:"client_cpu_seconds" col:"Client CPU s"`
	CPUPercent       float64 `json:"client_cpu_percent" col:"Client CPU %"`
}

// clock measures a run: wall time and the CPU time of this process.
type clock struct {
	start time.Time
	cpu   time.Duration
}

func startClock() clock { return clock{start: time.Now(), cpu: processCPU()} }

// processCPU is user plus system time of this process so far.
func processCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// report fills in what follows from counts and time. latency may be nil.
func (c clock) report(mode, topic string, records, failed, bytes int64, latency *Histogram) Report {
	elapsed, cpu := time.Since(c.start), processCPU()-c.cpu
	r := Report{
		Mode: mode, Topic: topic, Records: records, Failed: failed, Bytes: bytes,
		Seconds: round(elapsed.Seconds()), CPUSeconds: round(cpu.Seconds()),
	}
	if elapsed > 0 {
		r.RecordsPerSecond = round(float64(records) / elapsed.Seconds())
		r.MBPerSecond = round(float64(bytes) / 1e6 / elapsed.Seconds())
		r.CPUPercent = round(100 * cpu.Seconds() / elapsed.Seconds())
	}
	if latency == nil || latency.Count() == 0 {
		return r
	}
	r.LatencyCount = latency.Count()
	r.LatencyMean = millis(latency.Mean())
	r.LatencyP50 = millis(latency.Quantile(0.50))
	r.LatencyP95 = millis(latency.Quantile(0.95))
	r.LatencyP99 = millis(latency.Quantile(0.99))
	r.LatencyP999 = millis(latency.Quantile(0.999))
	r.LatencyMax = millis(latency.Max())
	return r
}

func millis(d time.Duration) float64 { return round(float64(d) / float64(time.Millisecond)) }

// round keeps three decimals: more would be noise.
func round(f float64) float64 { return float64(int64(f*1000+0.5)) / 1000 }
