package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// joinGroup makes the client a member of a group's next generation. The answer
// comes when the generation is complete. What members tell each other is the
// group's to judge: clients in use send subscriptions that a strict reader of
// their version refuses.
func (a *API) joinGroup(r *server.Request, req *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	if a.mayJoin(r, req.Group) {
		a.Groups.JoinGroup(req, groupClient(r), done)
		return
	}
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.MemberID = code(errGroupDenied), req.MemberID
	resp.Protocol = kmsg.StringPtr("")
	done(resp)
}
