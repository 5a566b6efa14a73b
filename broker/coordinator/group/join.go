package group

import (
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
)

// joinRequest is a JoinGroup on its way.
type joinRequest struct {
	*kmsg.JoinGroupRequest
	client Client
	done   func(*kmsg.JoinGroupResponse)
}

// Refuse implements coordinator.Request.
func (r *joinRequest) Refuse(err error) { r.answer(joinFailure(r.MemberID, refusalCode(err))) }

func (r *joinRequest) answer(resp *kmsg.JoinGroupResponse) {
	resp.Version = r.Version
	r.done(resp)
}

func joinFailure(memberID string, code int16) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.MemberID, resp.ErrorCode = memberID, code
	return resp
}

func (r *joinRequest) sessionTimeout() time.Duration { return millis(r.SessionTimeoutMillis) }

// rebalanceTimeout is the session timeout in version 0, which has no other.
func (r *joinRequest) rebalanceTimeout() time.Duration {
	if r.Version == 0 {
		return r.sessionTimeout()
	}
	return millis(r.RebalanceTimeoutMillis)
}

func millis(ms int32) time.Duration { return time.Duration(ms) * time.Millisecond }

// refuse answers r now.
func (s *Shard) refuseJoin(r *joinRequest, memberID string, code int16) {
	s.eff.Reply(func() { r.answer(joinFailure(memberID, code)) })
}

// answerJoin answers a member's parked join, if there is one.
func (s *Shard) answerJoin(g *group, m *member, resp *kmsg.JoinGroupResponse) {
	if r := m.join; r != nil {
		m.join = nil
		g.awaitingJoin--
		s.eff.Reply(func() { r.answer(resp) })
	}
}

// parkJoin makes r the member's parked join. One that was parked before comes
// from a connection that the client has given up.
func (s *Shard) parkJoin(g *group, m *member, r *joinRequest) {
	s.answerJoin(g, m, joinFailure(m.id, codeRebalanceInProgress))
	m.join = r
	g.awaitingJoin++
}

func (r *joinRequest) apply(s *Shard) {
	switch d := r.sessionTimeout(); {
	case r.Group == "":
		s.refuseJoin(r, r.MemberID, codeInvalidGroupID)
		return
	case d < s.cfg.MinSessionTimeout || d > s.cfg.MaxSessionTimeout:
		s.refuseJoin(r, r.MemberID, codeInvalidSessionTimeout)
		return
	}
	g := s.groups[r.Group]
	if g == nil {
		if r.MemberID != "" {
			s.refuseJoin(r, r.MemberID, codeUnknownMemberID)
			return
		}
		g = s.create(r.Group)
	}
	s.join(g, r)
	if g.state == statePreparingRebalance {
		s.tryCompleteJoin(g)
	}
}

func (s *Shard) join(g *group, r *joinRequest) {
	if !s.accepts(g, r.MemberID) {
		if m := g.byID[r.MemberID]; m != nil {
			s.expel(g, m)
		}
		s.removePending(g, r.MemberID)
		s.refuseJoin(r, "", codeGroupMaxSizeReached)
		return
	}
	switch {
	case g.state == stateDead:
		s.refuseJoin(r, r.MemberID, codeNotAvailable)
	case !g.supports(r.ProtocolType, r.Protocols) || !decodable(r):
		s.refuseJoin(r, r.MemberID, codeInconsistentProtocol)
	case r.MemberID == "":
		s.joinNew(g, r)
	default:
		s.joinKnown(g, r)
	}
}

// decodable refuses metadata of type "consumer" whose lengths point outside:
// the group could not complete a rebalance with it.
func decodable(r *joinRequest) bool {
	if r.ProtocolType != consumerType {
		return true
	}
	for i := range r.Protocols {
		if _, _, err := subscription(r.Protocols[i].Metadata); err != nil {
			return false
		}
	}
	return true
}

// accepts keeps the group within its maximal size. While members rejoin, those
// that have are counted: when the limit was lowered the last to come are left
// out.
func (s *Shard) accepts(g *group, memberID string) bool {
	m := g.byID[memberID]
	switch g.state {
	case stateEmpty, stateDead:
		return true
	case statePreparingRebalance:
		return m != nil && m.join != nil || g.awaitingJoin < s.cfg.MaxSize
	default:
		return m != nil || len(g.members) < s.cfg.MaxSize
	}
}

// joinNew is a join without a member id.
func (s *Shard) joinNew(g *group, r *joinRequest) {
	if r.InstanceID != nil {
		id := *r.InstanceID + "-" + s.newID()
		if m := g.static[*r.InstanceID]; m != nil {
			s.replaceStatic(g, m, id, r)
			return
		}
		s.addMember(g, id, r)
		return
	}
	id := r.client.ID + "-" + s.newID()
	if r.Version < 4 {
		s.addMember(g, id, r)
		return
	}
	// The client must come again with the id: if this answer is lost, it leaves
	// no member behind that a rebalance would wait for.
	t := &coordinator.Timer{Fire: func(time.Time) { s.pendingTimeout(g, id) }}
	g.pending[id] = t
	s.timers.Set(t, s.now.Add(r.sessionTimeout()))
	s.refuseJoin(r, id, codeMemberIDRequired)
}

// addMember admits a member and starts a rebalance.
func (s *Shard) addMember(g *group, id string, r *joinRequest) {
	s.removePending(g, id)
	m := &member{
		id: id, instanceID: r.InstanceID, client: r.client,
		rebalanceTimeout: r.rebalanceTimeout(), sessionTimeout: r.sessionTimeout(),
		protocols: r.Protocols, isNew: true, join: r,
	}
	if g.state == statePreparingRebalance && g.generation == 0 {
		g.newMemberAdded = true
	}
	g.add(m, r.ProtocolType)
	s.arm(g, m)
	s.timers.Set(&m.session, s.now.Add(newMemberTimeout))
	s.maybeRebalance(g)
}

// joinKnown is a join with a member id.
func (s *Shard) joinKnown(g *group, r *joinRequest) {
	if _, ok := g.pending[r.MemberID]; ok {
		if r.InstanceID != nil { // ids are handed out to dynamic members only
			s.refuseJoin(r, r.MemberID, codeUnknownServerError)
			return
		}
		s.addMember(g, r.MemberID, r)
		return
	}
	m, code := g.check(r.MemberID, r.InstanceID)
	if code != codeNone {
		s.refuseJoin(r, r.MemberID, code)
		return
	}
	same := m.offers(r.Protocols)
	switch g.state {
	case statePreparingRebalance:
		s.rejoin(g, m, r)
	case stateCompletingRebalance:
		if !same {
			s.rejoin(g, m, r)
			return
		}
		s.repeatJoin(g, m, r) // it may have missed the answer
	case stateStable:
		// A leader rejoins when something outside the members' metadata calls
		// for a new assignment, such as more partitions.
		if !same || g.leader == m.id {
			s.rejoin(g, m, r)
			return
		}
		s.repeatJoin(g, m, r)
	default:
		s.refuseJoin(r, r.MemberID, codeUnknownMemberID)
	}
}

// rejoin parks a member's join and starts a rebalance unless one is under way.
func (s *Shard) rejoin(g *group, m *member, r *joinRequest) {
	s.update(g, m, r)
	s.maybeRebalance(g)
}

func (s *Shard) update(g *group, m *member, r *joinRequest) {
	g.setProtocols(m, r.Protocols)
	m.rebalanceTimeout, m.sessionTimeout = r.rebalanceTimeout(), r.sessionTimeout()
	s.parkJoin(g, m, r)
}

// repeatJoin tells a member the present generation again.
func (s *Shard) repeatJoin(g *group, m *member, r *joinRequest) {
	resp := g.joined(m)
	if g.state == stateStable {
		resp.Members = nil
	}
	s.eff.Reply(func() { r.answer(resp) })
}

// joined is the answer that brings m into the present generation.
func (g *group) joined(m *member) *kmsg.JoinGroupResponse {
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.Generation, resp.MemberID, resp.LeaderID = g.generation, m.id, g.leader
	resp.ProtocolType, resp.Protocol = g.protocolNames()
	if g.leader == m.id {
		resp.Members = g.currentMembers()
	}
	return resp
}

func (g *group) protocolNames() (protocolType, protocol *string) {
	if g.hasType {
		t := g.protocolType
		protocolType = &t
	}
	if g.hasProtocol {
		p := g.protocol
		protocol = &p
	}
	return protocolType, protocol
}

// replaceStatic lets a restarted static member take its own place back, under a
// new member id that fences the old process. In a stable group it does so
// without a rebalance, as long as the choice of the protocol stays.
func (s *Shard) replaceStatic(g *group, m *member, id string, r *joinRequest) {
	old := *m
	oldLeader := g.leader
	s.answerJoin(g, m, joinFailure(m.id, codeFencedInstanceID))
	s.answerSync(m, codeFencedInstanceID)
	g.rename(m, id)
	s.heartbeat(m)
	s.update(g, m, r)
	switch {
	case g.state == stateCompletingRebalance:
		s.prepareRebalance(g)
	case g.state == stateStable && g.selectProtocol() != g.protocol:
		s.prepareRebalance(g)
	case g.state == stateStable:
		s.storeReplaced(g, m, &old, oldLeader, r)
	}
}

// storeReplaced makes the new id durable before the member hears of it.
func (s *Shard) storeReplaced(g *group, m, old *member, oldLeader string, r *joinRequest) {
	id, generation := m.id, g.generation
	g.stored = true
	s.write([]coordinator.Record{groupRecord(g, nil)}, func(err error) {
		if g.byID[id] != m || m.join != r || g.state != stateStable || g.generation != generation {
			return // somebody else has moved the group on, and answers
		}
		if err != nil {
			g.setProtocols(m, old.protocols)
			m.rebalanceTimeout, m.sessionTimeout = old.rebalanceTimeout, old.sessionTimeout
			g.rename(m, old.id)
			s.heartbeat(m)
			resp := joinFailure("", storeCode(err))
			resp.Generation, resp.LeaderID = g.generation, oldLeader
			resp.ProtocolType, resp.Protocol = g.protocolNames()
			s.answerJoin(g, m, resp)
			return
		}
		resp := g.joined(m)
		switch {
		case r.Version >= 9:
			resp.SkipAssignment = g.leader == id
		default:
			// An older client that learns it is the leader would compute an
			// assignment: it is told the id it had before.
			resp.Members, resp.LeaderID = nil, oldLeader
		}
		s.answerJoin(g, m, resp)
	}, nil)
}
