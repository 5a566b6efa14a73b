package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterConfigs replaces the whole configuration of topics and brokers: what the
// request does not name goes back to its default.
func (a *API) alterConfigs(r *server.Request, req *kmsg.AlterConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterConfigsResponse()
	resp.Resources = make([]kmsg.AlterConfigsResponseResource, len(req.Resources))
	check := changeCheck{api: a, r: r, seen: make(map[configKey]int)}
	for _, res := range req.Resources {
		check.count(res.ResourceType, res.ResourceName)
	}
	var alter []kmsg.AlterConfigsRequestResource
	var rows []*kmsg.AlterConfigsResponseResource // where the answers of alter go
	for i, res := range req.Resources {
		row := &resp.Resources[i]
		row.ResourceType, row.ResourceName = res.ResourceType, res.ResourceName
		changes := make([]change, len(res.Configs))
		for j, c := range res.Configs {
			changes[j] = change{c.Name, c.Value == nil}
		}
		err := check.resource(res.ResourceType, res.ResourceName, changes)
		if err == nil && res.ResourceType == resourceBrokerLogger {
			err = refuse(kerr.InvalidRequest, "log levels are changed by IncrementalAlterConfigs only")
		}
		if err != nil {
			row.ErrorCode, row.ErrorMessage = code(err), message(err)
			continue
		}
		alter, rows = append(alter, res), append(rows, row)
	}
	if len(alter) > 0 {
		for i, out := range a.Admin.AlterConfigs(a.ctx, alter, req.ValidateOnly) {
			*rows[i] = out
		}
	}
	return resp
}

// change is one entry of a configuration to be changed.
type change struct {
	name string
	null bool // it has no value, although it needs one
}

// configKey names a configuration.
type configKey struct {
	kind kmsg.ConfigResourceType
	name string
}

// changeCheck does what both requests that change configurations ask of each
// resource before it may be changed.
type changeCheck struct {
	api  *API
	r    *server.Request
	seen map[configKey]int // how often the request names it
}

func (c *changeCheck) count(t kmsg.ConfigResourceType, name string) {
	c.seen[configKey{t, name}]++
}

// resource says why a resource is refused.
func (c *changeCheck) resource(t kmsg.ConfigResourceType, name string, changes []change) error {
	if c.seen[configKey{t, name}] > 1 {
		return refuse(kerr.InvalidRequest, "the request names the resource more than once")
	}
	names := make(map[string]bool, len(changes))
	for _, ch := range changes {
		if names[ch.name] {
			return refuse(kerr.InvalidRequest, "the request names config %q more than once", ch.name)
		}
		names[ch.name] = true
	}
	for _, ch := range changes {
		if ch.null {
			return refuse(kerr.InvalidRequest, "config %q has no value", ch.name)
		}
	}
	owner, ok := configOwner(t, name)
	if !ok || t == resourceClientMetrics || t == resourceGroup {
		return refuse(kerr.InvalidRequest, "resources of type %d cannot be changed", int8(t))
	}
	if t == resourceTopic && name == "" {
		return refuse(kerr.InvalidRequest, "there is no configuration for all topics")
	}
	if err := c.api.mayConfigure(c.r, auth.AlterConfigs, owner); err != nil {
		return err
	}
	return c.api.checkConfigured(t, name)
}
