package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// joinGroup makes the client a member of a group's next generation. The answer
// comes when the generation is complete.
func (a *API) joinGroup(r *server.Request, req *kmsg.JoinGroupRequest, done func(*kmsg.JoinGroupResponse)) {
	if !a.mayJoin(r, req.Group) {
		resp := kmsg.NewPtrJoinGroupResponse()
		resp.ErrorCode, resp.MemberID = code(errGroupDenied), req.MemberID
		resp.Protocol = kmsg.StringPtr("")
		done(resp)
		return
	}
	a.Groups.JoinGroup(req, groupClient(r), done)
}
