package group

import "github.com/twmb/franz-go/pkg/kmsg"

// heartbeatRequest is a Heartbeat on its way.
type heartbeatRequest struct {
	*kmsg.HeartbeatRequest
	done func(*kmsg.HeartbeatResponse)
}

// Refuse implements coordinator.Request. While the shard is loading, members are
// taken to be alive.
func (r *heartbeatRequest) Refuse(err error) {
	code := refusalCode(err)
	if code == codeLoadInProgress {
		code = codeNone
	}
	r.answer(code)
}

func (r *heartbeatRequest) answer(code int16) {
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.Version, resp.ErrorCode = r.Version, code
	r.done(resp)
}

func (r *heartbeatRequest) apply(s *Shard) {
	code := r.beat(s)
	s.eff.Reply(func() { r.answer(code) })
}

func (r *heartbeatRequest) beat(s *Shard) int16 {
	g := s.groups[r.Group]
	switch {
	case r.Group == "":
		return codeInvalidGroupID
	case g == nil:
		return codeUnknownMemberID
	case g.state == stateDead:
		return codeNotAvailable
	}
	m, code := g.check(r.MemberID, r.InstanceID)
	switch {
	case code != codeNone:
		return code
	case r.Generation != g.generation:
		return codeIllegalGeneration
	case g.state == stateEmpty:
		return codeUnknownMemberID
	}
	if !m.isNew { // a new member has its own, longer, timeout
		s.heartbeat(m)
	}
	if g.state == statePreparingRebalance {
		return codeRebalanceInProgress
	}
	return codeNone
}
