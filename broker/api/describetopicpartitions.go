package api

import (
	"slices"
	"strings"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxDescribedPartitions bounds the partitions of one answer, whatever limit the
// client names.
const maxDescribedPartitions = 2000

// describeTopicPartitions is Metadata in pages: topics in the order of their
// names, from the cursor on, up to a number of partitions.
func (a *API) describeTopicPartitions(r *server.Request, req *kmsg.DescribeTopicPartitionsRequest) kmsg.Response {
	resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
	p := partitionPage{
		view:  topicView{image: a.Images.Load(), listener: listener(r), errorListener: true},
		left:  max(1, min(int(req.ResponsePartitionLimit), maxDescribedPartitions)),
		start: req.Cursor,
		all:   len(req.Topics) == 0,
		resp:  resp,
	}
	names, err := p.names(req)
	if err != nil {
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, describedTopicError(t.Topic, err))
		}
		return resp
	}
	var denied []kmsg.DescribeTopicPartitionsResponseTopic
	for _, name := range names {
		if !a.authorized(r, auth.Describe, auth.Topic, name) {
			if !p.all {
				denied = append(denied, describedTopicError(name, errTopicDenied))
			}
			continue
		}
		if !p.add(name) {
			break
		}
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		t.AuthorizedOperations = a.operations(r, true, auth.Resource{Type: auth.Topic, Name: *t.Topic})
	}
	resp.Topics = append(resp.Topics, denied...)
	return resp
}

// partitionPage fills one answer.
type partitionPage struct {
	view  topicView
	left  int                                        // partitions that still fit
	start *kmsg.DescribeTopicPartitionsRequestCursor // where the page before ended, or nil
	all   bool                                       // topics that have gone meanwhile are left out
	resp  *kmsg.DescribeTopicPartitionsResponse
}

// names returns the topics from the cursor on, sorted and without repetition.
func (p *partitionPage) names(req *kmsg.DescribeTopicPartitionsRequest) ([]string, error) {
	names := slices.Clone(p.view.image.TopicNames())
	if !p.all {
		names = names[:0]
		for _, t := range req.Topics {
			names = append(names, t.Topic)
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	if p.start == nil {
		return names, nil
	}
	at, found := slices.BinarySearchFunc(names, p.start.Topic, strings.Compare)
	if !found && !p.all {
		return nil, refuse(kerr.InvalidRequest, "the cursor's topic %q is not in the list of topics", p.start.Topic)
	}
	if p.start.Partition < 0 {
		return nil, refuse(kerr.InvalidRequest, "the cursor's partition is %d", p.start.Partition)
	}
	return names[at:], nil
}

// add appends a topic, or as many of its partitions as fit, and reports whether
// there may be room for another.
func (p *partitionPage) add(name string) bool {
	if p.left == 0 {
		p.next(name, 0)
		return false
	}
	topic, ok := p.view.image.Topic(name)
	if !ok {
		if !p.all {
			p.resp.Topics = append(p.resp.Topics, describedTopicError(name, missing(name)))
		}
		return true
	}
	out := kmsg.NewDescribeTopicPartitionsResponseTopic()
	out.Topic, out.TopicID, out.IsInternal = &topic.Name, topic.ID, isInternal(name)
	for i := range topic.Partitions {
		part := &topic.Partitions[i]
		if p.start != nil && p.start.Topic == name && part.Index < p.start.Partition {
			continue
		}
		if p.left == 0 {
			p.resp.Topics = append(p.resp.Topics, out)
			p.next(name, part.Index)
			return false
		}
		p.left--
		out.Partitions = append(out.Partitions, describedPartition(p.view.partition(part)))
	}
	p.resp.Topics = append(p.resp.Topics, out)
	return true
}

// next says where the page after this one begins.
func (p *partitionPage) next(name string, partition int32) {
	c := kmsg.NewDescribeTopicPartitionsResponseNextCursor()
	c.Topic, c.Partition = name, partition
	p.resp.NextCursor = &c
}

func describedPartition(m kmsg.MetadataResponseTopicPartition) kmsg.DescribeTopicPartitionsResponseTopicPartition {
	out := kmsg.NewDescribeTopicPartitionsResponseTopicPartition()
	out.ErrorCode, out.Partition = m.ErrorCode, m.Partition
	out.LeaderID, out.LeaderEpoch = m.Leader, m.LeaderEpoch
	out.Replicas, out.ISR, out.OfflineReplicas = m.Replicas, m.ISR, m.OfflineReplicas
	// Nullable by the schema, yet Java's admin client fails on null.
	out.EligibleLeaderReplicas, out.LastKnownELR = []int32{}, []int32{}
	return out
}

func describedTopicError(name string, err error) kmsg.DescribeTopicPartitionsResponseTopic {
	t := kmsg.NewDescribeTopicPartitionsResponseTopic()
	t.Topic, t.TopicID, t.IsInternal = &name, coordination.UUID{}, isInternal(name)
	t.ErrorCode = code(err)
	return t
}
