package metadata

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func partitionState(index, leader int32) kmsg.UpdateMetadataRequestTopicPartition {
	p := kmsg.NewUpdateMetadataRequestTopicPartition()
	p.Partition, p.Leader, p.LeaderEpoch, p.ZKVersion = index, leader, 3, 4
	p.Replicas, p.ISR = []int32{1, 2}, []int32{1}
	return p
}

func update(epoch int32, topic string, id coordination.UUID, partitions ...kmsg.UpdateMetadataRequestTopicPartition) *kmsg.UpdateMetadataRequest {
	req := kmsg.NewPtrUpdateMetadataRequest()
	req.Version, req.ControllerID, req.ControllerEpoch = 8, 1, epoch
	b := kmsg.NewUpdateMetadataRequestLiveBroker()
	b.ID = 1
	e := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
	e.ListenerName, e.Host, e.Port = "INSIDE", "h", 9
	b.Endpoints = append(b.Endpoints, e)
	req.LiveBrokers = append(req.LiveBrokers, b)
	if topic != "" {
		t := kmsg.NewUpdateMetadataRequestTopicState()
		t.Topic, t.TopicID, t.PartitionStates = topic, id, partitions
		req.TopicStates = append(req.TopicStates, t)
	}
	return req
}

func imageWith(t *testing.T, topics ...string) *Image {
	c := NewCache("cluster")
	for i, name := range topics {
		if _, err := c.ApplyUpdate(update(1, name, coordination.UUID{byte(i + 1)}, partitionState(0, 1))); err != nil {
			t.Fatal(err)
		}
	}
	return c.Load()
}

func apply(t *testing.T, c *Cache, req *kmsg.UpdateMetadataRequest) []TopicPartition {
	t.Helper()
	// Through its bytes, as from another broker.
	again := kmsg.NewPtrUpdateMetadataRequest()
	again.Version = req.Version
	if err := again.ReadFrom(req.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	deleted, err := c.ApplyUpdate(again)
	if err != nil {
		t.Fatal(err)
	}
	return deleted
}

func TestApplyUpdate(t *testing.T) {
	c := NewCache("cluster")
	first, second := coordination.UUID{1}, coordination.UUID{2}
	apply(t, c, update(1, "t", first, partitionState(1, 1), partitionState(0, 1)))
	before := c.Load()
	topic, ok := before.TopicByID(first)
	if !ok || topic.Name != "t" || len(topic.Partitions) != 2 || topic.Partitions[0].Index != 0 || topic.Partitions[1].PartitionEpoch != 4 || !before.Led("t", 2) || before.Led("t", 3) {
		t.Fatalf("%+v", topic)
	}
	if b, _ := before.Broker(1); b == nil || b.Endpoints[0] != (Endpoint{"INSIDE", "h", 9, 0}) || before.ClusterID != "cluster" {
		t.Fatalf("%+v", b)
	}
	apply(t, c, update(2, "t", first, partitionState(1, NoLeader)))
	if c.Load().Led("t", 1) || !before.Led("t", 2) {
		t.Fatal("an update changes the new image and not the old one")
	}
	if _, err := c.ApplyUpdate(update(1, "", coordination.UUID{})); !errors.Is(err, ErrStaleController) {
		t.Fatal(err)
	}
	apply(t, c, update(2, "u", coordination.UUID{9}, partitionState(0, 1)))
	if !slices.Equal(c.Load().TopicNames(), []string{"t", "u"}) {
		t.Fatal(c.Load().TopicNames())
	}
	deleted := apply(t, c, update(2, "t", first, partitionState(0, LeaderDuringDelete), partitionState(1, LeaderDuringDelete)))
	if want := []TopicPartition{{Topic: "t", Partition: 0}, {Topic: "t", Partition: 1}}; !slices.Equal(deleted, want) {
		t.Fatalf("deleted %v", deleted)
	}
	if _, ok := c.Load().Topic("t"); ok {
		t.Fatal("a deleted topic is there")
	}
	if _, ok := c.Load().TopicByID(first); ok {
		t.Fatal("the id of a deleted topic is there")
	}
	// Made again with another id, before the deletion of each partition was told.
	apply(t, c, update(2, "u", second, partitionState(0, 1)))
	if topic, _ := c.Load().Topic("u"); topic.ID != second || len(topic.Partitions) != 1 {
		t.Fatalf("%+v", topic)
	}
}

// TestApplyOldVersions: flat partitions (before v5), host and port (v0), security
// protocols instead of listener names (v1, v2).
func TestApplyOldVersions(t *testing.T) {
	for version := range int16(5) {
		req := kmsg.NewPtrUpdateMetadataRequest()
		req.Version, req.ControllerID, req.ControllerEpoch = version, 1, 1
		b := kmsg.NewUpdateMetadataRequestLiveBroker()
		b.ID, b.Host, b.Port = 1, "h", 9
		e := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
		e.Host, e.Port, e.ListenerName = "h", 9, "PLAINTEXT"
		b.Endpoints = append(b.Endpoints, e)
		req.LiveBrokers = append(req.LiveBrokers, b)
		p := partitionState(0, 1)
		p.Topic = "t"
		req.PartitionStates = append(req.PartitionStates, p)
		c := NewCache("")
		apply(t, c, req)
		broker, ok := c.Load().Broker(1)
		if !ok || !c.Load().Led("t", 1) || len(broker.Endpoints) != 1 || broker.Endpoints[0] != (Endpoint{"PLAINTEXT", "h", 9, 0}) {
			t.Errorf("v%d: %+v %v", version, broker, c.Load().TopicNames())
		}
	}
}

func TestAwait(t *testing.T) {
	c := NewCache("")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := c.Await(ctx, func(im *Image) bool { return im.Led("t", 1) })
		done <- err
	}()
	var seen []int32
	c.OnChange(func(im *Image) { seen = append(seen, im.ControllerEpoch) })
	apply(t, c, update(1, "", coordination.UUID{}))
	apply(t, c, update(2, "t", coordination.UUID{1}, partitionState(0, 1)))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(seen, []int32{1, 2}) {
		t.Fatal(seen)
	}
	cancel()
	if _, err := c.Await(ctx, func(*Image) bool { return false }); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}
