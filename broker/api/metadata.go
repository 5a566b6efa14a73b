package api

import (
	"slices"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadata tells a client the brokers and who leads the partitions of the topics
// it asks for. Topics that do not exist are created on the way, when the broker
// and the client allow it.
func (a *API) metadata(r *server.Request, req *kmsg.MetadataRequest) kmsg.Response {
	if err := checkMetadata(req); err != nil {
		return refuseMetadata(req, err)
	}
	resp := kmsg.NewPtrMetadataResponse()
	view := topicView{
		listener: listener(r),
		// Version 0 has no way to leave out a replica whose broker is down.
		errorUnavailable: req.Version == 0,
		errorListener:    req.Version >= 6,
	}
	switch {
	case allTopics(req):
		view.image = a.Images.Load()
		a.describeAll(r, &view, resp)
	case byID(req):
		view.image = a.Images.Load()
		a.describeByID(r, &view, req, resp)
	default:
		a.describeByName(r, &view, req, resp)
	}
	if req.Version >= 8 {
		a.setOperations(r, req, resp)
	}
	view.image = a.Images.Load()
	resp.Brokers = view.brokers()
	resp.ClusterID = &a.ClusterID
	resp.ControllerID = view.image.ControllerID
	return resp
}

// checkMetadata finds requests that are refused as a whole.
func checkMetadata(req *kmsg.MetadataRequest) error {
	for _, t := range req.Topics {
		zero := t.TopicID == (coordination.UUID{})
		switch {
		case req.Version < 12 && t.Topic == nil:
			return refuse(kerr.InvalidRequest, "topic name is null, which version %d does not allow", req.Version)
		case req.Version < 12 && !zero:
			return refuse(kerr.InvalidRequest, "topic id is set, which version %d does not allow", req.Version)
		case t.Topic == nil && zero:
			return refuse(kerr.UnknownServerError, "a topic has neither name nor id")
		}
	}
	return nil
}

// refuseMetadata answers with err for every topic, and with nothing else.
func refuseMetadata(req *kmsg.MetadataRequest, err error) kmsg.Response {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ErrorCode = code(err)
	for _, t := range req.Topics {
		name := ""
		if t.Topic != nil {
			name = *t.Topic
		}
		resp.Topics = append(resp.Topics, topicError(name, t.TopicID, err))
	}
	return resp
}

// allTopics reports whether the client asks for every topic: by null, or, before
// null was allowed, by an empty list.
func allTopics(req *kmsg.MetadataRequest) bool {
	return req.Topics == nil || req.Version == 0 && len(req.Topics) == 0
}

// byID reports whether the client names topics by id. Names in the same request
// are then ignored.
func byID(req *kmsg.MetadataRequest) bool {
	return slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool {
		return t.TopicID != coordination.UUID{}
	})
}

func (a *API) describeAll(r *server.Request, view *topicView, resp *kmsg.MetadataResponse) {
	for _, name := range view.image.TopicNames() {
		if a.authorized(r, auth.Describe, auth.Topic, name) {
			resp.Topics = append(resp.Topics, view.topic(name))
		}
	}
}

func (a *API) describeByID(r *server.Request, view *topicView, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	seen := make(map[coordination.UUID]bool, len(req.Topics))
	for _, t := range req.Topics {
		if t.TopicID == (coordination.UUID{}) || seen[t.TopicID] {
			continue
		}
		seen[t.TopicID] = true
		topic, ok := view.image.TopicByID(t.TopicID)
		switch {
		case !ok:
			resp.Topics = append(resp.Topics, idError(t.TopicID, kerr.UnknownTopicID))
		case !a.authorized(r, auth.Describe, auth.Topic, topic.Name):
			// An id is no secret, the name behind it may be.
			resp.Topics = append(resp.Topics, idError(t.TopicID, kerr.TopicAuthorizationFailed))
		default:
			resp.Topics = append(resp.Topics, view.topic(topic.Name))
		}
	}
}

func (a *API) describeByName(r *server.Request, view *topicView, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	all := make([]string, len(req.Topics))
	for i, t := range req.Topics {
		all[i] = *t.Topic
	}
	names, _ := unique(all)
	failed := make(map[string]error)
	if a.autoCreate(req) {
		a.createMissing(r, names, failed)
	}
	view.image = a.Images.Load()
	for _, name := range names {
		_, exists := view.image.Topic(name)
		switch err := failed[name]; {
		case !a.authorized(r, auth.Describe, auth.Topic, name):
			// Whether the topic exists must not show.
			resp.Topics = append(resp.Topics, topicError(name, coordination.UUID{}, errTopicDenied))
		case exists:
			resp.Topics = append(resp.Topics, view.topic(name))
		case err != nil:
			resp.Topics = append(resp.Topics, topicError(name, coordination.UUID{}, err))
		default:
			resp.Topics = append(resp.Topics, topicError(name, coordination.UUID{}, missing(name)))
		}
	}
}

// autoCreate reports whether missing topics may be created. Clients could not
// say no before version 4.
func (a *API) autoCreate(req *kmsg.MetadataRequest) bool {
	return (req.Version < 4 || req.AllowAutoTopicCreation) && a.Configs.Broker().AutoCreateTopics
}

// setOperations fills in what the client may do, if it wants to know.
func (a *API) setOperations(r *server.Request, req *kmsg.MetadataRequest, resp *kmsg.MetadataResponse) {
	wanted := req.IncludeClusterAuthorizedOperations && req.Version <= 10
	if wanted && !a.authorizedCluster(r, auth.Describe) {
		resp.AuthorizedOperations = 0
	} else {
		resp.AuthorizedOperations = a.operations(r, wanted, auth.ClusterResource)
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if wanted := req.IncludeTopicAuthorizedOperations && t.Topic != nil && t.ErrorCode != kerr.TopicAuthorizationFailed.Code; wanted {
			t.AuthorizedOperations = a.operations(r, true, auth.Resource{Type: auth.Topic, Name: *t.Topic})
		}
	}
}

// topicView renders an image for one listener and one version.
type topicView struct {
	image            *metadata.Image
	listener         string
	errorUnavailable bool // a replica whose broker is down is an error, and left out
	errorListener    bool // a leader without the listener is its own error
}

// brokers lists the live brokers that have the listener.
func (v *topicView) brokers() []kmsg.MetadataResponseBroker {
	var out []kmsg.MetadataResponseBroker
	for _, id := range v.image.BrokerIDs() {
		if e, ok := v.endpoint(id); ok {
			b := kmsg.NewMetadataResponseBroker()
			broker, _ := v.image.Broker(id)
			b.NodeID, b.Host, b.Port, b.Rack = id, e.Host, e.Port, broker.Rack
			out = append(out, b)
		}
	}
	return out
}

// endpoint is where a client of the listener reaches a broker.
func (v *topicView) endpoint(id int32) (metadata.Endpoint, bool) {
	b, ok := v.image.Broker(id)
	if !ok {
		return metadata.Endpoint{}, false
	}
	return b.Endpoint(v.listener)
}

// topic renders a topic of the image.
func (v *topicView) topic(name string) kmsg.MetadataResponseTopic {
	topic, _ := v.image.Topic(name)
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID, t.IsInternal = &topic.Name, topic.ID, isInternal(name)
	t.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(topic.Partitions))
	for i := range topic.Partitions {
		t.Partitions[i] = v.partition(&topic.Partitions[i])
	}
	return t
}

func (v *topicView) partition(p *metadata.Partition) kmsg.MetadataResponseTopicPartition {
	out := kmsg.NewMetadataResponseTopicPartition()
	out.Partition, out.Leader, out.LeaderEpoch = p.Index, metadata.NoLeader, p.LeaderEpoch
	out.Replicas, out.ISR, out.OfflineReplicas = v.reachable(p.Replicas), v.reachable(p.ISR), p.OfflineReplicas
	if err := v.leaderError(p); err != nil {
		out.ErrorCode = err.Code
		return out
	}
	out.Leader = p.Leader
	if len(out.Replicas) < len(p.Replicas) || len(out.ISR) < len(p.ISR) {
		out.ErrorCode = kerr.ReplicaNotAvailable.Code
	}
	return out
}

// leaderError says why a client cannot reach the leader, or nil.
func (v *topicView) leaderError(p *metadata.Partition) *kerr.Error {
	if _, ok := v.endpoint(p.Leader); ok {
		return nil
	}
	if _, alive := v.image.Broker(p.Leader); alive && v.errorListener {
		return kerr.ListenerNotFound
	}
	return kerr.LeaderNotAvailable
}

// reachable drops the brokers that the client could not reach, for the version
// that asks for it.
func (v *topicView) reachable(ids []int32) []int32 {
	if !v.errorUnavailable {
		return ids
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id int32) bool {
		_, ok := v.endpoint(id)
		return !ok
	})
}

func topicError(name string, id coordination.UUID, err error) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic, t.TopicID, t.IsInternal = &name, id, isInternal(name)
	t.ErrorCode = code(err)
	return t
}

func idError(id coordination.UUID, k *kerr.Error) kmsg.MetadataResponseTopic {
	t := kmsg.NewMetadataResponseTopic()
	t.TopicID, t.ErrorCode = id, k.Code
	return t
}
