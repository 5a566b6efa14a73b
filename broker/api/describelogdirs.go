package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// describeLogDirs tells what lies in each log directory, and how much room is
// left.
func (a *API) describeLogDirs(r *server.Request, req *kmsg.DescribeLogDirsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	if !a.authorizedCluster(r, auth.Describe) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp
	}
	wanted := wantedLogs(req)
	for _, dir := range a.Replicas.DescribeLogDirs() {
		out := kmsg.NewDescribeLogDirsResponseDir()
		out.Dir = dir.Path
		if dir.Err != nil {
			out.ErrorCode = kerr.KafkaStorageError.Code
		} else {
			out.TotalBytes, out.UsableBytes = dir.TotalBytes, dir.UsableBytes
			out.Topics = logsByTopic(dir.Partitions, wanted)
		}
		resp.Dirs = append(resp.Dirs, out)
	}
	return resp
}

// wantedLogs returns a filter: a null list stands for all logs.
func wantedLogs(req *kmsg.DescribeLogDirsRequest) func(record.TopicPartition) bool {
	if req.Topics == nil {
		return func(record.TopicPartition) bool { return true }
	}
	named := make(map[record.TopicPartition]bool)
	for _, t := range req.Topics {
		for _, p := range t.Partitions {
			named[record.TopicPartition{Topic: t.Topic, Partition: p}] = true
		}
	}
	return func(tp record.TopicPartition) bool { return named[tp] }
}

// logsByTopic groups the wanted logs of one directory by topic.
func logsByTopic(logs []replica.LogDirPartition, wanted func(record.TopicPartition) bool) []kmsg.DescribeLogDirsResponseDirTopic {
	var out []kmsg.DescribeLogDirsResponseDirTopic
	at := make(map[string]int)
	for _, l := range logs {
		if !wanted(l.TP) {
			continue
		}
		i, ok := at[l.TP.Topic]
		if !ok {
			i = len(out)
			at[l.TP.Topic] = i
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = l.TP.Topic
			out = append(out, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag, p.IsFuture = l.TP.Partition, l.Size, l.OffsetLag, l.Future
		out[i].Partitions = append(out[i].Partitions, p)
	}
	return out
}
