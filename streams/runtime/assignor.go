package runtime

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/leatstream/leat/streams/processor"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// assignor is the group balancer: it assigns whole tasks, so that the
// partitions of the same number of all inputs of a sub-topology meet in one
// member. Tasks stay where they run, else go where their state is, else to the
// member with the fewest.
type assignor struct {
	layout  *layout
	process uuid.UUID
	// local lists the tasks of which this process has state on disk.
	local func() []processor.TaskID
}

// ProtocolName is how members recognise each other's protocol.
func (a *assignor) ProtocolName() string { return "leat-streams" }

// IsCooperative lets members keep what they run during a rebalance.
func (a *assignor) IsCooperative() bool { return true }

// JoinGroupMetadata tells the leader what this member runs and has on disk.
func (a *assignor) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.UserData = userData{a.process, a.local()}.encode()
	meta.Generation = generation
	for _, topic := range slices.Sorted(maps.Keys(current)) {
		owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
		owned.Topic, owned.Partitions = topic, current[topic]
		meta.OwnedPartitions = append(meta.OwnedPartitions, owned)
	}
	return meta.AppendTo(nil)
}

// ParseSyncAssignment reads a member's part of the plan.
func (a *assignor) ParseSyncAssignment(b []byte) (map[string][]int32, error) {
	return kgo.ParseConsumerSyncAssignment(b)
}

// MemberBalancer parses what the members told.
func (a *assignor) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	b, err := kgo.NewConsumerBalancer(a, members)
	if err != nil {
		return nil, nil, err
	}
	return b, b.MemberTopics(), nil
}

// Balance makes the plan for all members.
func (a *assignor) Balance(b *kgo.ConsumerBalancer, _ map[string]int32) kgo.IntoSyncAssignment {
	var members []member
	b.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		members = append(members, a.member(m.MemberID, meta))
	})
	assign(members, a.layout.all())
	plan := b.NewPlan()
	for i := range members {
		m, _ := b.MemberAt(i)
		for _, id := range members[i].tasks {
			for _, topic := range a.layout.inputs(id) {
				plan.AddPartition(m, topic, id.Partition)
			}
		}
	}
	plan.AdjustCooperative(b)
	return plan
}

func (a *assignor) member(id string, meta *kmsg.ConsumerMemberMetadata) member {
	m := member{id: id, generation: meta.Generation, owned: map[processor.TaskID]bool{}, local: map[processor.TaskID]bool{}}
	for _, o := range meta.OwnedPartitions {
		for _, p := range o.Partitions {
			if t, ok := a.layout.task(o.Topic, p); ok {
				m.owned[t] = true
			}
		}
	}
	if u, ok := decodeUserData(meta.UserData); ok {
		m.process = u.process
		for _, t := range u.tasks {
			m.local[t] = true
		}
	}
	return m
}

// member is one member of the group as the assignment sees it.
type member struct {
	id         string
	process    uuid.UUID
	generation int32
	owned      map[processor.TaskID]bool // running there
	local      map[processor.TaskID]bool // state on disk there
	tasks      []processor.TaskID        // the result
}

// assign distributes the tasks so that the members' numbers differ by one at
// most. It is pure and deterministic.
func assign(members []member, tasks []processor.TaskID) {
	if len(members) == 0 {
		return
	}
	quota := newQuota(len(members), len(tasks))
	for i := range members {
		members[i].tasks = nil
	}
	left := tasks
	for _, wants := range []func(*member, processor.TaskID) bool{
		func(m *member, t processor.TaskID) bool { return m.owned[t] },
		func(m *member, t processor.TaskID) bool { return m.local[t] },
	} {
		var next []processor.TaskID
		for _, t := range left {
			if m := choose(members, quota, func(m *member) bool { return wants(m, t) }); m != nil {
				quota.take(m)
				m.tasks = append(m.tasks, t)
			} else {
				next = append(next, t)
			}
		}
		left = next
	}
	for _, t := range left {
		m := choose(members, quota, func(*member) bool { return true })
		quota.take(m)
		m.tasks = append(m.tasks, t)
	}
}

// quota lets extra members take one task more than least.
type quota struct{ least, extra int }

func newQuota(members, tasks int) *quota { return &quota{tasks / members, tasks % members} }

func (q *quota) allows(m *member) bool {
	return len(m.tasks) < q.least || (len(m.tasks) == q.least && q.extra > 0)
}

func (q *quota) take(m *member) {
	if len(m.tasks) == q.least {
		q.extra--
	}
}

// choose is the fitting member with the fewest tasks; among equals the one of
// the latest generation, then of the process with the fewest, then the first.
func choose(members []member, q *quota, fits func(*member) bool) *member {
	perProcess := map[uuid.UUID]int{}
	for i := range members {
		perProcess[members[i].process] += len(members[i].tasks)
	}
	var best *member
	for i := range members {
		m := &members[i]
		if !q.allows(m) || !fits(m) {
			continue
		}
		if best == nil || better(m, best, perProcess) {
			best = m
		}
	}
	return best
}

func better(a, b *member, perProcess map[uuid.UUID]int) bool {
	if a.generation != b.generation && len(a.owned) > 0 && len(b.owned) > 0 {
		return a.generation > b.generation
	}
	if len(a.tasks) != len(b.tasks) {
		return len(a.tasks) < len(b.tasks)
	}
	return perProcess[a.process] < perProcess[b.process]
}

// userData travels in the member metadata: version, process, and the tasks
// with state on disk as pairs of varints.
type userData struct {
	process uuid.UUID
	tasks   []processor.TaskID
}

const userDataVersion = 1

// maxUserTasks bounds what is read from another member.
const maxUserTasks = 1 << 16

func (u userData) encode() []byte {
	out := append([]byte{userDataVersion}, u.process[:]...)
	out = binary.AppendUvarint(out, uint64(len(u.tasks)))
	for _, t := range u.tasks {
		out = binary.AppendUvarint(out, uint64(t.Sub))
		out = binary.AppendUvarint(out, uint64(t.Partition))
	}
	return out
}

func decodeUserData(b []byte) (u userData, ok bool) {
	if len(b) < 18 || b[0] != userDataVersion {
		return u, false
	}
	copy(u.process[:], b[1:17])
	b = b[17:]
	next := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			ok = false
			return 0
		}
		b = b[n:]
		return v
	}
	ok = true
	n := next()
	if n > maxUserTasks || n > uint64(len(b)) { // a task takes two bytes or more
		return u, false
	}
	for range n {
		sub, p := next(), next()
		if !ok || sub > 1<<20 || p > 1<<30 {
			return userData{}, false
		}
		u.tasks = append(u.tasks, processor.TaskID{Sub: int(sub), Partition: int32(p)})
	}
	return u, ok
}
