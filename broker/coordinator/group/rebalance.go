package group

import (
	"slices"

	"github.com/leatstream/leat/broker/coordinator"
)

// maybeRebalance starts a rebalance unless one is gathering members already.
func (s *Shard) maybeRebalance(g *group) {
	if g.state == stateEmpty || g.state == stateCompletingRebalance || g.state == stateStable {
		s.prepareRebalance(g)
	}
}

// prepareRebalance begins to gather the members. The first rebalance of an empty
// group waits a little for more of them to come; others wait for those that are
// known, at most as long as the slowest asks for.
func (s *Shard) prepareRebalance(g *group) {
	if g.state == stateCompletingRebalance {
		s.failSyncs(g, codeRebalanceInProgress)
	}
	s.endPendingSync(g)
	g.initial = g.state == stateEmpty
	wait := g.rebalanceTimeout()
	if g.initial {
		g.initialLeft = max(wait-s.cfg.InitialRebalanceDelay, 0)
		wait = s.cfg.InitialRebalanceDelay
	}
	g.become(statePreparingRebalance, s.now)
	s.timers.Set(&g.joinTimer, s.now.Add(wait))
	s.tryCompleteJoin(g)
}

// tryCompleteJoin ends the gathering once everybody is there.
func (s *Shard) tryCompleteJoin(g *group) {
	if !g.initial && g.allJoined() {
		s.completeJoin(g)
	}
}

// joinTimeout is the end of the wait for members.
func (s *Shard) joinTimeout(g *group) {
	if g.state != statePreparingRebalance {
		return
	}
	if g.initial && g.newMemberAdded && g.initialLeft > 0 {
		g.newMemberAdded = false
		wait := min(s.cfg.InitialRebalanceDelay, g.initialLeft)
		g.initialLeft -= wait
		s.timers.Set(&g.joinTimer, s.now.Add(wait))
		return
	}
	s.completeJoin(g)
}

// completeJoin forms the next generation of those who have joined. Static
// members who have not stay: they are expected back.
func (s *Shard) completeJoin(g *group) {
	s.timers.Stop(&g.joinTimer)
	g.initial, g.newMemberAdded = false, false
	for _, m := range slices.Clone(g.members) {
		if m.join == nil && m.instanceID == nil {
			s.expel(g, m)
		}
	}
	if len(g.members) > 0 && !g.electJoined() {
		s.timers.Set(&g.joinTimer, s.now.Add(g.rebalanceTimeout()))
		return
	}
	g.nextGeneration(s.now)
	if g.state == stateEmpty {
		s.storeEmpty(g)
		return
	}
	for _, m := range g.members {
		s.answerJoin(g, m, g.joined(m))
		s.heartbeat(m)
		m.isNew = false
		g.pendingSync[m.id] = struct{}{}
	}
	s.timers.Set(&g.syncTimer, s.now.Add(g.rebalanceTimeout()))
}

// storeEmpty records that a group has no members any more. If that fails, a
// reload brings back the last members, whose sessions then time out.
func (s *Shard) storeEmpty(g *group) {
	g.stored = true
	s.write([]coordinator.Record{groupRecord(g, nil)}, func(error) {}, nil)
}

// expel removes a member without starting a rebalance; a parked request of its
// is answered.
func (s *Shard) expel(g *group, m *member) {
	s.answerJoin(g, m, joinFailure("", codeUnknownMemberID))
	s.answerSync(m, codeUnknownMemberID)
	s.timers.Stop(&m.session)
	g.remove(m)
}

// removeMember removes a member and lets the group get over it.
func (s *Shard) removeMember(g *group, m *member) {
	s.expel(g, m)
	switch g.state {
	case stateStable, stateCompletingRebalance:
		s.prepareRebalance(g)
	case statePreparingRebalance:
		s.tryCompleteJoin(g)
	}
}

// removePending forgets a handed-out member id.
func (s *Shard) removePending(g *group, id string) {
	if t := g.pending[id]; t != nil {
		s.timers.Stop(t)
		delete(g.pending, id)
	}
}

// pendingTimeout: nobody came with a handed-out member id.
func (s *Shard) pendingTimeout(g *group, id string) {
	s.removePending(g, id)
	if g.state == statePreparingRebalance {
		s.tryCompleteJoin(g)
	}
}

// sessionTimeout: a member has been silent for too long. One that waits for an
// answer cannot speak and is not to blame, unless it is new and its client may
// be long gone.
func (s *Shard) sessionTimeout(g *group, m *member) {
	if g.state == stateDead || g.byID[m.id] != m {
		return
	}
	if !m.isNew && (m.join != nil || m.sync != nil) {
		return
	}
	s.removeMember(g, m)
}

// syncTimeout removes the members that took their place in the generation and
// then never asked for their assignment.
func (s *Shard) syncTimeout(g *group) {
	if g.state != stateCompletingRebalance && g.state != stateStable || len(g.pendingSync) == 0 {
		return
	}
	for _, m := range slices.Clone(g.members) {
		if _, ok := g.pendingSync[m.id]; ok {
			s.expel(g, m)
		}
	}
	s.prepareRebalance(g)
}

// synced notes that a member has asked for its assignment.
func (s *Shard) synced(g *group, m *member) {
	delete(g.pendingSync, m.id)
	if len(g.pendingSync) == 0 {
		s.timers.Stop(&g.syncTimer)
	}
}

func (s *Shard) endPendingSync(g *group) {
	clear(g.pendingSync)
	s.timers.Stop(&g.syncTimer)
}
