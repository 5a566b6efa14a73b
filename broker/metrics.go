package broker

import (
	"strconv"

	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/replica"
	"github.com/prometheus/client_golang/prometheus"
)

// maxPartitionSeries bounds the partitions of which each has its own series: a
// broker with more has those of groups and topics only.
const maxPartitionSeries = 5000

// figures is the collector of what takes more than one part of the broker to
// know: the state of topics and the lag of groups, under the names of the
// exporter that dashboards ask for them. Everything is computed at the scrape.
type figures struct {
	b *Broker

	state, brokers, partitions, controller                          *prometheus.Desc
	newest, oldest, leader, preferred, replicas, inSync, underRepl  *prometheus.Desc
	groupOffset, groupLag, groupLagSum, groupMembers, clusterTopics *prometheus.Desc
}

// stateRunning is Kafka's number of a broker that serves.
const stateRunning = 3

func newFigures(b *Broker) *figures {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_"+name, help, labels, nil)
	}
	partition := func(name, help string) *prometheus.Desc {
		return desc("topic_partition_"+name, help, "topic", "partition")
	}
	return &figures{
		b:             b,
		state:         desc("server_kafkaserver_brokerstate", "State of the broker: 3 is running."),
		brokers:       desc("brokers", "Live brokers of the cluster."),
		controller:    desc("controller_kafkacontroller_activecontrollercount", "1 on the controller, else 0."),
		clusterTopics: desc("controller_kafkacontroller_globaltopiccount", "Topics of the cluster."),
		partitions:    desc("topic_partitions", "Partitions of a topic.", "topic"),
		newest:        partition("current_offset", "High watermark of a partition."),
		oldest:        partition("oldest_offset", "First offset of a partition."),
		leader:        partition("leader", "Broker that leads a partition."),
		preferred:     partition("leader_is_preferred", "1 if the preferred replica leads."),
		replicas:      partition("replicas", "Replicas of a partition."),
		inSync:        partition("in_sync_replica", "In-sync replicas of a partition."),
		underRepl:     partition("under_replicated_partition", "1 if a replica is not in sync."),
		groupOffset:   desc("consumergroup_current_offset", "Committed offset.", "consumergroup", "topic", "partition"),
		groupLag:      desc("consumergroup_lag", "Records between the committed offset and the high watermark.", "consumergroup", "topic", "partition"),
		groupLagSum:   desc("consumergroup_lag_sum", "Lag of a group over the partitions of a topic.", "consumergroup", "topic"),
		groupMembers:  desc("consumergroup_members", "Members of a group.", "consumergroup"),
	}
}

// Describe implements prometheus.Collector.
func (f *figures) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		f.state, f.brokers, f.partitions, f.controller, f.clusterTopics,
		f.newest, f.oldest, f.leader, f.preferred, f.replicas, f.inSync, f.underRepl,
		f.groupOffset, f.groupLag, f.groupLagSum, f.groupMembers,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (f *figures) Collect(ch chan<- prometheus.Metric) {
	s := scrape{f: f, ch: ch, image: f.b.images.Load()}
	s.send(f.state, stateRunning)
	s.send(f.brokers, float64(len(s.image.BrokerIDs())))
	s.send(f.controller, truth(s.image.ControllerID == f.b.id))
	s.send(f.clusterTopics, float64(len(s.image.TopicNames())))
	s.topics()
	f.b.groups.Snapshots(func(g group.Snapshot) bool {
		s.group(g)
		return true
	})
}

// scrape is one walk.
type scrape struct {
	f     *figures
	ch    chan<- prometheus.Metric
	image *metadata.Image
}

func (s *scrape) send(d *prometheus.Desc, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (s *scrape) topics() {
	count := 0
	for _, name := range s.image.TopicNames() {
		topic, _ := s.image.Topic(name)
		count += len(topic.Partitions)
		s.send(s.f.partitions, float64(len(topic.Partitions)), name)
	}
	if count > maxPartitionSeries {
		return
	}
	s.f.b.replicas.Partitions(func(p replica.PartitionInfo) bool {
		if p.IsLeader {
			s.partition(p)
		}
		return true
	})
}

func (s *scrape) partition(p replica.PartitionInfo) {
	at := []string{p.TP.Topic, strconv.Itoa(int(p.TP.Partition))}
	s.send(s.f.newest, float64(p.HighWatermark), at...)
	s.send(s.f.oldest, float64(p.LogStartOffset), at...)
	s.send(s.f.leader, float64(p.Leader), at...)
	s.send(s.f.preferred, truth(len(p.Replicas) > 0 && p.Replicas[0] == p.Leader), at...)
	s.send(s.f.replicas, float64(len(p.Replicas)), at...)
	s.send(s.f.inSync, float64(len(p.ISR)), at...)
	s.send(s.f.underRepl, truth(len(p.ISR) < len(p.Replicas)), at...)
}

// group sends the offsets of a group, and its lag where the partition is led
// here.
func (s *scrape) group(g group.Snapshot) {
	s.send(s.f.groupMembers, float64(g.Members), g.Group)
	sums := make(map[string]int64)
	for _, o := range g.Offsets {
		at := []string{g.Group, o.TP.Topic, strconv.Itoa(int(o.TP.Partition))}
		s.send(s.f.groupOffset, float64(o.Offset), at...)
		if hw, ok := s.f.b.replicas.HighWatermark(o.TP); ok {
			lag := max(0, hw-o.Offset)
			sums[o.TP.Topic] += lag
			s.send(s.f.groupLag, float64(lag), at...)
		}
	}
	for topic, lag := range sums {
		s.send(s.f.groupLagSum, float64(lag), g.Group, topic)
	}
}
