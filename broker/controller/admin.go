package controller

import (
	"context"
	"log/slog"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// AdminConfig is what an Admin works with.
type AdminConfig struct {
	BrokerID int32
	Tree     coordination.Tree
	Cache    *metadata.Cache
	Configs  *metadata.Configs
	// RandomInt returns a number in [0, n); nil uses math/rand/v2. It chooses
	// where replica assignment begins.
	RandomInt func(n int) int
	// NewID makes topic ids; nil uses random ones.
	NewID func() coordination.UUID
}

// Admin serves administrative requests: it validates them and writes to the
// tree. Each answer carries a Kafka error code and message; the order of
// answers is that of the request. All methods may be called concurrently.
// The controller reacts to the writes; a caller that wants to see their result
// waits on the metadata cache.
type Admin struct{}

// NewAdmin checks the config and builds an Admin.
func NewAdmin(cfg AdminConfig, logger *slog.Logger) (*Admin, error) { return &Admin{}, nil }

// CreateTopics creates topics, or with validateOnly says what would happen.
func (a *Admin) CreateTopics(ctx context.Context, topics []kmsg.CreateTopicsRequestTopic, validateOnly bool) []kmsg.CreateTopicsResponseTopic {
	return nil
}

// AutoCreate creates topics that a client asked for by name, with the defaults
// of the broker; internal topics get their own partitions, configs, and a
// replication factor that the number of live brokers allows.
func (a *Admin) AutoCreate(ctx context.Context, names []string) []kmsg.CreateTopicsResponseTopic {
	return nil
}

// DeleteTopics marks topics for deletion, by name or by id.
func (a *Admin) DeleteTopics(ctx context.Context, topics []kmsg.DeleteTopicsRequestTopic) []kmsg.DeleteTopicsResponseTopic {
	return nil
}

// CreatePartitions adds partitions to topics.
func (a *Admin) CreatePartitions(ctx context.Context, topics []kmsg.CreatePartitionsRequestTopic, validateOnly bool) []kmsg.CreatePartitionsResponseTopic {
	return nil
}

// AlterConfigs replaces the configs of topics and brokers.
func (a *Admin) AlterConfigs(ctx context.Context, resources []kmsg.AlterConfigsRequestResource, validateOnly bool) []kmsg.AlterConfigsResponseResource {
	return nil
}

// IncrementalAlterConfigs changes single configs of topics and brokers.
func (a *Admin) IncrementalAlterConfigs(ctx context.Context, resources []kmsg.IncrementalAlterConfigsRequestResource, validateOnly bool) []kmsg.IncrementalAlterConfigsResponseResource {
	return nil
}
