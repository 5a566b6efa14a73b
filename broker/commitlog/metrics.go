package commitlog

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// collector reads gauges from the manager when they are asked for, so that a
// partition costs nothing in between.
type collector struct{ m *Manager }

type descs struct {
	offline, full, damaged, lost, found, open, logs, size, start, end *prometheus.Desc
}

func (c *collector) descs() descs {
	labels := []string{"topic", "partition"}
	return descs{
		offline: prometheus.NewDesc("kafka_log_logmanager_offlinelogdirectorycount", "Log directories that are off line.", nil, nil),
		full:    prometheus.NewDesc("leat_log_directory_full", "1 while the volume of a directory is full and it takes no records.", []string{"dir"}, nil),
		damaged: prometheus.NewDesc("leat_log_damaged_bytes", "Bytes of a partition that are known to be damaged.", labels, nil),
		lost:    prometheus.NewDesc("leat_log_damaged_ranges", "Ranges of a partition that are known to be damaged.", labels, nil),
		found:   prometheus.NewDesc("leat_log_damage_found_total", "Damaged ranges of logs, by who found them.", []string{"found_by"}, nil),
		open:    prometheus.NewDesc("leat_log_open_files", "Log files that are open.", nil, nil),
		logs:    prometheus.NewDesc("kafka_log_logmanager_logcount", "Open logs by directory.", []string{"dir"}, nil),
		size:    prometheus.NewDesc("kafka_log_log_size", "Bytes of a partition's segments.", labels, nil),
		start:   prometheus.NewDesc("kafka_log_log_logstartoffset", "First readable offset.", labels, nil),
		end:     prometheus.NewDesc("kafka_log_log_logendoffset", "Offset of the next record.", labels, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	d := c.descs()
	for _, desc := range [...]*prometheus.Desc{d.offline, d.full, d.damaged, d.lost, d.found, d.open, d.logs, d.size, d.start, d.end} {
		ch <- desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	d := c.descs()
	gauge := func(desc *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, labels...)
	}
	for finder, n := range c.m.damage.all() {
		ch <- prometheus.MustNewConstMetric(d.found, prometheus.CounterValue, float64(n), finder)
	}
	gauge(d.offline, float64(len(c.m.dirs)-c.m.online()))
	gauge(d.open, float64(c.m.open.Count()))
	for _, dir := range c.m.dirs {
		list := dir.list()
		gauge(d.logs, float64(len(list)), dir.path)
		gauge(d.full, dir.fullness(), dir.path)
		for _, l := range list {
			partition := strconv.Itoa(int(l.tp.Partition))
			if ranges, bytes := l.damagedBytes(); ranges > 0 {
				gauge(d.damaged, float64(bytes), l.tp.Topic, partition)
				gauge(d.lost, float64(ranges), l.tp.Topic, partition)
			}
			gauge(d.size, float64(l.Size()), l.tp.Topic, partition)
			gauge(d.start, float64(l.StartOffset()), l.tp.Topic, partition)
			gauge(d.end, float64(l.EndOffset()), l.tp.Topic, partition)
		}
	}
}

// fullness is 1 while the directory takes no records for want of space.
func (d *logDir) fullness() float64 {
	if d.health.Reserve.Err() != nil {
		return 1
	}
	return 0
}
