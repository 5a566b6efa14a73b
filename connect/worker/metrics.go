package worker

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of all tasks of one worker, under the names that
// Kafka Connect's dashboards expect. Every series has the labels connector and task.
type Metrics struct {
	sourcePolled, sourceWritten *prometheus.CounterVec
	sourceActive                *prometheus.GaugeVec
	sinkRead, sinkSent          *prometheus.CounterVec
	sinkPartitions              *prometheus.GaugeVec
	commits, commitFailures     *prometheus.CounterVec
	batchSeconds                *prometheus.HistogramVec
	errRecords, errFailures     *prometheus.CounterVec
	errSkipped, errRetries      *prometheus.CounterVec
	errLogged                   *prometheus.CounterVec
	dlqRequests, dlqFailures    *prometheus.CounterVec
	lastError                   *prometheus.GaugeVec
}

// shared registers c, or gives the collector that another herder of this
// process has registered. Two different collectors of one name are a mistake in
// the program.
func shared[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if existing, ok := there.ExistingCollector.(C); ok {
			return existing
		}
	}
	if err != nil {
		panic(fmt.Sprintf("connect: metrics: %v", err))
	}
	return c
}

// NewMetrics makes the figures and registers them; herders that are given the
// same registerer share them. A nil registerer keeps them private.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	labels := []string{"connector", "task"}
	counter := func(name, help string) *prometheus.CounterVec {
		return shared(reg, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels))
	}
	gauge := func(name, help string) *prometheus.GaugeVec {
		return shared(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels))
	}
	m := &Metrics{
		sourcePolled:   counter("kafka_connect_source_task_metrics_source_record_poll_total", "Records polled from the source."),
		sourceWritten:  counter("kafka_connect_source_task_metrics_source_record_write_total", "Records acknowledged by the broker."),
		sourceActive:   gauge("kafka_connect_source_task_metrics_source_record_active_count", "Records polled and not yet acknowledged."),
		sinkRead:       counter("kafka_connect_sink_task_metrics_sink_record_read_total", "Records read from topics."),
		sinkSent:       counter("kafka_connect_sink_task_metrics_sink_record_send_total", "Records taken by the task."),
		sinkPartitions: gauge("kafka_connect_sink_task_metrics_partition_count", "Partitions assigned to the task."),
		commits:        counter("kafka_connect_connector_task_metrics_offset_commit_completion_total", "Offset commits that succeeded."),
		commitFailures: counter("kafka_connect_connector_task_metrics_offset_commit_failure_total", "Offset commits that failed."),
		batchSeconds: shared(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kafka_connect_connector_task_metrics_batch_seconds", Help: "Time of one poll of a source task or one put into a sink task.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 4, 9),
		}, labels)),
		errRecords:  counter("kafka_connect_task_error_metrics_total_record_errors", "Record operations that failed, repeated ones included."),
		errFailures: counter("kafka_connect_task_error_metrics_total_record_failures", "Records that failed for good."),
		errSkipped:  counter("kafka_connect_task_error_metrics_total_records_skipped", "Failed records that were skipped."),
		errRetries:  counter("kafka_connect_task_error_metrics_total_retries", "Operations that were repeated."),
		errLogged:   counter("kafka_connect_task_error_metrics_total_errors_logged", "Errors that were logged."),
		dlqRequests: counter("kafka_connect_task_error_metrics_deadletterqueue_produce_requests", "Records sent to the dead letter queue."),
		dlqFailures: counter("kafka_connect_task_error_metrics_deadletterqueue_produce_failures", "Records that the dead letter queue did not take."),
		lastError:   gauge("kafka_connect_task_error_metrics_last_error_timestamp", "Time of the last error, in ms since 1970."),
	}
	return m
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.sourcePolled, m.sourceWritten, m.sourceActive, m.sinkRead, m.sinkSent,
		m.sinkPartitions, m.commits, m.commitFailures, m.batchSeconds, m.errRecords, m.errFailures,
		m.errSkipped, m.errRetries, m.errLogged, m.dlqRequests, m.dlqFailures, m.lastError}
}

// Forget removes the series of a task that will not run again.
func (m *Metrics) Forget(connector string, task int) {
	l := prometheus.Labels{"connector": connector, "task": strconv.Itoa(task)}
	for _, c := range m.all() {
		c.(interface{ Delete(prometheus.Labels) bool }).Delete(l)
	}
}

// taskMetrics are the figures of one task, with its labels filled in.
type taskMetrics struct {
	sourcePolled, sourceWritten       prometheus.Counter
	sourceActive, sinkPartitions      prometheus.Gauge
	sinkRead, sinkSent                prometheus.Counter
	commits, commitFailures           prometheus.Counter
	batchSeconds                      prometheus.Observer
	errRecords, errFailures           prometheus.Counter
	errSkipped, errRetries, errLogged prometheus.Counter
	dlqRequests, dlqFailures          prometheus.Counter
	lastError                         prometheus.Gauge
}

func (m *Metrics) task(connector string, task int) taskMetrics {
	l := []string{connector, strconv.Itoa(task)}
	return taskMetrics{
		sourcePolled: m.sourcePolled.WithLabelValues(l...), sourceWritten: m.sourceWritten.WithLabelValues(l...),
		sourceActive: m.sourceActive.WithLabelValues(l...), sinkPartitions: m.sinkPartitions.WithLabelValues(l...),
		sinkRead: m.sinkRead.WithLabelValues(l...), sinkSent: m.sinkSent.WithLabelValues(l...),
		commits: m.commits.WithLabelValues(l...), commitFailures: m.commitFailures.WithLabelValues(l...),
		batchSeconds: m.batchSeconds.WithLabelValues(l...),
		errRecords:   m.errRecords.WithLabelValues(l...), errFailures: m.errFailures.WithLabelValues(l...),
		errSkipped: m.errSkipped.WithLabelValues(l...), errRetries: m.errRetries.WithLabelValues(l...),
		errLogged:   m.errLogged.WithLabelValues(l...),
		dlqRequests: m.dlqRequests.WithLabelValues(l...), dlqFailures: m.dlqFailures.WithLabelValues(l...),
		lastError: m.lastError.WithLabelValues(l...),
	}
}
