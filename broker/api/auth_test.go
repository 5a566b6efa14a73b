package api_test

import (
	"fmt"
	"testing"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rules permits what is listed, by operation and name.
type rules map[auth.Operation]string

func (r rules) Authorize(_ auth.Subject, op auth.Operation, res auth.Resource) bool {
	return r[op] == res.Name
}

// What a client may not do is refused with the code of what it may not do it to,
// and nothing is told of what exists.
func TestUnauthorized(t *testing.T) {
	cfg := brokertest.Config(t.TempDir(), nil)
	cfg.Authorizer = rules{auth.Describe: "open", auth.Create: "kafka-cluster"}
	b := brokertest.Run(t, cfg)
	c := b.Dial()
	c.MustAsk(createTopics(5, 10_000, creation("open", 1, 1), creation("closed", 1, 1)))

	all := metadataOf(9, false)
	all.Topics = nil
	if got := topicNames(ask[*kmsg.MetadataResponse](t, c, all)); fmt.Sprint(got) != "[open]" {
		t.Errorf("all topics: %q", got)
	}
	for _, name := range []string{"closed", "absent"} {
		got := ask[*kmsg.MetadataResponse](t, c, metadataOf(10, true, name)).Topics[0]
		wantCode(t, name, got.ErrorCode, kerr.TopicAuthorizationFailed)
		if got.TopicID != [16]byte{} || len(got.Partitions) != 0 {
			t.Errorf("%s: %+v", name, got)
		}
	}
	md := metadataOf(9, false, "open")
	md.IncludeTopicAuthorizedOperations = true
	if got := ask[*kmsg.MetadataResponse](t, c, md).Topics[0].AuthorizedOperations; got != 1<<auth.Describe {
		t.Errorf("operations %#x", got)
	}

	wantCode(t, "list offsets", ask[*kmsg.ListOffsetsResponse](t, c, listOffset(7, "closed", 0, -1)).Topics[0].Partitions[0].ErrorCode, kerr.TopicAuthorizationFailed)
	wantCode(t, "commit", ask[*kmsg.OffsetCommitResponse](t, c, commitOf(8, "g", "open", 0, 1)).Topics[0].Partitions[0].ErrorCode, kerr.GroupAuthorizationFailed)
	wantCode(t, "join", ask[*kmsg.JoinGroupResponse](t, c, join(5, "g", "")).ErrorCode, kerr.GroupAuthorizationFailed)
	wantCode(t, "producer id", ask[*kmsg.InitProducerIDResponse](t, c, at(4, kmsg.NewPtrInitProducerIDRequest())).ErrorCode, kerr.ClusterAuthorizationFailed)
	wantCode(t, "log dirs", ask[*kmsg.DescribeLogDirsResponse](t, c, at(4, kmsg.NewPtrDescribeLogDirsRequest())).ErrorCode, kerr.ClusterAuthorizationFailed)

	wantCode(t, "move", ask[*kmsg.AlterReplicaLogDirsResponse](t, c, moveTo("/x", "open", 0)).Topics[0].Partitions[0].ErrorCode, kerr.ClusterAuthorizationFailed)

	find := at(3, kmsg.NewPtrFindCoordinatorRequest())
	find.CoordinatorKey = "g"
	wantCode(t, "find coordinator", ask[*kmsg.FindCoordinatorResponse](t, c, find).ErrorCode, kerr.GroupAuthorizationFailed)

	groups := at(5, kmsg.NewPtrDescribeGroupsRequest())
	groups.Groups = []string{"g"}
	wantCode(t, "describe group", ask[*kmsg.DescribeGroupsResponse](t, c, groups).Groups[0].ErrorCode, kerr.GroupAuthorizationFailed)

	remove := at(5, kmsg.NewPtrDeleteTopicsRequest())
	remove.TimeoutMillis, remove.TopicNames = 1000, []string{"open", "absent"}
	for _, topic := range ask[*kmsg.DeleteTopicsResponse](t, c, remove).Topics {
		wantCode(t, "delete "+*topic.Topic, topic.ErrorCode, kerr.TopicAuthorizationFailed)
	}

	configs := at(4, kmsg.NewPtrDescribeConfigsRequest())
	for kind, name := range map[kmsg.ConfigResourceType]string{2: "open", 4: ""} {
		configs.Resources = append(configs.Resources, kmsg.DescribeConfigsRequestResource{ResourceType: kind, ResourceName: name})
	}
	for _, r := range ask[*kmsg.DescribeConfigsResponse](t, c, configs).Resources {
		wantCode(t, fmt.Sprint("describe configs ", r.ResourceType), r.ErrorCode, map[kmsg.ConfigResourceType]*kerr.Error{
			2: kerr.TopicAuthorizationFailed, 4: kerr.ClusterAuthorizationFailed,
		}[r.ResourceType])
	}
}
