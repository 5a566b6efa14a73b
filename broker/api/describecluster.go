package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Endpoint types of DescribeCluster.
const (
	endpointBrokers     int8 = 1
	endpointControllers int8 = 2
)

// describeCluster tells an admin client the brokers and the controller.
func (a *API) describeCluster(r *server.Request, req *kmsg.DescribeClusterRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeClusterResponse()
	if err := checkEndpointType(req); err != nil {
		resp.ErrorCode, resp.ErrorMessage = code(err), message(err)
		return resp
	}
	view := topicView{image: a.Images.Load(), listener: listener(r)}
	resp.ClusterID = a.ClusterID
	resp.EndpointType = endpointBrokers
	resp.ControllerID = metadata.UnknownController
	for _, b := range view.brokers() {
		row := kmsg.NewDescribeClusterResponseBroker()
		row.NodeID, row.Host, row.Port, row.Rack = b.NodeID, b.Host, b.Port, b.Rack
		resp.Brokers = append(resp.Brokers, row)
		if b.NodeID == view.image.ControllerID {
			resp.ControllerID = b.NodeID
		}
	}
	resp.ClusterAuthorizedOperations = noOperations
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = 0
		if a.authorizedCluster(r, auth.Describe) {
			resp.ClusterAuthorizedOperations = a.operations(r, true, auth.ClusterResource)
		}
	}
	return resp
}

// checkEndpointType refuses whoever means to ask the controllers.
func checkEndpointType(req *kmsg.DescribeClusterRequest) error {
	unsupported, mismatched := kerr.UnsupportedEndpointType, kerr.MismatchedEndpointType
	if req.Version == 0 {
		unsupported, mismatched = kerr.InvalidRequest, kerr.InvalidRequest
	}
	switch req.EndpointType {
	case endpointBrokers:
		return nil
	case endpointControllers:
		return refuse(mismatched, "the request went to a broker but asks for the endpoints of controllers")
	default:
		return refuse(unsupported, "endpoint type %d is not supported", req.EndpointType)
	}
}
