package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Group is a line of the list of groups. Members and Lag are null unless they
// were asked for or when they cannot be had.
type Group struct {
	Group        string `json:"group" col:"GROUP,name"`
	State        string `json:"state" col:"STATE"`
	ProtocolType string `json:"protocol_type" col:"TYPE"`
	Coordinator  int32  `json:"coordinator" col:"COORDINATOR"`
	Members      *int   `json:"members" col:"MEMBERS"`
	Lag          *int64 `json:"lag" col:"LAG"`
}

// GroupDetail is everything about one group.
type GroupDetail struct {
	Group        string        `json:"group" col:"Group,name"`
	State        string        `json:"state" col:"State"`
	ProtocolType string        `json:"protocol_type" col:"Type"`
	Protocol     string        `json:"protocol" col:"Assignor"`
	Coordinator  int32         `json:"coordinator" col:"Coordinator"`
	Lag          int64         `json:"lag" col:"Total lag"`
	Members      []Member      `json:"members" col:"Members"`
	Offsets      []GroupOffset `json:"offsets" col:"Offsets"`
}

// Member of a group. Assigned lists topic-partition texts.
type Member struct {
	MemberID   string   `json:"member_id" col:"MEMBER"`
	InstanceID *string  `json:"instance_id" col:"INSTANCE,wide"`
	ClientID   string   `json:"client_id" col:"CLIENT"`
	Host       string   `json:"host" col:"HOST"`
	Assigned   []string `json:"assigned" col:"ASSIGNED"`
}

// GroupOffset is the position of a group in one partition. Committed is null
// where the group has committed nothing; Lag then counts from the start of the
// log, and is null when the end is unknown.
type GroupOffset struct {
	Topic     string `json:"topic" col:"TOPIC"`
	Partition int32  `json:"partition" col:"PARTITION"`
	Committed *int64 `json:"committed" col:"COMMITTED"`
	Start     int64  `json:"start_offset" col:"START,wide"`
	End       int64  `json:"end_offset" col:"END"`
	Lag       *int64 `json:"lag" col:"LAG"`
	MemberID  string `json:"member_id" col:"MEMBER"`
	Host      string `json:"host" col:"HOST,wide"`
}

// Groups lists the cluster's groups by name. states, when given, keeps only
// groups in one of them; with lag it also describes every group and sums lag.
func Groups(ctx context.Context, cl *kadm.Client, states []string, lag bool) ([]Group, error) {
	listed, err := cl.ListGroups(ctx)
	if err != nil && len(listed) == 0 {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	groups := []Group{}
	var names []string
	for _, g := range listed.Sorted() {
		if !inStates(g.State, states) {
			continue
		}
		groups = append(groups, Group{Group: g.Group, State: g.State, ProtocolType: g.ProtocolType, Coordinator: g.Coordinator})
		names = append(names, g.Group)
	}
	if !lag || len(names) == 0 {
		return groups, nil
	}
	lags, err := cl.Lag(ctx, names...)
	if err != nil && len(lags) == 0 {
		return nil, fmt.Errorf("read group lag: %w", err)
	}
	for i := range groups {
		l, ok := lags[groups[i].Group]
		if !ok || l.Error() != nil {
			continue
		}
		members, total := len(l.Members), l.Lag.Total()
		groups[i].Members, groups[i].Lag = &members, &total
	}
	return groups, nil
}

func inStates(state string, states []string) bool {
	return len(states) == 0 || slices.ContainsFunc(states, func(s string) bool { return strings.EqualFold(s, state) })
}

// DescribeGroup reads one group; ErrNotFound when it does not exist.
func DescribeGroup(ctx context.Context, cl *kadm.Client, name string) (GroupDetail, error) {
	lags, err := cl.Lag(ctx, name)
	if err != nil && len(lags) == 0 {
		return GroupDetail{}, fmt.Errorf("describe group %s: %w", name, err)
	}
	l, ok := lags[name]
	// Brokers describe a group that does not exist as Dead.
	if !ok || l.State == "Dead" {
		return GroupDetail{}, fmt.Errorf("group %s: %w", name, ErrNotFound)
	}
	if l.DescribeErr != nil {
		return GroupDetail{}, fmt.Errorf("describe group %s: %w", name, l.DescribeErr)
	}
	d := GroupDetail{
		Group: name, State: l.State, ProtocolType: l.ProtocolType, Protocol: l.Protocol,
		Coordinator: l.Coordinator.NodeID, Lag: l.Lag.Total(), Members: []Member{}, Offsets: []GroupOffset{},
	}
	for _, m := range l.Members {
		d.Members = append(d.Members, memberOf(m))
	}
	for _, p := range l.Lag.Sorted() {
		d.Offsets = append(d.Offsets, groupOffsetOf(p))
	}
	if l.FetchErr != nil {
		return d, fmt.Errorf("read offsets of group %s: %w", name, l.FetchErr)
	}
	return d, nil
}

func memberOf(m kadm.DescribedGroupMember) Member {
	member := Member{MemberID: m.MemberID, InstanceID: m.InstanceID, ClientID: m.ClientID, Host: m.ClientHost, Assigned: []string{}}
	assignment, ok := m.Assigned.AsConsumer()
	if !ok {
		return member
	}
	for _, t := range assignment.Topics {
		for _, p := range t.Partitions {
			member.Assigned = append(member.Assigned, fmt.Sprintf("%s-%d", t.Topic, p))
		}
	}
	slices.Sort(member.Assigned)
	return member
}

func groupOffsetOf(p kadm.GroupMemberLag) GroupOffset {
	o := GroupOffset{Topic: p.Topic, Partition: p.Partition, Start: -1, End: -1}
	if p.Start.Err == nil {
		o.Start = p.Start.Offset
	}
	if p.End.Err == nil {
		o.End = p.End.Offset
	}
	if p.Commit.At >= 0 {
		o.Committed = &p.Commit.At
	}
	if p.Lag >= 0 {
		o.Lag = &p.Lag
	}
	if p.Member != nil {
		o.MemberID, o.Host = p.Member.MemberID, p.Member.ClientHost
	}
	return o
}
