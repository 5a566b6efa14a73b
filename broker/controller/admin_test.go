package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// adminOf makes an Admin over an empty tree whose cache knows brokers 1 to n;
// no controller runs.
func adminOf(t *testing.T, brokers int, properties map[string]string) (*Admin, coordination.Tree) {
	t.Helper()
	ctx := context.Background()
	tree, err := startStore(t, embedded.Config{Dir: "/tree", FS: vfs.NewMem()}).Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Prepare(ctx, tree); err != nil {
		t.Fatal(err)
	}
	configs, err := metadata.NewConfigs(1, properties)
	if err != nil {
		t.Fatal(err)
	}
	cache := metadata.NewCache("c")
	learnTopics(t, cache, brokers)
	a, err := NewAdmin(AdminConfig{BrokerID: 1, Tree: tree, Cache: cache, Configs: configs, RandomInt: func(int) int { return 0 }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a, tree
}

// learnTopics tells a cache of brokers and of topics with one partition.
func learnTopics(t *testing.T, cache *metadata.Cache, brokers int, topics ...string) {
	t.Helper()
	req := kmsg.NewPtrUpdateMetadataRequest()
	req.Version = 8
	for id := range brokers {
		b := kmsg.NewUpdateMetadataRequestLiveBroker()
		b.ID = int32(id + 1)
		req.LiveBrokers = append(req.LiveBrokers, b)
	}
	for i, name := range topics {
		ts := kmsg.NewUpdateMetadataRequestTopicState()
		ts.Topic, ts.TopicID = name, coordination.UUID{byte(i + 1)}
		ps := kmsg.NewUpdateMetadataRequestTopicPartition()
		ps.Leader, ps.Replicas, ps.ISR = 1, []int32{1}, []int32{1}
		ts.PartitionStates = append(ts.PartitionStates, ps)
		req.TopicStates = append(req.TopicStates, ts)
	}
	if _, err := cache.ApplyUpdate(req); err != nil {
		t.Fatal(err)
	}
}

func message(code int16, text *string) string {
	if text == nil {
		return fmt.Sprint(code)
	}
	return fmt.Sprint(code, " ", *text)
}

func manual(name string, partitions ...[]int32) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	for i, replicas := range partitions {
		p := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		p.Partition, p.Replicas = int32(i), replicas
		t.ReplicaAssignment = append(t.ReplicaAssignment, p)
	}
	return t
}

func TestCreateTopicAnswers(t *testing.T) {
	a, tree := adminOf(t, 3, nil)
	ctx := context.Background()
	learnTopics(t, a.cfg.Cache, 3, "known")
	for _, path := range []string{coordination.TopicPath("in.tree"), coordination.DeleteTopicPath("marked")} {
		if _, _, err := tree.Create(ctx, path, nil, coordination.Persistent); err != nil {
			t.Fatal(err)
		}
	}
	with := func(name string, partitions int32, factor int16, configs ...string) kmsg.CreateTopicsRequestTopic {
		r := newTopicRequest(name, partitions, configs...)
		r.ReplicationFactor = factor
		return r
	}
	null := with("null", 1, 1, "retention.ms", "")
	null.Configs[0].Value = nil
	both := manual("both", []int32{1})
	both.NumPartitions = 1
	gap := manual("gap", []int32{1}, []int32{1})
	gap.ReplicaAssignment[1].Partition = 2
	twice := manual("twice", []int32{1}, []int32{1})
	twice.ReplicaAssignment[1].Partition = 0
	for _, test := range []struct {
		req  kmsg.CreateTopicsRequestTopic
		want string
	}{
		{with("good", 2, 3, "retention.ms", "5"), "0"},
		{with("good", 2, 3), "36 Topic 'good' already exists."},
		{with("defaults", -1, -1), "0"},
		{manual("by.hand", []int32{1, 2}, []int32{2, 3}), "0"},
		{with("known", 1, 1), "36 Topic 'known' already exists."},
		{with("marked", 1, 1), "36 Topic 'marked' is marked for deletion."},
		{with("in_tree", 1, 1), "17 Topic 'in_tree' collides with existing topics: in.tree"},
		{with("", 1, 1), "17 Topic name is invalid: the empty string is not allowed"},
		{with("..", 1, 1), "17 Topic name is invalid: '..' is not allowed"},
		{with("a/b", 1, 1), "17 Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{with("none", 0, 1), "37 Number of partitions must be larger than 0."},
		{with("many", 1<<30, 1), "37 Number of partitions must not be larger than 50000."},
		{with("zero", 1, 0), "38 Replication factor must be larger than 0."},
		{with("wide", 1, 4), "38 Replication factor: 4 larger than available brokers: 3."},
		{null, "40 Null value not supported for topic configs: retention.ms"},
		{with("bad", 1, 1, "retention.ms", "x"), "40 Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{with("bad", 1, 1, "good.config", "x"), "40 Unknown topic config name: good.config"},
		{with("bad", 1, 1, "retention.ms", "5", "bad.config", "x"), "40 Unknown topic config name: bad.config"},
		{both, "42 Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time."},
		{manual("far", []int32{9}), "39 The manual partition assignment includes broker 9, but no such broker is registered."},
		{manual("dup", []int32{1, 1}), "39 Duplicate replica assignment found: partition 0 on brokers 1, 1"},
		{manual("uneven", []int32{1}, []int32{1, 2}), "39 All partitions should have the same number of replicas"},
		{manual("empty", []int32{}), "39 Cannot have replication factor of 0 for partition id 0."},
		{gap, "39 partitions should be a consecutive 0-based integer sequence"},
		{twice, "39 Found multiple manual partition assignments for partition 0"},
	} {
		for _, validateOnly := range []bool{true, false} {
			got := a.CreateTopics(ctx, []kmsg.CreateTopicsRequestTopic{test.req}, validateOnly)[0]
			if m := message(got.ErrorCode, got.ErrorMessage); m != test.want {
				t.Errorf("%s (validate %v):\n got %s\nwant %s", test.req.Topic, validateOnly, m, test.want)
			}
			created := got.ErrorCode == 0 && !validateOnly
			if (got.TopicID != coordination.UUID{}) != created || (got.NumPartitions > 0) != (got.ErrorCode == 0) || (len(got.Configs) > 30) != (got.ErrorCode == 0) {
				t.Errorf("%s (validate %v): %d partitions, id %v, %d configs", test.req.Topic, validateOnly, got.NumPartitions, got.TopicID, len(got.Configs))
			}
		}
	}
	data, _, err := tree.Get(ctx, coordination.ConfigEntityPath(coordination.ConfigTopics, "good"))
	if err != nil || string(data) != `{"version":1,"config":{"retention.ms":"5"}}` {
		t.Errorf("%s %v", data, err)
	}
}

// TestInternalTopics: on one node the broker's own topics get one replica and a
// min ISR of one, whatever is configured.
func TestInternalTopics(t *testing.T) {
	a, _ := adminOf(t, 1, map[string]string{"min.insync.replicas": "2", "offsets.topic.num.partitions": "7", "num.partitions": "3"})
	out := a.AutoCreate(context.Background(), []string{OffsetsTopic, TransactionsTopic, "mine"})
	for i, want := range []int32{7, 50, 3} {
		if out[i].ErrorCode != 0 || out[i].NumPartitions != want || out[i].ReplicationFactor != 1 {
			t.Errorf("%s: %+v %s", out[i].Topic, out[i].NumPartitions, message(out[i].ErrorCode, out[i].ErrorMessage))
		}
	}
	if c := a.cfg.Configs.Topic(OffsetsTopic); !c.Compact || c.Delete || c.MinInSyncReplicas != 1 || c.SegmentBytes != 104857600 || c.CompressionType != "producer" {
		t.Errorf("%+v", c)
	}
	if c := a.cfg.Configs.Topic(TransactionsTopic); !c.Compact || c.MinInSyncReplicas != 1 || c.CompressionType != "uncompressed" {
		t.Errorf("%+v", c)
	}
	if c := a.cfg.Configs.Topic("mine"); c.Compact || c.MinInSyncReplicas != 2 {
		t.Errorf("%+v", c)
	}
}

func TestCreatePartitionsAnswers(t *testing.T) {
	a, tree := adminOf(t, 3, nil)
	ctx := context.Background()
	a.CreateTopics(ctx, []kmsg.CreateTopicsRequestTopic{manual("t", []int32{2, 3}, []int32{3, 1}), manual("m", []int32{1})}, false)
	if _, _, err := tree.Create(ctx, coordination.DeleteTopicPath("m"), nil, coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		topic  string
		count  int32
		manual [][]int32
		want   string
	}{
		{"none", 2, nil, "3 The topic 'none' does not exist."},
		{"a/b", 2, nil, "3 The topic 'a/b' does not exist."},
		{"m", 2, nil, "17 The topic is queued for deletion."},
		{"t", 1, nil, "37 Topic currently has 2 partitions, which is higher than the requested 1."},
		{"t", 2, nil, "37 Topic already has 2 partitions."},
		{"t", 3, [][]int32{{1, 9}}, "39 Unknown broker(s) in replica assignment: 9."},
		{"t", 4, [][]int32{{1, 2}}, "39 Increasing the number of partitions by 2 but 1 assignments provided."},
		{"t", 3, [][]int32{{1, 1}}, "39 Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 2."},
		{"t", 3, [][]int32{{1}}, "39 Inconsistent replication factor between partitions, partition 0 has 2 while partition 2 has 1."},
		{"t", 3, [][]int32{{1, 2}}, "0"},
		{"t", 5, nil, "0"},
	} {
		r := kmsg.NewCreatePartitionsRequestTopic()
		r.Topic, r.Count = test.topic, test.count
		for _, replicas := range test.manual {
			p := kmsg.NewCreatePartitionsRequestTopicAssignment()
			p.Replicas = replicas
			r.Assignment = append(r.Assignment, p)
		}
		for _, validateOnly := range []bool{true, false} {
			got := a.CreatePartitions(ctx, []kmsg.CreatePartitionsRequestTopic{r}, validateOnly)[0]
			if m := message(got.ErrorCode, got.ErrorMessage); m != test.want {
				t.Errorf("%s to %d:\n got %s\nwant %s", test.topic, test.count, m, test.want)
			}
		}
	}
	data, _, _ := tree.Get(ctx, coordination.TopicPath("t"))
	assignment, err := coordination.DecodeTopicAssignment(data)
	if err != nil || len(assignment.Partitions) != 5 || !slices.Equal(assignment.Partitions[2], []int32{1, 2}) || assignment.ID == (coordination.UUID{}) {
		t.Errorf("%+v %v", assignment, err)
	}
}

func TestDeleteTopicAnswers(t *testing.T) {
	a, tree := adminOf(t, 1, nil)
	ctx := context.Background()
	a.CreateTopics(ctx, []kmsg.CreateTopicsRequestTopic{newTopicRequest("t", 1)}, false)
	ask := func(name string, id coordination.UUID) string {
		r := kmsg.NewDeleteTopicsRequestTopic()
		r.TopicID = id
		if name != "" {
			r.Topic = &name
		}
		out := a.DeleteTopics(ctx, []kmsg.DeleteTopicsRequestTopic{r})[0]
		return message(out.ErrorCode, out.ErrorMessage)
	}
	for _, test := range []struct {
		name string
		id   coordination.UUID
		want string
	}{{"none", coordination.UUID{}, "3"}, {"a/b", coordination.UUID{}, "3"}, {"", coordination.UUID{9}, "100"}, {"t", coordination.UUID{}, "0"}, {"t", coordination.UUID{}, "0"}} {
		if got := ask(test.name, test.id); got != test.want {
			t.Errorf("%s %v: %s, want %s", test.name, test.id, got, test.want)
		}
	}
	if _, ok, _ := tree.Exists(ctx, coordination.DeleteTopicPath("t")); !ok {
		t.Error("the topic is not marked")
	}
}

func TestAlterConfigs(t *testing.T) {
	a, tree := adminOf(t, 1, nil)
	ctx := context.Background()
	learnTopics(t, a.cfg.Cache, 1, "t")
	config := func(kind coordination.ConfigType, name string) map[string]string {
		data, _, err := tree.Get(ctx, coordination.ConfigEntityPath(kind, name))
		if err != nil {
			return nil
		}
		c, err := coordination.DecodeConfig(data)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	topic, broker := kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker
	const set, del, add, sub = kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract
	ask := func(kind kmsg.ConfigResourceType, name, key string, op kmsg.IncrementalAlterConfigOp, value string) string {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = key, op, &value
		if value == "<null>" {
			c.Value = nil
		}
		r.Configs = append(r.Configs, c)
		out := a.IncrementalAlterConfigs(ctx, []kmsg.IncrementalAlterConfigsRequestResource{r}, false)[0]
		return message(out.ErrorCode, out.ErrorMessage)
	}
	for _, test := range []struct {
		kind      kmsg.ConfigResourceType
		name, key string
		op        kmsg.IncrementalAlterConfigOp
		value     string
		want      string
	}{
		{topic, "t", "retention.ms", set, "5", "0"},
		{topic, "t", "cleanup.policy", add, "compact", "0"},
		{topic, "t", "cleanup.policy", add, "compact", "0"},
		{topic, "t", "cleanup.policy", sub, "delete", "0"},
		{topic, "t", "segment.bytes", del, "<null>", "0"},
		{topic, "t", "retention.ms", add, "5", "40 Config value append is not allowed for config key: retention.ms"},
		{topic, "t", "retention.ms", sub, "5", "40 Config value subtract is not allowed for config key: retention.ms"},
		{topic, "t", "nonsense", add, "5", "40 Unknown config name: nonsense"},
		{topic, "t", "nonsense", set, "5", "40 Unknown topic config name: nonsense"},
		{topic, "t", "retention.ms", set, "x", "40 Invalid config value for resource ConfigResource(type=TOPIC, name='t'): Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{topic, "t", "retention.ms", set, "<null>", "42 Null value not supported for : retention.ms"},
		{topic, "t", "retention.ms", 9, "x", "42 Unknown operations type 9"},
		{topic, "", "retention.ms", set, "5", "42 Default topic resources are not allowed."},
		{topic, "none", "retention.ms", set, "5", "3 The topic 'none' does not exist."},
		{broker, "1", "log.retention.ms", set, "6", "0"},
		{broker, "", "log.retention.ms", set, "7", "0"},
		{broker, "", "my.plugin", set, "7", "0"},
		{broker, "2", "log.retention.ms", set, "6", "42 Unexpected broker id, expected 1, but received 2"},
		{broker, "x", "log.retention.ms", set, "6", "42 Node id must be an integer, but it is: x"},
		{broker, "1", "broker.rack", set, "r", "42 Cannot update these configs dynamically: Set(broker.rack)"},
		{broker, "1", "listener.name.a.ssl.key.password", set, "r", "42 The password config listener.name.a.ssl.key.password cannot be stored: password.encoder.secret is not configured."},
		{kmsg.ConfigResourceTypeClientMetrics, "x", "k", set, "v", "42 AlterConfigs is only supported for topics and brokers, but resource type is CLIENT_METRICS"},
		{99, "x", "k", set, "v", "42 Unknown resource type 99"},
	} {
		if got := ask(test.kind, test.name, test.key, test.op, test.value); got != test.want {
			t.Errorf("%d %s %s %d %s:\n got %s\nwant %s", test.kind, test.name, test.key, test.op, test.value, got, test.want)
		}
	}
	if got, want := config(coordination.ConfigTopics, "t"), (map[string]string{"retention.ms": "5", "cleanup.policy": "compact"}); !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if got := config(coordination.ConfigBrokers, coordination.DefaultEntity); got["log.retention.ms"] != "7" || got["my.plugin"] != "7" {
		t.Errorf("%v", got)
	}
	if got := a.cfg.Configs.Topic("u").RetentionMs; got != 6 {
		t.Errorf("retention %d", got)
	}
	r := kmsg.NewAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = topic, "t"
	c := kmsg.NewAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "max.message.bytes", kmsg.StringPtr("9")
	r.Configs = append(r.Configs, c)
	if out := a.AlterConfigs(ctx, []kmsg.AlterConfigsRequestResource{r}, true)[0]; out.ErrorCode != 0 || len(config(coordination.ConfigTopics, "t")) != 2 {
		t.Errorf("validate only: %+v", out)
	}
	if out := a.AlterConfigs(ctx, []kmsg.AlterConfigsRequestResource{r}, false)[0]; out.ErrorCode != 0 || !maps.Equal(config(coordination.ConfigTopics, "t"), map[string]string{"max.message.bytes": "9"}) {
		t.Errorf("%+v %v", out, config(coordination.ConfigTopics, "t"))
	}
	for _, out := range a.AlterConfigs(ctx, []kmsg.AlterConfigsRequestResource{r, r}, false) {
		if got := message(out.ErrorCode, out.ErrorMessage); got != "42 Each resource must appear at most once." {
			t.Error(got)
		}
	}
	notices, _, _ := tree.Children(ctx, coordination.ConfigChangesPath)
	if len(notices) == 0 || !strings.HasPrefix(notices[0], "config_change_0000000") {
		t.Errorf("%v", notices)
	}
}

func TestAssignReplicas(t *testing.T) {
	plain := func(n int) (list []rackedBroker) {
		for id := range n {
			list = append(list, rackedBroker{id: int32(id)})
		}
		return list
	}
	got, _ := assignReplicas(plain(5), 10, 3, 0, 0, 0)
	for p, want := range [][]int32{{0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 0}, {4, 0, 1}, {0, 2, 3}, {1, 3, 4}, {2, 4, 0}, {3, 0, 1}, {4, 1, 2}} {
		if !slices.Equal(got[int32(p)], want) {
			t.Errorf("partition %d: %v, want %v", p, got[int32(p)], want)
		}
	}
	racks := []rackedBroker{{0, "rack1"}, {1, "rack3"}, {2, "rack3"}, {3, "rack2"}, {4, "rack2"}, {5, "rack1"}}
	got, _ = assignReplicas(racks, 7, 3, 0, 0, 0)
	for p, want := range [][]int32{{0, 3, 1}, {3, 1, 5}, {1, 5, 4}, {5, 4, 2}, {4, 2, 0}, {2, 0, 3}, {0, 4, 2}} {
		if !slices.Equal(got[int32(p)], want) {
			t.Errorf("partition %d: %v, want %v", p, got[int32(p)], want)
		}
	}
	for n := 1; n < 7; n++ {
		for replicas := 1; replicas <= n; replicas++ {
			for start := range n {
				got, refusal := assignReplicas(plain(n), 20, replicas, 3, start, start)
				if refusal != nil || len(got) != 20 {
					t.Fatal(refusal)
				}
				for p, ids := range got {
					if p < 3 || hasTwice(ids) || len(ids) != replicas {
						t.Fatalf("%d brokers, %d replicas: partition %d on %v", n, replicas, p, ids)
					}
				}
			}
		}
	}
}

func TestRegisterBroker(t *testing.T) {
	store := startStore(t, embedded.Config{Dir: "/tree", FS: vfs.NewMem()})
	ctx := context.Background()
	first, _ := store.Connect(ctx)
	second, _ := store.Connect(ctx)
	info := BrokerInfo{ID: 1, JMXPort: -1, NowMs: 5, Endpoints: []coordination.Endpoint{{Listener: "PLAINTEXT", SecurityProtocol: "PLAINTEXT", Host: "h", Port: 1}}}
	reg, err := RegisterBroker(ctx, first, info)
	if err != nil || len(reg.ClusterID) != 22 || reg.BrokerID != 1 {
		t.Fatalf("%+v %v", reg, err)
	}
	_, stat, err := second.Get(ctx, coordination.BrokerIDPath(1))
	if err != nil || stat.Czxid != reg.Epoch || stat.EphemeralOwner != first.Session().ID() {
		t.Fatalf("%+v %v", stat, err)
	}
	again, err := RegisterBroker(ctx, first, info)
	if err != nil || again.Epoch <= reg.Epoch || again.ClusterID != reg.ClusterID {
		t.Fatalf("%+v %v", again, err)
	}
	if _, err := RegisterBroker(ctx, second, info); err == nil {
		t.Fatal("two live brokers have one id")
	}
	info.ID, info.ReservedMaxID = -1, 1000
	if generated, err := RegisterBroker(ctx, second, info); err != nil || generated.BrokerID != 1001 {
		t.Fatalf("%+v %v", generated, err)
	}
}
