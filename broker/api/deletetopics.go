package api

import (
	"context"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// deleteTopics deletes topics, by name or (from version 6 on) by id, and waits
// until they are gone. Only the controller answers it.
func (a *API) deleteTopics(r *server.Request, req *kmsg.DeleteTopicsRequest) kmsg.Response {
	topics := req.Topics
	if req.Version < 6 {
		topics = namedTopics(req.TopicNames)
	}
	resp := kmsg.NewPtrDeleteTopicsResponse()
	resp.Topics = make([]kmsg.DeleteTopicsResponseTopic, len(topics))
	for i, t := range topics {
		resp.Topics[i] = kmsg.NewDeleteTopicsResponseTopic()
		resp.Topics[i].Topic, resp.Topics[i].TopicID = t.Topic, t.TopicID
	}
	if err := a.checkDelete(req.Version, topics); err != nil {
		for i := range resp.Topics {
			resp.Topics[i].ErrorCode = code(err)
		}
		return resp
	}
	d := deletion{image: a.Images.Load(), rows: make(map[string][]*kmsg.DeleteTopicsResponseTopic)}
	for i := range resp.Topics {
		a.resolveDelete(r, &d, &resp.Topics[i])
	}
	d.run(a, req.TimeoutMillis)
	return resp
}

func namedTopics(names []string) []kmsg.DeleteTopicsRequestTopic {
	topics := make([]kmsg.DeleteTopicsRequestTopic, len(names))
	for i := range names {
		topics[i].Topic = &names[i]
	}
	return topics
}

// checkDelete finds requests that are refused as a whole.
func (a *API) checkDelete(version int16, topics []kmsg.DeleteTopicsRequestTopic) error {
	if !a.isController() {
		return errNotController
	}
	if !a.Configs.Broker().DeleteTopicEnable {
		if version < 3 {
			return refuse(kerr.InvalidRequest, "topics cannot be deleted: delete.topic.enable is false")
		}
		return refuse(kerr.TopicDeletionDisabled, "topics cannot be deleted: delete.topic.enable is false")
	}
	for _, t := range topics {
		if t.Topic != nil && t.TopicID != (coordination.UUID{}) {
			return refuse(kerr.InvalidRequest, "a topic has both a name and an id")
		}
	}
	return nil
}

// resolveDelete finds the topic of a row and puts it on the list, or answers
// why not.
func (a *API) resolveDelete(r *server.Request, d *deletion, row *kmsg.DeleteTopicsResponseTopic) {
	byID := row.TopicID != coordination.UUID{}
	if byID {
		topic, ok := d.image.TopicByID(row.TopicID)
		if !ok {
			row.ErrorCode = kerr.UnknownTopicID.Code
			return
		}
		row.Topic = &topic.Name
	}
	if row.Topic == nil {
		row.ErrorCode = kerr.InvalidRequest.Code
		return
	}
	name := *row.Topic
	if byID && !a.authorized(r, auth.Describe, auth.Topic, name) {
		row.Topic, row.ErrorCode = nil, code(errTopicDenied)
		return
	}
	switch _, exists := d.image.Topic(name); {
	case !a.authorized(r, auth.Delete, auth.Topic, name):
		row.ErrorCode = code(errTopicDenied)
	case !exists:
		row.ErrorCode = code(replica.ErrUnknownPartition)
	default:
		d.add(name, row)
	}
}

// deletion is the list of topics of one request that are to go.
type deletion struct {
	image *metadata.Image
	names []string
	rows  map[string][]*kmsg.DeleteTopicsResponseTopic // a topic may be named twice
}

func (d *deletion) add(name string, row *kmsg.DeleteTopicsResponseTopic) {
	if d.rows[name] == nil {
		d.names = append(d.names, name)
	}
	d.rows[name] = append(d.rows[name], row)
}

// run deletes the topics of the list and fills in their rows.
func (d *deletion) run(a *API, timeoutMillis int32) {
	if len(d.names) == 0 {
		return
	}
	ctx, cancel := a.requestContext(timeoutMillis)
	defer cancel()
	going := make(map[string]coordination.UUID)
	for i, t := range a.Admin.DeleteTopics(a.ctx, namedTopics(d.names)) {
		name := d.names[i]
		if t.ErrorCode == 0 {
			topic, _ := d.image.Topic(name)
			going[name] = topic.ID
		}
		for _, row := range d.rows[name] {
			row.ErrorCode, row.ErrorMessage = t.ErrorCode, t.ErrorMessage
		}
	}
	for name, id := range going {
		if timeoutMillis > 0 && a.awaitGone(ctx, name, id) {
			continue
		}
		for _, row := range d.rows[name] {
			row.ErrorCode = kerr.RequestTimedOut.Code
		}
	}
}

// awaitGone waits until brokers have forgotten a topic and its name is free
// again, and reports whether that has come about in time.
func (a *API) awaitGone(ctx context.Context, name string, id coordination.UUID) bool {
	_, err := a.Images.Await(ctx, func(image *metadata.Image) bool { return gone(image, name, id) })
	if err != nil {
		return false
	}
	for path := coordination.TopicPath(name); ; {
		_, exists, changed, err := a.Tree.ExistsW(ctx, path)
		if err != nil {
			return false
		}
		if _, again := a.Images.Load().Topic(name); !exists || again {
			return true // again: somebody has created it anew
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// gone reports whether a topic has left the image. A new topic of the same name
// has another id.
func gone(image *metadata.Image, name string, id coordination.UUID) bool {
	t, ok := image.Topic(name)
	return !ok || t.ID != id
}
