package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// alterReplicaLogDirs has logs moved into other log directories of this broker.
// An answer without an error says that the move has begun.
func (a *API) alterReplicaLogDirs(r *server.Request, req *kmsg.AlterReplicaLogDirsRequest) kmsg.Response {
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	allowed := a.authorizedCluster(r, auth.Alter)
	rows := moveRows{resp: resp, topics: make(map[string]int), partitions: make(map[record.TopicPartition]int)}
	for _, dir := range req.Dirs {
		for _, t := range dir.Topics {
			for _, p := range t.Partitions {
				tp := record.TopicPartition{Topic: t.Topic, Partition: p}
				if !allowed {
					rows.set(tp, kerr.ClusterAuthorizationFailed.Code)
					continue
				}
				_, exists := a.Images.Load().Partition(t.Topic, p)
				rows.set(tp, code(a.Replicas.MoveLog(tp, dir.Dir, exists)))
			}
		}
	}
	return resp
}

// moveRows groups the answers by topic, one for each partition. Of a partition
// that is named twice the last answer counts.
type moveRows struct {
	resp       *kmsg.AlterReplicaLogDirsResponse
	topics     map[string]int
	partitions map[record.TopicPartition]int
}

func (m *moveRows) set(tp record.TopicPartition, code int16) {
	i, ok := m.topics[tp.Topic]
	if !ok {
		i = len(m.resp.Topics)
		m.topics[tp.Topic] = i
		t := kmsg.NewAlterReplicaLogDirsResponseTopic()
		t.Topic = tp.Topic
		m.resp.Topics = append(m.resp.Topics, t)
	}
	t := &m.resp.Topics[i]
	j, ok := m.partitions[tp]
	if !ok {
		j = len(t.Partitions)
		m.partitions[tp] = j
		p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
		p.Partition = tp.Partition
		t.Partitions = append(t.Partitions, p)
	}
	t.Partitions[j].ErrorCode = code
}
