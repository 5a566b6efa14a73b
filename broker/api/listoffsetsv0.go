package api

import (
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// listSegments answers version 0, which gives a descending list of offsets, at
// most MaxNumOffsets, from which a reader may begin to see what is at or before
// a timestamp. Old brokers listed the starts of segments; the list here has the
// exact offset of the timestamp and the start of the log, which is what readers
// take from it.
func (a *API) listSegments(req *kmsg.ListOffsetsRequest, tp record.TopicPartition, p kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
	out := kmsg.NewListOffsetsResponseTopicPartition()
	out.Partition = tp.Partition
	offsets, err := a.offsetsBefore(req.ReplicaID, tp, p.Timestamp)
	if err != nil {
		out.ErrorCode = code(a.notHosted(tp, err))
		return out
	}
	out.OldStyleOffsets = offsets[:min(len(offsets), max(0, int(p.MaxNumOffsets)))]
	return out
}

// offsetsBefore returns the offset of ts, if there is one, and the start of the
// log, if that is another.
func (a *API) offsetsBefore(replicaID int32, tp record.TopicPartition, ts int64) ([]int64, error) {
	ask := func(ts int64) (int64, error) {
		res, err := a.Replicas.ListOffset(replica.ListOffsetRequest{TP: tp, Timestamp: ts, ReplicaID: replicaID, CurrentLeaderEpoch: -1})
		return res.Offset, err
	}
	start, err := ask(replica.TimestampEarliest)
	if err != nil || ts == replica.TimestampEarliest {
		return []int64{start}, err
	}
	at, err := ask(ts)
	if err != nil || at < 0 || at == start {
		return []int64{start}, err
	}
	return []int64{at, start}, nil
}
