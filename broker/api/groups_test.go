package api_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// timestamp is a time of so many ms.
func timestamp(ms int64) time.Time { return time.UnixMilli(ms) }

func TestFindCoordinator(t *testing.T) {
	b := brokertest.Start(t, nil)
	c := b.Dial()
	ready(t, b)
	for v := int16(0); v <= 6; v++ {
		for kind, want := range map[int8]*kerr.Error{
			0: nil, 1: kerr.TransactionalIDAuthorizationFailed, 2: kerr.InvalidRequest, 9: kerr.InvalidRequest,
		} {
			if v == 0 {
				want = nil // it has no type
			}
			req := at(v, kmsg.NewPtrFindCoordinatorRequest())
			req.CoordinatorKey, req.CoordinatorKeys, req.CoordinatorType = "g", []string{"g", "h"}, kind
			resp := ask[*kmsg.FindCoordinatorResponse](t, c, req)
			rows := resp.Coordinators
			if v < 4 {
				rows = []kmsg.FindCoordinatorResponseCoordinator{{NodeID: resp.NodeID, Host: resp.Host, Port: resp.Port, ErrorCode: resp.ErrorCode, ErrorMessage: resp.ErrorMessage}}
			} else if len(rows) != 2 || rows[0].Key != "g" || rows[1].Key != "h" {
				t.Errorf("v%d: %+v", v, rows)
			}
			for _, row := range rows {
				what := fmt.Sprintf("v%d type %d", v, kind)
				wantCode(t, what, row.ErrorCode, want)
				if want == nil && (row.NodeID != b.ID() || fmt.Sprintf("%s:%d", row.Host, row.Port) != b.Addr) ||
					want != nil && (row.NodeID != -1 || row.Host != "" || row.Port != -1) {
					t.Errorf("%s: node %d at %s:%d", what, row.NodeID, row.Host, row.Port)
				}
				if want == nil && v >= 1 && v < 4 && (row.ErrorMessage == nil || *row.ErrorMessage != "NONE") {
					t.Errorf("%s: message %v", what, row.ErrorMessage)
				}
			}
		}
	}
}

// join makes a request of a dynamic member of a group.
func join(version int16, group, member string) *kmsg.JoinGroupRequest {
	req := at(version, kmsg.NewPtrJoinGroupRequest())
	req.Group, req.MemberID, req.ProtocolType = group, member, "test"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 10_000
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name, p.Metadata = "range", []byte("metadata")
	req.Protocols = []kmsg.JoinGroupRequestProtocol{p}
	return req
}

// One member goes all the way through the life of a group.
func TestGroupOfOne(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 1)
	ready(t, b)
	c := b.Dial()

	first := ask[*kmsg.JoinGroupResponse](t, c, join(9, "g", ""))
	wantCode(t, "first join", first.ErrorCode, kerr.MemberIDRequired)
	joined := ask[*kmsg.JoinGroupResponse](t, c, join(9, "g", first.MemberID))
	wantCode(t, "join", joined.ErrorCode, nil)
	if joined.LeaderID != joined.MemberID || len(joined.Members) != 1 || string(joined.Members[0].ProtocolMetadata) != "metadata" {
		t.Fatalf("joined: %+v", joined)
	}

	sync := at(5, kmsg.NewPtrSyncGroupRequest())
	sync.Group, sync.MemberID, sync.Generation = "g", joined.MemberID, joined.Generation
	wantCode(t, "sync without protocol", ask[*kmsg.SyncGroupResponse](t, c, sync).ErrorCode, kerr.InconsistentGroupProtocol)
	sync.ProtocolType, sync.Protocol = kmsg.StringPtr("test"), kmsg.StringPtr("range")
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: joined.MemberID, MemberAssignment: []byte("mine")}}
	synced := ask[*kmsg.SyncGroupResponse](t, c, sync)
	wantCode(t, "sync", synced.ErrorCode, nil)
	if string(synced.MemberAssignment) != "mine" {
		t.Errorf("assignment %q", synced.MemberAssignment)
	}

	beat := func(generation int32) int16 {
		req := at(4, kmsg.NewPtrHeartbeatRequest())
		req.Group, req.MemberID, req.Generation = "g", joined.MemberID, generation
		return ask[*kmsg.HeartbeatResponse](t, c, req).ErrorCode
	}
	wantCode(t, "heartbeat", beat(joined.Generation), nil)
	wantCode(t, "heartbeat of an old generation", beat(joined.Generation-1), kerr.IllegalGeneration)

	describe := at(6, kmsg.NewPtrDescribeGroupsRequest())
	describe.Groups, describe.IncludeAuthorizedOperations = []string{"g", "absent"}, true
	described := ask[*kmsg.DescribeGroupsResponse](t, c, describe)
	if g := described.Groups[0]; g.State != "Stable" || len(g.Members) != 1 || g.Members[0].ClientHost != "/127.0.0.1" || g.AuthorizedOperations != 0xd48 {
		t.Errorf("described: %+v", g)
	}
	if g := described.Groups[1]; g.State != "Dead" {
		t.Errorf("absent group: %+v", g)
	}

	list := at(5, kmsg.NewPtrListGroupsRequest())
	if got := ask[*kmsg.ListGroupsResponse](t, c, list); len(got.Groups) != 1 || got.Groups[0].Group != "g" || got.Groups[0].GroupState != "Stable" {
		t.Errorf("listed: %+v", got.Groups)
	}

	remove := at(2, kmsg.NewPtrDeleteGroupsRequest())
	remove.Groups = []string{"g", "absent", "g"}
	removed := ask[*kmsg.DeleteGroupsResponse](t, c, remove)
	if len(removed.Groups) != 2 {
		t.Fatalf("removed: %+v", removed.Groups)
	}
	for _, g := range removed.Groups {
		wantCode(t, "delete "+g.Group, g.ErrorCode, map[string]*kerr.Error{"g": kerr.NonEmptyGroup, "absent": kerr.GroupIDNotFound}[g.Group])
	}

	leave := at(3, kmsg.NewPtrLeaveGroupRequest())
	leave.Group, leave.Members = "g", []kmsg.LeaveGroupRequestMember{{MemberID: joined.MemberID}}
	wantCode(t, "leave", ask[*kmsg.LeaveGroupResponse](t, c, leave).ErrorCode, nil)
	remove.Groups = []string{"g"}
	wantCode(t, "delete an empty group", ask[*kmsg.DeleteGroupsResponse](t, c, remove).Groups[0].ErrorCode, nil)
}

// A consumer whose subscription cannot be read is refused, and the group goes on.
// One that only ends early is not: kafka-go sends version 1 without the owned
// partitions that belong to it.
func TestJoinWithUnreadableSubscription(t *testing.T) {
	b := brokertest.Start(t, nil)
	ready(t, b)
	c := b.Dial()
	for _, tc := range []struct {
		kind     string
		metadata []byte
		want     *kerr.Error
	}{
		{"consumer", []byte{0, 1, 0xff}, nil},
		{"consumer", []byte("\x00\x01\x00\x00\x00\x01\x00\x01t\xff\xff\xff\xff"), nil},
		{"consumer", []byte{0, 1, 0x7f, 0xff, 0xff, 0xff}, kerr.InconsistentGroupProtocol},
		{"other", []byte{0, 1, 0xff}, nil},
		{"consumer", nil, nil},
		{"consumer", (&kmsg.ConsumerMemberMetadata{Version: 3, Topics: []string{"a"}}).AppendTo(nil), nil},
	} {
		req := join(2, fmt.Sprintf("g-%s-%x", tc.kind, tc.metadata), "")
		req.ProtocolType, req.Protocols[0].Metadata = tc.kind, tc.metadata
		wantCode(t, req.Group, ask[*kmsg.JoinGroupResponse](t, c, req).ErrorCode, tc.want)
	}
}

func TestInitProducerID(t *testing.T) {
	b := brokertest.Start(t, nil)
	c := b.Dial()
	seen := make(map[int64]bool)
	for v := int16(0); v <= 5; v++ {
		req := at(v, kmsg.NewPtrInitProducerIDRequest())
		resp := ask[*kmsg.InitProducerIDResponse](t, c, req)
		wantCode(t, fmt.Sprint("v", v), resp.ErrorCode, nil)
		if seen[resp.ProducerID] || resp.ProducerID < 0 || resp.ProducerEpoch != 0 {
			t.Errorf("v%d: producer %d epoch %d", v, resp.ProducerID, resp.ProducerEpoch)
		}
		seen[resp.ProducerID] = true
	}
	for _, tc := range []struct {
		what  string
		txn   *string
		id    int64
		epoch int16
		want  *kerr.Error
	}{
		{"transactional", kmsg.StringPtr("t"), -1, -1, kerr.TransactionalIDAuthorizationFailed},
		{"id without epoch", nil, 5, -1, kerr.InvalidRequest},
		{"epoch without id", nil, -1, 5, kerr.InvalidRequest},
		{"both", nil, 5, 5, nil},
	} {
		req := at(5, kmsg.NewPtrInitProducerIDRequest())
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = tc.txn, tc.id, tc.epoch
		resp := ask[*kmsg.InitProducerIDResponse](t, c, req)
		wantCode(t, tc.what, resp.ErrorCode, tc.want)
		if tc.want != nil && (resp.ProducerID != -1 || resp.ProducerEpoch != -1) {
			t.Errorf("%s: producer %d epoch %d", tc.what, resp.ProducerID, resp.ProducerEpoch)
		}
	}
}

func TestDescribeLogDirs(t *testing.T) {
	b := brokertest.Start(t, nil)
	b.CreateTopic("a", 2)
	b.CreateTopic("b", 1)
	produced(t, b, "a", 1)
	c := b.Dial()
	req := at(5, kmsg.NewPtrDescribeLogDirsRequest())
	all := ask[*kmsg.DescribeLogDirsResponse](t, c, req)
	if len(all.Dirs) != 1 || len(all.Dirs[0].Topics) != 2 || all.Dirs[0].TotalBytes <= 0 || all.Dirs[0].UsableBytes <= 0 {
		t.Fatalf("all: %+v", all.Dirs)
	}
	req.Topics = []kmsg.DescribeLogDirsRequestTopic{{Topic: "a", Partitions: []int32{0, 7}}}
	some := ask[*kmsg.DescribeLogDirsResponse](t, c, req).Dirs[0].Topics
	if len(some) != 1 || len(some[0].Partitions) != 1 || some[0].Partitions[0].Size == 0 {
		t.Errorf("some: %+v", some)
	}
	req.Topics = []kmsg.DescribeLogDirsRequestTopic{}
	if none := ask[*kmsg.DescribeLogDirsResponse](t, c, req).Dirs[0].Topics; len(none) != 0 {
		t.Errorf("none: %+v", none)
	}
}
