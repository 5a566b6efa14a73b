package group

import "github.com/twmb/franz-go/pkg/kmsg"

// leaveRequest is a LeaveGroup on its way.
type leaveRequest struct {
	*kmsg.LeaveGroupRequest
	done func(*kmsg.LeaveGroupResponse)
}

// Refuse implements coordinator.Request.
func (r *leaveRequest) Refuse(err error) { r.answer(refusalCode(err), nil) }

// answer shapes the response: before version 3 there is one member, and its
// error stands at the top.
func (r *leaveRequest) answer(code int16, members []kmsg.LeaveGroupResponseMember) {
	resp := kmsg.NewPtrLeaveGroupResponse()
	resp.Version, resp.ErrorCode = r.Version, code
	if r.Version >= 3 {
		resp.Members = members
	} else if code == codeNone && len(members) == 1 {
		resp.ErrorCode = members[0].ErrorCode
	}
	r.done(resp)
}

func (r *leaveRequest) members() []kmsg.LeaveGroupRequestMember {
	if r.Version < 3 {
		return []kmsg.LeaveGroupRequestMember{{MemberID: r.MemberID}}
	}
	return r.Members
}

func (r *leaveRequest) apply(s *Shard) {
	g := s.groups[r.Group]
	switch {
	case r.Group == "":
		s.eff.Reply(func() { r.answer(codeInvalidGroupID, nil) })
		return
	case g != nil && g.state == stateDead:
		s.eff.Reply(func() { r.answer(codeNotAvailable, nil) })
		return
	}
	out := make([]kmsg.LeaveGroupResponseMember, 0, len(r.members()))
	for _, m := range r.members() {
		code := codeUnknownMemberID
		if g != nil {
			code = s.leave(g, m.MemberID, m.InstanceID)
		}
		out = append(out, kmsg.LeaveGroupResponseMember{MemberID: m.MemberID, InstanceID: m.InstanceID, ErrorCode: code})
	}
	s.eff.Reply(func() { r.answer(codeNone, out) })
}

// leave removes one member. An administrator names a static one by its instance
// id alone.
func (s *Shard) leave(g *group, memberID string, instanceID *string) int16 {
	if memberID == "" {
		if instanceID == nil || g.static[*instanceID] == nil {
			return codeUnknownMemberID
		}
		s.removeMember(g, g.static[*instanceID])
		return codeNone
	}
	if g.pending[memberID] != nil {
		s.pendingTimeout(g, memberID)
		return codeNone
	}
	m, code := g.check(memberID, instanceID)
	if code == codeNone {
		s.removeMember(g, m)
	}
	return code
}
