package group

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memLog is a coordinator.Log in memory.
type memLog struct {
	mu      sync.Mutex
	records map[int32][]coordinator.Record
}

func (l *memLog) Append(p, _ int32, records []coordinator.Record, done func(error)) {
	l.mu.Lock()
	l.records[p] = append(l.records[p], records...)
	l.mu.Unlock()
	done(nil)
}

func (l *memLog) Load(_ context.Context, p, _ int32, replay func(int64, coordinator.Record)) error {
	l.mu.Lock()
	records := slices.Clone(l.records[p])
	l.mu.Unlock()
	for i, r := range records {
		replay(int64(i), r)
	}
	return nil
}

// startService runs a service that leads all partitions. Inside a bubble only.
func startService(t *testing.T, log *memLog, reg prometheus.Registerer) *Service {
	cfg := DefaultConfig()
	cfg.InitialRebalanceDelay = 0
	s, err := newService(cfg, log, nil, reg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-ended })
	var lead []replica.LeadershipChange
	for p := range cfg.Partitions {
		lead = append(lead, replica.LeadershipChange{TP: record.TopicPartition{Topic: OffsetsTopic, Partition: p}, Leader: true})
	}
	s.runtime.Leadership(lead)
	synctest.Wait()
	return s
}

// call runs a request of the service and returns its response.
func call[Q, R any](f func(Q, func(R)), req Q) R {
	ch := make(chan R, 1)
	f(req, func(r R) { ch <- r })
	return <-ch
}

func commitReq(group, topic string, offset int64) *kmsg.OffsetCommitRequest {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group = 8, group
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = offset
	r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: topic, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	return r
}

func commitOne(t *testing.T, s *Service, group, topic string, offset int64) {
	t.Helper()
	resp := call(func(q *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse)) {
		s.OffsetCommit(q, Client{}, done)
	},
		commitReq(group, topic, offset))
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("commit: %s", codeName(code))
	}
}

func TestServiceSpreadsOverPartitions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &memLog{records: map[int32][]coordinator.Record{}}
		reg := prometheus.NewRegistry()
		s := startService(t, log, reg)
		names := []string{"a", "b", "c", "group-1", "group-2"}
		for i, g := range names {
			commitOne(t, s, g, "t", int64(i))
		}
		if len(log.records) < 4 {
			t.Fatalf("%d partitions used", len(log.records))
		}

		list := call(s.ListGroups, kmsg.NewPtrListGroupsRequest())
		var got []string
		for _, g := range list.Groups {
			got = append(got, g.Group)
		}
		if !slices.Equal(got, names) {
			t.Fatalf("listed %v", got)
		}
		req := kmsg.NewPtrListGroupsRequest()
		req.TypesFilter = []string{"consumer"}
		if n := len(call(s.ListGroups, req).Groups); n != 0 {
			t.Fatalf("%d groups of type consumer", n)
		}

		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.Version = 8
		for _, g := range names {
			fetch.Groups = append(fetch.Groups, kmsg.OffsetFetchRequestGroup{Group: g})
		}
		for i, g := range call(s.OffsetFetch, fetch).Groups {
			if g.Group != names[i] || g.Topics[0].Partitions[0].Offset != int64(i) {
				t.Fatalf("fetched %+v", g)
			}
		}
		old := kmsg.NewPtrOffsetFetchRequest()
		old.Version, old.Group = 1, "b"
		old.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0, 1}}}
		if ps := call(s.OffsetFetch, old).Topics[0].Partitions; ps[0].Offset != 1 || ps[1].Offset != -1 {
			t.Fatalf("fetched %+v", ps)
		}

		var snaps []string
		s.Snapshots(func(g Snapshot) bool { snaps = append(snaps, g.Group); return len(snaps) < 3 })
		if !slices.Equal(snaps, names[:3]) {
			t.Fatalf("snapshots %v", snaps)
		}
		if got := gauge(t, reg, "kafka_coordinator_group_groupmetadatamanager_numgroups"); got != 5 {
			t.Fatalf("%v groups counted", got)
		}
		if got := gauge(t, reg, "kafka_coordinator_group_groupmetadatamanager_numoffsets"); got != 5 {
			t.Fatalf("%v offsets counted", got)
		}

		s.TopicsDeleted([]string{"t"})
		if n := len(call(s.ListGroups, kmsg.NewPtrListGroupsRequest()).Groups); n != 0 {
			t.Fatalf("%d groups left", n)
		}
	})
}

func gauge(t *testing.T, reg *prometheus.Registry, name string) float64 {
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestServiceRebalanceAndSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startService(t, &memLog{records: map[int32][]coordinator.Record{}}, nil)
		join := kmsg.NewPtrJoinGroupRequest()
		join.Version, join.Group, join.ProtocolType = 5, "g", consumerType
		join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = 6000, 6000
		join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range", Metadata: subscribe([]string{"t"})}}
		do := func(q *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
			s.JoinGroup(q, Client{ID: "c"}, done)
		}
		first := call(do, join)
		if first.ErrorCode != codeMemberIDRequired || !strings.HasPrefix(first.MemberID, "c-") {
			t.Fatalf("%+v", first)
		}
		again := *join
		again.MemberID = first.MemberID
		joined := call(do, &again)
		if joined.ErrorCode != 0 || joined.Generation != 1 || len(joined.Members) != 1 {
			t.Fatalf("without an initial delay the first member is served at once: %+v", joined)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation = "g", first.MemberID, 1
		sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: first.MemberID, MemberAssignment: []byte("A")}}
		if r := call(s.SyncGroup, sync); string(r.MemberAssignment) != "A" {
			t.Fatalf("%+v", r)
		}
		state := func() string {
			return call(s.DescribeGroups, &kmsg.DescribeGroupsRequest{Groups: []string{"g"}}).Groups[0].State
		}
		beat := &kmsg.HeartbeatRequest{Group: "g", MemberID: first.MemberID, Generation: 1}
		for range 5 {
			time.Sleep(5 * time.Second)
			if r := call(s.Heartbeat, beat); r.ErrorCode != 0 {
				t.Fatal(codeName(r.ErrorCode))
			}
		}
		if got := state(); got != "Stable" {
			t.Fatal(got)
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		if got := state(); got != "Empty" {
			t.Fatalf("a silent member keeps the group %s", got)
		}
	})
}

func TestServiceWhenNotCoordinator(t *testing.T) {
	s, err := newService(DefaultConfig(), &memLog{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r := call(s.Heartbeat, &kmsg.HeartbeatRequest{Group: "g"}); r.ErrorCode != codeNotCoordinator {
		t.Fatal(r.ErrorCode)
	}
	if r := call(s.SyncGroup, &kmsg.SyncGroupRequest{Group: "g"}); r.ErrorCode != codeNotCoordinator {
		t.Fatal(r.ErrorCode)
	}
	old := kmsg.NewPtrOffsetFetchRequest()
	old.Version, old.Group = 1, "b"
	old.Topics = []kmsg.OffsetFetchRequestTopic{{Topic: "t", Partitions: []int32{0}}}
	if r := call(s.OffsetFetch, old); r.ErrorCode != 0 || r.Topics[0].Partitions[0].ErrorCode != codeNotCoordinator {
		t.Fatalf("%+v", r)
	}
	if r := call(s.DeleteGroups, &kmsg.DeleteGroupsRequest{Groups: []string{"g"}}); r.Groups[0].ErrorCode != codeNotCoordinator {
		t.Fatal(r.Groups[0].ErrorCode)
	}
	if r := call(s.ListGroups, kmsg.NewPtrListGroupsRequest()); r.ErrorCode != 0 || len(r.Groups) != 0 {
		t.Fatalf("%+v", r)
	}
}

func TestPartitionOf(t *testing.T) {
	for _, c := range []struct {
		group string
		n     int32
		want  int32
	}{
		{"", 50, 0},
		{"a", 50, 97 % 50},
		{"hello", 50, 99162322 % 50},
		{"polygenelubricants", 50, 0}, // hashes to the smallest int32
		{"\U0001F600", 50, 1772899 % 50},
		{"any", 0, 0},
	} {
		if got := PartitionOf(c.group, c.n); got != c.want {
			t.Errorf("PartitionOf(%q, %d) = %d, want %d", c.group, c.n, got, c.want)
		}
	}
	if h := javaHash("polygenelubricants"); h != -1<<31 {
		t.Fatalf("hash %d", h)
	}
}
