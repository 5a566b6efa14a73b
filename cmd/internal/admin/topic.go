package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrNotFound marks something named by the user that does not exist.
var ErrNotFound = errors.New("not found")

// Topic is a line of the list of topics.
type Topic struct {
	Name              string `json:"name" col:"TOPIC,name"`
	ID                string `json:"topic_id" col:"ID,wide"`
	Partitions        int    `json:"partitions" col:"PARTITIONS"`
	ReplicationFactor int    `json:"replication_factor" col:"REPLICAS"`
	Internal          bool   `json:"internal" col:"INTERNAL,wide"`
	// Records is the sum of end minus start offset: an upper bound where
	// compaction or transactions took offsets. -1 when unknown.
	Records int64 `json:"records" col:"RECORDS"`
	// SizeBytes counts every replica's bytes on disk; -1 when unknown.
	SizeBytes int64 `json:"size_bytes" col:"SIZE,bytes"`
}

// TopicDetail is everything about one topic.
type TopicDetail struct {
	Name              string      `json:"name" col:"Topic,name"`
	ID                string      `json:"topic_id" col:"ID"`
	Internal          bool        `json:"internal" col:"Internal"`
	PartitionCount    int         `json:"partition_count" col:"Partition count"`
	ReplicationFactor int         `json:"replication_factor" col:"Replication factor"`
	Records           int64       `json:"records" col:"Records"`
	SizeBytes         int64       `json:"size_bytes" col:"Size,bytes"`
	Partitions        []Partition `json:"partitions" col:"Partitions"`
	Configs           []Config    `json:"configs" col:"Configs"`
}

// Partition of a topic. Offsets are -1 when they could not be read.
type Partition struct {
	Partition   int32   `json:"partition" col:"PARTITION"`
	Leader      int32   `json:"leader" col:"LEADER"`
	LeaderEpoch int32   `json:"leader_epoch" col:"EPOCH"`
	Replicas    []int32 `json:"replicas" col:"REPLICAS"`
	ISR         []int32 `json:"isr" col:"ISR"`
	Offline     []int32 `json:"offline_replicas" col:"OFFLINE,wide"`
	StartOffset int64   `json:"start_offset" col:"START"`
	EndOffset   int64   `json:"end_offset" col:"END"`
	Records     int64   `json:"records" col:"RECORDS"`
	SizeBytes   int64   `json:"size_bytes" col:"SIZE,bytes"`
	Error       string  `json:"error,omitempty" col:"ERROR,wide"`
}

// Config is one setting of a topic or broker.
type Config struct {
	Key    string  `json:"key" col:"KEY,name"`
	Value  *string `json:"value" col:"VALUE"`
	Source string  `json:"source" col:"SOURCE"`
}

// Topics lists the cluster's topics by name; internal ones only on request.
func Topics(ctx context.Context, cl *kadm.Client, internal bool) ([]Topic, error) {
	details, err := cl.ListTopicsWithInternal(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	names := make([]string, 0, len(details))
	for name, d := range details {
		if !missing(d) && (internal || !isInternal(d)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return []Topic{}, nil
	}
	extents := readExtents(ctx, cl, names)
	topics := make([]Topic, len(names))
	for i, name := range names {
		d := details[name]
		topics[i] = Topic{
			Name: name, ID: topicID(d.ID), Partitions: len(d.Partitions),
			ReplicationFactor: d.Partitions.NumReplicas(), Internal: isInternal(d),
			Records: 0, SizeBytes: extents.size(name),
		}
		for p := range d.Partitions {
			topics[i].Records = addKnown(topics[i].Records, extents.of(name, p).records())
		}
	}
	return topics, nil
}

// Brokers flag only the topics they know as internal; the names of Connect's
// and the schema registry's topics start with an underscore too, and stay
// visible because they are made by users.
func isInternal(d kadm.TopicDetail) bool {
	return d.IsInternal || strings.HasPrefix(d.Topic, "__")
}

// missing tells of a topic that does not exist: a client's cache lists those
// too that were asked for in vain.
func missing(d kadm.TopicDetail) bool { return errors.Is(d.Err, kerr.UnknownTopicOrPartition) }

// DescribeTopic reads one topic; ErrNotFound when it does not exist.
func DescribeTopic(ctx context.Context, cl *kadm.Client, name string) (TopicDetail, error) {
	details, err := cl.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return TopicDetail{}, fmt.Errorf("describe topic %s: %w", name, err)
	}
	d, ok := details[name]
	if !ok || missing(d) {
		return TopicDetail{}, fmt.Errorf("topic %s: %w", name, ErrNotFound)
	}
	if d.Err != nil {
		return TopicDetail{}, fmt.Errorf("describe topic %s: %w", name, d.Err)
	}
	extents := readExtents(ctx, cl, []string{name})
	t := TopicDetail{
		Name: name, ID: topicID(d.ID), Internal: isInternal(d), PartitionCount: len(d.Partitions),
		ReplicationFactor: d.Partitions.NumReplicas(), SizeBytes: extents.size(name),
		Partitions: []Partition{}, Configs: topicConfigs(ctx, cl, name),
	}
	for _, p := range d.Partitions.Sorted() {
		part := partitionOf(p, extents.of(name, p.Partition))
		t.Partitions = append(t.Partitions, part)
		t.Records = addKnown(t.Records, part.Records)
	}
	return t, nil
}

// topicID spells an id as Kafka's tools do.
func topicID(id kadm.TopicID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

func partitionOf(p kadm.PartitionDetail, e extent) Partition {
	part := Partition{
		Partition: p.Partition, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch,
		Replicas: nonNil(p.Replicas), ISR: nonNil(p.ISR), Offline: nonNil(p.OfflineReplicas),
		StartOffset: e.start, EndOffset: e.end, Records: e.records(), SizeBytes: e.size,
	}
	if p.Err != nil {
		part.Error = p.Err.Error()
	}
	return part
}

func nonNil(s []int32) []int32 {
	if s == nil {
		return []int32{}
	}
	return s
}

// topicConfigs lists all settings, those that differ from the default first.
func topicConfigs(ctx context.Context, cl *kadm.Client, name string) []Config {
	configs := []Config{}
	described, err := cl.DescribeTopicConfigs(ctx, name)
	if err != nil {
		return configs
	}
	resource, err := described.On(name, nil)
	if err != nil {
		return configs
	}
	for _, c := range resource.Configs {
		configs = append(configs, Config{Key: c.Key, Value: c.Value, Source: c.Source.String()})
	}
	slices.SortFunc(configs, func(a, b Config) int {
		return cmp.Or(compareBool(isDefault(a), isDefault(b)), cmp.Compare(a.Key, b.Key))
	})
	return configs
}

func isDefault(c Config) bool { return c.Source == "DEFAULT_CONFIG" }

// NonDefault keeps the configs that somebody set.
func NonDefault(configs []Config) []Config {
	return slices.DeleteFunc(slices.Clone(configs), isDefault)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// extent is what one partition holds; -1 where unknown.
type extent struct{ start, end, size int64 }

func (e extent) records() int64 {
	if e.start < 0 || e.end < 0 {
		return -1
	}
	return e.end - e.start
}

type extents map[string]map[int32]extent

func (x extents) of(topic string, partition int32) extent {
	if e, ok := x[topic][partition]; ok {
		return e
	}
	return extent{-1, -1, -1}
}

// size sums a topic's partitions; -1 when no size is known.
func (x extents) size(topic string) int64 {
	total, known := int64(0), false
	for _, e := range x[topic] {
		if e.size >= 0 {
			total, known = total+e.size, true
		}
	}
	if !known {
		return -1
	}
	return total
}

func addKnown(sum, n int64) int64 {
	if sum < 0 || n < 0 {
		return -1
	}
	return sum + n
}

// readExtents asks for offsets and sizes. Failures leave -1: a list should not
// fail because one leader is away or log dirs may not be described.
func readExtents(ctx context.Context, cl *kadm.Client, topics []string) extents {
	x := extents{}
	set := func(topic string, partition int32, change func(*extent)) {
		if x[topic] == nil {
			x[topic] = map[int32]extent{}
		}
		e := x.of(topic, partition)
		change(&e)
		x[topic][partition] = e
	}
	if starts, err := cl.ListStartOffsets(ctx, topics...); err == nil {
		starts.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				set(o.Topic, o.Partition, func(e *extent) { e.start = o.Offset })
			}
		})
	}
	if ends, err := cl.ListEndOffsets(ctx, topics...); err == nil {
		ends.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				set(o.Topic, o.Partition, func(e *extent) { e.end = o.Offset })
			}
		})
	}
	var wanted kadm.TopicsSet
	for topic, partitions := range x {
		for p := range partitions {
			wanted.Add(topic, p)
		}
	}
	if len(wanted) == 0 {
		return x
	}
	dirs, err := cl.DescribeAllLogDirs(ctx, wanted)
	if err != nil {
		return x
	}
	dirs.Each(func(dir kadm.DescribedLogDir) {
		dir.Topics.Each(func(p kadm.DescribedLogDirPartition) {
			set(p.Topic, p.Partition, func(e *extent) { e.size = max(e.size, 0) + p.Size })
		})
	})
	return x
}
