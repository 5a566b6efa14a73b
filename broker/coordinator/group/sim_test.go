package group

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/replica"
)

// The simulation drives one shard with random clients, in any order and with any
// mistakes, under slow, failing and lost writes and fail-overs. It checks that
// every request is answered exactly once, that a generation has one leader and
// one assignment, and that memory equals a replay of the log.

type simClient struct {
	group, member, instance string
	generation              int32
	leader                  bool
	members                 []string
}

type simulation struct {
	*scriptWorld
	t       testing.TB
	rng     *rand.Rand
	clients []*simClient
	open    int               // requests without an answer
	leaders map[string]string // "group/generation" → leader
	parts   map[string]string // "group/generation/member" → assignment
}

func newSimulation(t testing.TB, seed uint64) *simulation {
	s := &simulation{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), scriptWorld: newScriptWorld(t, scriptConfig()),
		leaders: map[string]string{}, parts: map[string]string{},
	}
	for i := range 6 {
		c := &simClient{group: fmt.Sprint("g", i%2)}
		if i >= 4 {
			c.instance = fmt.Sprint("static", i)
		}
		s.clients = append(s.clients, c)
	}
	return s
}

func (c *simClient) instanceID() *string {
	if c.instance == "" {
		return nil
	}
	i := c.instance
	return &i
}

// once counts a request and fails the test when it is answered twice.
func (s *simulation) once() func() {
	s.open++
	answered := false
	return func() {
		if answered {
			s.t.Fatal("a request was answered twice")
		}
		answered = true
		s.open--
	}
}

func (s *simulation) step() {
	c := s.clients[s.rng.IntN(len(s.clients))]
	switch s.rng.IntN(16) {
	case 0, 1, 2, 3:
		s.joinAs(c)
	case 4, 5, 6:
		s.syncAs(c)
	case 7:
		s.heartbeatAs(c)
	case 8:
		s.leaveAs(c)
	case 9, 10:
		s.commitAs(c)
	case 11:
		s.hold = true
	case 12:
		s.releaseSome()
	case 13:
		s.advance(fmt.Sprint(s.rng.IntN(8000), "ms"))
	case 14:
		if s.rng.IntN(8) == 0 {
			s.failOver()
		}
	case 15:
		if s.rng.IntN(10) == 0 {
			s.exec("delete " + c.group)
		}
		if s.rng.IntN(10) == 0 {
			s.exec("topics-deleted t1")
		}
	}
	s.take()
}

func (s *simulation) releaseSome() {
	held := s.held
	s.held, s.hold = nil, false
	for _, wr := range held {
		switch s.rng.IntN(6) {
		case 0:
			s.settle(wr, replica.ErrNotEnoughReplicas)
		case 1:
			if wr.Overdue != nil {
				s.effects(wr.Overdue(s.now))
			}
			s.settle(wr, nil)
		default:
			s.settle(wr, nil)
		}
	}
}

// failOver: what is in flight is lost or committed, nobody hears of it, and a
// new coordinator reads the log.
func (s *simulation) failOver() {
	s.hold = true // what the unloading writes is lost
	s.effects(s.shard.Unload(coordinator.ErrNotCoordinator))
	for _, wr := range s.held[:s.rng.IntN(len(s.held)+1)] {
		s.log = append(s.log, wr.Records...)
	}
	s.held, s.hold = nil, false
	s.open = 0 // commits in flight are never answered: the connection breaks
	s.reload()
}

func (s *simulation) joinAs(c *simClient) {
	r := kmsg.NewPtrJoinGroupRequest()
	r.Version = int16(s.rng.IntN(10))
	r.Group, r.MemberID = c.group, c.member
	if r.Version >= 5 {
		r.InstanceID = c.instanceID()
	}
	if s.rng.IntN(20) == 0 {
		r.MemberID = ""
	}
	r.SessionTimeoutMillis, r.RebalanceTimeoutMillis, r.ProtocolType = 10_000, 20_000, consumerType
	for _, p := range [][]string{{"range"}, {"range", "sticky"}, {"sticky", "range"}}[s.rng.IntN(3)] {
		r.Protocols = append(r.Protocols, kmsg.JoinGroupRequestProtocol{Name: p, Metadata: subscribe([]string{"t0"})})
	}
	done := s.once()
	s.do(&joinRequest{r, Client{ID: "c"}, func(resp *kmsg.JoinGroupResponse) { done(); s.joined(c, resp) }})
}

func (s *simulation) joined(c *simClient, resp *kmsg.JoinGroupResponse) {
	switch resp.ErrorCode {
	case codeNone:
		c.member, c.generation, c.leader = resp.MemberID, resp.Generation, len(resp.Members) > 0
		c.members = nil
		for _, m := range resp.Members {
			c.members = append(c.members, m.MemberID)
		}
		if c.leader && !slices.Contains(c.members, resp.MemberID) {
			s.t.Fatalf("leader %s is not among the members %v", resp.MemberID, c.members)
		}
	case codeMemberIDRequired:
		c.member = resp.MemberID
	default:
		c.member = ""
	}
}

func (s *simulation) syncAs(c *simClient) {
	r := kmsg.NewPtrSyncGroupRequest()
	r.Group, r.MemberID, r.Generation, r.InstanceID = c.group, c.member, c.generation, c.instanceID()
	if c.leader {
		for _, m := range c.members {
			r.GroupAssignment = append(r.GroupAssignment, kmsg.SyncGroupRequestGroupAssignment{
				MemberID: m, MemberAssignment: fmt.Appendf(nil, "%s@%d", m, c.generation),
			})
		}
	}
	member, generation := c.member, c.generation
	done := s.once()
	s.do(&syncRequest{r, func(resp *kmsg.SyncGroupResponse) {
		done()
		// A static member that was replaced keeps its predecessor's part.
		want := fmt.Sprintf("%s@%d", member, generation)
		if resp.ErrorCode == codeNone && len(resp.MemberAssignment) > 0 && c.instance == "" && string(resp.MemberAssignment) != want {
			s.t.Fatalf("%s got %q, want %q", member, resp.MemberAssignment, want)
		}
	}})
}

func (s *simulation) heartbeatAs(c *simClient) {
	r := &kmsg.HeartbeatRequest{Group: c.group, MemberID: c.member, Generation: c.generation, InstanceID: c.instanceID()}
	done := s.once()
	s.do(&heartbeatRequest{r, func(*kmsg.HeartbeatResponse) { done() }})
}

func (s *simulation) leaveAs(c *simClient) {
	r := &kmsg.LeaveGroupRequest{Version: 3, Group: c.group, Members: []kmsg.LeaveGroupRequestMember{{MemberID: c.member, InstanceID: c.instanceID()}}}
	done := s.once()
	s.do(&leaveRequest{r, func(*kmsg.LeaveGroupResponse) { done() }})
}

func (s *simulation) commitAs(c *simClient) {
	r := kmsg.NewPtrOffsetCommitRequest()
	r.Version, r.Group, r.MemberID, r.Generation, r.InstanceID = 8, c.group, c.member, c.generation, c.instanceID()
	if s.rng.IntN(3) == 0 {
		r.MemberID, r.Generation, r.InstanceID = "", -1, nil
	}
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset = int32(s.rng.IntN(3)), s.rng.Int64N(1000)
	r.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: fmt.Sprint("t", s.rng.IntN(2)), Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	done := s.once()
	s.do(&commitRequest{r, func(*kmsg.OffsetCommitResponse) { done() }})
}

// offsetsOf prints the committed offsets of a shard.
func offsetsOf(s *Shard) string {
	var b strings.Builder
	for _, g := range s.sorted() {
		for _, tp := range sortedPartitions(g.offsets) {
			fmt.Fprintf(&b, "%s %v %+v\n", g.id, tp, *g.offsets[tp])
		}
	}
	return b.String()
}

func (s *simulation) checkReplay() {
	if len(s.held) > 0 {
		return
	}
	again := replayed(s.t, s.cfg, s.newID, s.log)
	if live, log := offsetsOf(s.shard), offsetsOf(again); live != log {
		s.t.Fatalf("offsets in memory:\n%sin the log:\n%s", live, log)
	}
	for _, g := range s.shard.sorted() {
		if g.state != stateStable {
			continue
		}
		// All that a stable group is made of was stored before anybody heard.
		var live, log strings.Builder
		describeStable(&live, g)
		if o := again.groups[g.id]; o != nil {
			describeStable(&log, o)
		}
		if live.String() != log.String() {
			s.t.Fatalf("stable group in memory:\n%sin the log:\n%s", live.String(), log.String())
		}
	}
}

func describeStable(b *strings.Builder, g *group) {
	fmt.Fprintf(b, "%s gen=%d protocol=%s leader=%s\n", g.id, g.generation, g.protocol, g.leader)
	for _, m := range g.members {
		fmt.Fprintf(b, "  %s %q\n", m.id, m.assignment)
	}
}

func TestSimulation(t *testing.T) {
	seeds := uint64(400)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			s := newSimulation(t, seed)
			for range 300 {
				s.step()
				s.checkReplay()
			}
			s.releaseSome()
			s.advance("1h") // longer than any timeout: nobody may hang
			if s.open != 0 {
				t.Fatalf("%d requests were never answered:\n%s", s.open, dump(s.shard))
			}
			s.checkReplay()
		})
	}
}

// TestUnloadAnswersAll: whatever is parked is answered when leadership is lost.
func TestUnloadAnswersAll(t *testing.T) {
	for seed := range uint64(50) {
		s := newSimulation(t, seed)
		for range 100 {
			s.step()
		}
		s.releaseSome()
		s.effects(s.shard.Unload(coordinator.ErrNotCoordinator))
		if s.open != 0 {
			t.Fatalf("seed %d: %d requests were never answered", seed, s.open)
		}
	}
}
