package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The topics in which the broker keeps its own state.
const (
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
)

// maxPartitionsPerTopic bounds a topic: its assignment must fit a node of the
// tree.
const maxPartitionsPerTopic = 50_000

// newTopic is a topic that has been checked and can be written.
type newTopic struct {
	name       string
	assignment map[int32][]int32
	configs    map[string]string
}

// CreateTopics creates topics, or with validateOnly says what would happen.
func (a *Admin) CreateTopics(ctx context.Context, topics []kmsg.CreateTopicsRequestTopic, validateOnly bool) []kmsg.CreateTopicsResponseTopic {
	out := make([]kmsg.CreateTopicsResponseTopic, len(topics))
	for i := range topics {
		out[i] = a.createTopic(ctx, &topics[i], validateOnly)
	}
	return out
}

// AutoCreate creates topics that a client asked for by name, with the defaults
// of the broker; internal topics get their own partitions, configs, and a
// replication factor that the number of live brokers allows.
func (a *Admin) AutoCreate(ctx context.Context, names []string) []kmsg.CreateTopicsResponseTopic {
	topics := make([]kmsg.CreateTopicsRequestTopic, len(names))
	for i, name := range names {
		topics[i] = kmsg.NewCreateTopicsRequestTopic()
		topics[i].Topic, topics[i].NumPartitions, topics[i].ReplicationFactor = name, -1, -1
		a.internalDefaults(&topics[i])
	}
	return a.CreateTopics(ctx, topics, false)
}

// internalDefaults fills in what the broker wants for its own topics.
func (a *Admin) internalDefaults(t *kmsg.CreateTopicsRequestTopic) {
	cfg := a.cfg.Configs.Broker()
	set := func(name, value string) {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = name, &value
		t.Configs = append(t.Configs, c)
	}
	var factor int16
	minISR := cfg.MinInSyncReplicas
	switch t.Topic {
	case OffsetsTopic:
		t.NumPartitions, factor = cfg.OffsetsTopicPartitions, cfg.OffsetsTopicReplicationFactor
		set("compression.type", "producer")
		set("segment.bytes", strconv.Itoa(int(cfg.OffsetsTopicSegmentBytes)))
	case TransactionsTopic:
		t.NumPartitions, factor = cfg.TransactionStatePartitions, cfg.TransactionStateReplicationFactor
		minISR = cfg.TransactionStateMinISR
		set("compression.type", "uncompressed")
		set("segment.bytes", strconv.Itoa(int(cfg.TransactionStateSegmentBytes)))
		set("unclean.leader.election.enable", "false")
	default:
		return
	}
	set("cleanup.policy", "compact")
	t.ReplicationFactor = min(factor, int16(min(len(a.brokers()), 1<<15-1)))
	if t.ReplicationFactor < factor {
		a.logger.Info("internal topic gets fewer replicas than configured, since there are fewer brokers",
			"topic", t.Topic, "configured", factor, "replicas", t.ReplicationFactor)
	}
	allowed := min(minISR, int(t.ReplicationFactor))
	if allowed >= 1 && (allowed < minISR || t.Topic == TransactionsTopic) {
		set("min.insync.replicas", strconv.Itoa(allowed))
	}
}

func (a *Admin) createTopic(ctx context.Context, t *kmsg.CreateTopicsRequestTopic, validateOnly bool) kmsg.CreateTopicsResponseTopic {
	out := kmsg.NewCreateTopicsResponseTopic()
	out.Topic = t.Topic
	out.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	refuse := func(refusal *adminError) kmsg.CreateTopicsResponseTopic {
		out.ErrorCode, out.ErrorMessage = refusal.code, &refusal.message
		return out
	}
	checked, refusal := a.checkNewTopic(ctx, t)
	if refusal != nil {
		return refuse(refusal)
	}
	if !validateOnly {
		id, refusal := a.writeTopic(ctx, checked)
		if refusal != nil {
			return refuse(refusal)
		}
		out.TopicID = id
	}
	out.NumPartitions = int32(len(checked.assignment))
	out.ReplicationFactor = int16(len(checked.assignment[0]))
	for _, e := range a.cfg.Configs.DescribeTopic(checked.configs, false, false) {
		c := kmsg.NewCreateTopicsResponseTopicConfig()
		c.Name, c.Value, c.ReadOnly, c.Source, c.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.IsSensitive
		out.Configs = append(out.Configs, c)
	}
	return out
}

// checkNewTopic validates a topic in the order in which Kafka does, so that a
// request with several faults gets the same answer.
func (a *Admin) checkNewTopic(ctx context.Context, t *kmsg.CreateTopicsRequestTopic) (*newTopic, *adminError) {
	if _, ok := a.cfg.Cache.Load().Topic(t.Topic); ok {
		return nil, adminErrorf(errTopicAlreadyExists, "Topic '%s' already exists.", t.Topic)
	}
	checked := &newTopic{name: t.Topic, configs: make(map[string]string, len(t.Configs))}
	var nulls []string
	for _, c := range t.Configs {
		if c.Value == nil {
			nulls = append(nulls, c.Name)
			continue
		}
		checked.configs[c.Name] = *c.Value
	}
	if len(nulls) > 0 {
		return nil, adminErrorf(errInvalidConfig, "Null value not supported for topic configs: %s", strings.Join(nulls, ","))
	}
	var refusal *adminError
	if checked.assignment, refusal = a.assignNewTopic(t); refusal != nil {
		return nil, refusal
	}
	if refusal := a.checkName(ctx, t.Topic); refusal != nil {
		return nil, refusal
	}
	if refusal := checkShape(checked.assignment); refusal != nil {
		return nil, refusal
	}
	if err := a.cfg.Configs.ValidateTopic(checked.configs); err != nil {
		return nil, &adminError{errInvalidConfig, err.Error()}
	}
	return checked, nil
}

// assignNewTopic takes the manual assignment, or makes one.
func (a *Admin) assignNewTopic(t *kmsg.CreateTopicsRequestTopic) (map[int32][]int32, *adminError) {
	brokers := a.brokers()
	if len(t.ReplicaAssignment) > 0 {
		if t.NumPartitions != -1 || t.ReplicationFactor != -1 {
			return nil, adminErrorf(errInvalidRequest, "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time.")
		}
		return manualAssignment(t.ReplicaAssignment, brokers)
	}
	count, replicas := t.NumPartitions, t.ReplicationFactor
	if count == -1 {
		count = a.cfg.Configs.Broker().NumPartitions
	}
	if replicas == -1 {
		replicas = a.cfg.Configs.Broker().DefaultReplicationFactor
	}
	if count > maxPartitionsPerTopic {
		return nil, adminErrorf(errInvalidPartitions, "Number of partitions must not be larger than %d.", maxPartitionsPerTopic)
	}
	n := max(len(brokers), 1)
	return assignReplicas(brokers, int(count), int(replicas), 0, a.cfg.RandomInt(n), a.cfg.RandomInt(n))
}

func manualAssignment(list []kmsg.CreateTopicsRequestTopicReplicaAssignment, brokers []rackedBroker) (map[int32][]int32, *adminError) {
	if len(list) > maxPartitionsPerTopic {
		return nil, adminErrorf(errInvalidPartitions, "Number of partitions must not be larger than %d.", maxPartitionsPerTopic)
	}
	out := make(map[int32][]int32, len(list))
	for _, p := range list {
		if _, twice := out[p.Partition]; twice {
			return nil, adminErrorf(errInvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", p.Partition)
		}
		for _, id := range p.Replicas {
			if !slices.ContainsFunc(brokers, func(b rackedBroker) bool { return b.id == id }) {
				return nil, adminErrorf(errInvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
			}
		}
		out[p.Partition] = slices.Clone(p.Replicas)
	}
	return out, nil
}

// checkName refuses names that are not valid, in use, or that would share a
// metric's name with another topic.
func (a *Admin) checkName(ctx context.Context, name string) *adminError {
	if problem := metadata.ValidateTopicName(name); problem != "" {
		return &adminError{errInvalidTopic, problem}
	}
	marked, err := a.exists(ctx, coordination.DeleteTopicPath(name))
	if err != nil {
		return a.failure("Creating topic", name, err)
	}
	if marked {
		return adminErrorf(errTopicAlreadyExists, "Topic '%s' is marked for deletion.", name)
	}
	taken, err := a.exists(ctx, coordination.TopicPath(name))
	if err != nil {
		return a.failure("Creating topic", name, err)
	}
	if taken {
		return adminErrorf(errTopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	if !strings.ContainsAny(name, "._") {
		return nil
	}
	others, _, err := a.cfg.Tree.Children(ctx, coordination.TopicsPath)
	if err != nil {
		return a.failure("Creating topic", name, err)
	}
	same := slices.DeleteFunc(others, func(other string) bool {
		return strings.ReplaceAll(other, ".", "_") != strings.ReplaceAll(name, ".", "_")
	})
	if len(same) > 0 {
		return adminErrorf(errInvalidTopic, "Topic '%s' collides with existing topics: %s", name, strings.Join(same, ", "))
	}
	return nil
}

// checkShape refuses assignments that are no topic: partitions not 0 to n-1,
// replicas twice, none, or not equally many.
func checkShape(assignment map[int32][]int32) *adminError {
	indexes := sortedIDs(assignment)
	for _, index := range indexes {
		replicas := assignment[index]
		if len(replicas) != len(assignment[indexes[0]]) {
			return adminErrorf(errInvalidReplicaAssignment, "All partitions should have the same number of replicas")
		}
		if hasTwice(replicas) {
			return adminErrorf(errInvalidReplicaAssignment, "Duplicate replica assignment found: partition %d on brokers %s", index, joinIDs(replicas))
		}
		if len(replicas) == 0 {
			return adminErrorf(errInvalidReplicaAssignment, "Cannot have replication factor of 0 for partition id %d.", index)
		}
	}
	if int(indexes[len(indexes)-1]) != len(indexes)-1 || indexes[0] != 0 {
		return adminErrorf(errInvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
	}
	return nil
}

func hasTwice(ids []int32) bool {
	sorted := slices.Sorted(slices.Values(ids))
	return len(slices.Compact(sorted)) != len(ids)
}

func joinIDs(ids []int32) string {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.Itoa(int(id))
	}
	return strings.Join(texts, ", ")
}

// writeTopic writes the topic's config and assignment in one multi. The config
// node is written even if it is empty, so that what an earlier topic of the name
// may have left is gone.
func (a *Admin) writeTopic(ctx context.Context, t *newTopic) (coordination.UUID, *adminError) {
	assignment := coordination.TopicAssignment{ID: a.cfg.NewID(), Partitions: t.assignment}
	payload := assignment.Encode()
	if len(payload) > coordination.MaxDataSize/2 {
		return coordination.UUID{}, adminErrorf(errInvalidPartitions, "The assignment of topic '%s' is too large: %d bytes.", t.name, len(payload))
	}
	a.configMu.Lock()
	defer a.configMu.Unlock()
	configPath := coordination.ConfigEntityPath(coordination.ConfigTopics, t.name)
	left, err := a.exists(ctx, configPath)
	if err != nil {
		return coordination.UUID{}, a.failure("Creating topic", t.name, err)
	}
	config := coordination.Create(configPath, coordination.EncodeConfig(t.configs), coordination.Persistent)
	if left {
		config = coordination.Set(configPath, coordination.EncodeConfig(t.configs), coordination.AnyVersion)
	}
	// The log of a partition is made as soon as the controller sees the topic:
	// its config must be known here before.
	before := a.cfg.Configs.TopicOverrides(t.name)
	_ = a.cfg.Configs.SetTopic(t.name, maps.Clone(t.configs)) // validated above
	_, err = a.cfg.Tree.Multi(ctx, config, coordination.Create(coordination.TopicPath(t.name), payload, coordination.Persistent))
	if err != nil {
		_ = a.cfg.Configs.SetTopic(t.name, before)
	}
	switch {
	case errors.Is(err, coordination.ErrNodeExists):
		return coordination.UUID{}, adminErrorf(errTopicAlreadyExists, "Topic '%s' already exists.", t.name)
	case err != nil:
		return coordination.UUID{}, a.failure("Creating topic", t.name, err)
	}
	a.logger.Info("topic created", "topic", t.name, "partitions", len(t.assignment), "id", coordination.FormatUUID(assignment.ID))
	return assignment.ID, nil
}

// CreatePartitions adds partitions to topics.
func (a *Admin) CreatePartitions(ctx context.Context, topics []kmsg.CreatePartitionsRequestTopic, validateOnly bool) []kmsg.CreatePartitionsResponseTopic {
	out := make([]kmsg.CreatePartitionsResponseTopic, len(topics))
	for i := range topics {
		out[i] = kmsg.NewCreatePartitionsResponseTopic()
		out[i].Topic = topics[i].Topic
		if refusal := a.createPartitions(ctx, &topics[i], validateOnly); refusal != nil {
			out[i].ErrorCode, out[i].ErrorMessage = refusal.code, &refusal.message
		}
	}
	return out
}

// maxRetries bounds how often a conditional write is tried against others.
const maxRetries = 10

func (a *Admin) createPartitions(ctx context.Context, t *kmsg.CreatePartitionsRequestTopic, validateOnly bool) *adminError {
	if metadata.ValidateTopicName(t.Topic) != "" {
		return adminErrorf(errUnknownTopicOrPartition, "The topic '%s' does not exist.", t.Topic)
	}
	for range maxRetries {
		assignment, version, refusal := a.readAssignment(ctx, t.Topic)
		if refusal != nil {
			return refusal
		}
		if refusal := a.extend(assignment, t); refusal != nil || validateOnly {
			return refusal
		}
		_, err := a.cfg.Tree.Set(ctx, coordination.TopicPath(t.Topic), assignment.Encode(), version)
		if err == nil {
			a.logger.Info("partitions added", "topic", t.Topic, "partitions", len(assignment.Partitions))
			return nil
		}
		if !errors.Is(err, coordination.ErrBadVersion) {
			return a.failure("Adding partitions to", t.Topic, err)
		}
	}
	return a.failure("Adding partitions to", t.Topic, errors.New("too many writers"))
}

func (a *Admin) readAssignment(ctx context.Context, name string) (*coordination.TopicAssignment, int32, *adminError) {
	data, stat, err := a.cfg.Tree.Get(ctx, coordination.TopicPath(name))
	if errors.Is(err, coordination.ErrNoNode) {
		return nil, 0, adminErrorf(errUnknownTopicOrPartition, "The topic '%s' does not exist.", name)
	}
	if err != nil {
		return nil, 0, a.failure("Adding partitions to", name, err)
	}
	assignment, err := coordination.DecodeTopicAssignment(data)
	if err != nil {
		return nil, 0, a.failure("Adding partitions to", name, err)
	}
	marked, err := a.exists(ctx, coordination.DeleteTopicPath(name))
	if err != nil {
		return nil, 0, a.failure("Adding partitions to", name, err)
	}
	if marked {
		return nil, 0, adminErrorf(errInvalidTopic, "The topic is queued for deletion.")
	}
	if len(assignment.AddingReplicas)+len(assignment.RemovingReplicas) > 0 {
		return nil, 0, adminErrorf(errReassignmentInProgress, "A partition reassignment is in progress for the topic '%s'.", name)
	}
	return &assignment, stat.Version, nil
}

// extend adds the new partitions to an assignment.
func (a *Admin) extend(assignment *coordination.TopicAssignment, t *kmsg.CreatePartitionsRequestTopic) *adminError {
	old := len(assignment.Partitions)
	added := int(t.Count) - old
	switch {
	case added < 0:
		return adminErrorf(errInvalidPartitions, "Topic currently has %d partitions, which is higher than the requested %d.", old, t.Count)
	case added == 0:
		return adminErrorf(errInvalidPartitions, "Topic already has %d partitions.", old)
	case t.Count > maxPartitionsPerTopic:
		return adminErrorf(errInvalidPartitions, "Number of partitions must not be larger than %d.", maxPartitionsPerTopic)
	}
	first, ok := assignment.Partitions[0]
	if !ok || len(first) == 0 {
		return adminErrorf(errUnknownServer, "Unexpected existing replica assignment for topic '%s', partition id 0 is missing.", t.Topic)
	}
	brokers := a.brokers()
	fresh, refusal := a.newPartitions(t, brokers, first, old, added)
	if refusal != nil {
		return refusal
	}
	maps.Copy(assignment.Partitions, fresh)
	return nil
}

func (a *Admin) newPartitions(t *kmsg.CreatePartitionsRequestTopic, brokers []rackedBroker, first []int32, old, added int) (map[int32][]int32, *adminError) {
	if t.Assignment == nil {
		start := max(0, slices.IndexFunc(brokers, func(b rackedBroker) bool { return b.id >= first[0] }))
		return assignReplicas(brokers, added, len(first), old, start, start)
	}
	unknown := map[int32]struct{}{}
	for _, p := range t.Assignment {
		for _, id := range p.Replicas {
			if !slices.ContainsFunc(brokers, func(b rackedBroker) bool { return b.id == id }) {
				unknown[id] = struct{}{}
			}
		}
	}
	if len(unknown) > 0 {
		return nil, adminErrorf(errInvalidReplicaAssignment, "Unknown broker(s) in replica assignment: %s.", joinIDs(sortedIDs(unknown)))
	}
	if len(t.Assignment) != added {
		return nil, adminErrorf(errInvalidReplicaAssignment, "Increasing the number of partitions by %d but %d assignments provided.", added, len(t.Assignment))
	}
	out := make(map[int32][]int32, added)
	var wrong []string
	for i, p := range t.Assignment {
		index := int32(old + i)
		switch {
		case len(p.Replicas) == 0:
			return nil, adminErrorf(errInvalidReplicaAssignment, "Cannot have replication factor of 0 for partition id %d.", index)
		case hasTwice(p.Replicas):
			return nil, adminErrorf(errInvalidReplicaAssignment, "Duplicate brokers not allowed in replica assignment: %s for partition id %d.", joinIDs(p.Replicas), index)
		case len(p.Replicas) != len(first):
			wrong = append(wrong, fmt.Sprintf("%d has %d", index, len(p.Replicas)))
		}
		out[index] = slices.Clone(p.Replicas)
	}
	if len(wrong) > 0 {
		return nil, adminErrorf(errInvalidReplicaAssignment, "Inconsistent replication factor between partitions, partition 0 has %d while partition %s.", len(first), strings.Join(wrong, ", "))
	}
	return out, nil
}
