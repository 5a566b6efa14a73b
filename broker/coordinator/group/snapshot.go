package group

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/leatstream/leat/broker/record"
)

// Snapshot describes a group for /metrics and the console.
type Snapshot struct {
	Group        string
	State        string
	ProtocolType string
	Generation   int32
	Members      int
	Offsets      []CommittedOffset
}

// CommittedOffset is one committed offset.
type CommittedOffset struct {
	TP       record.TopicPartition
	Offset   int64
	Metadata string
	Commit   time.Time
}

// snapshotRequest copies what a shard knows.
type snapshotRequest struct {
	offsets bool // with the committed offsets
	done    func([]Snapshot, [stateDead + 1]int, int)
}

// Refuse implements coordinator.Request.
func (r *snapshotRequest) Refuse(error) { r.done(nil, [stateDead + 1]int{}, 0) }

func (r *snapshotRequest) apply(s *Shard) {
	var out []Snapshot
	var states [stateDead + 1]int
	offsets := 0
	for _, g := range s.groups {
		states[g.state]++
		offsets += len(g.offsets)
		if r.offsets {
			out = append(out, g.snapshot())
		}
	}
	s.eff.Reply(func() { r.done(out, states, offsets) })
}

func (g *group) snapshot() Snapshot {
	snap := Snapshot{
		Group: g.id, State: g.state.String(), ProtocolType: g.protocolType,
		Generation: g.generation, Members: len(g.members),
		Offsets: make([]CommittedOffset, 0, len(g.offsets)),
	}
	for _, tp := range sortedPartitions(g.offsets) {
		c := g.offsets[tp]
		snap.Offsets = append(snap.Offsets, CommittedOffset{
			TP: tp, Offset: c.offset, Metadata: c.metadata, Commit: time.UnixMilli(c.commitMs),
		})
	}
	return snap
}

// Snapshots calls yield for each group coordinated here, by name, until it
// returns false. It reads memory only, never the log.
func (s *Service) Snapshots(yield func(Snapshot) bool) {
	all, _, _ := s.collect(true)
	slices.SortFunc(all, func(a, b Snapshot) int { return cmp.Compare(a.Group, b.Group) })
	for _, snap := range all {
		if !yield(snap) {
			return
		}
	}
}

// collect asks every shard and waits for the answers.
func (s *Service) collect(withOffsets bool) (all []Snapshot, states [stateDead + 1]int, offsets int) {
	var mu sync.Mutex
	finished := make(chan struct{})
	partitions := s.runtime.Partitions()
	g := newGather(len(partitions), func() { close(finished) })
	for _, p := range partitions {
		s.runtime.Do(p, &snapshotRequest{offsets: withOffsets, done: func(snaps []Snapshot, st [stateDead + 1]int, n int) {
			mu.Lock()
			all = append(all, snaps...)
			for i := range st {
				states[i] += st[i]
			}
			offsets += n
			mu.Unlock()
			g.one()
		}})
	}
	<-finished
	return all, states, offsets
}

// collector exports the numbers of groups and offsets.
type collector struct {
	s               *Service
	groups, offsets *prometheus.Desc
	byState         [stateDead + 1]*prometheus.Desc
}

func newCollector(s *Service) *collector {
	desc := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc("kafka_coordinator_group_groupmetadatamanager_"+name, help, nil, nil)
	}
	c := &collector{
		s:       s,
		groups:  desc("numgroups", "Groups coordinated by this broker."),
		offsets: desc("numoffsets", "Committed offsets held by this broker."),
	}
	names := [...]string{"numgroupsempty", "numgroupspreparingrebalance", "numgroupscompletingrebalance", "numgroupsstable", "numgroupsdead"}
	for i, name := range names {
		c.byState[i] = desc(name, "Groups in state "+state(i).String()+".")
	}
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.groups
	ch <- c.offsets
	for _, d := range c.byState {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	_, states, offsets := c.s.collect(false)
	total := 0
	for i, n := range states {
		total += n
		ch <- prometheus.MustNewConstMetric(c.byState[i], prometheus.GaugeValue, float64(n))
	}
	ch <- prometheus.MustNewConstMetric(c.groups, prometheus.GaugeValue, float64(total))
	ch <- prometheus.MustNewConstMetric(c.offsets, prometheus.GaugeValue, float64(offsets))
}
