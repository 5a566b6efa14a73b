package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// consumerProtocol is the type of the groups whose members consume topics.
const consumerProtocol = "consumer"

// joinGroup makes the client a member of a group's next generation. The answer
// comes when the generation is complete.
func (a *API) joinGroup(r *server.Request, req *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	var err error
	switch {
	case !a.mayJoin(r, req.Group):
		err = errGroupDenied
	case !readableSubscriptions(req):
		err = refuse(kerr.InconsistentGroupProtocol, "the subscription of a consumer cannot be read")
	default:
		a.Groups.JoinGroup(req, groupClient(r), done)
		return
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID = code(err), req.MemberID
	resp.Protocol = kmsg.StringPtr("")
	done(resp)
}

// readableSubscriptions reports whether the leader of a consumer group will be
// able to read what this member subscribes to: one member that it cannot read
// would stop the group for all. A member may say nothing at all.
func readableSubscriptions(req *kmsg.JoinGroupRequest) bool {
	if req.ProtocolType != consumerProtocol {
		return true
	}
	for _, p := range req.Protocols {
		var subscription kmsg.ConsumerMemberMetadata
		if len(p.Metadata) > 0 && subscription.ReadFrom(p.Metadata) != nil {
			return false
		}
	}
	return true
}
