package api

import (
	"slices"
	"strconv"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The types of resources that can have a configuration.
const (
	resourceTopic         = kmsg.ConfigResourceTypeTopic
	resourceBroker        = kmsg.ConfigResourceTypeBroker
	resourceBrokerLogger  = kmsg.ConfigResourceTypeBrokerLogger
	resourceClientMetrics = kmsg.ConfigResourceTypeClientMetrics
	resourceGroup         = kmsg.ConfigResourceTypeGroupConfig
)

// listConfigResources lists what has a configuration of its own. Version 0 asks
// for client metrics subscriptions only.
func (a *API) listConfigResources(r *server.Request, req *kmsg.ListConfigResourcesRequest) kmsg.Response {
	resp := kmsg.NewPtrListConfigResourcesResponse()
	if !a.authorizedCluster(r, auth.DescribeConfigs) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp
	}
	served := []int8{int8(resourceGroup), int8(resourceClientMetrics), int8(resourceBrokerLogger), int8(resourceBroker), int8(resourceTopic)}
	if req.Version == 0 {
		served = []int8{int8(resourceClientMetrics)}
	}
	for _, t := range req.ResourceTypes {
		if !slices.Contains(served, t) {
			resp.ErrorCode = kerr.UnsupportedVersion.Code
			return resp
		}
	}
	for _, t := range served {
		if len(req.ResourceTypes) == 0 || slices.Contains(req.ResourceTypes, t) {
			a.appendResources(resp, t)
		}
	}
	return resp
}

// appendResources adds the resources of one type. Groups and client metrics
// subscriptions have no configuration here.
func (a *API) appendResources(resp *kmsg.ListConfigResourcesResponse, t int8) {
	add := func(name string) {
		c := kmsg.NewListConfigResourcesResponseConfigResource()
		c.Name, c.Type = name, t
		resp.ConfigResources = append(resp.ConfigResources, c)
	}
	image := a.Images.Load()
	switch kmsg.ConfigResourceType(t) {
	case resourceBroker, resourceBrokerLogger:
		for _, id := range image.BrokerIDs() {
			add(strconv.Itoa(int(id)))
		}
	case resourceTopic:
		for _, name := range image.TopicNames() {
			add(name)
		}
	}
}
