package api_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadataOf builds a Metadata request for named topics.
func metadataOf(version int16, create bool, names ...string) *kmsg.MetadataRequest {
	req := at(version, kmsg.NewPtrMetadataRequest())
	req.AllowAutoTopicCreation = create
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = &name
		req.Topics = append(req.Topics, topic)
	}
	return req
}

// topicNames lists the topics of an answer, in order.
func topicNames(resp *kmsg.MetadataResponse) []string {
	names := []string{}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			names = append(names, "<null>")
		} else {
			names = append(names, *t.Topic)
		}
	}
	return names
}

func TestMetadataTopics(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	b.CreateTopic("b", 1)
	c := b.Dial()
	null := func(v int16) *kmsg.MetadataRequest {
		req := metadataOf(v, false)
		req.Topics = nil
		return req
	}
	for _, tc := range []struct {
		name string
		req  *kmsg.MetadataRequest
		want []string
	}{
		{"v0 empty is all", metadataOf(0, false), []string{"a", "b"}},
		{"v1 empty is none", metadataOf(1, false), []string{}},
		{"v1 null is all", null(1), []string{"a", "b"}},
		{"v13 null is all", null(13), []string{"a", "b"}},
		{"v13 empty is none", metadataOf(13, false), []string{}},
		{"order of the request", metadataOf(9, false, "b", "a"), []string{"b", "a"}},
		{"repetition", metadataOf(9, false, "b", "b"), []string{"b"}},
	} {
		resp := ask[*kmsg.MetadataResponse](t, c, tc.req)
		if got := topicNames(resp); !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
		if len(resp.Brokers) != 1 || resp.Brokers[0].NodeID != b.ID() {
			t.Errorf("%s: brokers %+v", tc.name, resp.Brokers)
		}
		if v := tc.req.Version; v >= 2 && (resp.ClusterID == nil || *resp.ClusterID != b.ClusterID()) || v >= 1 && resp.ControllerID != b.ID() {
			t.Errorf("%s: cluster %v, controller %d", tc.name, resp.ClusterID, resp.ControllerID)
		}
		for _, topic := range resp.Topics {
			for _, p := range topic.Partitions {
				if p.ErrorCode != 0 || p.Leader != b.ID() || !slices.Equal(p.Replicas, []int32{b.ID()}) || !slices.Equal(p.ISR, p.Replicas) {
					t.Errorf("%s: partition %+v", tc.name, p)
				}
			}
		}
	}
}

func TestMetadataMissingTopics(t *testing.T) {
	for _, auto := range []bool{true, false} {
		b := brokertest.Start(t, map[string]string{"auto.create.topics.enable": fmt.Sprint(auto)})
		c := b.Dial()
		created := func(allowed bool) *kerr.Error {
			if auto && allowed {
				return nil
			}
			return kerr.UnknownTopicOrPartition
		}
		for i, tc := range []struct {
			req  *kmsg.MetadataRequest
			want *kerr.Error
		}{
			{metadataOf(0, false, "t0"), created(true)}, // old clients cannot say no
			{metadataOf(3, false, "t1"), created(true)},
			{metadataOf(4, false, "t2"), created(false)},
			{metadataOf(4, true, "t3"), created(true)},
			{metadataOf(13, true, "t4"), created(true)},
			{metadataOf(13, true, "__consumer_offsets"), created(true)},
			{metadataOf(9, true, "no/slash"), kerr.InvalidTopicException},
			{metadataOf(9, false, ".."), kerr.InvalidTopicException},
			{metadataOf(9, false, ""), kerr.InvalidTopicException},
		} {
			resp := ask[*kmsg.MetadataResponse](t, c, tc.req)
			wantCode(t, fmt.Sprintf("auto %v, case %d", auto, i), resp.Topics[0].ErrorCode, tc.want)
			if internal := *resp.Topics[0].Topic == "__consumer_offsets"; tc.req.Version > 0 && resp.Topics[0].IsInternal != internal {
				t.Errorf("case %d: internal is %v", i, resp.Topics[0].IsInternal)
			}
		}
	}
}

func TestMetadataByID(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	id := ask[*kmsg.MetadataResponse](t, c, metadataOf(10, false, "a")).Topics[0].TopicID
	if id == [16]byte{} {
		t.Fatal("topic has no id")
	}
	topic := func(name *string, id [16]byte) kmsg.MetadataRequestTopic {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic, topic.TopicID = name, id
		return topic
	}
	a, unknown := "a", [16]byte{1}
	for _, tc := range []struct {
		name    string
		version int16
		topic   kmsg.MetadataRequestTopic
		want    *kerr.Error
		answer  string
		brokers int
	}{
		{"known", 12, topic(nil, id), nil, "a", 1},
		{"unknown", 12, topic(nil, unknown), kerr.UnknownTopicID, "<null>", 1},
		{"too old for ids", 11, topic(&a, id), kerr.InvalidRequest, "a", 0},
		{"too old for null", 10, topic(nil, [16]byte{}), kerr.InvalidRequest, "", 0},
		{"neither name nor id", 13, topic(nil, [16]byte{}), kerr.UnknownServerError, "", 0},
	} {
		req := metadataOf(tc.version, false)
		req.Topics = append(req.Topics, tc.topic)
		resp := ask[*kmsg.MetadataResponse](t, c, req)
		if got := topicNames(resp); len(got) != 1 || got[0] != tc.answer || len(resp.Brokers) != tc.brokers {
			t.Errorf("%s: topics %q, %d brokers, want %q and %d", tc.name, got, len(resp.Brokers), tc.answer, tc.brokers)
			continue
		}
		wantCode(t, tc.name, resp.Topics[0].ErrorCode, tc.want)
	}
}

func TestMetadataAuthorizedOperations(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	const none = -2147483648
	for _, v := range []int16{8, 10, 11, 13} {
		for _, wanted := range []bool{false, true} {
			req := metadataOf(v, false, "a")
			req.IncludeTopicAuthorizedOperations, req.IncludeClusterAuthorizedOperations = wanted, wanted
			resp := ask[*kmsg.MetadataResponse](t, c, req)
			topic, cluster := int32(none), int32(none)
			if wanted {
				topic = 0xdf8
				if v <= 10 {
					cluster = 0x1fa0
				}
			}
			if resp.Topics[0].AuthorizedOperations != topic || resp.AuthorizedOperations != cluster {
				t.Errorf("v%d, wanted %v: topic %#x, cluster %#x", v, wanted, resp.Topics[0].AuthorizedOperations, resp.AuthorizedOperations)
			}
		}
	}
}

func TestDescribeCluster(t *testing.T) {
	b := brokertest.Start(t, nil)
	c := b.Dial()
	for _, tc := range []struct {
		version  int16
		endpoint int8
		want     *kerr.Error
	}{
		{0, 1, nil},
		{1, 1, nil},
		{2, 1, nil},
		{1, 2, kerr.MismatchedEndpointType},
		{1, 7, kerr.UnsupportedEndpointType},
	} {
		req := at(tc.version, kmsg.NewPtrDescribeClusterRequest())
		req.EndpointType = tc.endpoint
		resp := ask[*kmsg.DescribeClusterResponse](t, c, req)
		wantCode(t, fmt.Sprintf("v%d endpoint %d", tc.version, tc.endpoint), resp.ErrorCode, tc.want)
		if tc.want == nil && (resp.ClusterID != b.ClusterID() || resp.ControllerID != b.ID() || len(resp.Brokers) != 1) {
			t.Errorf("v%d: %+v", tc.version, resp)
		}
	}
}

// A client that follows the cursor sees every partition once.
func TestDescribeTopicPartitionsPages(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 3)
	b.CreateTopic("b", 1)
	b.CreateTopic("c", 4)
	c := b.Dial()
	want := "a-0 a-1 a-2 b-0 c-0 c-1 c-2 c-3 "
	for limit := int32(0); limit < 10; limit++ {
		for _, named := range []bool{false, true} {
			req := kmsg.NewPtrDescribeTopicPartitionsRequest()
			req.ResponsePartitionLimit = limit
			if named {
				for _, name := range []string{"c", "a", "b", "a"} {
					req.Topics = append(req.Topics, kmsg.DescribeTopicPartitionsRequestTopic{Topic: name})
				}
			}
			got, pages := "", 0
			for ; pages < 20; pages++ {
				resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, c, req)
				n := int32(0)
				for _, topic := range resp.Topics {
					for _, p := range topic.Partitions {
						got += fmt.Sprintf("%s-%d ", *topic.Topic, p.Partition)
						if p.EligibleLeaderReplicas == nil || p.LastKnownELR == nil {
							t.Error("a null list, on which Java's admin client fails")
						}
						n++
					}
				}
				if n > max(1, limit) {
					t.Errorf("limit %d: page of %d partitions", limit, n)
				}
				if resp.NextCursor == nil {
					break
				}
				req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: resp.NextCursor.Topic, Partition: resp.NextCursor.Partition}
			}
			if got != want {
				t.Errorf("limit %d, named %v: %q, want %q", limit, named, got, want)
			}
		}
	}
}

func TestDescribeTopicPartitionsErrors(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	c := b.Dial()
	for _, tc := range []struct {
		name   string
		topic  string
		cursor *kmsg.DescribeTopicPartitionsRequestCursor
		want   *kerr.Error
	}{
		{"known", "a", nil, nil},
		{"unknown", "x", nil, kerr.UnknownTopicOrPartition},
		{"invalid", "x/y", nil, kerr.InvalidTopicException},
		{"cursor elsewhere", "a", &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "x"}, kerr.InvalidRequest},
		{"cursor below zero", "a", &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "a", Partition: -1}, kerr.InvalidRequest},
	} {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = 100
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: tc.topic}}
		req.Cursor = tc.cursor
		resp := ask[*kmsg.DescribeTopicPartitionsResponse](t, c, req)
		if len(resp.Topics) != 1 {
			t.Errorf("%s: %d topics", tc.name, len(resp.Topics))
			continue
		}
		wantCode(t, tc.name, resp.Topics[0].ErrorCode, tc.want)
	}
}
