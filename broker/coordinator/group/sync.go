package group

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
)

// syncRequest is a SyncGroup on its way.
type syncRequest struct {
	*kmsg.SyncGroupRequest
	done func(*kmsg.SyncGroupResponse)
}

// Refuse implements coordinator.Request. While the shard is loading, the
// rebalance that the member is in is lost; it is told to begin again, which old
// clients understand too.
func (r *syncRequest) Refuse(err error) {
	code := refusalCode(err)
	if code == codeLoadInProgress {
		code = codeRebalanceInProgress
	}
	r.fail(code)
}

func (r *syncRequest) fail(code int16) {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.Version, resp.ErrorCode, resp.MemberAssignment = r.Version, code, []byte{}
	r.done(resp)
}

func (r *syncRequest) succeed(g *group, assignment []byte) func() {
	resp := kmsg.NewPtrSyncGroupResponse()
	resp.Version, resp.MemberAssignment = r.Version, nonNil(assignment)
	resp.ProtocolType, resp.Protocol = g.protocolNames()
	return func() { r.done(resp) }
}

// answerSync fails a member's parked sync, if there is one.
func (s *Shard) answerSync(m *member, code int16) {
	if r := m.sync; r != nil {
		m.sync = nil
		s.eff.Reply(func() { r.fail(code) })
	}
}

// failSyncs ends the wait for the leader's assignment.
func (s *Shard) failSyncs(g *group, code int16) {
	for _, m := range g.members {
		m.assignment = nil
		if m.sync != nil {
			s.answerSync(m, code)
			s.heartbeat(m)
		}
	}
}

func (r *syncRequest) apply(s *Shard) {
	g := s.groups[r.Group]
	m, code := r.check(g)
	if code == codeNone {
		switch g.state {
		case stateEmpty:
			code = codeUnknownMemberID
		case statePreparingRebalance:
			code = codeRebalanceInProgress
		case stateCompletingRebalance:
			s.parkSync(g, m, r)
			return
		case stateStable:
			s.synced(g, m)
			s.eff.Reply(r.succeed(g, m.assignment))
			s.heartbeat(m)
			return
		}
	}
	s.eff.Reply(func() { r.fail(code) })
}

// check finds the member and compares what it says with the generation.
func (r *syncRequest) check(g *group) (*member, int16) {
	switch {
	case r.Group == "":
		return nil, codeInvalidGroupID
	case g == nil:
		return nil, codeUnknownMemberID
	case g.state == stateDead:
		return nil, codeNotAvailable
	}
	m, code := g.check(r.MemberID, r.InstanceID)
	switch {
	case code != codeNone:
	case r.Generation != g.generation:
		code = codeIllegalGeneration
	case r.ProtocolType != nil && (!g.hasType || *r.ProtocolType != g.protocolType),
		r.Protocol != nil && (!g.hasProtocol || *r.Protocol != g.protocol):
		code = codeInconsistentProtocol
	}
	return m, code
}

// parkSync waits for the leader; the leader's own sync stores the assignment.
func (s *Shard) parkSync(g *group, m *member, r *syncRequest) {
	s.answerSync(m, codeRebalanceInProgress)
	m.sync = r
	s.synced(g, m)
	if g.leader != m.id {
		return
	}
	assignment := make(map[string][]byte, len(g.members))
	for _, a := range r.GroupAssignment {
		if g.byID[a.MemberID] != nil {
			assignment[a.MemberID] = a.MemberAssignment
		}
	}
	s.storeAssignment(g, assignment)
}

// storeAssignment writes the generation's members and assignment; when they are
// committed the group is stable and everybody who waits gets a part.
func (s *Shard) storeAssignment(g *group, assignment map[string][]byte) {
	generation := g.generation
	current := func() bool { return g.state == stateCompletingRebalance && g.generation == generation }
	fail := func(code int16) {
		s.failSyncs(g, code)
		s.prepareRebalance(g)
	}
	g.stored = true
	s.write([]coordinator.Record{groupRecord(g, assignment)}, func(err error) {
		switch {
		case !current(): // a member came or left meanwhile: the next round decides
		case err != nil:
			fail(storeCode(err))
		default:
			for _, m := range g.members {
				m.assignment = assignment[m.id]
			}
			s.propagate(g)
		}
	}, func() {
		if current() {
			fail(codeRebalanceInProgress)
		}
	})
}

// propagate answers the parked syncs with the stored assignment.
func (s *Shard) propagate(g *group) {
	g.become(stateStable, s.now)
	for _, m := range g.members {
		if r := m.sync; r != nil {
			m.sync = nil
			s.eff.Reply(r.succeed(g, m.assignment))
			s.heartbeat(m)
		}
	}
}
