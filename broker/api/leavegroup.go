package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveGroup takes members out of a group.
func (a *API) leaveGroup(r *server.Request, req *kmsg.LeaveGroupRequest, done func(*kmsg.LeaveGroupResponse)) {
	if !a.mayJoin(r, req.Group) {
		resp := kmsg.NewPtrLeaveGroupResponse()
		resp.ErrorCode = code(errGroupDenied)
		done(resp)
		return
	}
	a.Groups.LeaveGroup(req, done)
}
