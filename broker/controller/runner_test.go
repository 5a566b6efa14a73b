package controller

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startStore runs a tree until the test ends.
func startStore(t testing.TB, cfg embedded.Config) *embedded.Store {
	t.Helper()
	s, err := embedded.Open(cfg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("tree: %v", err)
		}
	})
	return s
}

// node is one broker of a test: its tree, caches, and what it was told.
type node struct {
	id      int32
	tree    coordination.Tree
	cache   *metadata.Cache
	configs *metadata.Configs
	admin   *Admin
	epoch   int64

	mu       sync.Mutex
	replicas map[topicPartition]kmsg.LeaderAndISRRequestTopicPartition
	stopped  []topicPartition
}

// cluster delivers the controller's requests to nodes.
type cluster struct {
	mu    sync.Mutex
	nodes map[int32]*node
}

func (c *cluster) Send(_ context.Context, id int32, req kmsg.Request) (kmsg.Response, error) {
	c.mu.Lock()
	n := c.nodes[id]
	c.mu.Unlock()
	if n == nil {
		return nil, fmt.Errorf("broker %d is down", id)
	}
	return n.handle(req), nil
}

func (n *node) handle(req kmsg.Request) kmsg.Response {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch req := req.(type) {
	case *kmsg.LeaderAndISRRequest:
		for _, t := range req.TopicStates {
			for _, p := range t.PartitionStates {
				n.replicas[topicPartition{t.Topic, p.Partition}] = p
			}
		}
		return req.ResponseKind()
	case *kmsg.UpdateMetadataRequest:
		_, _ = n.cache.ApplyUpdate(req)
		return req.ResponseKind()
	case *kmsg.StopReplicaRequest:
		for _, t := range req.Topics {
			for _, p := range t.PartitionStates {
				delete(n.replicas, topicPartition{t.Topic, p.Partition})
				n.stopped = append(n.stopped, topicPartition{t.Topic, p.Partition})
			}
		}
		return req.ResponseKind()
	}
	return nil
}

// join registers a broker and starts its runner and config watcher.
func (c *cluster) join(t testing.TB, store *embedded.Store, id int32, properties map[string]string) *node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tree, err := store.Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	reg, err := RegisterBroker(ctx, tree, BrokerInfo{ID: id, JMXPort: -1, Endpoints: []coordination.Endpoint{{Listener: "PLAINTEXT", SecurityProtocol: "PLAINTEXT", Host: "h", Port: 9092 + id}}})
	if err != nil {
		t.Fatal(err)
	}
	configs, err := metadata.NewConfigs(id, properties)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{id: id, tree: tree, cache: metadata.NewCache(reg.ClusterID), configs: configs, epoch: reg.Epoch, replicas: map[topicPartition]kmsg.LeaderAndISRRequestTopicPartition{}}
	if n.admin, err = NewAdmin(AdminConfig{BrokerID: id, Tree: tree, Cache: n.cache, Configs: configs, RandomInt: func(int) int { return 0 }}, nil); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.nodes[id] = n
	c.mu.Unlock()
	runner, err := NewRunner(RunnerConfig{BrokerID: id, Tree: tree, Sender: c, Configs: configs, RetryDelay: time.Millisecond}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	watcher := NewConfigWatcher(tree, configs, nil)
	if err := watcher.Load(ctx); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = runner.Run(ctx) })
	wg.Go(func() { _ = watcher.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	n.await(t, func(im *metadata.Image) bool { _, ok := im.Broker(id); return ok })
	return n
}

func (n *node) await(t testing.TB, cond func(*metadata.Image) bool) *metadata.Image {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	image, err := n.cache.Await(ctx, cond)
	if err != nil {
		t.Fatalf("broker %d: the metadata never came to what was awaited: topics %v", n.id, image.TopicNames())
	}
	return image
}

func oneNode(t testing.TB) (*cluster, *embedded.Store, *node) {
	c := &cluster{nodes: map[int32]*node{}}
	store := startStore(t, embedded.Config{Dir: "/tree", FS: vfs.NewMem()})
	return c, store, c.join(t, store, 1, nil)
}

func newTopicRequest(name string, partitions int32, configs ...string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for i := 0; i < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], &configs[i+1]
		t.Configs = append(t.Configs, c)
	}
	return t
}

func TestTopicLife(t *testing.T) {
	_, _, n := oneNode(t)
	ctx := context.Background()
	created := n.admin.CreateTopics(ctx, []kmsg.CreateTopicsRequestTopic{newTopicRequest("t", 2, "retention.ms", "1000")}, false)[0]
	if created.ErrorCode != 0 || created.NumPartitions != 2 || created.ReplicationFactor != 1 {
		t.Fatalf("%+v %s", created, *created.ErrorMessage)
	}
	image := n.await(t, func(im *metadata.Image) bool { return im.Led("t", 2) })
	if topic, _ := image.TopicByID(created.TopicID); topic == nil || topic.Name != "t" || image.ControllerID != 1 {
		t.Fatalf("topic by id: %+v", topic)
	}
	if got := n.configs.Topic("t").RetentionMs; got != 1000 {
		t.Fatalf("retention %d", got)
	}
	n.mu.Lock()
	state := n.replicas[topicPartition{"t", 1}]
	n.mu.Unlock()
	if state.Leader != 1 || !state.IsNew || state.LeaderEpoch != 0 || state.ControllerEpoch != 1 {
		t.Fatalf("%+v", state)
	}
	more := kmsg.NewCreatePartitionsRequestTopic()
	more.Topic, more.Count = "t", 5
	if r := n.admin.CreatePartitions(ctx, []kmsg.CreatePartitionsRequestTopic{more}, false)[0]; r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	n.await(t, func(im *metadata.Image) bool { return im.Led("t", 5) })
	gone := kmsg.NewDeleteTopicsRequestTopic()
	gone.TopicID = created.TopicID
	if r := n.admin.DeleteTopics(ctx, []kmsg.DeleteTopicsRequestTopic{gone})[0]; r.ErrorCode != 0 || *r.Topic != "t" {
		t.Fatalf("%+v", r)
	}
	n.await(t, func(im *metadata.Image) bool { _, ok := im.Topic("t"); return !ok })
	eventually(t, "the topic's nodes are removed", func() bool {
		for _, path := range []string{coordination.TopicPath("t"), coordination.DeleteTopicPath("t"), coordination.ConfigEntityPath(coordination.ConfigTopics, "t")} {
			if _, ok, _ := n.tree.Exists(ctx, path); ok {
				return false
			}
		}
		return true
	})
	n.mu.Lock()
	left, stopped := len(n.replicas), len(n.stopped)
	n.mu.Unlock()
	if left != 0 || stopped != 5 {
		t.Fatalf("%d replicas left, %d deleted", left, stopped)
	}
	eventually(t, "the topic's config is forgotten", func() bool { return n.configs.TopicOverrides("t") == nil })
}

// eventually waits for a condition that no channel announces.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// TestToolWritesTree: a topic written by a tool of Kafka 2.7 (no id) is led, and
// gets its id into its node; a rewrite that drops the id does not lose it.
func TestToolWritesTree(t *testing.T) {
	_, _, n := oneNode(t)
	ctx := context.Background()
	path := coordination.TopicPath("old")
	if _, _, err := n.tree.Create(ctx, path, []byte(`{"version":1,"partitions":{"0":[1]}}`), coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	n.await(t, func(im *metadata.Image) bool { return im.Led("old", 1) })
	id := func() coordination.UUID {
		data, _, err := n.tree.Get(ctx, path)
		if err != nil {
			t.Fatal(err)
		}
		a, err := coordination.DecodeTopicAssignment(data)
		if err != nil {
			t.Fatal(err)
		}
		return a.ID
	}
	eventually(t, "the node has an id", func() bool { return id() != coordination.UUID{} })
	first := id()
	if _, err := n.tree.Set(ctx, path, []byte(`{"version":2,"partitions":{"0":[1],"1":[1]},"adding_replicas":{},"removing_replicas":{}}`), coordination.AnyVersion); err != nil {
		t.Fatal(err)
	}
	image := n.await(t, func(im *metadata.Image) bool { return im.Led("old", 2) })
	eventually(t, "the id is back", func() bool { return id() == first })
	if topic, _ := image.Topic("old"); topic.ID != first {
		t.Fatalf("id %v, want %v", topic.ID, first)
	}
	if _, _, err := n.tree.Create(ctx, coordination.DeleteTopicPath("nothing"), nil, coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the mark of a topic that does not exist is removed", func() bool {
		_, ok, _ := n.tree.Exists(ctx, coordination.DeleteTopicPath("nothing"))
		return !ok
	})
}

// TestBrokerFailure: leadership moves to an in-sync replica, and the controller's
// role to another broker when it dies.
func TestBrokerFailure(t *testing.T) {
	c, store, first := oneNode(t)
	second := c.join(t, store, 2, nil)
	third := c.join(t, store, 3, nil)
	nodes := []*node{first, second, third}
	for _, n := range nodes {
		n.await(t, func(im *metadata.Image) bool { return len(im.BrokerIDs()) == 3 })
	}
	topic := newTopicRequest("t", 3)
	topic.ReplicationFactor = 3
	if r := second.admin.CreateTopics(context.Background(), []kmsg.CreateTopicsRequestTopic{topic}, false)[0]; r.ErrorCode != 0 {
		t.Fatalf("%+v", r)
	}
	for _, n := range nodes {
		n.await(t, func(im *metadata.Image) bool { return im.Led("t", 3) })
	}
	c.mu.Lock()
	delete(c.nodes, 1)
	c.mu.Unlock()
	if err := first.tree.Session().Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		image := n.await(t, func(im *metadata.Image) bool {
			topic, _ := im.Topic("t")
			led := im.Led("t", 3) && im.ControllerID != 1
			for _, p := range topic.Partitions {
				led = led && p.Leader != 1 && len(p.ISR) == 2 && len(p.OfflineReplicas) == 1
			}
			return led
		})
		if image.ControllerEpoch != 2 {
			t.Fatalf("controller epoch %d", image.ControllerEpoch)
		}
	}
}

func TestConfigsReachAllBrokers(t *testing.T) {
	c, store, first := oneNode(t)
	second := c.join(t, store, 2, nil)
	ctx := context.Background()
	first.await(t, func(im *metadata.Image) bool { return len(im.BrokerIDs()) == 2 })
	_ = first.admin.CreateTopics(ctx, []kmsg.CreateTopicsRequestTopic{newTopicRequest("t", 1)}, false)
	first.await(t, func(im *metadata.Image) bool { return im.Led("t", 1) })
	change := func(kind kmsg.ConfigResourceType, name, key, value string) {
		t.Helper()
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, name
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Op, c.Value = key, kmsg.IncrementalAlterConfigOpSet, &value
		r.Configs = append(r.Configs, c)
		if out := first.admin.IncrementalAlterConfigs(ctx, []kmsg.IncrementalAlterConfigsRequestResource{r}, false)[0]; out.ErrorCode != 0 {
			t.Fatalf("%d %s", out.ErrorCode, *out.ErrorMessage)
		}
	}
	change(kmsg.ConfigResourceTypeTopic, "t", "max.message.bytes", "4242")
	change(kmsg.ConfigResourceTypeBroker, "", "log.retention.ms", "77")
	if got := first.configs.Topic("t"); got.MaxMessageBytes != 4242 || got.RetentionMs != 77 {
		t.Fatalf("at once on the broker that was asked: %+v", got)
	}
	eventually(t, "the other broker has the configs", func() bool {
		got := second.configs.Topic("t")
		return got.MaxMessageBytes == 4242 && got.RetentionMs == 77
	})
}

func TestProducerIDs(t *testing.T) {
	store := startStore(t, embedded.Config{Dir: "/tree", FS: vfs.NewMem()})
	ctx := context.Background()
	var mu sync.Mutex
	seen := map[int64]bool{}
	var wg sync.WaitGroup
	for id := range int32(3) {
		tree, err := store.Connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			ids := NewProducerIDs(tree, id)
			for range 2500 {
				pid, err := ids.Next(ctx)
				mu.Lock()
				if err != nil || seen[pid] {
					t.Errorf("id %d twice, or %v", pid, err)
				}
				seen[pid] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 7500 {
		t.Fatalf("%d ids, want 7500", len(seen))
	}
}

func BenchmarkCreateTopicUntilLed(b *testing.B) {
	c := &cluster{nodes: map[int32]*node{}}
	n := c.join(b, startStore(b, embedded.Config{Dir: b.TempDir()}), 1, nil)
	ctx := context.Background()
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		name := fmt.Sprintf("t%d", i)
		i++
		if r := n.admin.CreateTopics(ctx, []kmsg.CreateTopicsRequestTopic{newTopicRequest(name, 4)}, false)[0]; r.ErrorCode != 0 {
			b.Fatal(r.ErrorCode)
		}
		n.await(b, func(im *metadata.Image) bool { return im.Led(name, 4) })
	}
}
