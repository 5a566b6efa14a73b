package broker

import (
	"context"
	"fmt"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/controller"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// localSender carries the controller's requests to this broker: by a call, where
// other brokers need a connection.
type localSender struct{ b *Broker }

var _ controller.Sender = localSender{}

// Send delivers one request.
func (s localSender) Send(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error) {
	if broker != s.b.id {
		return nil, fmt.Errorf("broker %d is not known to broker %d", broker, s.b.id)
	}
	switch req := req.(type) {
	case *kmsg.LeaderAndISRRequest:
		return s.b.replicas.ApplyLeaderAndISR(ctx, req), nil
	case *kmsg.StopReplicaRequest:
		return s.b.replicas.ApplyStopReplica(ctx, req), nil
	case *kmsg.UpdateMetadataRequest:
		return s.b.updateMetadata(req), nil
	default:
		return nil, fmt.Errorf("a controller does not send %s", kmsg.NameForKey(req.Key()))
	}
}

// updateMetadata makes what the controller tells the broker's view of the
// cluster.
func (b *Broker) updateMetadata(req *kmsg.UpdateMetadataRequest) *kmsg.UpdateMetadataResponse {
	resp := kmsg.NewPtrUpdateMetadataResponse()
	resp.Version = req.Version
	deleted, err := b.images.ApplyUpdate(req)
	if err != nil {
		resp.ErrorCode = kerr.StaleControllerEpoch.Code
		return resp
	}
	if topics := goneTopics(b.images.Load(), deleted); len(topics) > 0 {
		b.groups.TopicsDeleted(topics)
	}
	return resp
}

// goneTopics lists the topics of the deleted partitions of which nothing is left.
func goneTopics(image *metadata.Image, deleted []metadata.TopicPartition) []string {
	var topics []string
	seen := make(map[string]bool)
	for _, tp := range deleted {
		if _, ok := image.Topic(tp.Topic); !ok && !seen[tp.Topic] {
			seen[tp.Topic] = true
			topics = append(topics, tp.Topic)
		}
	}
	return topics
}

// highWatermark is how far a log is known to all in-sync replicas.
func (b *Broker) highWatermark(l *commitlog.Log) (int64, bool) {
	return b.replicas.HighWatermark(l.Partition())
}

// topicConfigChanged passes a changed configuration on to what it concerns: an
// empty name stands for all topics.
func (b *Broker) topicConfigChanged(topic string) {
	if topic != "" {
		b.replicas.ConfigChanged(topic)
		return
	}
	for _, name := range b.images.Load().TopicNames() {
		b.replicas.ConfigChanged(name)
	}
}
