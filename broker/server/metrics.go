package server

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/broker/wire"
)

// phase is a part of the life of a request.
type phase int

const (
	phaseTotal     phase = iota // received → written
	phaseQueue                  // received → handler called
	phaseLocal                  // in the handler
	phaseRemote                 // handler returned → answered
	phaseRespQueue              // answered → its turn to be written
	phaseSend                   // written
	phases
)

// name is the phase's metric.
func (p phase) name() string {
	return [...]string{"totaltimems", "requestqueuetimems", "localtimems",
		"remotetimems", "responsequeuetimems", "responsesendtimems"}[p]
}

// apiMetrics counts the requests of one API.
type apiMetrics struct {
	name     string
	requests atomic.Int64
	times    [phases]histogram
}

// observe records a request whose answer was written from start to end.
func (r *Request) observe(start, end time.Duration) {
	m := r.api
	m.requests.Add(1)
	answered := max(r.reply, r.served)
	received := r.Conn.server.since(r.Received)
	m.times[phaseTotal].observe(end - received)
	m.times[phaseQueue].observe(r.start - received)
	m.times[phaseLocal].observe(r.served - r.start)
	m.times[phaseRemote].observe(answered - r.served)
	m.times[phaseRespQueue].observe(start - answered)
	m.times[phaseSend].observe(end - start)
}

// metrics is the prometheus.Collector of a server.
type metrics struct {
	apis   []*apiMetrics // indexed by key; nil where no API is served
	served []*apiMetrics // those that are not nil

	created, closed, expired, failed atomic.Int64

	mu        sync.Mutex
	listeners map[string]*listener

	requests    *prometheus.Desc
	times       [phases]*prometheus.Desc
	connections *prometheus.Desc
	createdDesc *prometheus.Desc
	closedDesc  *prometheus.Desc
	expiredDesc *prometheus.Desc
	failedDesc  *prometheus.Desc
}

const (
	requestPrefix = "kafka_network_requestmetrics_"
	socketPrefix  = "kafka_server_socket_server_metrics_"
)

func newMetrics() *metrics {
	m := &metrics{
		listeners:   map[string]*listener{},
		requests:    prometheus.NewDesc(requestPrefix+"requests_total", "Requests that were answered.", []string{"request"}, nil),
		connections: prometheus.NewDesc(socketPrefix+"connection_count", "Open connections.", []string{"listener"}, nil),
		createdDesc: prometheus.NewDesc(socketPrefix+"connection_creation_total", "Connections accepted.", nil, nil),
		closedDesc:  prometheus.NewDesc(socketPrefix+"connection_close_total", "Connections closed.", nil, nil),
		expiredDesc: prometheus.NewDesc(socketPrefix+"expired_connections_killed_count", "Connections closed because they were idle.", nil, nil),
		failedDesc:  prometheus.NewDesc(socketPrefix+"failed_authentication_total", "Connections closed because their TLS handshake failed.", nil, nil),
	}
	for p := range phases {
		m.times[p] = prometheus.NewDesc(requestPrefix+p.name(), "Time of requests in milliseconds, quantiles over the last minutes.", []string{"request"}, nil)
	}
	for _, a := range wire.APIs() {
		for len(m.apis) <= int(a.Key) {
			m.apis = append(m.apis, nil)
		}
		am := &apiMetrics{name: a.Name}
		m.apis[a.Key] = am
		m.served = append(m.served, am)
	}
	return m
}

// api returns the metrics of a served key.
func (m *metrics) api(key int16) *apiMetrics { return m.apis[key] }

func (m *metrics) addListener(l *listener) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.listeners[l.name] = l
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range m.times {
		ch <- d
	}
	for _, d := range []*prometheus.Desc{m.requests, m.connections, m.createdDesc, m.closedDesc, m.expiredDesc, m.failedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector. APIs that were never used are left
// out.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	for _, a := range m.served {
		if n := a.requests.Load(); n > 0 {
			ch <- prometheus.MustNewConstMetric(m.requests, prometheus.CounterValue, float64(n), a.name)
			for p := range a.times {
				ch <- a.times[p].metric(m.times[p], a.name)
			}
		}
	}
	m.mu.Lock()
	for name, l := range m.listeners {
		ch <- prometheus.MustNewConstMetric(m.connections, prometheus.GaugeValue, float64(l.conns.Load()), name)
	}
	m.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(m.createdDesc, prometheus.CounterValue, float64(m.created.Load()))
	ch <- prometheus.MustNewConstMetric(m.closedDesc, prometheus.CounterValue, float64(m.closed.Load()))
	ch <- prometheus.MustNewConstMetric(m.expiredDesc, prometheus.CounterValue, float64(m.expired.Load()))
	ch <- prometheus.MustNewConstMetric(m.failedDesc, prometheus.CounterValue, float64(m.failed.Load()))
}
