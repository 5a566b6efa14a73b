package api

import (
	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// offsetCommit stores the offsets of a group: in the group's log, or, for
// version 0, in the tree under /consumers.
func (a *API) offsetCommit(r *server.Request, req *kmsg.OffsetCommitRequest, done func(*kmsg.OffsetCommitResponse)) {
	c := commit{req: req, codes: make(map[record.TopicPartition]int16)}
	if req.Version >= 10 {
		c.nameTopics(a.Images.Load())
	}
	if !a.authorized(r, auth.Read, auth.Group, req.Group) {
		done(c.response(errGroupDenied))
		return
	}
	known := c.filter(a.Images.Load(), func(topic string) bool {
		return a.authorized(r, auth.Read, auth.Topic, topic)
	})
	switch {
	case len(known) == 0:
		done(c.response(nil))
	case req.Version == 0:
		a.commitToTree(&c, known)
		done(c.response(nil))
	default:
		stored := *req
		stored.Topics = known
		a.Groups.OffsetCommit(&stored, groupClient(r), func(resp *kmsg.OffsetCommitResponse) {
			for _, t := range resp.Topics {
				for _, p := range t.Partitions {
					c.codes[record.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.ErrorCode
				}
			}
			done(c.response(nil))
		})
	}
}

// commit gathers the outcome of one OffsetCommit, partition by partition.
type commit struct {
	req   *kmsg.OffsetCommitRequest
	codes map[record.TopicPartition]int16
}

// nameTopics fills in the names that belong to the topics' ids; an unknown id
// keeps an empty name.
func (c *commit) nameTopics(image *metadata.Image) {
	for i := range c.req.Topics {
		t := &c.req.Topics[i]
		t.Topic = ""
		if topic, ok := image.TopicByID(t.TopicID); ok {
			t.Topic = topic.Name
		}
	}
}

// filter returns the part of the request that may be stored, and notes why the
// rest may not.
func (c *commit) filter(image *metadata.Image, allowed func(topic string) bool) []kmsg.OffsetCommitRequestTopic {
	var out []kmsg.OffsetCommitRequestTopic
	for _, t := range c.req.Topics {
		known := t
		known.Partitions = nil
		permitted := allowed(t.Topic)
		for _, p := range t.Partitions {
			tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if !permitted {
				c.codes[tp] = code(errTopicDenied)
			} else if _, ok := image.Partition(t.Topic, p.Partition); !ok {
				c.codes[tp] = code(replica.ErrUnknownPartition)
			} else {
				known.Partitions = append(known.Partitions, p)
			}
		}
		if len(known.Partitions) > 0 {
			out = append(out, known)
		}
	}
	return out
}

// response lists the outcomes in the order of the request; with err, every
// partition has failed by it.
func (c *commit) response(err error) *kmsg.OffsetCommitResponse {
	resp := kmsg.NewPtrOffsetCommitResponse()
	for _, t := range c.req.Topics {
		if len(t.Partitions) == 0 {
			continue // the answer lists topics by their partitions
		}
		out := kmsg.NewOffsetCommitResponseTopic()
		out.Topic, out.TopicID = t.Topic, t.TopicID
		unknownID := c.req.Version >= 10 && t.Topic == ""
		for _, p := range t.Partitions {
			row := kmsg.NewOffsetCommitResponseTopicPartition()
			row.Partition = p.Partition
			switch {
			case err != nil:
				row.ErrorCode = code(err)
			case unknownID:
				row.ErrorCode = kerr.UnknownTopicID.Code
			default:
				row.ErrorCode = c.codes[record.TopicPartition{Topic: t.Topic, Partition: p.Partition}]
			}
			out.Partitions = append(out.Partitions, row)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return resp
}
