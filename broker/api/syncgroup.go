package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// syncGroup gives a member its assignment, which the leader of the group brings
// in its own request.
func (a *API) syncGroup(r *server.Request, req *kmsg.SyncGroupRequest, done func(*kmsg.SyncGroupResponse)) {
	resp := kmsg.NewPtrSyncGroupResponse()
	switch {
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		resp.ErrorCode = kerr.InconsistentGroupProtocol.Code
	case !a.mayJoin(r, req.Group):
		resp.ErrorCode = code(errGroupDenied)
	default:
		a.Groups.SyncGroup(req, done)
		return
	}
	done(resp)
}
