package api

import (
	"slices"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listGroups lists the groups that this broker coordinates.
func (a *API) listGroups(r *server.Request, req *kmsg.ListGroupsRequest, done func(*kmsg.ListGroupsResponse)) {
	all := a.authorizedCluster(r, auth.Describe)
	a.Groups.ListGroups(req, func(resp *kmsg.ListGroupsResponse) {
		if !all {
			resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool {
				return !a.authorized(r, auth.Describe, auth.Group, g.Group)
			})
		}
		done(resp)
	})
}
