package replica

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the manager's counters and, computed at each scrape, its gauges.
type metrics struct {
	shrinks, expands prometheus.Counter
}

func newMetrics(m *Manager, reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "kafka_server_replicamanager_" + name, Help: help})
	}
	out := &metrics{
		shrinks: counter("isrshrinks_total", "Followers that fell out of an ISR led here."),
		expands: counter("isrexpands_total", "Followers that joined an ISR led here."),
	}
	if reg == nil {
		return out, nil
	}
	for _, c := range []prometheus.Collector{out.shrinks, out.expands, newGauges(m)} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// proposed counts a change of the ISR from old to now members.
func (x *metrics) proposed(old, now int) {
	switch {
	case now < old:
		x.shrinks.Inc()
	case now > old:
		x.expands.Inc()
	}
}

// gauges walks the hosted partitions once per scrape.
type gauges struct {
	m                                             *Manager
	partitions, leaders, under, underMin, offline *prometheus.Desc
}

func newGauges(m *Manager) *gauges {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_server_replicamanager_"+name, help, nil, nil)
	}
	return &gauges{
		m:          m,
		partitions: desc("partitioncount", "Partitions hosted by this broker."),
		leaders:    desc("leadercount", "Partitions led by this broker."),
		under:      desc("underreplicatedpartitions", "Led partitions whose ISR is smaller than the assignment."),
		underMin:   desc("underminisrpartitioncount", "Led partitions whose ISR is below min.insync.replicas."),
		offline:    desc("offlinereplicacount", "Replicas on failed log directories."),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.partitions, g.leaders, g.under, g.underMin, g.offline} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	var partitions, leaders, under, underMin, offline float64
	g.m.each(func(r *Replica) {
		v := r.view.Load()
		partitions++
		if v.offline != nil {
			offline++
		}
		if v.role != RoleLeader {
			return
		}
		leaders++
		if len(v.isr) < len(v.replicas) {
			under++
		}
		if len(v.isr) < r.cfg.Load().MinISR {
			underMin++
		}
	})
	send := func(d *prometheus.Desc, v float64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
	}
	send(g.partitions, partitions)
	send(g.leaders, leaders)
	send(g.under, under)
	send(g.underMin, underMin)
	send(g.offline, offline)
}
