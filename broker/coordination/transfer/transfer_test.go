package transfer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/coordination"
)

// znode is a node of a fake tree.
type znode struct {
	data      string
	ephemeral bool
}

// fake is a source made of paths; parents exist by themselves.
type fake map[string]znode

func (f fake) Get(_ context.Context, path string) ([]byte, coordination.Stat, error) {
	n, ok := f[path]
	names, _, err := f.Children(context.Background(), path)
	if !ok && err != nil {
		return nil, coordination.Stat{}, fmt.Errorf("get %s: %w", path, coordination.ErrNoNode)
	}
	stat := coordination.Stat{NumChildren: int32(len(names))}
	if n.ephemeral {
		stat.EphemeralOwner = 7
	}
	return []byte(n.data), stat, nil
}

func (f fake) Children(_ context.Context, path string) ([]string, coordination.Stat, error) {
	prefix := strings.TrimSuffix(path, "/") + "/"
	names := map[string]bool{}
	for p := range f {
		if rest, ok := strings.CutPrefix(p, prefix); ok {
			name, _, _ := strings.Cut(rest, "/")
			names[name] = true
		}
	}
	if _, ok := f[path]; !ok && len(names) == 0 {
		return nil, coordination.Stat{}, coordination.ErrNoNode
	}
	return slices.Sorted(maps.Keys(names)), coordination.Stat{}, nil
}

// cluster is a cluster of brokers 1, 2 and 3, of which 1 is down.
func cluster() fake {
	state := func(leader int, epoch int, isr string) znode {
		return znode{data: fmt.Sprintf(`{"controller_epoch":4,"leader":%d,"version":1,"leader_epoch":%d,"isr":[%s]}`, leader, epoch, isr)}
	}
	return fake{
		"/cluster/id":                                    {data: `{"version":"1","id":"theCluster"}`},
		"/controller_epoch":                              {data: "4"},
		"/controller":                                    {data: `{"version":2,"brokerid":2,"timestamp":"1","kraftControllerEpoch":-1}`, ephemeral: true},
		"/latest_producer_id_block":                      {data: `{"version":1,"broker":2,"block_start":"3000","block_end":"3999"}`},
		"/brokers/ids/2":                                 {data: "{}", ephemeral: true},
		"/brokers/ids/3":                                 {data: "{}", ephemeral: true},
		"/brokers/seqid":                                 {},
		"/brokers/topics/orders":                         {data: `{"version":3,"topic_id":"AAAAAAAAAAAAAAAAAAAAAQ","partitions":{"0":[1,2],"1":[2,3],"2":[3,1],"3":[1,2]},"adding_replicas":{"0":[2]},"removing_replicas":{}}`},
		"/brokers/topics/orders/partitions/0/state":      state(1, 5, "1,2"),
		"/brokers/topics/orders/partitions/1/state":      state(2, 6, "2,3"),
		"/brokers/topics/orders/partitions/2/state":      state(3, 7, "3"),
		"/brokers/topics/orders/partitions/3/state":      state(2, 8, "2,1"),
		"/brokers/topics/new":                            {data: `{"version":1,"partitions":{"0":[1]}}`},
		"/brokers/topics/going":                          {data: `{"version":1,"partitions":{"0":[2]}}`},
		"/config/topics/orders":                          {data: `{"version":1,"config":{"retention.ms":"1"}}`},
		"/config/users/ann/clients/web":                  {data: `{"version":1,"config":{"producer_byte_rate":"1"}}`},
		"/config/changes/config_change_0000000000":       {data: `{"version":2,"entity_path":"topics/orders"}`},
		"/admin/delete_topics/going":                     {},
		"/admin/reassign_partitions":                     {data: `{"version":1,"partitions":[]}`},
		"/consumers/g/offsets/orders/0":                  {data: "42"},
		"/consumers/g/ids/g_host":                        {data: "{}", ephemeral: true},
		"/consumers/g/owners/orders/0":                   {data: "g_host-0", ephemeral: true},
		"/kafka-acl/Topic/orders":                        {data: `{"version":1,"acls":[]}`},
		"/kafka-acl-extended/prefixed/Topic/or":          {data: `{"version":1,"acls":[]}`},
		"/kafka-acl-changes/acl_changes_0000000000":      {data: "Topic:orders"},
		"/delegation_token/tokens/t1":                    {data: "{}"},
		"/isr_change_notification/isr_change_0000000001": {data: "{}"},
		"/feature":         {data: `{"version":2,"status":1,"features":{}}`},
		"/zookeeper/quota": {},
		"/hbase/master":    {data: "x"},
	}
}

func planOf(t *testing.T, f fake, opts Options) (*Plan, map[string]string) {
	t.Helper()
	p, err := Read(t.Context(), f, opts)
	if err != nil {
		t.Fatal(err)
	}
	nodes := map[string]string{}
	for _, n := range p.Nodes() {
		parent := n.Path[:strings.LastIndexByte(n.Path, '/')]
		if _, ok := nodes[parent]; !ok && parent != "" {
			t.Errorf("%s comes before its parent", n.Path)
		}
		if _, twice := nodes[n.Path]; twice {
			t.Errorf("%s is created twice", n.Path)
		}
		nodes[n.Path] = string(n.Data)
	}
	return p, nodes
}

func TestPlan(t *testing.T) {
	f := cluster()
	p, nodes := planOf(t, f, Options{Broker: 1})
	if p.ClusterID != "theCluster" || p.ControllerEpoch != 4 || p.NextProducerID != 4000 || !slices.Equal(p.LiveBrokers, []int32{2, 3}) {
		t.Errorf("%+v", p)
	}
	for path, want := range map[string]string{
		"/brokers/topics/orders":                    `{"partitions":{"0":[1],"1":[2,3],"2":[3,1],"3":[1]},"topic_id":"AAAAAAAAAAAAAAAAAAAAAQ","adding_replicas":{},"removing_replicas":{},"version":3}`,
		"/brokers/topics/orders/partitions/0/state": `{"controller_epoch":4,"leader":1,"version":1,"leader_epoch":5,"isr":[1]}`,
		"/brokers/topics/orders/partitions/1/state": `{"controller_epoch":4,"leader":-1,"version":1,"leader_epoch":7,"isr":[2,3]}`,
		"/brokers/topics/orders/partitions/2/state": `{"controller_epoch":4,"leader":-1,"version":1,"leader_epoch":8,"isr":[3]}`,
		"/brokers/topics/orders/partitions/3/state": `{"controller_epoch":4,"leader":1,"version":1,"leader_epoch":9,"isr":[1]}`,
	} {
		if nodes[path] != want {
			t.Errorf("%s\n got %s\nwant %s", path, nodes[path], want)
		}
	}
	for _, path := range []string{
		"/cluster/id", "/controller_epoch", "/latest_producer_id_block", "/config/topics/orders", "/config/users/ann/clients/web",
		"/consumers/g/offsets/orders/0", "/kafka-acl/Topic/orders", "/kafka-acl-extended/prefixed/Topic/or", "/delegation_token/tokens/t1",
		"/feature", "/admin/delete_topics/going",
	} {
		if nodes[path] != f[path].data {
			t.Errorf("%s is %q in the plan, %q in the cluster", path, nodes[path], f[path].data)
		}
	}
	for _, path := range []string{
		"/controller", "/brokers/ids/2", "/consumers/g/ids/g_host", "/consumers/g/owners/orders/0", "/config/changes/config_change_0000000000",
		"/admin/reassign_partitions", "/kafka-acl-changes", "/isr_change_notification/isr_change_0000000001", "/hbase", "/zookeeper",
	} {
		if _, ok := nodes[path]; ok {
			t.Errorf("%s is carried over", path)
		}
	}
	if want := []Note{{"/admin/reassign_partitions", "order to the cluster's controller"}, {"/hbase", "not a node of Kafka"}}; !reflect.DeepEqual(p.LeftOut, want) {
		t.Errorf("left out: %v", p.LeftOut)
	}
	if want := map[string]int{"config/topics": 1, "config/users": 1, "consumers": 1, "kafka-acl": 1, "kafka-acl-extended": 1, "delegation_token/tokens": 1, "feature": 1}; !reflect.DeepEqual(p.Counts, want) {
		t.Errorf("counts: %v", p.Counts)
	}
}

func TestFates(t *testing.T) {
	p, _ := planOf(t, cluster(), Options{Broker: 1})
	got := map[string]Fate{}
	for _, topic := range p.Topics {
		for _, part := range topic.Partitions {
			got[fmt.Sprint(topic.Name, part.ID)] = part.Fate
		}
		if topic.Deleting != (topic.Name == "going") {
			t.Errorf("%s: marked for deletion: %v", topic.Name, topic.Deleting)
		}
	}
	want := map[string]Fate{"orders0": Taken, "orders1": Elsewhere, "orders2": OutOfSync, "orders3": Taken, "new0": Taken, "going0": Elsewhere}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v", got)
	}
	_, nodes := planOf(t, cluster(), Options{Broker: 1, Unclean: true})
	if state := nodes["/brokers/topics/orders/partitions/2/state"]; state != `{"controller_epoch":4,"leader":1,"version":1,"leader_epoch":8,"isr":[1]}` {
		t.Errorf("unclean: %s", state)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(fake)
		err    error
	}{
		"no cluster":     {func(f fake) { delete(f, "/cluster/id") }, ErrNoCluster},
		"running broker": {func(f fake) { f["/brokers/ids/1"] = znode{"{}", true} }, ErrBrokerRunning},
		"migration":      {func(f fake) { f["/controller"] = znode{`{"brokerid":9,"kraftControllerEpoch":3}`, true} }, ErrMigrating},
		"bad id":         {func(f fake) { f["/cluster/id"] = znode{data: "x"} }, coordination.ErrBadPayload},
		"bad epoch":      {func(f fake) { f["/controller_epoch"] = znode{data: "x"} }, coordination.ErrBadPayload},
		"bad block":      {func(f fake) { f["/latest_producer_id_block"] = znode{data: "x"} }, coordination.ErrBadPayload},
		"bad topic":      {func(f fake) { f["/brokers/topics/orders"] = znode{data: "x"} }, coordination.ErrBadPayload},
		"bad partition":  {func(f fake) { f["/brokers/topics/orders/partitions/0/state"] = znode{data: "x"} }, coordination.ErrBadPayload},
		"bad controller": {func(f fake) { f["/controller"] = znode{data: "x"} }, coordination.ErrBadPayload},
	} {
		f := cluster()
		c.change(f)
		if _, err := Read(t.Context(), f, Options{Broker: 1}); !errors.Is(err, c.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// memory is the part of a tree that Apply uses.
type memory struct {
	coordination.Tree
	nodes fake
	multi []int
}

func (m *memory) Get(ctx context.Context, path string) ([]byte, coordination.Stat, error) {
	return m.nodes.Get(ctx, path)
}

func (m *memory) Children(ctx context.Context, path string) ([]string, coordination.Stat, error) {
	return m.nodes.Children(ctx, path)
}

func (m *memory) Multi(_ context.Context, ops ...coordination.Op) ([]coordination.OpResult, error) {
	m.multi = append(m.multi, len(ops))
	for _, op := range ops {
		m.nodes[op.Path] = znode{data: string(op.Data)}
	}
	return nil, nil
}

// What is applied is a cluster that could be read again; a second time is
// refused.
func TestApply(t *testing.T) {
	f := cluster()
	for n := range 300 {
		f[fmt.Sprintf("/consumers/g%04d/offsets/orders/0", n)] = znode{data: strings.Repeat("9", 10*n)}
	}
	steps, topics := 0, 0
	p, nodes := planOf(t, f, Options{Broker: 1, Progress: func(done, total int) { topics = done*10 + total }})
	m := &memory{nodes: fake{}}
	if err := p.Apply(t.Context(), m, func(done, total int) { steps = total - done }); err != nil || steps != 0 {
		t.Fatal(err, steps)
	}
	if topics != 33 {
		t.Errorf("progress ended with %d", topics)
	}
	if len(m.nodes) != len(nodes) || slices.Max(m.multi) > maxOps || len(m.multi) < len(nodes)/maxOps {
		t.Errorf("%d nodes in transactions of %d", len(m.nodes), m.multi)
	}
	again, err := Read(t.Context(), m.nodes, Options{Broker: 1})
	if err != nil || again.ClusterID != p.ClusterID || len(again.Topics) != len(p.Topics) || len(again.Nodes()) != len(nodes) {
		t.Errorf("read again: %v", err)
	}
	if err := p.Apply(t.Context(), m, nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("a second time: %v", err)
	}
}
