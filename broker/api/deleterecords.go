package api

import (
	"time"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noLowWatermark is the low watermark of a partition that failed.
const noLowWatermark = -1

// deleteRecords moves the start of partitions up: the records below are gone.
func (a *API) deleteRecords(r *server.Request, req *kmsg.DeleteRecordsRequest, done func(*kmsg.DeleteRecordsResponse)) {
	resp := kmsg.NewPtrDeleteRecordsResponse()
	var entries []replica.DeleteRecordsEntry
	var rows []*kmsg.DeleteRecordsResponseTopicPartition // where the answers of entries go
	resp.Topics = make([]kmsg.DeleteRecordsResponseTopic, len(req.Topics))
	for i, t := range req.Topics {
		out := &resp.Topics[i]
		out.Topic = t.Topic
		out.Partitions = make([]kmsg.DeleteRecordsResponseTopicPartition, len(t.Partitions))
		allowed := a.authorized(r, auth.Delete, auth.Topic, t.Topic)
		for j, p := range t.Partitions {
			row := &out.Partitions[j]
			row.Partition, row.LowWatermark = p.Partition, noLowWatermark
			tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			switch _, exists := a.Images.Load().Partition(t.Topic, p.Partition); {
			case !allowed:
				row.ErrorCode = code(errTopicDenied)
			case !exists:
				row.ErrorCode = code(replica.ErrUnknownPartition)
			default:
				entries = append(entries, replica.DeleteRecordsEntry{TP: tp, Offset: p.Offset})
				rows = append(rows, row)
			}
		}
	}
	if len(entries) == 0 {
		done(resp)
		return
	}
	a.Replicas.DeleteRecords(entries, time.Duration(req.TimeoutMillis)*time.Millisecond, func(results []replica.DeleteRecordsResult) {
		for i, res := range results {
			rows[i].LowWatermark = res.LowWatermark
			if res.Err != nil {
				rows[i].LowWatermark = noLowWatermark
				rows[i].ErrorCode = code(a.notHosted(entries[i].TP, res.Err))
			}
		}
		done(resp)
	})
}
