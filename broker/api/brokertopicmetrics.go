package api

import (
	"sync"
	"sync/atomic"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/prometheus/client_golang/prometheus"
)

// topicMetrics counts what goes in and out, by topic and in all. It is a
// prometheus.Collector.
type topicMetrics struct {
	images *metadata.Cache
	all    topicCounters
	topics sync.Map // name → *topicCounters, of topics that were used

	descs [topicMetricCount]*prometheus.Desc
}

// topicCounters are the counters of one topic, or of all.
type topicCounters struct {
	values [topicMetricCount]atomic.Int64
}

// topicMetric is one of the counters.
type topicMetric int

const (
	messagesIn topicMetric = iota
	bytesIn
	bytesOut
	produceRequests
	fetchRequests
	failedProduceRequests
	failedFetchRequests
	produceConversions
	fetchConversions
	topicMetricCount
)

func newTopicMetrics(images *metadata.Cache) *topicMetrics {
	m := &topicMetrics{images: images}
	for i, d := range [topicMetricCount]struct{ name, help string }{
		messagesIn:            {"messagesin_total", "Records appended for producers."},
		bytesIn:               {"bytesin_total", "Bytes of record batches appended for producers."},
		bytesOut:              {"bytesout_total", "Bytes of record batches sent to consumers."},
		produceRequests:       {"totalproducerequests_total", "Partitions that producers asked to append to."},
		fetchRequests:         {"totalfetchrequests_total", "Partitions that consumers read."},
		failedProduceRequests: {"failedproducerequests_total", "Partitions that could not be appended to."},
		failedFetchRequests:   {"failedfetchrequests_total", "Partitions that could not be read."},
		produceConversions:    {"producemessageconversions_total", "Records of producers converted from an older message format."},
		fetchConversions:      {"fetchmessageconversions_total", "Records converted to an older message format for consumers."},
	} {
		m.descs[i] = prometheus.NewDesc("kafka_server_brokertopicmetrics_"+d.name, d.help+" Without a topic: of all topics.", []string{"topic"}, nil)
	}
	return m
}

// of returns the counters of a topic. name must outlive the metrics.
func (m *topicMetrics) of(name string) *topicCounters {
	if t, ok := m.topics.Load(name); ok {
		return t.(*topicCounters)
	}
	t, _ := m.topics.LoadOrStore(name, new(topicCounters))
	return t.(*topicCounters)
}

func (m *topicMetrics) add(t *topicCounters, i topicMetric, n int64) {
	t.values[i].Add(n)
	m.all.values[i].Add(n)
}

// produced counts the append to one partition of a topic that exists.
func (m *topicMetrics) produced(name string, info *commitlog.AppendInfo, size int, ok bool) {
	t := m.of(name)
	m.add(t, produceRequests, 1)
	if !ok {
		m.add(t, failedProduceRequests, 1)
		return
	}
	if !info.Duplicate {
		m.add(t, messagesIn, info.Records)
		m.add(t, bytesIn, int64(size))
	}
}

// fetched counts the read of one partition of a topic that exists.
func (m *topicMetrics) fetched(name string, size int, ok bool) {
	t := m.of(name)
	m.add(t, fetchRequests, 1)
	if !ok {
		m.add(t, failedFetchRequests, 1)
		return
	}
	m.add(t, bytesOut, int64(size))
}

// converted counts records of a topic that exists which changed their format; i
// is produceConversions or fetchConversions.
func (m *topicMetrics) converted(name string, i topicMetric, records int64) {
	m.add(m.of(name), i, records)
}

// Describe implements prometheus.Collector.
func (m *topicMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector. The sums over all topics have an
// empty topic label, as dashboards expect. Topics that were deleted are dropped.
func (m *topicMetrics) Collect(ch chan<- prometheus.Metric) {
	m.all.collect(ch, m, "")
	image := m.images.Load()
	m.topics.Range(func(name, t any) bool {
		if _, ok := image.Topic(name.(string)); !ok {
			m.topics.Delete(name)
			return true
		}
		t.(*topicCounters).collect(ch, m, name.(string))
		return true
	})
}

func (t *topicCounters) collect(ch chan<- prometheus.Metric, m *topicMetrics, name string) {
	for i, d := range m.descs {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(t.values[i].Load()), name)
	}
}
