package console

import (
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/internal/admin"
)

// snapshot is what one sample found. It is immutable: pages, the API and event
// streams share it.
type snapshot struct {
	at         time.Time
	err        error     // the cluster did not answer; the rest is of the last good sample
	since      time.Time // of the first of the failed samples
	cluster    admin.Cluster
	topics     []admin.Topic // by name, internal ones too
	groups     []admin.Group // by name
	pipelines  []admin.Pipeline
	connectors []Connector
	files      []admin.File // newest first
	filesErr   error

	reads map[string][]string // the topics that each group has read
	live  map[string]string   // texts by key of the event stream

	// Per second, over the last second and over the last few.
	now    rates
	recent rates
}

// rates are per second by key: see the functions that make keys.
type rates map[string]float64

func topicKey(topic string) string        { return "topic/" + topic }
func topicBytesKey(topic string) string   { return "bytes/" + topic }
func groupKey(group string) string        { return "group/" + group }
func readKey(group, topic string) string  { return "read/" + group + "/" + topic }
func connectorKey(name string) string     { return "connector/" + name }
func lagSeries(group string) string       { return "group/" + group + "/lag" }
func topicSeries(topic string) string     { return "topic/" + topic + "/records_in" }
func topicByteSeries(topic string) string { return "topic/" + topic + "/bytes_in" }

const filesKey = "files"

// The series of the whole cluster.
const (
	seriesRecords = "records_in"
	seriesBytes   = "bytes_in"
	seriesLag     = "lag"
)

// level of health, as a class of the style sheet.
type healthLevel string

const (
	healthy  healthLevel = "ok"
	degraded healthLevel = "warn"
	broken   healthLevel = "bad"
)

// Health is one sentence about the whole.
type Health struct {
	Level healthLevel `json:"level"`
	Text  string      `json:"text"`
}

// health says the worst that is known.
func (s *snapshot) health() Health {
	switch {
	case s.at.IsZero() && s.err == nil:
		return Health{degraded, "Waiting for the first answer of the cluster"}
	case s.err != nil:
		return Health{broken, fmt.Sprintf("Unreachable since %s — %v", s.since.Format(time.TimeOnly), s.err)}
	case s.cluster.Offline > 0:
		return Health{broken, fmt.Sprintf("Broken — %s without a leader", count(s.cluster.Offline, "partition"))}
	}
	for _, p := range s.pipelines {
		if !strings.EqualFold(p.State, "running") {
			return Health{degraded, fmt.Sprintf("Degraded — pipeline %s is %s", p.Name, p.State)}
		}
	}
	for _, c := range s.connectors {
		if c.Failed > 0 {
			return Health{degraded, fmt.Sprintf("Degraded — connector %s has %s failed", c.Connector.Connector, count(c.Failed, "task"))}
		}
	}
	if n := s.cluster.UnderReplicated; n > 0 {
		return Health{degraded, fmt.Sprintf("Degraded — %s under-replicated", count(n, "partition"))}
	}
	return Health{healthy, fmt.Sprintf("Healthy — %s, %s, nothing under-replicated",
		count(len(s.cluster.Brokers), "broker"), count(s.cluster.Topics, "topic"))}
}

// lag is the sum over the groups.
func (s *snapshot) lag() int64 {
	var sum int64
	for _, g := range s.groups {
		if g.Lag != nil {
			sum += *g.Lag
		}
	}
	return sum
}

// size is what the topics take on disk, internal ones too.
func (s *snapshot) size() int64 {
	var sum int64
	for _, t := range s.topics {
		sum += max(0, t.SizeBytes)
	}
	return sum
}

// rows are those of all files.
func (s *snapshot) rows() int64 {
	var sum int64
	for _, f := range s.files {
		sum += f.Rows
	}
	return sum
}

// machinery tells of topics that a streams application keeps for itself: a
// record that passes through it is counted where it came in and where it goes.
func (s *snapshot) machinery(topic string) bool {
	if !strings.HasSuffix(topic, "-changelog") && !strings.HasSuffix(topic, "-repartition") {
		return false
	}
	for _, g := range s.groups {
		if strings.HasPrefix(topic, g.Group+"-") {
			return true
		}
	}
	return false
}

// sums are the rates of the cluster: what is written to topics that are
// neither internal nor machinery.
func (s *snapshot) sums(r rates) (records, bytes float64) {
	for _, t := range s.topics {
		if !t.Internal && !s.machinery(t.Name) {
			records += r[topicKey(t.Name)]
			bytes += r[topicBytesKey(t.Name)]
		}
	}
	return records, bytes
}
