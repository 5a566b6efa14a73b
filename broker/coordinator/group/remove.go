package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
)

// removeOffsets writes tombstones for those of tps that the group has, and
// forgets the offsets when they are committed. A group that is empty and has
// nothing else left goes too. done, which may be nil, runs as a reply.
func (s *Shard) removeOffsets(g *group, tps []record.TopicPartition, done func(err error)) {
	reply := func(err error) {
		if done != nil {
			s.eff.Reply(func() { done(err) })
		}
	}
	var gone []record.TopicPartition
	var records []coordinator.Record
	for _, tp := range tps {
		if g.offsets[tp] != nil || g.pendingOffsets[tp] > 0 {
			gone = append(gone, tp)
			records = append(records, offsetTombstone(g.id, tp))
		}
	}
	dies := g.state == stateEmpty && g.onlyHas(gone)
	if dies {
		records = append(records, g.tombstones()...)
		g.become(stateDead, s.now)
	}
	if len(records) == 0 {
		if dies {
			s.drop(g)
		}
		reply(nil)
		return
	}
	g.removing++
	s.write(records, func(err error) {
		g.removing--
		switch {
		case err == nil:
			for _, tp := range gone {
				delete(g.offsets, tp)
			}
			if dies {
				s.drop(g)
			}
		case dies: // still in the log, so still there
			g.become(stateEmpty, g.stateSince)
		}
		reply(err)
	}, nil)
}

// onlyHas reports whether the group has no offsets besides tps.
func (g *group) onlyHas(tps []record.TopicPartition) bool {
	has := make(map[record.TopicPartition]struct{}, len(tps))
	for _, tp := range tps {
		has[tp] = struct{}{}
	}
	for tp := range g.offsets {
		if _, ok := has[tp]; !ok {
			return false
		}
	}
	for tp := range g.pendingOffsets {
		if _, ok := has[tp]; !ok {
			return false
		}
	}
	return true
}

// tombstones covers the group's own record, if it has one.
func (g *group) tombstones() []coordinator.Record {
	if !g.stored {
		return nil
	}
	return []coordinator.Record{groupTombstone(g.id)}
}

// expireOffsets removes what has outlived its retention.
func (s *Shard) expireOffsets() {
	for _, g := range s.sorted() {
		if g.state == stateDead || g.removing > 0 || len(g.pending) > 0 {
			continue
		}
		expired := s.expired(g)
		if len(expired) == 0 && (g.state != stateEmpty || g.hasOffsets()) {
			continue
		}
		s.removeOffsets(g, expired, nil)
	}
}

// expired lists the offsets whose time is up. It counts from the commit for
// groups without members of their own and for topics nobody in the group reads
// any more; from the moment the group became empty for all of its offsets; and
// not at all while its members may still read them.
func (s *Shard) expired(g *group) (tps []record.TopicPartition) {
	since := func(c *committed) int64 { return c.commitMs }
	skip := func(string) bool { return false }
	switch {
	case !g.hasType:
	case g.state == stateEmpty:
		if !g.stateSince.IsZero() {
			since = func(*committed) int64 { return g.stateSince.UnixMilli() }
		}
	case g.state == stateStable && g.isConsumer() && g.subscribedKnown:
		skip = g.isSubscribed
	default:
		return nil
	}
	now, keep := s.now.UnixMilli(), s.cfg.OffsetsRetention.Milliseconds()
	for _, tp := range sortedPartitions(g.offsets) {
		c := g.offsets[tp]
		switch {
		case skip(tp.Topic) || g.pendingOffsets[tp] > 0:
		case c.expireMs >= 0:
			if now >= c.expireMs {
				tps = append(tps, tp)
			}
		case now-since(c) >= keep:
			tps = append(tps, tp)
		}
	}
	return tps
}

// deleteRequest deletes one group.
type deleteRequest struct {
	group string
	done  func(code int16)
}

// Refuse implements coordinator.Request.
func (r *deleteRequest) Refuse(err error) { r.done(refusalCode(err)) }

func (r *deleteRequest) apply(s *Shard) {
	code := codeNone
	g := s.groups[r.group]
	switch {
	case g == nil || g.state == stateDead:
		code = codeGroupIDNotFound
	case g.state != stateEmpty:
		code = codeNonEmptyGroup
	}
	if code != codeNone {
		s.eff.Reply(func() { r.done(code) })
		return
	}
	all := sortedPartitions(g.offsets)
	for tp := range g.pendingOffsets {
		if g.offsets[tp] == nil {
			all = append(all, tp)
		}
	}
	s.removeOffsets(g, all, func(err error) { r.done(commitCode(err)) })
}

// topicsDeletedRequest drops the offsets of deleted topics.
type topicsDeletedRequest struct{ topics map[string]struct{} }

// Refuse implements coordinator.Request: there is nothing to drop.
func (r *topicsDeletedRequest) Refuse(error) {}

func (r *topicsDeletedRequest) apply(s *Shard) {
	for _, g := range s.sorted() {
		if g.state == stateDead {
			continue
		}
		var tps []record.TopicPartition
		for _, tp := range sortedPartitions(g.offsets) {
			if _, ok := r.topics[tp.Topic]; ok {
				tps = append(tps, tp)
			}
		}
		if len(tps) > 0 {
			s.removeOffsets(g, tps, nil)
		}
	}
}

// describeRequest describes one group.
type describeRequest struct {
	group   string
	version int16
	done    func(kmsg.DescribeGroupsResponseGroup)
}

// Refuse implements coordinator.Request.
func (r *describeRequest) Refuse(err error) {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group, out.ErrorCode = r.group, refusalCode(err)
	r.done(out)
}

func (r *describeRequest) apply(s *Shard) {
	out := kmsg.NewDescribeGroupsResponseGroup()
	out.Group = r.group
	g := s.groups[r.group]
	if g == nil {
		out.State = stateDead.String()
		if r.version >= 6 {
			msg := "Group " + r.group + " not found."
			out.ErrorCode, out.ErrorMessage = codeGroupIDNotFound, &msg
		}
		s.eff.Reply(func() { r.done(out) })
		return
	}
	g.describe(&out)
	s.eff.Reply(func() { r.done(out) })
}

// describe shows metadata and assignments only while they belong together.
func (g *group) describe(out *kmsg.DescribeGroupsResponseGroup) {
	out.State, out.ProtocolType = g.state.String(), g.protocolType
	stable := g.state == stateStable
	if stable {
		out.Protocol = g.protocol
	}
	for _, m := range g.members {
		dm := kmsg.DescribeGroupsResponseGroupMember{
			MemberID: m.id, InstanceID: m.instanceID, ClientID: m.client.ID, ClientHost: m.client.Host,
			ProtocolMetadata: []byte{}, MemberAssignment: []byte{},
		}
		if stable {
			dm.ProtocolMetadata, dm.MemberAssignment = nonNil(m.metadata(g.protocol)), nonNil(m.assignment)
		}
		out.Members = append(out.Members, dm)
	}
}

// listRequest lists the shard's groups.
type listRequest struct {
	states []string
	done   func(code int16, groups []kmsg.ListGroupsResponseGroup)
}

// Refuse implements coordinator.Request.
func (r *listRequest) Refuse(err error) { r.done(refusalCode(err), nil) }

func (r *listRequest) apply(s *Shard) {
	var out []kmsg.ListGroupsResponseGroup
	for _, g := range s.groups {
		if g.inStates(r.states) {
			out = append(out, kmsg.ListGroupsResponseGroup{
				Group: g.id, ProtocolType: g.protocolType, GroupState: g.state.String(), GroupType: classicType,
			})
		}
	}
	s.eff.Reply(func() { r.done(codeNone, out) })
}

// classicType is the group type of this package's groups.
const classicType = "classic"
