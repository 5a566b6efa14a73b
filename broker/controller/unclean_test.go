package controller

import (
	"context"
	"testing"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A partition whose in-sync replicas are all gone gets another leader as soon as
// its topic, or all topics, may elect an unclean one.
func TestUncleanElectionAtRunTime(t *testing.T) {
	for _, kind := range []kmsg.ConfigResourceType{kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker} {
		c := &cluster{nodes: map[int32]*node{}}
		store := startStore(t, embedded.Config{Dir: "/tree", FS: vfs.NewMem()})
		n := c.join(t, store, 1, nil)
		ctx := context.Background()
		state := coordination.PartitionState{ControllerEpoch: 1, Leader: -1, LeaderEpoch: 4, ISR: []int32{2}}
		path := coordination.TopicPath("t")
		nodes := []coordination.Op{
			coordination.Create(path, []byte(`{"version":1,"partitions":{"0":[2,1]}}`), coordination.Persistent),
			coordination.Create(path+"/partitions", nil, coordination.Persistent),
			coordination.Create(path+"/partitions/0", nil, coordination.Persistent),
			coordination.Create(coordination.PartitionStatePath("t", 0), state.Encode(), coordination.Persistent),
		}
		if _, err := n.tree.Multi(ctx, nodes...); err != nil {
			t.Fatal(err)
		}
		n.await(t, func(im *metadata.Image) bool {
			p, ok := im.Partition("t", 0)
			return ok && p.Leader == metadata.NoLeader
		})
		req := kmsg.NewIncrementalAlterConfigsRequestResource()
		req.ResourceType, req.ResourceName = kind, "t"
		if kind == kmsg.ConfigResourceTypeBroker {
			req.ResourceName = metadata.DefaultBroker
		}
		yes := "true"
		req.Configs = []kmsg.IncrementalAlterConfigsRequestResourceConfig{{Name: "unclean.leader.election.enable", Value: &yes}}
		if r := n.admin.IncrementalAlterConfigs(ctx, []kmsg.IncrementalAlterConfigsRequestResource{req}, false)[0]; r.ErrorCode != 0 {
			t.Fatalf("error %d: %s", r.ErrorCode, *r.ErrorMessage)
		}
		n.await(t, func(im *metadata.Image) bool {
			p, ok := im.Partition("t", 0)
			return ok && p.Leader == 1 && p.LeaderEpoch > 4
		})
		data, _, err := n.tree.Get(ctx, coordination.PartitionStatePath("t", 0))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := coordination.DecodePartitionState(data); err != nil || got.RecoveryState != 1 || len(got.ISR) != 1 || got.ISR[0] != 1 {
			t.Errorf("%+v, %v: the new leader is not marked as recovering", got, err)
		}
	}
}
