package runtime

import (
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/task"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of one application; the label app tells several apart.
type metrics struct {
	in, out  prometheus.Counter
	drops    *prometheus.CounterVec
	retries  prometheus.Counter
	commits  prometheus.Histogram
	restored prometheus.Counter
	tasks    prometheus.Gauge
	lag      *prometheus.GaugeVec
	all      []prometheus.Collector
}

// newMetrics makes the metrics; remaining tells how many changelog records are
// still to be restored.
func newMetrics(app string, remaining func() float64) *metrics {
	labels := prometheus.Labels{"app": app}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		in:       counter("leat_streams_records_in_total", "Records read from input topics."),
		out:      counter("leat_streams_records_out_total", "Records written to output topics."),
		retries:  counter("leat_streams_retries_total", "Records processed again after an error."),
		restored: counter("leat_streams_restored_records_total", "Records read back from changelog topics."),
		drops: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "leat_streams_records_dropped_total", Help: "Records dropped, by reason.", ConstLabels: labels,
		}, []string{"reason"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "leat_streams_commit_seconds", Help: "Duration of commits.", ConstLabels: labels,
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 10),
		}),
		tasks: gauge("leat_streams_tasks", "Tasks which are running."),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "leat_streams_lag_records", Help: "Records between the position of a task and the end of its input.", ConstLabels: labels,
		}, []string{"topic", "partition"}),
	}
	left := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "leat_streams_restore_remaining_records", Help: "Changelog records still to be read back.", ConstLabels: labels,
	}, remaining)
	m.all = []prometheus.Collector{m.in, m.out, m.retries, m.restored, m.drops, m.commits, m.tasks, m.lag, left}
	for _, r := range []processor.Reason{processor.DropLate, processor.DropNullKey, processor.DropSkipped, processor.DropDead} {
		m.drops.WithLabelValues(string(r))
	}
	return m
}

// report adds what a task has counted since the last report.
func (m *metrics) report(s *task.Stats, last *task.Stats) {
	m.in.Add(float64(s.In - last.In))
	m.out.Add(float64(s.Out - last.Out))
	m.retries.Add(float64(s.Retries - last.Retries))
	last.In, last.Out, last.Retries = s.In, s.Out, s.Retries
	if last.Drops == nil {
		last.Drops = map[processor.Reason]int64{}
	}
	for reason, n := range s.Drops {
		if n != last.Drops[reason] {
			m.drops.WithLabelValues(string(reason)).Add(float64(n - last.Drops[reason]))
			last.Drops[reason] = n
		}
	}
}
