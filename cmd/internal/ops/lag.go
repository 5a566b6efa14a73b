package ops

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// GroupLag is the state of one consumer group at one moment.
type GroupLag struct {
	Group      string
	Members    int
	Partitions []PartitionLag
}

// PartitionLag is the position of a group in one partition.
type PartitionLag struct {
	Topic     string
	Partition int32
	Committed int64 // offset of the next record the group will read after a restart
	End       int64 // high watermark, as consumers see the end
}

// lag in records; a commit beyond the end (the log was cut) counts as none.
func (p PartitionLag) lag() int64 { return max(0, p.End-p.Committed) }

// LagCollector exports group lag under kafka_exporter's names. It holds no
// state: each scrape takes one snapshot from its source.
type LagCollector struct {
	snapshot func() []GroupLag
	offset   *prometheus.Desc
	lag      *prometheus.Desc
	lagSum   *prometheus.Desc
	members  *prometheus.Desc
}

// NewLagCollector builds a collector. snapshot is called at each scrape, from
// any goroutine; it must answer from memory, without I/O.
func NewLagCollector(snapshot func() []GroupLag) *LagCollector {
	partition := []string{"consumergroup", "topic", "partition"}
	return &LagCollector{
		snapshot: snapshot,
		offset:   prometheus.NewDesc("kafka_consumergroup_current_offset", "Committed offset of a group in a partition.", partition, nil),
		lag:      prometheus.NewDesc("kafka_consumergroup_lag", "Records between the committed offset and the end of a partition.", partition, nil),
		lagSum:   prometheus.NewDesc("kafka_consumergroup_lag_sum", "Lag of a group summed over the partitions of a topic.", partition[:2], nil),
		members:  prometheus.NewDesc("kafka_consumergroup_members", "Members of a group.", partition[:1], nil),
	}
}

// Describe implements prometheus.Collector.
func (c *LagCollector) Describe(out chan<- *prometheus.Desc) {
	out <- c.offset
	out <- c.lag
	out <- c.lagSum
	out <- c.members
}

// Collect implements prometheus.Collector.
func (c *LagCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value int64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	for _, g := range c.snapshot() {
		gauge(c.members, int64(g.Members), g.Group)
		sums := map[string]int64{}
		for _, p := range g.Partitions {
			number := partitionLabel(p.Partition)
			gauge(c.offset, p.Committed, g.Group, p.Topic, number)
			gauge(c.lag, p.lag(), g.Group, p.Topic, number)
			sums[p.Topic] += p.lag()
		}
		for topic, sum := range sums {
			gauge(c.lagSum, sum, g.Group, topic)
		}
	}
}

func partitionLabel(p int32) string { return strconv.FormatInt(int64(p), 10) }
