package group

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
	"github.com/leatstream/leat/broker/record"
)

// state is where a classic group stands in its rebalance cycle:
//
//	Empty ──join──► PreparingRebalance ──all joined──► CompletingRebalance ──leader's sync──► Stable
//	  ▲                 │  ▲  ▲                              │                                 │
//	  └──no members─────┘  │  └──────────join, leave─────────┘                                 │
//	                       └──────────────────────────join, leave, failure─────────────────────┘
//
// Dead is the end: deleted, or expired.
type state uint8

const (
	stateEmpty state = iota
	statePreparingRebalance
	stateCompletingRebalance
	stateStable
	stateDead
)

var stateNames = [...]string{"Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"}

func (s state) String() string { return stateNames[s] }

// consumerType is the protocol type whose metadata the coordinator understands;
// all others are opaque.
const consumerType = "consumer"

// group is one group.
type group struct {
	id         string
	state      state
	stateSince time.Time
	// generation counts completed rebalances; 0 before the first.
	generation int32
	// protocolType is set by the first member and kept when the group empties;
	// hasType is false for a group that has only committed offsets.
	protocolType string
	hasType      bool
	// protocol is what the members agreed on for this generation.
	protocol    string
	hasProtocol bool
	// leader is the member that assigns; "" when there is none.
	leader string

	// members in the order of their arrival. byID indexes them, static maps
	// instance ids to members.
	members []*member
	byID    map[string]*member
	static  map[string]*member
	// awaitingJoin counts the members with a parked JoinGroup.
	awaitingJoin int
	// support counts, by protocol, the members that offer it.
	support map[string]int
	// pending holds member ids that were handed out and not yet used: the join
	// of a rebalance waits for them until their session timeout.
	pending map[string]*coordinator.Timer
	// pendingSync holds the members of this generation that have not synced.
	pendingSync map[string]struct{}
	// newMemberAdded: somebody came during the initial rebalance delay.
	newMemberAdded bool
	// initial: the rebalance under way is the first, which waits out
	// initialLeft more of the rebalance timeout after the running delay.
	initial     bool
	initialLeft time.Duration

	// joinTimer ends PreparingRebalance, syncTimer the wait for pendingSync.
	joinTimer, syncTimer coordinator.Timer

	// subscribed is the set of topics the members consume; known is false for
	// other protocol types and for metadata that cannot be read.
	subscribed      map[string]struct{}
	subscribedKnown bool

	// offsets holds what is committed in the log; pendingOffsets counts the
	// commits in flight per partition.
	offsets        map[record.TopicPartition]*committed
	pendingOffsets map[record.TopicPartition]int
	// stored: the log holds, or may hold, a group record that deletion must
	// cover with a tombstone.
	stored bool
	// removing counts the sets of tombstones in flight.
	removing int
}

// member is one member of a group.
type member struct {
	id         string
	instanceID *string // static membership
	client     Client

	rebalanceTimeout time.Duration
	sessionTimeout   time.Duration
	// protocols are what it offers, in its order of preference.
	protocols  []kmsg.JoinGroupRequestProtocol
	assignment []byte

	// isNew: it has not been through a complete rebalance yet; a longer timeout
	// covers its wait.
	isNew bool
	// join and sync are parked requests, nil when there is none.
	join *joinRequest
	sync *syncRequest
	// session is the failure detector.
	session coordinator.Timer
}

func newGroup(id string, now time.Time) *group {
	return &group{
		id: id, stateSince: now,
		byID:           make(map[string]*member),
		static:         make(map[string]*member),
		support:        make(map[string]int),
		pending:        make(map[string]*coordinator.Timer),
		pendingSync:    make(map[string]struct{}),
		offsets:        make(map[record.TopicPartition]*committed),
		pendingOffsets: make(map[record.TopicPartition]int),
	}
}

func (g *group) become(s state, now time.Time) {
	ok := false
	switch s {
	case statePreparingRebalance:
		ok = g.state != statePreparingRebalance && g.state != stateDead
	case stateCompletingRebalance:
		ok = g.state == statePreparingRebalance
	case stateStable:
		ok = g.state == stateCompletingRebalance
	case stateEmpty:
		ok = g.state == statePreparingRebalance || g.state == stateDead
	case stateDead:
		ok = true
	}
	if !ok {
		panic(fmt.Sprintf("group %q: no way from %v to %v", g.id, g.state, s))
	}
	g.state, g.stateSince = s, now
}

func (g *group) isConsumer() bool { return g.hasType && g.protocolType == consumerType }

// metadata is the member's metadata for a protocol.
func (m *member) metadata(protocol string) []byte {
	for i := range m.protocols {
		if m.protocols[i].Name == protocol {
			return m.protocols[i].Metadata
		}
	}
	return nil
}

func (m *member) offers(protocols []kmsg.JoinGroupRequestProtocol) bool {
	return slices.EqualFunc(m.protocols, protocols, func(a, b kmsg.JoinGroupRequestProtocol) bool {
		return a.Name == b.Name && string(a.Metadata) == string(b.Metadata)
	})
}

// supports reports whether a member with these protocols could be in the group:
// it needs the group's type and one protocol that all members offer.
func (g *group) supports(protocolType string, protocols []kmsg.JoinGroupRequestProtocol) bool {
	if g.state == stateEmpty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.hasType && g.protocolType == protocolType &&
		slices.ContainsFunc(protocols, func(p kmsg.JoinGroupRequestProtocol) bool {
			return g.support[p.Name] == len(g.members)
		})
}

// addSupport counts each distinct protocol of m once, or takes it back.
func (g *group) addSupport(m *member, by int) {
	for i, p := range m.protocols {
		first := !slices.ContainsFunc(m.protocols[:i], func(q kmsg.JoinGroupRequestProtocol) bool { return q.Name == p.Name })
		if !first {
			continue
		}
		if g.support[p.Name] += by; g.support[p.Name] == 0 {
			delete(g.support, p.Name)
		}
	}
}

func (g *group) add(m *member, protocolType string) {
	if len(g.members) == 0 {
		g.protocolType, g.hasType = protocolType, true
	}
	if m.instanceID != nil {
		g.static[*m.instanceID] = m
	}
	if g.leader == "" {
		g.leader = m.id
	}
	g.members = append(g.members, m)
	g.byID[m.id] = m
	g.addSupport(m, 1)
	if m.join != nil {
		g.awaitingJoin++
	}
}

// remove takes m out of the group; its parked requests must be answered.
func (g *group) remove(m *member) {
	if g.byID[m.id] != m {
		panic(fmt.Sprintf("group %q: removing %q, who is not a member", g.id, m.id))
	}
	g.addSupport(m, -1)
	if m.join != nil {
		g.awaitingJoin--
	}
	if m.instanceID != nil {
		delete(g.static, *m.instanceID)
	}
	delete(g.byID, m.id)
	delete(g.pendingSync, m.id)
	g.members = slices.DeleteFunc(g.members, func(o *member) bool { return o == m })
	if g.leader == m.id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
}

// rename gives a static member its new id.
func (g *group) rename(m *member, id string) {
	delete(g.byID, m.id)
	if g.leader == m.id {
		g.leader = id
	}
	if _, ok := g.pendingSync[m.id]; ok {
		delete(g.pendingSync, m.id)
		g.pendingSync[id] = struct{}{}
	}
	m.id = id
	g.byID[id] = m
}

func (g *group) setProtocols(m *member, protocols []kmsg.JoinGroupRequestProtocol) {
	g.addSupport(m, -1)
	m.protocols = protocols
	g.addSupport(m, 1)
}

// allJoined: the rebalance need not wait any longer.
func (g *group) allJoined() bool {
	return len(g.members) == g.awaitingJoin && len(g.pending) == 0
}

// rebalanceTimeout is the longest that any member asks for.
func (g *group) rebalanceTimeout() (d time.Duration) {
	for _, m := range g.members {
		d = max(d, m.rebalanceTimeout)
	}
	return d
}

// electJoined makes sure that the leader is a member who has joined. It returns
// false when there is none.
func (g *group) electJoined() bool {
	if l := g.byID[g.leader]; l != nil && l.join != nil {
		return true
	}
	for _, m := range g.members {
		if m.join != nil {
			g.leader = m.id
			return true
		}
	}
	return false
}

// selectProtocol lets each member vote for the first of its protocols that all
// offer. The most votes win; a tie goes to the choice of the earlier member.
func (g *group) selectProtocol() string {
	votes := make(map[string]int)
	var order []string
	for _, m := range g.members {
		for _, p := range m.protocols {
			if g.support[p.Name] == len(g.members) {
				if votes[p.Name]++; votes[p.Name] == 1 {
					order = append(order, p.Name)
				}
				break
			}
		}
	}
	if len(order) == 0 {
		panic(fmt.Sprintf("group %q: members without a common protocol", g.id))
	}
	best := order[0]
	for _, name := range order[1:] {
		if votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// nextGeneration ends PreparingRebalance with the members that are there.
func (g *group) nextGeneration(now time.Time) {
	g.generation++
	clear(g.pendingSync)
	if len(g.members) == 0 {
		g.protocol, g.hasProtocol = "", false
		g.become(stateEmpty, now)
	} else {
		g.protocol, g.hasProtocol = g.selectProtocol(), true
		g.become(stateCompletingRebalance, now)
	}
	g.computeSubscribed()
}

// computeSubscribed collects the topics of all members.
func (g *group) computeSubscribed() {
	g.subscribed, g.subscribedKnown = nil, false
	if !g.isConsumer() || len(g.members) > 0 && !g.hasProtocol {
		return
	}
	all := make(map[string]struct{})
	for _, m := range g.members {
		topics, known, err := subscription(m.metadata(g.protocol))
		if err != nil || !known {
			return
		}
		for _, t := range topics {
			all[t] = struct{}{}
		}
	}
	g.subscribed, g.subscribedKnown = all, true
}

// isSubscribed reports whether the group may consume topic; when its
// subscription is not known it may.
func (g *group) isSubscribed(topic string) bool {
	if !g.subscribedKnown {
		return true
	}
	_, ok := g.subscribed[topic]
	return ok
}

// hasOffsets: the group is kept alive by offsets, committed or on their way.
func (g *group) hasOffsets() bool { return len(g.offsets) > 0 || len(g.pendingOffsets) > 0 }

// check finds the member that a request speaks for.
func (g *group) check(memberID string, instanceID *string) (*member, int16) {
	if instanceID != nil {
		switch m := g.static[*instanceID]; {
		case m == nil:
			return nil, codeUnknownMemberID
		case m.id != memberID:
			return nil, codeFencedInstanceID
		}
	}
	if m := g.byID[memberID]; m != nil {
		return m, codeNone
	}
	return nil, codeUnknownMemberID
}

// currentMembers is what the leader gets to assign by.
func (g *group) currentMembers() []kmsg.JoinGroupResponseMember {
	ms := make([]kmsg.JoinGroupResponseMember, 0, len(g.members))
	for _, m := range g.members {
		ms = append(ms, kmsg.JoinGroupResponseMember{
			MemberID: m.id, InstanceID: m.instanceID, ProtocolMetadata: nonNil(m.metadata(g.protocol)),
		})
	}
	return ms
}

// inStates is the case-blind state filter of ListGroups.
func (g *group) inStates(states []string) bool {
	return len(states) == 0 || slices.ContainsFunc(states, func(s string) bool {
		return strings.EqualFold(s, g.state.String())
	})
}
