package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// createPartitions adds partitions to topics and waits for their leaders. Only
// the controller answers it.
func (a *API) createPartitions(r *server.Request, req *kmsg.CreatePartitionsRequest) kmsg.Response {
	resp := kmsg.NewPtrCreatePartitionsResponse()
	topics := make(map[string]kmsg.CreatePartitionsRequestTopic, len(req.Topics))
	names := make([]string, len(req.Topics))
	for i, t := range req.Topics {
		names[i], topics[t.Topic] = t.Topic, t
	}
	names, repeated := unique(names)
	resp.Topics = make([]kmsg.CreatePartitionsResponseTopic, len(names))
	var grow []kmsg.CreatePartitionsRequestTopic
	var rows []*kmsg.CreatePartitionsResponseTopic // where the answers of grow go
	for i, name := range names {
		row := &resp.Topics[i]
		row.Topic = name
		if err := a.mayGrow(r, name, repeated[name]); err != nil {
			row.ErrorCode, row.ErrorMessage = code(err), message(err)
			continue
		}
		grow, rows = append(grow, topics[name]), append(rows, row)
	}
	if len(grow) > 0 {
		a.growTopics(req, grow, rows)
	}
	return resp
}

// mayGrow says why a topic is refused before anything is tried.
func (a *API) mayGrow(r *server.Request, name string, repeated bool) error {
	switch {
	case !a.isController():
		return errNotController
	case repeated:
		return refuse(kerr.InvalidRequest, "the request names topic %q more than once", name)
	case !a.authorized(r, auth.Alter, auth.Topic, name):
		return errTopicDenied
	}
	return nil
}

func (a *API) growTopics(req *kmsg.CreatePartitionsRequest, grow []kmsg.CreatePartitionsRequestTopic, rows []*kmsg.CreatePartitionsResponseTopic) {
	ctx, cancel := a.requestContext(req.TimeoutMillis)
	defer cancel()
	growing := make(map[string]int)
	for i, t := range a.Admin.CreatePartitions(a.ctx, grow, req.ValidateOnly) {
		*rows[i] = t
		if t.ErrorCode == 0 && !req.ValidateOnly {
			growing[t.Topic] = int(grow[i].Count)
		}
	}
	if len(growing) == 0 {
		return
	}
	image, _ := a.Images.Await(ctx, func(image *metadata.Image) bool { return allLed(image, growing) })
	for _, row := range rows {
		n, ok := growing[row.Topic]
		if ok && (req.TimeoutMillis <= 0 || !image.Led(row.Topic, n)) {
			row.ErrorCode = kerr.RequestTimedOut.Code
		}
	}
}
