package clean

import (
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the cleaner's figures, under the names of Kafka's.
type metrics struct {
	cleaner *Cleaner

	runs, bytesRead, bytesWritten, recordsDropped prometheus.Counter

	mu         sync.Mutex
	lastRun    time.Time
	dirtiest   float64 // ratio
	delay      int64   // ms
	lastFill   float64
	lastTook   time.Duration
	lastRecopy float64 // bytes after / before
}

func newMetrics(c *Cleaner) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_log_logcleaner_" + name, Help: help})
	}
	return &metrics{
		cleaner:        c,
		runs:           counter("runs_total", "Logs compacted, with or without success."),
		bytesRead:      counter("read_bytes_total", "Bytes read by the cleaner."),
		bytesWritten:   counter("written_bytes_total", "Bytes written by the cleaner."),
		recordsDropped: counter("dropped_records_total", "Records that compaction removed."),
	}
}

// chosen notes a look over all logs.
func (m *metrics) chosen(dirtiest float64, delay int64, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirtiest, m.delay, m.lastRun = dirtiest, delay, now
}

// cleaned notes work on one log.
func (m *metrics) cleaned(s stats) {
	m.runs.Inc()
	m.bytesRead.Add(float64(s.bytesRead))
	m.bytesWritten.Add(float64(s.bytesWritten))
	m.recordsDropped.Add(float64(max(0, s.recordsRead-s.recordsWritten)))
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lastFill, m.lastTook = s.fill, s.duration
	if s.before > 0 {
		m.lastRecopy = float64(s.after) / float64(s.before)
	}
}

type gauges struct{ uncleanable, bytes, dirtiest, delay, fill, took, recopy, since *prometheus.Desc }

func (m *metrics) gauges() gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_log_"+name, help, labels, nil)
	}
	return gauges{
		uncleanable: desc("logcleanermanager_uncleanable_partitions_count", "Partitions that the cleaner gave up."),
		bytes:       desc("logcleanermanager_uncleanable_bytes", "Bytes of a partition that the cleaner gave up.", "topic", "partition"),
		dirtiest:    desc("logcleanermanager_max_dirty_percent", "Largest share of a log that waits for compaction, in percent."),
		delay:       desc("logcleaner_max_compaction_delay_secs", "Longest time that a record waits beyond max.compaction.lag.ms."),
		fill:        desc("logcleaner_max_buffer_utilization_percent", "Share of the key map that the last log filled, in percent."),
		took:        desc("logcleaner_max_clean_time_secs", "Time that the last log took."),
		recopy:      desc("logcleaner_cleaner_recopy_percent", "Bytes kept of the last log, in percent."),
		since:       desc("logcleanermanager_time_since_last_run_ms", "Time since the cleaner last looked for work."),
	}
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	g := m.gauges()
	for _, d := range [...]*prometheus.Desc{g.uncleanable, g.bytes, g.dirtiest, g.delay, g.fill, g.took, g.recopy, g.since} {
		ch <- d
	}
	for _, c := range [...]prometheus.Counter{m.runs, m.bytesRead, m.bytesWritten, m.recordsDropped} {
		c.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	g := m.gauges()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	m.cleaner.mu.Lock()
	gauge(g.uncleanable, float64(len(m.cleaner.uncleanable)))
	for l := range m.cleaner.uncleanable {
		tp := l.Partition()
		gauge(g.bytes, float64(l.Size()), tp.Topic, strconv.Itoa(int(tp.Partition)))
	}
	m.cleaner.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	gauge(g.dirtiest, 100*m.dirtiest)
	gauge(g.delay, float64(m.delay)/1000)
	gauge(g.fill, 100*m.lastFill)
	gauge(g.took, m.lastTook.Seconds())
	gauge(g.recopy, 100*m.lastRecopy)
	since := 0.0
	if !m.lastRun.IsZero() {
		since = float64(time.Since(m.lastRun).Milliseconds())
	}
	gauge(g.since, since)
	for _, c := range [...]prometheus.Counter{m.runs, m.bytesRead, m.bytesWritten, m.recordsDropped} {
		c.Collect(ch)
	}
}
