package api

import (
	"errors"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listOffsets finds offsets by time: the first record at or after a timestamp,
// or one of the ends of the log by a special, negative timestamp.
func (a *API) listOffsets(r *server.Request, req *kmsg.ListOffsetsRequest) kmsg.Response {
	resp := kmsg.NewPtrListOffsetsResponse()
	twice := repeatedOffsets(req)
	for _, t := range req.Topics {
		allowed := a.authorized(r, auth.Describe, auth.Topic, t.Topic)
		out := kmsg.NewListOffsetsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			switch {
			case req.IsolationLevel != int8(replica.ReadUncommitted) && req.IsolationLevel != int8(replica.ReadCommitted):
				out.Partitions = append(out.Partitions, noOffset(p.Partition, replica.ErrUnknownIsolation))
			case !allowed:
				out.Partitions = append(out.Partitions, noOffset(p.Partition, errTopicDenied))
			case twice[tp]:
				out.Partitions = append(out.Partitions, noOffset(p.Partition, errRepeated))
			default:
				out.Partitions = append(out.Partitions, a.listOffset(req, tp, p))
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}

// errRepeated is the answer for a partition that is named twice.
var errRepeated = refuse(kerr.InvalidRequest, "the partition is named more than once")

// repeatedOffsets finds the partitions that the request names more than once.
// Version 0 takes them as they come.
func repeatedOffsets(req *kmsg.ListOffsetsRequest) map[record.TopicPartition]bool {
	if req.Version == 0 {
		return nil
	}
	seen := make(map[record.TopicPartition]bool)
	twice := make(map[record.TopicPartition]bool)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			twice[tp] = seen[tp]
			seen[tp] = true
		}
	}
	return twice
}

func (a *API) listOffset(req *kmsg.ListOffsetsRequest, tp record.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
	if !timestampServed(p.Timestamp, req.Version) {
		return noOffset(tp.Partition, replica.ErrUnsupportedTimestamp)
	}
	if req.Version == 0 {
		return a.listSegments(req, tp, p)
	}
	res, err := a.Replicas.ListOffset(replica.ListOffsetRequest{
		TP:                 tp,
		Timestamp:          p.Timestamp,
		Isolation:          replica.Isolation(req.IsolationLevel),
		ReplicaID:          req.ReplicaID,
		CurrentLeaderEpoch: p.CurrentLeaderEpoch,
	})
	if err != nil {
		if req.Version < 5 && errors.Is(err, replica.ErrOffsetNotAvailable) {
			err = refuse(kerr.LeaderNotAvailable, "%v", err)
		}
		return noOffset(tp.Partition, a.notHosted(tp, err))
	}
	if impossibleEpoch(p.CurrentLeaderEpoch) {
		return noOffset(tp.Partition, replica.ErrFencedEpoch)
	}
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.Timestamp, out.Offset, out.LeaderEpoch = tp.Partition, res.Timestamp, res.Offset, res.LeaderEpoch
	return out
}

// impossibleEpoch reports whether the client believes in a leader epoch that no
// partition ever has. Unlike -1, which stands for none, it counts as an old one.
func impossibleEpoch(epoch int32) bool { return epoch < -1 }

// timestampServed reports whether a version knows a special timestamp.
func timestampServed(ts int64, version int16) bool {
	switch ts {
	case replica.TimestampLatest, replica.TimestampEarliest:
		return true
	case replica.TimestampMax:
		return version >= 7
	case replica.TimestampEarliestLocal:
		return version >= 8
	case replica.TimestampLatestTiered:
		return version >= 9
	case replica.TimestampPendingUpload:
		return version >= 11
	default:
		return ts >= 0
	}
}

// noOffset answers a partition with an error: no timestamp and no offset.
func noOffset(partition int32, err error) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition, out.ErrorCode = partition, code(err)
	return out
}
