package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetForLeaderEpoch tells a reader where a leader's epoch ends, so that it
// finds out whether its own offsets belong to a log that was cut since.
func (a *API) offsetForLeaderEpoch(r *server.Request, req *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	resp := kmsg.NewPtrOffsetForLeaderEpochResponse()
	follower := a.authorizedCluster(r, auth.ClusterAction)
	for _, t := range req.Topics {
		allowed := follower || a.authorized(r, auth.Describe, auth.Topic, t.Topic)
		out := kmsg.NewOffsetForLeaderEpochResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			row := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			row.Partition = p.Partition
			if !allowed {
				row.ErrorCode = code(errTopicDenied)
			} else {
				a.endOfEpoch(&row, record.TopicPartition{Topic: t.Topic, Partition: p.Partition}, p)
			}
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

func (a *API) endOfEpoch(row *kmsg.OffsetForLeaderEpochResponseTopicPartition, tp record.TopicPartition, p kmsg.OffsetForLeaderEpochRequestTopicPartition) {
	end, err := a.Replicas.OffsetForLeaderEpoch(tp, p.CurrentLeaderEpoch, p.LeaderEpoch)
	if err != nil {
		row.ErrorCode = code(a.notHosted(tp, err))
		return
	}
	if impossibleEpoch(p.CurrentLeaderEpoch) {
		row.ErrorCode = code(replica.ErrFencedEpoch)
		return
	}
	row.LeaderEpoch, row.EndOffset = end.LeaderEpoch, end.EndOffset
}
