package oracle

import (
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func findRows() []row {
	find := func(kind int8, keys ...string) func(*call) kmsg.Request {
		return func(*call) kmsg.Request {
			req := findGroup(keys...)
			req.CoordinatorType = kind
			return req
		}
	}
	return []row{
		once(wire.FindCoordinator, "group", find(0, "g")),
		once(wire.FindCoordinator, "empty group", find(0, "")),
		once(wire.FindCoordinator, "three groups", find(0, "g", "", "h")).since(4),
		once(wire.FindCoordinator, "group twice", find(0, "g", "g")).since(4),
		once(wire.FindCoordinator, "no groups", find(0)).since(4),
		once(wire.FindCoordinator, "unknown type", find(9, "g")),
		once(wire.FindCoordinator, "share group", find(2, "g:AAAAAAAAAAAAAAAAAAAAAQ:0")),
	}
}

// member joins a group of its own alone and becomes its leader.
func (c *call) member(group string, protocols ...string) (id string, generation int32) {
	if len(protocols) == 0 {
		protocols = []string{"a", "b"}
	}
	resp := c.do(joinGroup(group, "", protocols...)).(*kmsg.JoinGroupResponse)
	if resp.ErrorCode == 79 {
		resp = c.do(joinGroup(group, resp.MemberID, protocols...)).(*kmsg.JoinGroupResponse)
	}
	require("join", resp.ErrorCode)
	return resp.MemberID, resp.Generation
}

// stable makes a group of one member that has its assignment.
func (c *call) stable(group string) (id string, generation int32) {
	id, generation = c.member(group)
	require("sync", c.do(syncGroup(group, id, generation, "all of it")).(*kmsg.SyncGroupResponse).ErrorCode)
	return id, generation
}

// joined asks to join, and again with the id that the broker gives.
func (c *call) joined(req *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	resp, _ := c.ask(req).(*kmsg.JoinGroupResponse)
	if resp != nil && resp.ErrorCode == 79 {
		req.MemberID = resp.MemberID
		resp, _ = c.ask(req).(*kmsg.JoinGroupResponse)
	}
	if resp == nil {
		panic(spoiled("not joined"))
	}
	return resp
}

func joinRows() []row {
	join := func(change func(req *kmsg.JoinGroupRequest)) func(*call) kmsg.Request {
		return func(c *call) kmsg.Request {
			req := joinGroup(c.name("g"), "", "a")
			change(req)
			return req
		}
	}
	static := func(c *call, protocols ...string) *kmsg.JoinGroupRequest {
		req := joinGroup(c.name("g"), "", protocols...)
		req.InstanceID = str("instance")
		return req
	}
	return []row{
		{name: "one member", key: wire.JoinGroup, talk: func(c *call) {
			r := c.joined(joinGroup(c.name("g"), "", "a", "b"))
			c.ask(syncGroup(c.name("g"), r.MemberID, r.Generation, "all"))
			c.joined(joinGroup(c.name("g"), r.MemberID, "a", "b"))
			c.ask(leaveGroup(c.name("g"), r.MemberID))
		}},
		{name: "protocols change", key: wire.JoinGroup, talk: func(c *call) {
			g := c.name("g")
			id, _ := c.stable(g)
			c.ask(joinGroup(g, id, "b", "c"))
			c.ask(joinGroup(g, "", "z"))
			other := joinGroup(g, "", "a")
			other.ProtocolType = "another"
			c.ask(other)
		}},
		{name: "static member", key: wire.JoinGroup, from: 5, talk: func(c *call) {
			r := c.joined(static(c, "a"))
			c.ask(syncGroup(c.name("g"), r.MemberID, r.Generation, "all"))
			again := c.joined(static(c, "a"))
			c.ask(heartbeat(c.name("g"), again.MemberID, again.Generation))
			fenced := heartbeat(c.name("g"), r.MemberID, again.Generation)
			fenced.InstanceID = str("instance")
			c.ask(fenced)
			c.joined(static(c, "a", "b"))
			wrong := static(c, "a")
			wrong.MemberID = "nobody"
			c.ask(wrong)
		}},
		{name: "static member with another instance's name", key: wire.JoinGroup, from: 5, talk: func(c *call) {
			r := c.joined(static(c, "a"))
			stranger := joinGroup(c.name("g"), r.MemberID, "a")
			stranger.InstanceID = str("stranger")
			c.ask(stranger)
		}},
		once(wire.JoinGroup, "unknown member", join(func(req *kmsg.JoinGroupRequest) { req.MemberID = "nobody" })),
		once(wire.JoinGroup, "empty group", join(func(req *kmsg.JoinGroupRequest) { req.Group = "" })),
		once(wire.JoinGroup, "no protocols", join(func(req *kmsg.JoinGroupRequest) { req.Protocols = nil })),
		once(wire.JoinGroup, "empty protocol type", join(func(req *kmsg.JoinGroupRequest) { req.ProtocolType = "" })),
		once(wire.JoinGroup, "short session", join(func(req *kmsg.JoinGroupRequest) { req.SessionTimeoutMillis = 10 })),
		once(wire.JoinGroup, "negative session", join(func(req *kmsg.JoinGroupRequest) { req.SessionTimeoutMillis = -1 })),
		once(wire.JoinGroup, "long session", join(func(req *kmsg.JoinGroupRequest) { req.SessionTimeoutMillis = 1 << 30 })),
		once(wire.JoinGroup, "empty instance", join(func(req *kmsg.JoinGroupRequest) { req.InstanceID = str("") })).since(5),
		once(wire.JoinGroup, "illegal instance", join(func(req *kmsg.JoinGroupRequest) { req.InstanceID = str("a b") })).since(5),
	}
}

func memberRows() []row {
	inGroup := func(key int16, name string, build func(g, id string, generation int32) kmsg.Request) row {
		return row{name: name, key: key, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.stable(g)
			c.ask(build(g, id, generation))
		}}
	}
	return []row{
		{name: "assignment", key: wire.SyncGroup, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.member(g)
			c.ask(syncGroup(g, id, generation, "all of it"))
			c.ask(syncGroup(g, id, generation, "more"))
			c.ask(syncGroup(g, id, generation, ""))
		}},
		{name: "without an assignment", key: wire.SyncGroup, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.member(g)
			c.ask(syncGroup(g, id, generation, ""))
		}},
		{name: "assignment to a stranger", key: wire.SyncGroup, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.member(g)
			req := syncGroup(g, id, generation, "all")
			req.GroupAssignment[0].MemberID = "nobody"
			c.ask(req)
		}},
		inGroup(wire.SyncGroup, "older generation", func(g, id string, n int32) kmsg.Request { return syncGroup(g, id, n-1, "x") }),
		inGroup(wire.SyncGroup, "newer generation", func(g, id string, n int32) kmsg.Request { return syncGroup(g, id, n+1, "x") }),
		inGroup(wire.SyncGroup, "unknown member", func(g, _ string, n int32) kmsg.Request { return syncGroup(g, "nobody", n, "x") }),
		inGroup(wire.SyncGroup, "unknown instance", func(g, id string, n int32) kmsg.Request {
			req := syncGroup(g, id, n, "x")
			req.InstanceID = str("nobody")
			return req
		}).since(3),
		inGroup(wire.SyncGroup, "another protocol", func(g, id string, n int32) kmsg.Request {
			req := syncGroup(g, id, n, "x")
			req.Protocol = str("b")
			return req
		}).since(5),
		inGroup(wire.SyncGroup, "another protocol type", func(g, id string, n int32) kmsg.Request {
			req := syncGroup(g, id, n, "x")
			req.ProtocolType = str("other")
			return req
		}).since(5),
		inGroup(wire.SyncGroup, "no protocol", func(g, id string, n int32) kmsg.Request {
			req := syncGroup(g, id, n, "x")
			req.Protocol, req.ProtocolType = nil, nil
			return req
		}).since(5),
		once(wire.SyncGroup, "unknown group", func(c *call) kmsg.Request { return syncGroup(c.name("g"), "nobody", 1, "x") }),
		once(wire.SyncGroup, "empty group", func(*call) kmsg.Request { return syncGroup("", "nobody", 1, "x") }),

		inGroup(wire.Heartbeat, "stable", func(g, id string, n int32) kmsg.Request { return heartbeat(g, id, n) }),
		inGroup(wire.Heartbeat, "older generation", func(g, id string, n int32) kmsg.Request { return heartbeat(g, id, n-1) }),
		inGroup(wire.Heartbeat, "unknown member", func(g, _ string, n int32) kmsg.Request { return heartbeat(g, "nobody", n) }),
		inGroup(wire.Heartbeat, "empty member", func(g, _ string, n int32) kmsg.Request { return heartbeat(g, "", n) }),
		inGroup(wire.Heartbeat, "unknown instance", func(g, id string, n int32) kmsg.Request {
			req := heartbeat(g, id, n)
			req.InstanceID = str("nobody")
			return req
		}).since(3),
		{name: "before the assignment", key: wire.Heartbeat, talk: func(c *call) {
			id, generation := c.member(c.name("g"))
			c.ask(heartbeat(c.name("g"), id, generation))
		}},
		once(wire.Heartbeat, "unknown group", func(c *call) kmsg.Request { return heartbeat(c.name("g"), "nobody", 1) }),
		once(wire.Heartbeat, "empty group", func(*call) kmsg.Request { return heartbeat("", "nobody", 1) }),

		{name: "leave twice", key: wire.LeaveGroup, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.stable(g)
			c.ask(leaveGroup(g, id))
			c.ask(leaveGroup(g, id))
			c.ask(heartbeat(g, id, generation))
		}},
		inGroup(wire.LeaveGroup, "unknown member", func(g, _ string, _ int32) kmsg.Request { return leaveGroup(g, "nobody") }),
		inGroup(wire.LeaveGroup, "known and unknown member", func(g, id string, _ int32) kmsg.Request { return leaveGroup(g, id, "nobody") }).since(3),
		inGroup(wire.LeaveGroup, "no members", func(g, _ string, _ int32) kmsg.Request { return leaveGroup(g) }).since(3),
		inGroup(wire.LeaveGroup, "unknown instance", func(g, _ string, _ int32) kmsg.Request {
			req := leaveGroup(g, "")
			req.Members[0].InstanceID = str("nobody")
			return req
		}).since(3),
		once(wire.LeaveGroup, "unknown group", func(c *call) kmsg.Request { return leaveGroup(c.name("g"), "nobody") }),
		once(wire.LeaveGroup, "empty group", func(*call) kmsg.Request { return leaveGroup("", "nobody") }),
	}
}

func commitRows() []row {
	plain := func(change func(req *kmsg.OffsetCommitRequest)) func(*call) kmsg.Request {
		return func(c *call) kmsg.Request {
			req := commit(c.name("g"), c.fixture(), c.id(c.fixture()), 0, 3)
			change(req)
			return req
		}
	}
	part := func(req *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitRequestTopicPartition {
		return &req.Topics[0].Partitions[0]
	}
	ofFixture := func(c *call, partitions ...int32) *kmsg.OffsetFetchRequest {
		return fetchOffsets(c.name("g"), c.fixture(), c.id(c.fixture()), partitions...)
	}
	return []row{
		{name: "commit and fetch", key: wire.OffsetCommit, talk: func(c *call) {
			c.ask(plain(func(*kmsg.OffsetCommitRequest) {})(c))
			req := ofFixture(c, 0, 1)
			c.ask(req)
		}},
		{name: "commit of a member", key: wire.OffsetCommit, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.stable(g)
			req := commit(g, c.fixture(), c.id(c.fixture()), 1, 9)
			for _, n := range []int32{generation, generation - 1, generation + 1, -1} {
				req.MemberID, req.Generation = id, n
				c.ask(req)
			}
			req.MemberID, req.Generation = "nobody", generation
			c.ask(req)
			req.MemberID, req.Generation = "", -1
			c.ask(req)
			c.ask(ofFixture(c, 1))
		}},
		{name: "commit before the assignment", key: wire.OffsetCommit, talk: func(c *call) {
			id, generation := c.member(c.name("g"))
			req := commit(c.name("g"), c.fixture(), c.id(c.fixture()), 1, 9)
			req.MemberID, req.Generation = id, generation
			c.ask(req)
		}},
		once(wire.OffsetCommit, "negative offset", plain(func(req *kmsg.OffsetCommitRequest) { part(req).Offset = -5 })),
		once(wire.OffsetCommit, "null metadata", plain(func(req *kmsg.OffsetCommitRequest) { part(req).Metadata = nil })),
		once(wire.OffsetCommit, "large metadata", plain(func(req *kmsg.OffsetCommitRequest) { part(req).Metadata = str(string(make([]byte, 5000))) })),
		once(wire.OffsetCommit, "unknown partition", plain(func(req *kmsg.OffsetCommitRequest) { part(req).Partition = 9 })),
		once(wire.OffsetCommit, "negative partition", plain(func(req *kmsg.OffsetCommitRequest) { part(req).Partition = -1 })),
		once(wire.OffsetCommit, "unknown topic", plain(func(req *kmsg.OffsetCommitRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "unknown", [16]byte{1}
		})),
		once(wire.OffsetCommit, "empty topic", plain(func(req *kmsg.OffsetCommitRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "", [16]byte{}
		})),
		once(wire.OffsetCommit, "no partitions", plain(func(req *kmsg.OffsetCommitRequest) { req.Topics[0].Partitions = nil })),
		once(wire.OffsetCommit, "no topics", plain(func(req *kmsg.OffsetCommitRequest) { req.Topics = nil })),
		once(wire.OffsetCommit, "empty group", plain(func(req *kmsg.OffsetCommitRequest) { req.Group = "" })),
		once(wire.OffsetCommit, "generation without a member", plain(func(req *kmsg.OffsetCommitRequest) { req.Generation = 3 })).since(1),
		once(wire.OffsetCommit, "member of an unknown group", plain(func(req *kmsg.OffsetCommitRequest) {
			req.MemberID, req.Generation = "nobody", 1
		})).since(1),
		once(wire.OffsetCommit, "member without a generation", plain(func(req *kmsg.OffsetCommitRequest) { req.MemberID = "nobody" })).since(1),
		once(wire.OffsetCommit, "unknown instance", plain(func(req *kmsg.OffsetCommitRequest) { req.InstanceID = str("nobody") })).since(7),

		{name: "committed", key: wire.OffsetFetch, talk: func(c *call) {
			req := commit(c.name("g"), c.fixture(), c.id(c.fixture()), 0, 3)
			part(req).LeaderEpoch = 0
			c.do(req)
			c.ask(ofFixture(c, 0, 1, 9))
			if c.version >= 2 {
				c.ask(ofFixture(c))
			}
		}},
		once(wire.OffsetFetch, "unknown group", func(c *call) kmsg.Request { return ofFixture(c, 0, 9) }),
		once(wire.OffsetFetch, "unknown group, all offsets", func(c *call) kmsg.Request { return ofFixture(c) }).since(2),
		once(wire.OffsetFetch, "unknown topic", func(c *call) kmsg.Request { return fetchOffsets(c.name("g"), "unknown", [16]byte{1}, 0) }),
		once(wire.OffsetFetch, "empty topic", func(c *call) kmsg.Request { return fetchOffsets(c.name("g"), "", [16]byte{}, 0) }),
		once(wire.OffsetFetch, "empty group", func(c *call) kmsg.Request {
			return fetchOffsets("", c.fixture(), c.id(c.fixture()), 0)
		}),
		once(wire.OffsetFetch, "stable offsets", func(c *call) kmsg.Request {
			req := ofFixture(c, 0)
			req.RequireStable = true
			return req
		}).since(7),
		once(wire.OffsetFetch, "two groups", func(c *call) kmsg.Request {
			req := ofFixture(c, 0)
			req.Groups = append(req.Groups, req.Groups[0])
			req.Groups[1].Group = c.name("h")
			return req
		}).since(8),
		once(wire.OffsetFetch, "group twice", func(c *call) kmsg.Request {
			req := ofFixture(c, 0)
			req.Groups = append(req.Groups, req.Groups[0])
			return req
		}).since(8),
		once(wire.OffsetFetch, "member and epoch", func(c *call) kmsg.Request {
			req := ofFixture(c, 0)
			req.Groups[0].MemberID, req.Groups[0].MemberEpoch = str("nobody"), 5
			return req
		}).since(9),
	}
}

func groupRows() []row {
	return []row{
		{name: "life of a group", key: wire.DescribeGroups, talk: func(c *call) {
			g := c.name("g")
			id, generation := c.member(g)
			c.ask(describeGroups(g))
			c.do(syncGroup(g, id, generation, "all of it"))
			c.ask(describeGroups(g))
			c.do(commit(c.name("h"), c.fixture(), c.id(c.fixture()), 0, 3))
			c.ask(describeGroups(c.name("h")))
			c.do(leaveGroup(g, id))
			c.ask(describeGroups(g))
		}},
		{name: "with operations", key: wire.DescribeGroups, from: 3, talk: func(c *call) {
			c.stable(c.name("g"))
			req := describeGroups(c.name("g"), "unknown")
			req.IncludeAuthorizedOperations = true
			c.ask(req)
		}},
		once(wire.DescribeGroups, "unknown group", func(c *call) kmsg.Request { return describeGroups(c.name("g")) }),
		once(wire.DescribeGroups, "empty group", func(*call) kmsg.Request { return describeGroups("") }),
		once(wire.DescribeGroups, "group twice", func(c *call) kmsg.Request { return describeGroups(c.name("g"), c.name("g")) }),

		{name: "groups of a row", key: wire.ListGroups, talk: func(c *call) {
			c.stable(c.name("stable"))
			c.member(c.name("joining"))
			c.do(commit(c.name("simple"), c.fixture(), c.id(c.fixture()), 0, 3))
			c.ask(kmsg.NewPtrListGroupsRequest())
			if c.version >= 4 {
				c.ask(&kmsg.ListGroupsRequest{StatesFilter: []string{"Stable"}})
				c.ask(&kmsg.ListGroupsRequest{StatesFilter: []string{"empty", "completingrebalance"}})
				c.ask(&kmsg.ListGroupsRequest{StatesFilter: []string{"nonsense"}})
			}
			if c.version >= 5 {
				c.ask(&kmsg.ListGroupsRequest{TypesFilter: []string{"classic"}})
				c.ask(&kmsg.ListGroupsRequest{TypesFilter: []string{"Consumer"}})
				c.ask(&kmsg.ListGroupsRequest{TypesFilter: []string{"nonsense"}})
			}
		}},

		{name: "groups are deleted", key: wire.DeleteGroups, talk: func(c *call) {
			g, h := c.name("g"), c.name("h")
			id, _ := c.stable(g)
			c.do(commit(h, c.fixture(), c.id(c.fixture()), 0, 3))
			c.ask(&kmsg.DeleteGroupsRequest{Groups: []string{g, h, "unknown"}})
			c.ask(&kmsg.DeleteGroupsRequest{Groups: []string{h}})
			c.do(leaveGroup(g, id))
			c.ask(&kmsg.DeleteGroupsRequest{Groups: []string{g}})
			c.ask(describeGroups(g))
		}},
		once(wire.DeleteGroups, "group twice", func(*call) kmsg.Request { return &kmsg.DeleteGroupsRequest{Groups: []string{"g", "g"}} }),
	}
}
