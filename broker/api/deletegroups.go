package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteGroups forgets groups without members, and their offsets.
func (a *API) deleteGroups(r *server.Request, req *kmsg.DeleteGroupsRequest, done func(*kmsg.DeleteGroupsResponse)) {
	var denied []kmsg.DeleteGroupsResponseGroup
	var allowed []string
	names, _ := unique(req.Groups)
	for _, g := range names {
		if a.authorized(r, auth.Delete, auth.Group, g) {
			allowed = append(allowed, g)
			continue
		}
		row := kmsg.NewDeleteGroupsResponseGroup()
		row.Group, row.ErrorCode = g, code(errGroupDenied)
		denied = append(denied, row)
	}
	req.Groups = allowed
	a.Groups.DeleteGroups(req, func(resp *kmsg.DeleteGroupsResponse) {
		resp.Groups = append(resp.Groups, denied...)
		done(resp)
	})
}
