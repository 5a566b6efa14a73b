package group

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/coordinator"
)

// newMemberTimeout covers the wait of a new member in its first rebalance,
// which may take longer than its session timeout.
const newMemberTimeout = 5 * time.Minute

// request is one input of a Shard.
type request interface {
	coordinator.Request
	// apply runs on the shard.
	apply(s *Shard)
}

// Shard is the state machine of the groups in one partition of OffsetsTopic. It
// is pure and implements coordinator.Shard.
//
// Durable are the committed offsets, and of each group what its last record
// says. Offsets move when their records are committed. Membership is volatile
// until the leader's assignment is stored: a rebalance that a fail-over
// interrupts is begun again by the clients.
type Shard struct {
	cfg Config
	// newID makes the unique part of a member id.
	newID  func() string
	groups map[string]*group
	timers coordinator.Timers
	// cleanTimer begins the search for expired offsets.
	cleanTimer coordinator.Timer

	// now and eff are of the call in progress.
	now time.Time
	eff coordinator.Effects
}

var _ coordinator.Shard[request] = (*Shard)(nil)

func newShard(cfg Config, newID func() string) *Shard {
	s := &Shard{cfg: cfg, newID: newID, groups: make(map[string]*group)}
	s.cleanTimer.Fire = func(time.Time) {
		s.expireOffsets()
		s.timers.Set(&s.cleanTimer, s.now.Add(s.cfg.RetentionCheckInterval))
	}
	return s
}

// step runs one input and what it makes due, and returns the effects.
func (s *Shard) step(now time.Time, f func()) coordinator.Effects {
	s.now, s.eff = now, coordinator.Effects{}
	f()
	s.timers.Run(now)
	return s.eff
}

// Handle implements coordinator.Shard.
func (s *Shard) Handle(r request, now time.Time) coordinator.Effects {
	return s.step(now, func() { r.apply(s) })
}

// Deadline implements coordinator.Shard.
func (s *Shard) Deadline() time.Time { return s.timers.Next() }

// Tick implements coordinator.Shard.
func (s *Shard) Tick(now time.Time) coordinator.Effects { return s.step(now, func() {}) }

// write asks for records to be appended; done runs as a step of its own.
func (s *Shard) write(records []coordinator.Record, done func(err error), overdue func()) {
	w := coordinator.Write{Records: records}
	w.Done = func(err error, now time.Time) coordinator.Effects {
		return s.step(now, func() { done(err) })
	}
	if overdue != nil {
		w.Overdue = func(now time.Time) coordinator.Effects { return s.step(now, overdue) }
	}
	s.eff.Writes = append(s.eff.Writes, w)
}

// create makes an empty group.
func (s *Shard) create(id string) *group {
	g := newGroup(id, s.now)
	g.joinTimer.Fire = func(time.Time) { s.joinTimeout(g) }
	g.syncTimer.Fire = func(time.Time) { s.syncTimeout(g) }
	s.groups[id] = g
	return g
}

// drop forgets a dead group.
func (s *Shard) drop(g *group) {
	s.stopTimers(g)
	if s.groups[g.id] == g {
		delete(s.groups, g.id)
	}
}

// sorted lists the groups by name: what a shard does to several groups has a
// fixed order.
func (s *Shard) sorted() []*group {
	gs := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		gs = append(gs, g)
	}
	slices.SortFunc(gs, func(a, b *group) int { return strings.Compare(a.id, b.id) })
	return gs
}

func (s *Shard) stopTimers(g *group) {
	s.timers.Stop(&g.joinTimer)
	s.timers.Stop(&g.syncTimer)
	for _, m := range g.members {
		s.timers.Stop(&m.session)
	}
	for _, t := range g.pending {
		s.timers.Stop(t)
	}
}

// Replay implements coordinator.Shard.
func (s *Shard) Replay(_ int64, rec coordinator.Record) error {
	e, err := decode(rec)
	if err != nil {
		return err
	}
	g := s.groups[e.group]
	if g == nil {
		s.now = time.Time{}
		g = s.create(e.group)
	}
	switch {
	case e.isOffset && e.offset == nil:
		delete(g.offsets, e.tp)
	case e.isOffset:
		g.offsets[e.tp] = e.offset
	default:
		s.restore(g, &e)
	}
	return nil
}

// restore replaces what g is apart from its offsets by a group record, or by
// nothing for a tombstone.
func (s *Shard) restore(g *group, e *entry) {
	fresh := s.create(g.id)
	fresh.offsets = g.offsets
	if e.meta == nil {
		return
	}
	v := e.meta
	fresh.stored = true
	fresh.generation = v.Generation
	fresh.protocolType, fresh.hasType = v.ProtocolType, v.ProtocolType != ""
	if v.CurrentStateTimestamp >= 0 {
		fresh.stateSince = time.UnixMilli(v.CurrentStateTimestamp)
	}
	if v.Protocol != nil {
		fresh.protocol, fresh.hasProtocol = *v.Protocol, true
	}
	for i := range v.Members {
		m := restoreMember(&v.Members[i], fresh.protocol, v.Version)
		if fresh.byID[m.id] == nil && (m.instanceID == nil || fresh.static[*m.instanceID] == nil) {
			fresh.add(m, fresh.protocolType)
			s.arm(fresh, m)
		}
	}
	if len(fresh.members) > 0 {
		fresh.state = stateStable
		if v.Leader != nil && fresh.byID[*v.Leader] != nil {
			fresh.leader = *v.Leader
		}
	}
	fresh.computeSubscribed()
}

// Loaded implements coordinator.Shard.
func (s *Shard) Loaded(now time.Time) coordinator.Effects {
	return s.step(now, func() {
		for _, g := range s.sorted() {
			if !g.stored && len(g.offsets) == 0 {
				delete(s.groups, g.id)
				continue
			}
			if !g.stored {
				g.stateSince = now
			}
			if len(g.members) > s.cfg.MaxSize {
				s.prepareRebalance(g)
			}
			for _, m := range g.members {
				s.heartbeat(m)
			}
		}
		s.timers.Set(&s.cleanTimer, now.Add(s.cfg.RetentionCheckInterval))
	})
}

// Unload implements coordinator.Shard.
func (s *Shard) Unload(error) coordinator.Effects {
	s.eff = coordinator.Effects{}
	for _, g := range s.sorted() {
		for _, m := range g.members {
			s.answerJoin(g, m, joinFailure(m.id, codeNotCoordinator))
			s.answerSync(m, codeNotCoordinator)
		}
		s.stopTimers(g)
		g.become(stateDead, s.now)
	}
	s.groups = nil
	return s.eff
}

// arm prepares the failure detector of a member.
func (s *Shard) arm(g *group, m *member) {
	m.session.Fire = func(time.Time) { s.sessionTimeout(g, m) }
}

// heartbeat gives the member a whole session timeout from now on.
func (s *Shard) heartbeat(m *member) {
	s.timers.Set(&m.session, s.now.Add(m.sessionTimeout))
}

func restoreMember(v *kmsg.GroupMetadataValueMember, protocol string, version int16) *member {
	m := &member{
		id: v.MemberID, instanceID: v.InstanceID, client: Client{ID: v.ClientID, Host: v.ClientHost},
		rebalanceTimeout: millis(v.RebalanceTimeoutMillis), sessionTimeout: millis(v.SessionTimeoutMillis),
		protocols:  []kmsg.JoinGroupRequestProtocol{{Name: protocol, Metadata: v.Subscription}},
		assignment: v.Assignment,
	}
	if version == 0 { // had one timeout for both
		m.rebalanceTimeout = m.sessionTimeout
	}
	return m
}
