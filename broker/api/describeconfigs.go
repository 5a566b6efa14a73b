package api

import (
	"strconv"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeConfigs tells the configuration of topics, brokers and loggers: each
// value with its source and, if asked, with the values behind it.
func (a *API) describeConfigs(r *server.Request, req *kmsg.DescribeConfigsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	for i := range req.Resources {
		res := &req.Resources[i]
		owner, ok := configOwner(res.ResourceType, res.ResourceName)
		out := kmsg.NewDescribeConfigsResponseResource()
		if !ok {
			err := refuse(kerr.InvalidRequest, "there are no configurations of type %d", res.ResourceType)
			out.ErrorCode, out.ErrorMessage = code(err), message(err)
		} else if err := a.mayConfigure(r, auth.DescribeConfigs, owner); err != nil {
			out.ErrorCode, out.ErrorMessage = code(err), message(err)
		} else {
			out = a.describeResource(req, res)
		}
		out.ResourceType, out.ResourceName = res.ResourceType, res.ResourceName
		if out.ErrorMessage == nil {
			out.ErrorMessage = kmsg.StringPtr("") // never null, also with success
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// configOwner is the resource that guards the configuration of another, and
// whether there is a configuration of that type.
func configOwner(t kmsg.ConfigResourceType, name string) (auth.Resource, bool) {
	switch t {
	case resourceTopic:
		return auth.Resource{Type: auth.Topic, Name: name}, true
	case resourceGroup:
		return auth.Resource{Type: auth.Group, Name: name}, true
	case resourceBroker, resourceBrokerLogger, resourceClientMetrics:
		return auth.ClusterResource, true
	}
	return auth.Resource{}, false
}

// mayConfigure says why r's sender may not read or change a configuration.
func (a *API) mayConfigure(r *server.Request, op auth.Operation, owner auth.Resource) error {
	if a.Authorizer.Authorize(subject(r), op, owner) {
		return nil
	}
	switch owner.Type {
	case auth.Topic:
		return errTopicDenied
	case auth.Group:
		return errGroupDenied
	default:
		return refuse(kerr.ClusterAuthorizationFailed, "not authorized for the cluster")
	}
}

func (a *API) describeResource(req *kmsg.DescribeConfigsRequest, res *kmsg.DescribeConfigsRequestResource) kmsg.DescribeConfigsResponseResource {
	if err := a.checkConfigured(res.ResourceType, res.ResourceName); err != nil {
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ErrorCode, out.ErrorMessage = code(err), message(err)
		return out
	}
	switch res.ResourceType {
	case resourceTopic, resourceBroker:
		return a.Configs.Describe(a.ctx, a.Images.Load(), res, req.IncludeSynonyms, req.IncludeDocumentation)
	case resourceBrokerLogger:
		return a.describeLoggers(res)
	default: // groups and client metrics subscriptions have no configuration here
		return kmsg.NewDescribeConfigsResponseResource()
	}
}

// checkConfigured says why there is no configuration of that name on this
// broker. An empty name stands for all brokers.
func (a *API) checkConfigured(t kmsg.ConfigResourceType, name string) error {
	switch t {
	case resourceTopic:
		if _, ok := a.Images.Load().Topic(name); !ok {
			return missing(name)
		}
	case resourceBroker:
		if name != "" {
			return a.checkBrokerName(name)
		}
	case resourceBrokerLogger:
		return a.checkBrokerName(name)
	default:
		if name == "" {
			return refuse(kerr.InvalidRequest, "the resource has no name")
		}
	}
	return nil
}

// checkBrokerName refuses a broker other than this one: each broker answers for
// its own configuration.
func (a *API) checkBrokerName(name string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case err != nil:
		return refuse(kerr.InvalidRequest, "broker id %q is not a number", name)
	case int32(id) != a.BrokerID:
		return refuse(kerr.InvalidRequest, "this is broker %d, not broker %d", a.BrokerID, id)
	}
	return nil
}
