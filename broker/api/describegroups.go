package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeGroups tells the state and the members of groups.
func (a *API) describeGroups(r *server.Request, req *kmsg.DescribeGroupsRequest, done func(*kmsg.DescribeGroupsResponse)) {
	var denied []kmsg.DescribeGroupsResponseGroup
	var allowed []string
	for _, g := range req.Groups {
		if a.authorized(r, auth.Describe, auth.Group, g) {
			allowed = append(allowed, g)
			continue
		}
		row := kmsg.NewDescribeGroupsResponseGroup()
		row.Group, row.ErrorCode = g, code(errGroupDenied)
		denied = append(denied, row)
	}
	req.Groups = allowed
	wanted := req.IncludeAuthorizedOperations
	a.Groups.DescribeGroups(req, func(resp *kmsg.DescribeGroupsResponse) {
		for i := range resp.Groups {
			g := &resp.Groups[i]
			g.AuthorizedOperations = a.operations(r, wanted && g.ErrorCode == 0, auth.Resource{Type: auth.Group, Name: g.Group})
		}
		resp.Groups = append(denied, resp.Groups...)
		done(resp)
	})
}
