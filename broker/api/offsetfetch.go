package api

import (
	"slices"

	"github.com/leatstream/leat/broker/auth"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/server"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noOffsetStored is the offset of a partition that the group never committed.
const noOffsetStored int64 = -1

// offsetFetch reads the offsets of a group (up to version 7) or of several: from
// the groups' logs, or, for version 0, from the tree under /consumers.
func (a *API) offsetFetch(r *server.Request, req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {
	switch {
	case req.Version == 0:
		done(a.fetchFromTree(r, req))
	case req.Version < 8:
		a.fetchOneGroup(r, req, done)
	default:
		a.fetchManyGroups(r, req, done)
	}
}

// fetchOneGroup answers versions 1 to 7. A null list of topics asks for all.
func (a *API) fetchOneGroup(r *server.Request, req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {
	if !a.authorized(r, auth.Describe, auth.Group, req.Group) {
		done(deniedOffsets(req, errGroupDenied))
		return
	}
	all := req.Topics == nil
	denied := func(topic string) bool { return !a.authorized(r, auth.Describe, auth.Topic, topic) }
	var hidden []kmsg.OffsetFetchResponseTopic
	if !all {
		req.Topics = slices.DeleteFunc(req.Topics, func(t kmsg.OffsetFetchRequestTopic) bool {
			if denied(t.Topic) {
				hidden = append(hidden, noOffsets(t, kerr.TopicAuthorizationFailed.Code))
				return true
			}
			return false
		})
	}
	a.Groups.OffsetFetch(req, func(resp *kmsg.OffsetFetchResponse) {
		if all {
			resp.Topics = slices.DeleteFunc(resp.Topics, func(t kmsg.OffsetFetchResponseTopic) bool { return denied(t.Topic) })
		}
		resp.Topics = append(resp.Topics, hidden...)
		done(resp)
	})
}

// deniedOffsets refuses a whole request of versions 0 to 7. Version 0 and 1 have
// no place for an error but the partitions.
func deniedOffsets(req *kmsg.OffsetFetchRequest, err error) *kmsg.OffsetFetchResponse {
	resp := kmsg.NewPtrOffsetFetchResponse()
	resp.ErrorCode = code(err)
	if req.Version < 2 {
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, noOffsets(t, code(err)))
		}
	}
	return resp
}

// noOffsets answers every partition of a topic with no offset.
func noOffsets(t kmsg.OffsetFetchRequestTopic, errorCode int16) kmsg.OffsetFetchResponseTopic {
	out := kmsg.NewOffsetFetchResponseTopic()
	out.Topic = t.Topic
	for _, p := range t.Partitions {
		row := kmsg.NewOffsetFetchResponseTopicPartition()
		row.Partition, row.Offset, row.Metadata, row.ErrorCode = p, noOffsetStored, kmsg.StringPtr(""), errorCode
		out.Partitions = append(out.Partitions, row)
	}
	return out
}

// fetchManyGroups answers version 8 and later. Without groups there is nothing
// to say, and the answer says it.
func (a *API) fetchManyGroups(r *server.Request, req *kmsg.OffsetFetchRequest, done func(*kmsg.OffsetFetchResponse)) {
	f := groupFetch{image: a.Images.Load(), version: req.Version}
	var allowed []kmsg.OffsetFetchRequestGroup
	for _, g := range req.Groups {
		if !a.authorized(r, auth.Describe, auth.Group, g.Group) {
			out := kmsg.NewOffsetFetchResponseGroup()
			out.Group, out.ErrorCode = g.Group, code(errGroupDenied)
			f.refused = append(f.refused, out)
			continue
		}
		g.Topics = f.split(g, func(topic string) bool { return a.authorized(r, auth.Describe, auth.Topic, topic) })
		allowed = append(allowed, g)
	}
	if len(allowed) == 0 {
		resp := kmsg.NewPtrOffsetFetchResponse()
		resp.Groups = f.refused
		done(resp)
		return
	}
	req.Groups = allowed
	a.Groups.OffsetFetch(req, func(resp *kmsg.OffsetFetchResponse) {
		for i := range resp.Groups {
			f.finish(&resp.Groups[i], func(topic string) bool { return a.authorized(r, auth.Describe, auth.Topic, topic) })
		}
		resp.Groups = append(resp.Groups, f.refused...)
		done(resp)
	})
}

// groupFetch is what is known of an OffsetFetch for several groups beyond what
// the groups know: refused groups, refused topics, and the ids of topics.
type groupFetch struct {
	image   *metadata.Image
	version int16
	refused []kmsg.OffsetFetchResponseGroup
	hidden  map[string][]kmsg.OffsetFetchResponseGroupTopic // by group: what the group is not asked
}

// split returns the topics that the group is asked for: nil asks for all.
func (f *groupFetch) split(g kmsg.OffsetFetchRequestGroup, allowed func(string) bool) []kmsg.OffsetFetchRequestGroupTopic {
	if g.Topics == nil {
		return nil
	}
	asked := make([]kmsg.OffsetFetchRequestGroupTopic, 0, len(g.Topics))
	for _, t := range g.Topics {
		if f.version >= 10 {
			topic, ok := f.image.TopicByID(t.TopicID)
			if !ok {
				f.hide(g.Group, t, kerr.UnknownTopicID.Code)
				continue
			}
			t.Topic = topic.Name
		}
		if !allowed(t.Topic) {
			f.hide(g.Group, t, kerr.TopicAuthorizationFailed.Code)
			continue
		}
		asked = append(asked, t)
	}
	return asked
}

func (f *groupFetch) hide(groupID string, t kmsg.OffsetFetchRequestGroupTopic, errorCode int16) {
	out := kmsg.NewOffsetFetchResponseGroupTopic()
	out.Topic, out.TopicID = t.Topic, t.TopicID
	for _, p := range t.Partitions {
		row := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		row.Partition, row.Offset, row.Metadata, row.ErrorCode = p, noOffsetStored, kmsg.StringPtr(""), errorCode
		out.Partitions = append(out.Partitions, row)
	}
	if f.hidden == nil {
		f.hidden = make(map[string][]kmsg.OffsetFetchResponseGroupTopic)
	}
	f.hidden[groupID] = append(f.hidden[groupID], out)
}

// finish puts ids and refused topics into the answer of a group. Topics that the
// client has no right to, or that have gone and so have no id, are left out of
// what it did not ask for by name.
func (f *groupFetch) finish(g *kmsg.OffsetFetchResponseGroup, allowed func(string) bool) {
	if g.ErrorCode != 0 {
		return
	}
	g.Topics = slices.DeleteFunc(g.Topics, func(t kmsg.OffsetFetchResponseGroupTopic) bool { return !allowed(t.Topic) })
	if f.version >= 10 {
		kept := g.Topics[:0]
		for _, t := range g.Topics {
			if topic, ok := f.image.Topic(t.Topic); ok {
				t.TopicID = topic.ID
				kept = append(kept, t)
			}
		}
		g.Topics = kept
	}
	g.Topics = append(g.Topics, f.hidden[g.Group]...)
}
