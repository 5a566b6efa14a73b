package api_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// creation builds a topic of a CreateTopics request; configs are keys and values
// in turn.
func creation(name string, partitions int32, replicas int16, configs ...string) kmsg.CreateTopicsRequestTopic {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, partitions, replicas
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		topic.Configs = append(topic.Configs, c)
	}
	return topic
}

func createTopics(version int16, timeout int32, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	req := at(version, kmsg.NewPtrCreateTopicsRequest())
	req.TimeoutMillis, req.Topics = timeout, topics
	return req
}

func TestCreateTopics(t *testing.T) {
	b := brokertest.Start(t, map[string]string{"num.partitions": "3"})
	b.CreateTopic("there", 1)
	c := b.Dial()
	assigned := creation("assigned", -1, -1)
	assigned.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{b.ID()}}, {Partition: 1, Replicas: []int32{b.ID()}}}
	stranger := creation("stranger", -1, -1)
	stranger.ReplicaAssignment = []kmsg.CreateTopicsRequestTopicReplicaAssignment{{Partition: 0, Replicas: []int32{99}}}
	both := creation("both", 1, 1)
	both.ReplicaAssignment = assigned.ReplicaAssignment
	null := creation("null", 1, 1, "retention.ms", "")
	null.Configs[0].Value = nil
	for _, tc := range []struct {
		topic      kmsg.CreateTopicsRequestTopic
		want       *kerr.Error
		partitions int32
	}{
		{creation("plain", 2, 1), nil, 2},
		{creation("defaults", -1, -1), nil, 3},
		{assigned, nil, 2},
		{creation("configured", 1, 1, "cleanup.policy", "compact"), nil, 1},
		{creation("there", 1, 1), kerr.TopicAlreadyExists, -1},
		{creation("no/slash", 1, 1), kerr.InvalidTopicException, -1},
		{creation("", 1, 1), kerr.InvalidTopicException, -1},
		{creation("none", 0, 1), kerr.InvalidPartitions, -1},
		{creation("replicas", 1, 2), kerr.InvalidReplicationFactor, -1},
		{creation("badkey", 1, 1, "no.such.key", "1"), kerr.InvalidConfig, -1},
		{creation("badvalue", 1, 1, "retention.ms", "soon"), kerr.InvalidConfig, -1},
		{null, kerr.InvalidConfig, -1},
		{stranger, kerr.InvalidReplicaAssignment, -1},
		{both, kerr.InvalidRequest, -1},
		{creation("__cluster_metadata", 1, 1), kerr.InvalidRequest, -1},
	} {
		resp := ask[*kmsg.CreateTopicsResponse](t, c, createTopics(7, 10_000, tc.topic))
		got := resp.Topics[0]
		wantCode(t, tc.topic.Topic, got.ErrorCode, tc.want)
		if got.NumPartitions != tc.partitions || (got.TopicID != [16]byte{}) != (tc.want == nil) || (got.ErrorMessage == nil) != (tc.want == nil) {
			t.Errorf("%s: %+v", tc.topic.Topic, got)
		}
		if (len(got.Configs) > 0) != (tc.want == nil) {
			t.Errorf("%s: %d configs", tc.topic.Topic, len(got.Configs))
		}
	}
}

func TestCreateTopicsTogether(t *testing.T) {
	b := brokertest.Start(t, nil)
	c := b.Dial()
	resp := ask[*kmsg.CreateTopicsResponse](t, c, createTopics(5, 10_000,
		creation("a", 1, 1), creation("twice", 1, 1), creation("bad name", 1, 1), creation("twice", 1, 1)))
	for i, want := range []*kerr.Error{nil, kerr.InvalidRequest, kerr.InvalidTopicException, kerr.InvalidRequest} {
		wantCode(t, resp.Topics[i].Topic, resp.Topics[i].ErrorCode, want)
	}

	// Without time the topic is created all the same, but nobody waits for it.
	for _, timeout := range []int32{0, -1} {
		name := fmt.Sprintf("hasty%d", timeout)
		resp = ask[*kmsg.CreateTopicsResponse](t, c, createTopics(7, timeout, creation(name, 1, 1)))
		wantCode(t, name, resp.Topics[0].ErrorCode, kerr.RequestTimedOut)
		if resp.Topics[0].TopicID == [16]byte{} {
			t.Errorf("%s: no topic id", name)
		}
		waitFor(t, b, name)
	}

	dry := createTopics(4, 10_000, creation("dry", 1, 1))
	dry.ValidateOnly = true
	resp = ask[*kmsg.CreateTopicsResponse](t, c, dry)
	wantCode(t, "dry", resp.Topics[0].ErrorCode, nil)
	md := ask[*kmsg.MetadataResponse](t, c, metadataOf(9, false, "dry"))
	wantCode(t, "dry", md.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)
}

// waitFor asks for a topic until it is led.
func waitFor(t *testing.T, b *brokertest.Broker, name string) {
	t.Helper()
	ctx := brokertest.Context(t)
	for ctx.Err() == nil {
		resp := ask[*kmsg.MetadataResponse](t, b.Dial(), metadataOf(9, false, name))
		if resp.Topics[0].ErrorCode == 0 && resp.Topics[0].Partitions[0].ErrorCode == 0 {
			return
		}
	}
	t.Fatalf("topic %s does not appear", name)
}

func TestDeleteTopics(t *testing.T) {
	b := brokertest.Start(t, nil)
	c := b.Dial()
	id := func(name string) [16]byte {
		return ask[*kmsg.MetadataResponse](t, c, metadataOf(10, false, name)).Topics[0].TopicID
	}
	b.CreateTopic("named", 2)
	b.CreateTopic("known", 1)
	known := id("known")

	req := at(5, kmsg.NewPtrDeleteTopicsRequest())
	req.TimeoutMillis, req.TopicNames = 10_000, []string{"named", "absent", "named"}
	resp := ask[*kmsg.DeleteTopicsResponse](t, c, req)
	for i, want := range []*kerr.Error{nil, kerr.UnknownTopicOrPartition, nil} {
		wantCode(t, *resp.Topics[i].Topic, resp.Topics[i].ErrorCode, want)
	}
	md := ask[*kmsg.MetadataResponse](t, c, metadataOf(9, false, "named"))
	wantCode(t, "deleted topic", md.Topics[0].ErrorCode, kerr.UnknownTopicOrPartition)

	byID := func(name *string, id [16]byte) *kmsg.DeleteTopicsRequest {
		req := at(6, kmsg.NewPtrDeleteTopicsRequest())
		req.TimeoutMillis = 10_000
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: name, TopicID: id}}
		return req
	}
	name := "known"
	for _, tc := range []struct {
		what string
		req  *kmsg.DeleteTopicsRequest
		want *kerr.Error
	}{
		{"name and id", byID(&name, known), kerr.InvalidRequest},
		{"unknown id", byID(nil, [16]byte{9}), kerr.UnknownTopicID},
		{"nothing", byID(nil, [16]byte{}), kerr.InvalidRequest},
		{"id", byID(nil, known), nil},
		{"id again", byID(nil, known), kerr.UnknownTopicID},
	} {
		resp := ask[*kmsg.DeleteTopicsResponse](t, c, tc.req)
		wantCode(t, tc.what, resp.Topics[0].ErrorCode, tc.want)
	}

	// The name is free again, and the new topic is another one.
	b.CreateTopic("known", 1)
	if again := id("known"); again == known {
		t.Error("the new topic has the id of the old one")
	}
}

func TestDeleteTopicsDisabled(t *testing.T) {
	b := brokertest.Start(t, map[string]string{"delete.topic.enable": "false"})
	b.CreateTopic("a", 1)
	for v, want := range map[int16]*kerr.Error{2: kerr.InvalidRequest, 3: kerr.TopicDeletionDisabled} {
		req := at(v, kmsg.NewPtrDeleteTopicsRequest())
		req.TimeoutMillis, req.TopicNames = 1000, []string{"a"}
		wantCode(t, fmt.Sprint("v", v), ask[*kmsg.DeleteTopicsResponse](t, b.Dial(), req).Topics[0].ErrorCode, want)
	}
}

func TestCreatePartitions(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	b.CreateTopic("b", 1)
	c := b.Dial()
	grow := func(dry bool, timeout int32, names ...string) *kmsg.CreatePartitionsRequest {
		req := at(3, kmsg.NewPtrCreatePartitionsRequest())
		req.TimeoutMillis, req.ValidateOnly = timeout, dry
		for i := 0; i+1 < len(names); i += 2 {
			topic := kmsg.NewCreatePartitionsRequestTopic()
			topic.Topic = names[i]
			fmt.Sscan(names[i+1], &topic.Count)
			req.Topics = append(req.Topics, topic)
		}
		return req
	}
	for _, tc := range []struct {
		what string
		req  *kmsg.CreatePartitionsRequest
		want *kerr.Error
	}{
		{"dry", grow(true, 10_000, "a", "4"), nil},
		{"grow", grow(false, 10_000, "a", "4"), nil},
		{"same", grow(false, 10_000, "a", "4"), kerr.InvalidPartitions},
		{"shrink", grow(false, 10_000, "a", "1"), kerr.InvalidPartitions},
		{"absent", grow(false, 10_000, "x", "1"), kerr.UnknownTopicOrPartition},
		{"twice", grow(false, 10_000, "b", "2", "b", "3"), kerr.InvalidRequest},
		{"no time", grow(false, 0, "b", "2"), kerr.RequestTimedOut},
	} {
		resp := ask[*kmsg.CreatePartitionsResponse](t, c, tc.req)
		if len(resp.Topics) != 1 {
			t.Errorf("%s: %d answers", tc.what, len(resp.Topics))
			continue
		}
		wantCode(t, tc.what, resp.Topics[0].ErrorCode, tc.want)
	}
	md := ask[*kmsg.MetadataResponse](t, c, metadataOf(9, false, "a"))
	if n := len(md.Topics[0].Partitions); n != 4 {
		t.Errorf("%d partitions, want 4", n)
	}
}

// produced writes n records to partition 0 of a topic.
func produced(t *testing.T, b *brokertest.Broker, topic string, n int) {
	t.Helper()
	cl := b.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(topic))
	for i := range n {
		if err := cl.ProduceSync(context.Background(), &kgo.Record{Value: fmt.Append(nil, i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeleteRecords(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	produced(t, b, "a", 5)
	c := b.Dial()
	for _, tc := range []struct {
		topic     string
		partition int32
		offset    int64
		low       int64
		want      *kerr.Error
	}{
		{"a", 0, 2, 2, nil},
		{"a", 0, 1, 2, nil}, // it never moves back
		{"a", 0, 9, -1, kerr.OffsetOutOfRange},
		{"a", 1, 0, -1, kerr.UnknownTopicOrPartition},
		{"x", 0, 0, -1, kerr.UnknownTopicOrPartition},
		{"a", 0, -1, 5, nil},
	} {
		req := at(2, kmsg.NewPtrDeleteRecordsRequest())
		req.TimeoutMillis = 10_000
		req.Topics = []kmsg.DeleteRecordsRequestTopic{{Topic: tc.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: tc.partition, Offset: tc.offset}}}}
		got := ask[*kmsg.DeleteRecordsResponse](t, c, req).Topics[0].Partitions[0]
		wantCode(t, fmt.Sprintf("%s-%d to %d", tc.topic, tc.partition, tc.offset), got.ErrorCode, tc.want)
		if got.LowWatermark != tc.low {
			t.Errorf("%s-%d to %d: low watermark %d, want %d", tc.topic, tc.partition, tc.offset, got.LowWatermark, tc.low)
		}
	}
}
