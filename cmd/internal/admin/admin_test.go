package admin

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster is a fake broker with the topics orders (two partitions, three records
// in the first) and __hidden, and a group that has read one record.
func cluster(t *testing.T) (*kfake.Cluster, *kadm.Client, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "orders"), kfake.SeedTopics(1, "__hidden"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	for range 3 {
		if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	offsets := kadm.Offsets{}
	offsets.AddOffset("orders", 0, 1, -1)
	if err := adm.CommitAllOffsets(ctx, "billing", offsets); err != nil {
		t.Fatal(err)
	}
	return c, adm, ctx
}

func TestTopics(t *testing.T) {
	_, cl, ctx := cluster(t)
	topics, err := Topics(ctx, cl, false)
	if err != nil || len(topics) != 1 || topics[0].Name != "orders" || topics[0].Records != 3 || topics[0].Partitions != 2 || topics[0].SizeBytes <= 0 {
		t.Errorf("%+v, %v", topics, err)
	}
	topics, err = Topics(ctx, cl, true)
	if err != nil || len(topics) != 2 || topics[0].Name != "__hidden" || !topics[0].Internal {
		t.Errorf("with internal topics: %+v, %v", topics, err)
	}
}

// A list is better without sizes than not at all.
func TestTopicsWithoutOffsetsAndSizes(t *testing.T) {
	c, cl, ctx := cluster(t)
	c.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range req.(*kmsg.ListOffsetsRequest).Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	topics, err := Topics(ctx, cl, false)
	if err != nil || len(topics) != 1 || topics[0].Records != -1 || topics[0].SizeBytes != -1 {
		t.Errorf("%+v, %v", topics, err)
	}
	detail, err := DescribeTopic(ctx, cl, "orders")
	if err != nil || detail.Partitions[0].EndOffset != -1 || detail.Records != -1 {
		t.Errorf("%+v, %v", detail, err)
	}
}

func TestDescribeTopic(t *testing.T) {
	_, cl, ctx := cluster(t)
	detail, err := DescribeTopic(ctx, cl, "orders")
	if err != nil || len(detail.Partitions) != 2 || detail.Partitions[0].EndOffset != 3 || detail.Records != 3 || len(detail.ID) != 22 {
		t.Errorf("%+v, %v", detail, err)
	}
	if _, err := DescribeTopic(ctx, cl, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing topic: %v", err)
	}
}

func TestGroups(t *testing.T) {
	_, cl, ctx := cluster(t)
	groups, err := Groups(ctx, cl, nil, true)
	if err != nil || len(groups) != 1 || groups[0].Group != "billing" || groups[0].Lag == nil || *groups[0].Lag != 2 {
		t.Fatalf("%+v, %v", groups, err)
	}
	groups, err = Groups(ctx, cl, []string{"stable"}, false)
	if err != nil || len(groups) != 0 || groups == nil {
		t.Errorf("by state: %+v, %v", groups, err)
	}
	detail, err := DescribeGroup(ctx, cl, "billing")
	if err != nil || detail.Lag != 2 || len(detail.Offsets) == 0 || detail.Offsets[0].Committed == nil || *detail.Offsets[0].Committed != 1 {
		t.Errorf("%+v, %v", detail, err)
	}
	if _, err := DescribeGroup(ctx, cl, "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a missing group: %v", err)
	}
}

func TestNonDefault(t *testing.T) {
	configs := []Config{{Key: "a", Source: "DYNAMIC_TOPIC_CONFIG"}, {Key: "b", Source: "DEFAULT_CONFIG"}, {Key: "c", Source: "STATIC_BROKER_CONFIG"}}
	keys := []string{}
	for _, c := range NonDefault(configs) {
		keys = append(keys, c.Key)
	}
	if !slices.Equal(keys, []string{"a", "c"}) {
		t.Errorf("kept %v", keys)
	}
}
