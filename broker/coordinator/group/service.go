package group

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
)

// OffsetsTopic is the internal topic that holds groups and offsets.
const OffsetsTopic = "__consumer_offsets"

// Config holds the settings of the group coordinator, with the meaning of the
// broker properties of the same names.
type Config struct {
	// Partitions is the number of partitions of OffsetsTopic.
	Partitions            int32
	InitialRebalanceDelay time.Duration
	MinSessionTimeout     time.Duration
	MaxSessionTimeout     time.Duration
	MaxSize               int
	// OffsetMetadataMaxBytes bounds the metadata of one committed offset.
	OffsetMetadataMaxBytes int
	// OffsetsRetention is how long offsets outlive their group.
	OffsetsRetention       time.Duration
	RetentionCheckInterval time.Duration
	CommitTimeout          time.Duration
}

// DefaultConfig is Kafka's.
func DefaultConfig() Config {
	return Config{
		Partitions:             50,
		InitialRebalanceDelay:  3 * time.Second,
		MinSessionTimeout:      6 * time.Second,
		MaxSessionTimeout:      30 * time.Minute,
		MaxSize:                1<<31 - 1,
		OffsetMetadataMaxBytes: 4096,
		OffsetsRetention:       7 * 24 * time.Hour,
		RetentionCheckInterval: 10 * time.Minute,
		CommitTimeout:          5 * time.Second,
	}
}

// Client names the sender of a request.
type Client struct {
	ID string
	// Host is the peer's address as Kafka prints it, for instance "/127.0.0.1".
	Host string
}

// Service answers the group requests. Every method that takes done calls it
// exactly once, before it returns or later on another goroutine. The request
// belongs to the service from the call on.
type Service struct {
	cfg        Config
	partitions atomic.Int32
	runtime    *coordinator.Runtime[request]
}

// NewService builds the coordinator over the manager's partitions of
// OffsetsTopic.
func NewService(cfg Config, manager *replica.Manager, logger *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	s, err := newService(cfg, coordinator.NewReplicaLog(manager, OffsetsTopic), logger, reg)
	if err != nil {
		return nil, err
	}
	manager.Watch(OffsetsTopic, s.runtime.Leadership)
	return s, nil
}

func newService(cfg Config, log coordinator.Log, logger *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Service{cfg: cfg}
	s.partitions.Store(cfg.Partitions)
	s.runtime = coordinator.NewRuntime(coordinator.Config[request]{
		New:           func(int32) coordinator.Shard[request] { return newShard(cfg, uuid.NewString) },
		CommitTimeout: cfg.CommitTimeout,
	}, log, logger)
	if reg != nil {
		if err := reg.Register(newCollector(s)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (c *Config) validate() error {
	switch {
	case c.Partitions <= 0:
		return errors.New("group: Config.Partitions must be positive")
	case c.MinSessionTimeout > c.MaxSessionTimeout:
		return errors.New("group: group.min.session.timeout.ms is above group.max.session.timeout.ms")
	case c.MaxSize <= 0:
		return errors.New("group: group.max.size must be positive")
	case c.RetentionCheckInterval <= 0:
		return errors.New("group: offsets.retention.check.interval.ms must be positive")
	}
	return nil
}

// Run loads and serves partitions until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.runtime.Run(ctx) }

// SetPartitions tells the real partition count of OffsetsTopic, once it exists.
func (s *Service) SetPartitions(n int32) {
	if n > 0 {
		s.partitions.Store(n)
	}
}

// Partitions is the partition count in use.
func (s *Service) Partitions() int32 { return s.partitions.Load() }

// PartitionFor returns the partition of OffsetsTopic that holds group; its
// leader is the group's coordinator.
func (s *Service) PartitionFor(group string) int32 { return PartitionOf(group, s.Partitions()) }

// Status tells whether this broker can coordinate group now: nil, or one of
// package coordinator's errors.
func (s *Service) Status(group string) error { return s.runtime.Status(s.PartitionFor(group)) }

func (s *Service) do(group string, r request) { s.runtime.Do(s.PartitionFor(group), r) }

// JoinGroup enters a member; done may come only after a whole rebalance.
func (s *Service) JoinGroup(req *kmsg.JoinGroupRequest, c Client, done func(*kmsg.JoinGroupResponse)) {
	s.do(req.Group, &joinRequest{JoinGroupRequest: req, client: c, done: done})
}

// SyncGroup hands out assignments.
func (s *Service) SyncGroup(req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	s.do(req.Group, &syncRequest{SyncGroupRequest: req, done: done})
}

// Heartbeat keeps a member alive.
func (s *Service) Heartbeat(req *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {
	s.do(req.Group, &heartbeatRequest{HeartbeatRequest: req, done: done})
}

// LeaveGroup removes members.
func (s *Service) LeaveGroup(req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	s.do(req.Group, &leaveRequest{LeaveGroupRequest: req, done: done})
}

// OffsetCommit stores offsets. Topics must exist: the caller has checked.
func (s *Service) OffsetCommit(req *kmsg.OffsetCommitRequest, _ Client, done func(*kmsg.OffsetCommitResponse)) {
	s.do(req.Group, &commitRequest{OffsetCommitRequest: req, done: done})
}

// OffsetDelete removes offsets of topics the group does not subscribe to.
func (s *Service) OffsetDelete(req *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse)) {
	s.do(req.Group, &offsetDeleteRequest{OffsetDeleteRequest: req, done: done})
}

// gather asks for n parts and calls done when the last is there. Each part is
// given by its own call of put's result, in any order.
type gather struct {
	left atomic.Int64
	done func()
}

func newGather(n int, done func()) *gather {
	g := &gather{done: done}
	g.left.Store(int64(n))
	if n == 0 {
		done()
	}
	return g
}

func (g *gather) one() {
	if g.left.Add(-1) == 0 {
		g.done()
	}
}

// OffsetFetch reads offsets of one group (up to v7) or of many (from v8).
func (s *Service) OffsetFetch(req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {
	resp := kmsg.NewPtrOffsetFetchResponse()
	resp.Version = req.Version
	if req.Version < 8 {
		s.fetchOne(req, resp, done)
		return
	}
	resp.Groups = make([]kmsg.OffsetFetchResponseGroup, len(req.Groups))
	all := newGather(len(req.Groups), func() { done(resp) })
	for i := range req.Groups {
		in := &req.Groups[i]
		s.do(in.Group, &fetchRequest{
			group: in.Group, topics: in.Topics, all: in.Topics == nil, requireStable: req.RequireStable,
			done: func(g kmsg.OffsetFetchResponseGroup) {
				resp.Groups[i] = g
				all.one()
			},
		})
	}
}

// fetchOne is the shape up to version 7: one group, and before version 2 an
// error of the group stands at every partition.
func (s *Service) fetchOne(req *kmsg.OffsetFetchRequest, resp *kmsg.OffsetFetchResponse, done func(*kmsg.OffsetFetchResponse)) {
	topics := make([]kmsg.OffsetFetchRequestGroupTopic, len(req.Topics))
	for i, t := range req.Topics {
		topics[i] = kmsg.OffsetFetchRequestGroupTopic{Topic: t.Topic, Partitions: t.Partitions}
	}
	s.do(req.Group, &fetchRequest{
		group: req.Group, topics: topics, all: req.Topics == nil && req.Version >= 2, requireStable: req.RequireStable,
		done: func(g kmsg.OffsetFetchResponseGroup) {
			if g.ErrorCode != codeNone && req.Version < 2 {
				g.Topics = failedOffsets(topics, g.ErrorCode)
			} else {
				resp.ErrorCode = g.ErrorCode
			}
			for _, t := range g.Topics {
				out := kmsg.OffsetFetchResponseTopic{Topic: t.Topic}
				for _, p := range t.Partitions {
					out.Partitions = append(out.Partitions, kmsg.OffsetFetchResponseTopicPartition(p))
				}
				resp.Topics = append(resp.Topics, out)
			}
			done(resp)
		},
	})
}

func failedOffsets(topics []kmsg.OffsetFetchRequestGroupTopic, code int16) (out []kmsg.OffsetFetchResponseGroupTopic) {
	var none *group
	for _, t := range topics {
		ot := kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic}
		for _, p := range t.Partitions {
			op := none.offset(record.TopicPartition{Topic: t.Topic, Partition: p}, false)
			op.ErrorCode = code
			ot.Partitions = append(ot.Partitions, op)
		}
		out = append(out, ot)
	}
	return out
}

// DescribeGroups describes groups; unknown ones are Dead.
func (s *Service) DescribeGroups(req *kmsg.DescribeGroupsRequest, done func(*kmsg.DescribeGroupsResponse)) {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	resp.Version = req.Version
	resp.Groups = make([]kmsg.DescribeGroupsResponseGroup, len(req.Groups))
	all := newGather(len(req.Groups), func() { done(resp) })
	for i, name := range req.Groups {
		s.do(name, &describeRequest{group: name, version: req.Version, done: func(g kmsg.DescribeGroupsResponseGroup) {
			resp.Groups[i] = g
			all.one()
		}})
	}
}

// DeleteGroups deletes empty groups.
func (s *Service) DeleteGroups(req *kmsg.DeleteGroupsRequest, done func(*kmsg.DeleteGroupsResponse)) {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	resp.Version = req.Version
	resp.Groups = make([]kmsg.DeleteGroupsResponseGroup, len(req.Groups))
	all := newGather(len(req.Groups), func() { done(resp) })
	for i, name := range req.Groups {
		s.do(name, &deleteRequest{group: name, done: func(code int16) {
			resp.Groups[i] = kmsg.DeleteGroupsResponseGroup{Group: name, ErrorCode: code}
			all.one()
		}})
	}
}

// ListGroups lists the groups coordinated here. While a partition is loading the
// list is incomplete and says so by its error code.
func (s *Service) ListGroups(req *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {
	resp := kmsg.NewPtrListGroupsResponse()
	resp.Version = req.Version
	resp.Groups = []kmsg.ListGroupsResponseGroup{}
	if len(req.TypesFilter) > 0 && !slices.ContainsFunc(req.TypesFilter, func(t string) bool { return strings.EqualFold(t, classicType) }) {
		done(resp)
		return
	}
	var mu sync.Mutex
	partitions := s.runtime.Partitions()
	all := newGather(len(partitions), func() {
		slices.SortFunc(resp.Groups, func(a, b kmsg.ListGroupsResponseGroup) int { return cmp.Compare(a.Group, b.Group) })
		done(resp)
	})
	for _, p := range partitions {
		s.runtime.Do(p, &listRequest{states: req.StatesFilter, done: func(code int16, groups []kmsg.ListGroupsResponseGroup) {
			mu.Lock()
			resp.Groups = append(resp.Groups, groups...)
			if code == codeLoadInProgress {
				resp.ErrorCode = code
			}
			mu.Unlock()
			all.one()
		}})
	}
}

// TopicsDeleted drops the offsets of deleted topics.
func (s *Service) TopicsDeleted(topics []string) {
	set := make(map[string]struct{}, len(topics))
	for _, t := range topics {
		set[t] = struct{}{}
	}
	for _, p := range s.runtime.Partitions() {
		s.runtime.Do(p, &topicsDeletedRequest{topics: set})
	}
}
