package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Types of coordinators.
const (
	coordinateGroup       int8 = 0
	coordinateTransaction int8 = 1
	coordinateShare       int8 = 2
)

// coordinatorFound is the text that versions 1 to 3 carry with success.
const coordinatorFound = "NONE"

// findCoordinator tells which broker coordinates a group: one key up to version
// 3, any number from version 4 on.
func (a *API) findCoordinator(r *server.Request, req *kmsg.FindCoordinatorRequest) kmsg.Response {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version >= 4 {
		for _, key := range req.CoordinatorKeys {
			resp.Coordinators = append(resp.Coordinators, a.coordinatorRow(r, req.CoordinatorType, key))
		}
		return resp
	}
	kind := req.CoordinatorType
	if req.Version == 0 {
		kind = coordinateGroup // version 0 has no type
	}
	e, err := a.coordinator(r, kind, req.CoordinatorKey)
	resp.NodeID, resp.Host, resp.Port = e.id, e.Host, e.Port
	resp.ErrorCode, resp.ErrorMessage = code(err), message(err)
	if err == nil {
		resp.ErrorMessage = kmsg.StringPtr(coordinatorFound)
	}
	return resp
}

func (a *API) coordinatorRow(r *server.Request, kind int8, key string) kmsg.FindCoordinatorResponseCoordinator {
	row := kmsg.NewFindCoordinatorResponseCoordinator()
	e, err := a.coordinator(r, kind, key)
	row.Key, row.NodeID, row.Host, row.Port = key, e.id, e.Host, e.Port
	row.ErrorCode, row.ErrorMessage = code(err), message(err)
	if err == nil {
		row.ErrorMessage = kmsg.StringPtr("")
	}
	return row
}

// node is a broker as a client reaches it.
type node struct {
	id int32
	metadata.Endpoint
}

// noNode stands for a broker that is not known.
var noNode = node{id: -1, Endpoint: metadata.Endpoint{Port: -1}}

// errNoCoordinator asks the client to try again.
var errNoCoordinator = refuse(kerr.CoordinatorNotAvailable, "the coordinator is not available yet")

// coordinator finds the coordinator of a key.
func (a *API) coordinator(r *server.Request, kind int8, key string) (node, error) {
	switch kind {
	case coordinateGroup:
		if !a.authorized(r, auth.Describe, auth.Group, key) {
			return noNode, errGroupDenied
		}
		return a.groupCoordinator(r, key)
	case coordinateTransaction:
		return noNode, errNoTransactions
	case coordinateShare:
		return noNode, refuse(kerr.InvalidRequest, "this broker does not coordinate share groups")
	default:
		return noNode, refuse(kerr.InvalidRequest, "coordinator type %d is not defined", kind)
	}
}

// groupCoordinator is the leader of the group's partition of the offsets topic,
// which is created when the first group asks.
func (a *API) groupCoordinator(r *server.Request, groupID string) (node, error) {
	if _, ok := a.Images.Load().Topic(offsetsTopic); !ok {
		a.create([]string{offsetsTopic}, map[string]error{})
	}
	view := topicView{image: a.Images.Load(), listener: listener(r)}
	topic, ok := view.image.Topic(offsetsTopic)
	if !ok {
		return noNode, errNoCoordinator
	}
	partition, ok := topic.Partition(group.PartitionOf(groupID, int32(len(topic.Partitions))))
	if !ok {
		return noNode, errNoCoordinator
	}
	e, ok := view.endpoint(partition.Leader)
	if !ok {
		return noNode, errNoCoordinator
	}
	return node{id: partition.Leader, Endpoint: e}, nil
}
