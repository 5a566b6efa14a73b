package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterMetadataTopic is the log of KRaft's quorum, which no client may create.
const clusterMetadataTopic = "__cluster_metadata"

// createTopics creates topics and waits for their leaders. Only the controller
// answers it.
func (a *API) createTopics(r *server.Request, req *kmsg.CreateTopicsRequest) kmsg.Response {
	resp := kmsg.NewPtrCreateTopicsResponse()
	resp.Topics = make([]kmsg.CreateTopicsResponseTopic, len(req.Topics))
	var create []kmsg.CreateTopicsRequestTopic
	var rows []*kmsg.CreateTopicsResponseTopic // where the answers of create go
	names := make([]string, len(req.Topics))
	for i := range req.Topics {
		names[i] = req.Topics[i].Topic
	}
	_, repeated := unique(names)
	for i, t := range req.Topics {
		row := &resp.Topics[i]
		*row = kmsg.NewCreateTopicsResponseTopic()
		row.Topic = t.Topic
		if err := a.mayCreate(r, t.Topic, repeated[t.Topic]); err != nil {
			refuseTopic(row, err)
			continue
		}
		create, rows = append(create, t), append(rows, row)
	}
	if len(create) == 0 {
		return resp
	}
	ctx, cancel := a.requestContext(req.TimeoutMillis)
	defer cancel()
	created := make(map[string]int)
	for i, t := range a.Admin.CreateTopics(a.ctx, create, req.ValidateOnly) {
		*rows[i] = t
		if t.ErrorCode != 0 {
			clearTopic(rows[i])
			continue
		}
		a.hideConfigs(r, rows[i])
		if !req.ValidateOnly {
			created[t.Topic] = int(t.NumPartitions)
		}
	}
	if len(created) == 0 {
		return resp
	}
	image, _ := a.Images.Await(ctx, func(image *metadata.Image) bool { return allLed(image, created) })
	for _, row := range rows {
		n, ok := created[row.Topic]
		if ok && (req.TimeoutMillis <= 0 || !image.Led(row.Topic, n)) {
			row.ErrorCode = kerr.RequestTimedOut.Code
			clearTopic(row)
		}
	}
	return resp
}

// mayCreate says why a topic is refused before anything is tried.
func (a *API) mayCreate(r *server.Request, name string, repeated bool) error {
	switch {
	case !a.isController():
		return errNotController
	case name == clusterMetadataTopic:
		return refuse(kerr.InvalidRequest, "topic %s cannot be created", clusterMetadataTopic)
	case repeated:
		return refuse(kerr.InvalidRequest, "the request names topic %q more than once", name)
	case !a.authorizedCluster(r, auth.Create) && !a.authorized(r, auth.Create, auth.Topic, name):
		return errTopicDenied
	}
	return nil
}

// refuseTopic answers a topic with an error.
func refuseTopic(row *kmsg.CreateTopicsResponseTopic, err error) {
	row.ErrorCode, row.ErrorMessage = code(err), message(err)
	clearTopic(row)
}

// clearTopic removes from a failed topic what only a created one has. A topic
// that was created too late keeps its id.
func clearTopic(row *kmsg.CreateTopicsResponseTopic) {
	row.NumPartitions, row.ReplicationFactor, row.ConfigErrorCode = -1, -1, 0
	row.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
}

// hideConfigs removes what the client may not see of the topic it has created.
func (a *API) hideConfigs(r *server.Request, row *kmsg.CreateTopicsResponseTopic) {
	if a.authorized(r, auth.DescribeConfigs, auth.Topic, row.Topic) {
		return
	}
	clearTopic(row)
	row.ConfigErrorCode = kerr.TopicAuthorizationFailed.Code
}
