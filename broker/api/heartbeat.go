package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// heartbeat keeps a member in its group and tells it of a rebalance.
func (a *API) heartbeat(r *server.Request, req *kmsg.HeartbeatRequest, done func(*kmsg.HeartbeatResponse)) {
	if !a.mayJoin(r, req.Group) {
		resp := kmsg.NewPtrHeartbeatResponse()
		resp.ErrorCode = code(errGroupDenied)
		done(resp)
		return
	}
	a.Groups.Heartbeat(req, done)
}
