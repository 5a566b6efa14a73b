package group

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

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
type Service struct{}

// NewService builds the coordinator over the manager's partitions of
// OffsetsTopic.
func NewService(cfg Config, manager *replica.Manager, logger *slog.Logger, reg prometheus.Registerer) (*Service, error) {
	return nil, nil
}

// Run loads and serves partitions until ctx ends.
func (s *Service) Run(ctx context.Context) error { return nil }

// SetPartitions tells the real partition count of OffsetsTopic, once it exists.
func (s *Service) SetPartitions(n int32) {}

// Partitions is the partition count in use.
func (s *Service) Partitions() int32 { return 0 }

// PartitionFor returns the partition of OffsetsTopic that holds group; its
// leader is the group's coordinator.
func (s *Service) PartitionFor(group string) int32 { return 0 }

// JoinGroup enters a member; done may come only after a whole rebalance.
func (s *Service) JoinGroup(req *kmsg.JoinGroupRequest, c Client, done func(*kmsg.JoinGroupResponse)) {
}

// SyncGroup hands out assignments.
func (s *Service) SyncGroup(req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {}

// Heartbeat keeps a member alive.
func (s *Service) Heartbeat(req *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {}

// LeaveGroup removes members.
func (s *Service) LeaveGroup(req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {}

// OffsetCommit stores offsets. Topics must exist: the caller has checked.
func (s *Service) OffsetCommit(req *kmsg.OffsetCommitRequest, c Client, done func(*kmsg.OffsetCommitResponse)) {
}

// OffsetFetch reads offsets of one group (up to v7) or of many (from v8).
func (s *Service) OffsetFetch(req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {}

// OffsetDelete removes offsets of topics the group does not subscribe to.
func (s *Service) OffsetDelete(req *kmsg.OffsetDeleteRequest, done func(*kmsg.OffsetDeleteResponse)) {
}

// DescribeGroups describes groups; unknown ones are Dead.
func (s *Service) DescribeGroups(req *kmsg.DescribeGroupsRequest, done func(*kmsg.DescribeGroupsResponse)) {
}

// ListGroups lists the groups coordinated here.
func (s *Service) ListGroups(req *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {}

// DeleteGroups deletes empty groups.
func (s *Service) DeleteGroups(req *kmsg.DeleteGroupsRequest, done func(*kmsg.DeleteGroupsResponse)) {
}

// TopicsDeleted drops the offsets of deleted topics.
func (s *Service) TopicsDeleted(topics []string) {}

// Snapshot describes a group for /metrics and the console.
type Snapshot struct {
	Group        string
	State        string
	ProtocolType string
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

// Snapshots calls yield for each group coordinated here until it returns false.
func (s *Service) Snapshots(yield func(Snapshot) bool) {}
