package group

import (
	"cmp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
)

// commitRequest is an OffsetCommit on its way.
type commitRequest struct {
	*kmsg.OffsetCommitRequest
	done func(*kmsg.OffsetCommitResponse)
}

// Refuse implements coordinator.Request.
func (r *commitRequest) Refuse(err error) {
	code := refusalCode(err)
	r.answer(func(*kmsg.OffsetCommitRequestTopicPartition) int16 { return code })
}

// answer gives every partition its code.
func (r *commitRequest) answer(code func(*kmsg.OffsetCommitRequestTopicPartition) int16) {
	resp := kmsg.NewPtrOffsetCommitResponse()
	resp.Version = r.Version
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, len(r.Topics))
	for i := range r.Topics {
		in, out := &r.Topics[i], &resp.Topics[i]
		out.Topic, out.TopicID = in.Topic, in.TopicID
		out.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, len(in.Partitions))
		for j := range in.Partitions {
			out.Partitions[j].Partition = in.Partitions[j].Partition
			out.Partitions[j].ErrorCode = code(&in.Partitions[j])
		}
	}
	r.done(resp)
}

func (r *commitRequest) apply(s *Shard) {
	g := s.groups[r.Group]
	if code := s.checkCommit(g, r); code != codeNone {
		s.eff.Reply(func() { r.answer(func(*kmsg.OffsetCommitRequestTopicPartition) int16 { return code }) })
		return
	}
	if g == nil { // offsets without group membership
		g = s.create(r.Group)
	}
	tps, values, records := s.commitRecords(g, r)
	finish := func(err error) {
		code := commitCode(err)
		s.eff.Reply(func() { r.answer(s.perPartition(code)) })
	}
	if len(records) == 0 {
		finish(nil)
		return
	}
	for _, tp := range tps {
		g.pendingOffsets[tp]++
	}
	answered := false
	s.write(records, func(err error) {
		g.commit(tps, values, err)
		if !answered {
			finish(err)
		}
	}, func() {
		answered = true
		s.eff.Reply(func() {
			r.answer(func(*kmsg.OffsetCommitRequestTopicPartition) int16 { return codeNotAvailable })
		})
	})
}

// perPartition is code, except where the metadata is too large.
func (s *Shard) perPartition(code int16) func(*kmsg.OffsetCommitRequestTopicPartition) int16 {
	limit := s.cfg.OffsetMetadataMaxBytes
	return func(p *kmsg.OffsetCommitRequestTopicPartition) int16 {
		if metadataLength(p.Metadata) > limit {
			return codeOffsetMetadataTooLarge
		}
		return code
	}
}

// metadataLength counts UTF-16 code units, as the limit is meant.
func metadataLength(md *string) (n int) {
	if md == nil {
		return 0
	}
	for _, r := range *md {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

// checkCommit says whether the sender may commit now. Clients that assign their
// partitions themselves, and administrators, come without a generation and may
// commit while the group has no members. It also counts as a heartbeat.
func (s *Shard) checkCommit(g *group, r *commitRequest) int16 {
	switch {
	case g == nil && r.Generation >= 0 && r.Version >= 10:
		return codeGroupIDNotFound
	case g == nil && r.Generation >= 0:
		return codeIllegalGeneration
	case g == nil:
		return codeNone
	case g.state == stateDead:
		return codeNotAvailable
	case r.Generation < 0 && g.state == stateEmpty:
		return codeNone
	case r.Generation < 0 && r.MemberID == "" && r.InstanceID == nil:
		return codeUnknownMemberID
	}
	m, code := g.check(r.MemberID, r.InstanceID)
	switch {
	case code != codeNone:
		return code
	case r.Generation != g.generation:
		return codeIllegalGeneration
	case g.state == stateCompletingRebalance:
		return codeRebalanceInProgress
	}
	if !m.isNew {
		s.heartbeat(m)
	}
	return codeNone
}

// commitRecords makes a record for each offset whose metadata is not too large.
func (s *Shard) commitRecords(g *group, r *commitRequest) (tps []record.TopicPartition, values []*committed, records []coordinator.Record) {
	now := s.now.UnixMilli()
	for i := range r.Topics {
		t := &r.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if metadataLength(p.Metadata) > s.cfg.OffsetMetadataMaxBytes {
				continue
			}
			c := &committed{offset: p.Offset, leaderEpoch: p.LeaderEpoch, commitMs: now, expireMs: -1}
			if r.Version < 6 {
				c.leaderEpoch = -1
			}
			if p.Metadata != nil {
				c.metadata = *p.Metadata
			}
			if r.Version == 1 && p.Timestamp >= 0 {
				c.commitMs = p.Timestamp
			}
			if r.Version >= 2 && r.Version <= 4 && r.RetentionTimeMillis >= 0 {
				c.expireMs = now + r.RetentionTimeMillis
			}
			tp := record.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			tps, values, records = append(tps, tp), append(values, c), append(records, offsetRecord(g.id, tp, c))
		}
	}
	return tps, values, records
}

// commit ends a commit in flight.
func (g *group) commit(tps []record.TopicPartition, values []*committed, err error) {
	for i, tp := range tps {
		if g.pendingOffsets[tp]--; g.pendingOffsets[tp] == 0 {
			delete(g.pendingOffsets, tp)
		}
		if err == nil {
			g.offsets[tp] = values[i]
		}
	}
}

// fetchRequest asks for offsets of one group.
type fetchRequest struct {
	group string
	// topics is nil for all offsets of the group.
	topics        []kmsg.OffsetFetchRequestGroupTopic
	all           bool
	requireStable bool
	done          func(kmsg.OffsetFetchResponseGroup)
}

// Refuse implements coordinator.Request.
func (r *fetchRequest) Refuse(err error) {
	r.done(kmsg.OffsetFetchResponseGroup{Group: r.group, ErrorCode: refusalCode(err)})
}

func (r *fetchRequest) apply(s *Shard) {
	g := s.groups[r.group]
	if g != nil && g.state == stateDead {
		g = nil
	}
	out := kmsg.OffsetFetchResponseGroup{Group: r.group}
	if r.all {
		out.Topics = g.allOffsets(r.requireStable)
	} else {
		out.Topics = make([]kmsg.OffsetFetchResponseGroupTopic, len(r.topics))
		for i := range r.topics {
			t := &r.topics[i]
			out.Topics[i] = kmsg.OffsetFetchResponseGroupTopic{Topic: t.Topic, TopicID: t.TopicID}
			for _, p := range t.Partitions {
				tp := record.TopicPartition{Topic: t.Topic, Partition: p}
				out.Topics[i].Partitions = append(out.Topics[i].Partitions, g.offset(tp, r.requireStable))
			}
		}
	}
	s.eff.Reply(func() { r.done(out) })
}

// offset answers for one partition; offset -1 says that there is none.
func (g *group) offset(tp record.TopicPartition, stable bool) kmsg.OffsetFetchResponseGroupTopicPartition {
	out := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	metadata := ""
	out.Partition, out.Offset, out.Metadata = tp.Partition, -1, &metadata
	if g == nil {
		return out
	}
	if stable && g.pendingOffsets[tp] > 0 {
		out.ErrorCode = codeUnstableOffsetCommit
		return out
	}
	if c := g.offsets[tp]; c != nil {
		out.Offset, out.LeaderEpoch = c.offset, c.leaderEpoch
		metadata = c.metadata
	}
	return out
}

// allOffsets lists the group's offsets by topic and partition.
func (g *group) allOffsets(stable bool) []kmsg.OffsetFetchResponseGroupTopic {
	topics := []kmsg.OffsetFetchResponseGroupTopic{}
	if g == nil {
		return topics
	}
	for _, tp := range sortedPartitions(g.offsets) {
		if n := len(topics); n == 0 || topics[n-1].Topic != tp.Topic {
			topics = append(topics, kmsg.OffsetFetchResponseGroupTopic{Topic: tp.Topic})
		}
		t := &topics[len(topics)-1]
		t.Partitions = append(t.Partitions, g.offset(tp, stable))
	}
	return topics
}

func sortedPartitions[V any](m map[record.TopicPartition]V) []record.TopicPartition {
	tps := make([]record.TopicPartition, 0, len(m))
	for tp := range m {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, func(a, b record.TopicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return tps
}

// offsetDeleteRequest is an OffsetDelete on its way.
type offsetDeleteRequest struct {
	*kmsg.OffsetDeleteRequest
	done func(*kmsg.OffsetDeleteResponse)
}

// Refuse implements coordinator.Request.
func (r *offsetDeleteRequest) Refuse(err error) { r.fail(refusalCode(err)) }

func (r *offsetDeleteRequest) fail(code int16) {
	resp := kmsg.NewPtrOffsetDeleteResponse()
	resp.Version, resp.ErrorCode = r.Version, code
	r.done(resp)
}

func (r *offsetDeleteRequest) apply(s *Shard) {
	g := s.groups[r.Group]
	if code := r.check(g); code != codeNone {
		s.eff.Reply(func() { r.fail(code) })
		return
	}
	resp := kmsg.NewPtrOffsetDeleteResponse()
	resp.Version = r.Version
	var tps []record.TopicPartition
	for i := range r.Topics {
		in := &r.Topics[i]
		out := kmsg.OffsetDeleteResponseTopic{Topic: in.Topic}
		subscribed := g.state != stateEmpty && g.isSubscribed(in.Topic)
		for _, p := range in.Partitions {
			op := kmsg.OffsetDeleteResponseTopicPartition{Partition: p.Partition}
			if subscribed {
				op.ErrorCode = codeGroupSubscribedToTopic
			} else {
				tps = append(tps, record.TopicPartition{Topic: in.Topic, Partition: p.Partition})
			}
			out.Partitions = append(out.Partitions, op)
		}
		resp.Topics = append(resp.Topics, out)
	}
	s.removeOffsets(g, tps, func(err error) {
		if err != nil {
			r.fail(commitCode(err))
			return
		}
		r.done(resp)
	})
}

func (r *offsetDeleteRequest) check(g *group) int16 {
	switch {
	case r.Group == "":
		return codeInvalidGroupID
	case g == nil || g.state == stateDead:
		return codeGroupIDNotFound
	case g.state != stateEmpty && !g.isConsumer():
		return codeNonEmptyGroup
	}
	return codeNone
}
