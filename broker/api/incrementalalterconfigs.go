package api

import (
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// incrementalAlterConfigs changes single entries of the configuration of topics
// and brokers, and log levels.
func (a *API) incrementalAlterConfigs(r *server.Request, req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	resp.Resources = make([]kmsg.IncrementalAlterConfigsResponseResource, len(req.Resources))
	check := changeCheck{api: a, r: r, seen: make(map[configKey]int)}
	for _, res := range req.Resources {
		check.count(res.ResourceType, res.ResourceName)
	}
	var alter []kmsg.IncrementalAlterConfigsRequestResource
	var rows []*kmsg.IncrementalAlterConfigsResponseResource // where the answers of alter go
	for i := range req.Resources {
		res, row := &req.Resources[i], &resp.Resources[i]
		row.ResourceType, row.ResourceName = res.ResourceType, res.ResourceName
		err := check.resource(res.ResourceType, res.ResourceName, incrementalChanges(res))
		if err == nil {
			err = checkOps(res)
		}
		if err == nil && res.ResourceType != resourceBrokerLogger {
			alter, rows = append(alter, *res), append(rows, row)
			continue
		}
		if err == nil {
			err = a.alterLoggers(res, req.ValidateOnly)
		}
		row.ErrorCode, row.ErrorMessage = code(err), message(err)
	}
	if len(alter) > 0 {
		for i, out := range a.Admin.IncrementalAlterConfigs(a.ctx, alter, req.ValidateOnly) {
			*rows[i] = out
		}
	}
	return resp
}

func incrementalChanges(res *kmsg.IncrementalAlterConfigsRequestResource) []change {
	changes := make([]change, len(res.Configs))
	for i, c := range res.Configs {
		changes[i] = change{c.Name, c.Value == nil && c.Op != kmsg.IncrementalAlterConfigOpDelete}
	}
	return changes
}

// checkOps refuses operations that are not defined.
func checkOps(res *kmsg.IncrementalAlterConfigsRequestResource) error {
	for _, c := range res.Configs {
		switch c.Op {
		case kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpDelete,
			kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		default:
			return refuse(kerr.InvalidRequest, "operation %d is not defined", int8(c.Op))
		}
	}
	return nil
}
