package api

import (
	"fmt"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// dataPath is what Produce and Fetch keep between requests.
type dataPath struct {
	produces producePool
	fetches  fetchPool
	sessions *sessionCache
	topics   *topicMetrics
	// conversions has room for the conversions between message formats that may run
	// at a time: each holds up to maxConverted bytes a few times over.
	conversions chan struct{}
}

// beginConversion waits for room; the returned function gives it back.
func (d *dataPath) beginConversion() (end func()) {
	d.conversions <- struct{}{}
	return func() { <-d.conversions }
}

// newDataPath prepares the data path and registers its metrics.
func newDataPath(deps *Deps) (*dataPath, error) {
	d := &dataPath{
		sessions:    newSessionCache(deps.Configs.Broker().FetchSessionCacheSlots),
		topics:      newTopicMetrics(deps.Images),
		conversions: make(chan struct{}, runtime.GOMAXPROCS(0)),
	}
	if deps.Metrics == nil {
		return d, nil
	}
	const prefix = "kafka_server_fetchsessioncache_"
	for _, c := range []prometheus.Collector{
		d.topics,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "numincrementalfetchsessions", Help: "Fetch sessions.",
		}, func() float64 { n, _ := d.sessions.count(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: prefix + "numincrementalfetchpartitionscached", Help: "Partitions in all fetch sessions.",
		}, func() float64 { _, n := d.sessions.count(); return float64(n) }),
	} {
		if err := deps.Metrics.Register(c); err != nil {
			return nil, fmt.Errorf("api: register metrics: %w", err)
		}
	}
	return d, nil
}
