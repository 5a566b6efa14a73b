package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
)

// errGroupDenied is the answer for a group that the client has no right to.
var errGroupDenied = refuse(kerr.GroupAuthorizationFailed, "not authorized for this group")

// mayJoin reports whether r's sender may be a member of a group.
func (a *API) mayJoin(r *server.Request, groupID string) bool {
	return a.authorized(r, auth.Read, auth.Group, groupID)
}
