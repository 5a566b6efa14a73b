package controller

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"

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
	// CheckBroker, if not nil, refuses a broker's configuration that parts of
	// this broker could not follow, though each value is valid.
	CheckBroker func(*metadata.BrokerConfig) error
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
type Admin struct {
	cfg    AdminConfig
	logger *slog.Logger
	// configMu orders the changes of configs that this broker makes, so that it
	// applies them to itself in the order in which it wrote them.
	configMu sync.Mutex
}

// NewAdmin checks the config and builds an Admin.
func NewAdmin(cfg AdminConfig, logger *slog.Logger) (*Admin, error) {
	if cfg.Tree == nil || cfg.Cache == nil || cfg.Configs == nil {
		return nil, errors.New("controller: admin needs a tree, a cache and configs")
	}
	if cfg.RandomInt == nil {
		cfg.RandomInt = rand.IntN
	}
	if cfg.NewID == nil {
		cfg.NewID = RandomUUID
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Admin{cfg: cfg, logger: logger}, nil
}

// failure turns an error of the tree into a refusal. The client is told no more
// than that the write did not succeed.
func (a *Admin) failure(op, subject string, err error) *adminError {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return adminErrorf(errRequestTimedOut, "%s %s was not finished in time.", op, subject)
	}
	a.logger.Error("administrative request failed", "op", op, "subject", subject, "error", err)
	return adminErrorf(errUnknownServer, "%s %s failed in the broker.", op, subject)
}

// brokers are the live brokers with their racks.
func (a *Admin) brokers() []rackedBroker {
	image := a.cfg.Cache.Load()
	out := make([]rackedBroker, 0, len(image.BrokerIDs()))
	for _, id := range image.BrokerIDs() {
		b, _ := image.Broker(id)
		rb := rackedBroker{id: id}
		if b.Rack != nil {
			rb.rack = *b.Rack
		}
		out = append(out, rb)
	}
	return out
}

// exists tells whether a node is there.
func (a *Admin) exists(ctx context.Context, path string) (bool, error) {
	_, ok, err := a.cfg.Tree.Exists(ctx, path)
	return ok, err
}

// DeleteTopics marks topics for deletion, by name or by id. A topic that is
// marked already is no error.
func (a *Admin) DeleteTopics(ctx context.Context, topics []kmsg.DeleteTopicsRequestTopic) []kmsg.DeleteTopicsResponseTopic {
	out := make([]kmsg.DeleteTopicsResponseTopic, len(topics))
	for i, t := range topics {
		out[i] = kmsg.NewDeleteTopicsResponseTopic()
		out[i].Topic, out[i].TopicID = t.Topic, t.TopicID
		name := ""
		if t.Topic != nil {
			name = *t.Topic
			if known, ok := a.cfg.Cache.Load().Topic(name); ok {
				out[i].TopicID = known.ID
			}
		} else {
			known, ok := a.cfg.Cache.Load().TopicByID(t.TopicID)
			if !ok {
				out[i].ErrorCode = errUnknownTopicID
				continue
			}
			name = known.Name
			out[i].Topic = kmsg.StringPtr(name)
		}
		if refusal := a.deleteTopic(ctx, name); refusal != nil {
			out[i].ErrorCode = refusal.code
		}
	}
	return out
}

func (a *Admin) deleteTopic(ctx context.Context, name string) *adminError {
	if metadata.ValidateTopicName(name) != "" {
		return adminErrorf(errUnknownTopicOrPartition, "")
	}
	ok, err := a.exists(ctx, coordination.TopicPath(name))
	if err != nil {
		return a.failure("Deleting topic", name, err)
	}
	if !ok {
		return adminErrorf(errUnknownTopicOrPartition, "")
	}
	_, _, err = a.cfg.Tree.Create(ctx, coordination.DeleteTopicPath(name), nil, coordination.Persistent)
	if err != nil && !errors.Is(err, coordination.ErrNodeExists) {
		return a.failure("Deleting topic", name, err)
	}
	a.logger.Info("topic marked for deletion", "topic", name)
	return nil
}
