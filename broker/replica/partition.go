package replica

import (
	"fmt"
	"slices"
	"time"
)

// Role is what this broker is to a partition.
type Role uint8

const (
	// RoleNone: no leader is known, or the partition is offline here.
	RoleNone Role = iota
	// RoleLeader: this broker takes appends and answers fetches.
	RoleLeader
	// RoleFollower: this broker copies the leader.
	RoleFollower
)

func (r Role) String() string {
	switch r {
	case RoleLeader:
		return "leader"
	case RoleFollower:
		return "follower"
	default:
		return "none"
	}
}

// State is what the controller says about a partition.
type State struct {
	Leader      int32
	LeaderEpoch int32
	// PartitionEpoch counts the changes of leader and ISR; it is the version of
	// the partition's state node.
	PartitionEpoch int32
	ISR            []int32
	Replicas       []int32
}

// ISRProposal asks the controller to change the ISR. It is valid against
// PartitionEpoch only: a state written since makes it fail.
type ISRProposal struct {
	LeaderEpoch    int32
	PartitionEpoch int32
	ISR            []int32
}

// ISROutcome is what became of a proposal.
type ISROutcome uint8

const (
	// ISRAccepted: the state was written; the answer carries it.
	ISRAccepted ISROutcome = iota
	// ISRRejected: the state was certainly not written.
	ISRRejected
	// ISRFenced: this leader or its partition epoch is out of date; a new state
	// is on its way, and whether the proposal was written is unknown.
	ISRFenced
	// ISRUnknown: no answer came; the proposal may have been written.
	ISRUnknown
)

// ISRAnswer is the controller's answer to a proposal.
type ISRAnswer struct {
	Outcome ISROutcome
	// LeaderEpoch and ProposedAt name the proposal: its LeaderEpoch and
	// PartitionEpoch.
	LeaderEpoch int32
	ProposedAt  int32
	// PartitionEpoch and ISR are the new state, with ISRAccepted.
	PartitionEpoch int32
	ISR            []int32
}

// Effects is what an input to a Partition asks of its owner.
type Effects struct {
	// HighWatermarkMoved: waiting readers and writers may go on.
	HighWatermarkMoved bool
	// Propose, if not nil, is to be sent to the controller.
	Propose *ISRProposal
}

// Partition is the replication state machine of one partition on one broker. It
// is pure: inputs and the time go in, effects come out. The owner calls it from
// one goroutine at a time.
//
// The maximal ISR is the committed ISR together with the members of a proposal
// in flight. Whether the proposal was written is not known until the answer
// comes, so the leader must neither count a leaving member out nor let the high
// watermark pass a joining one.
type Partition struct {
	self int32
	// lagMax is how long a follower may stay behind the log end.
	lagMax time.Duration

	role           Role
	leader         int32 // -1 when none
	leaderEpoch    int32 // -1 before the first state
	partitionEpoch int32 // -1 before the first state

	replicas []int32
	// isr is the committed ISR as far as this broker knows it.
	isr []int32
	// proposed is the ISR of the proposal in flight, nil when there is none.
	// proposed and isr differ by exactly one change.
	proposed []int32
	// fenced: a proposal failed because newer state exists; nothing more is
	// proposed until it arrives.
	fenced bool
	// resend: the last proposal got no answer, Tick sends it again.
	resend bool

	// logEnd is the offset after the last record of the local log.
	logEnd int64
	// counted is the offset below which the local log counts for the high
	// watermark: its end, or less where what is not synced must not count.
	// counted <= logEnd.
	counted int64
	// hw is the high watermark: records below it are on every member of the
	// maximal ISR. hw <= counted for a leader, hw <= logEnd for all. Monotone
	// within a leader epoch.
	hw int64
	// epochStart is the local log end when this broker became leader, the first
	// offset of the epoch. Leader only.
	epochStart int64

	// followers holds the remote replicas; leader only.
	followers []follower

	rules rules
}

// follower is what the leader knows of one remote replica.
type follower struct {
	id int32
	// logEnd is the offset of its last fetch: everything below is in its log,
	// and agrees with the leader's. -1 before its first fetch in this epoch.
	logEnd int64
	// logStart is its log start offset, -1 when unknown.
	logStart int64
	// caughtUp is the last time at which it had everything the leader had.
	caughtUp time.Time
	// lastFetch and lastFetchEnd are the time of its last fetch and the
	// leader's log end then: a fetch at lastFetchEnd or above proves that it
	// was caught up at lastFetch.
	lastFetch    time.Time
	lastFetchEnd int64
}

// rules switches single protocol rules off. It is zero except in tests, which
// break a rule to prove that the simulation's checks would notice.
type rules struct {
	// joinAtHighWatermark lets a follower into the ISR below the epoch start.
	joinAtHighWatermark bool
	// committedISROnly computes the high watermark without proposed members.
	committedISROnly bool
}

// NewPartition returns the state machine of a partition on broker self whose log
// ends at logEnd, with the high watermark of the last checkpoint.
func NewPartition(self int32, lagMax time.Duration, logEnd, checkpointed int64) *Partition {
	return &Partition{
		self: self, lagMax: lagMax,
		leader: -1, leaderEpoch: -1, partitionEpoch: -1,
		logEnd: logEnd, counted: logEnd, hw: min(max(checkpointed, 0), logEnd),
	}
}

// Role, Leader, LeaderEpoch and PartitionEpoch describe the current state.
func (p *Partition) Role() Role            { return p.role }
func (p *Partition) Leader() int32         { return p.leader }
func (p *Partition) LeaderEpoch() int32    { return p.leaderEpoch }
func (p *Partition) PartitionEpoch() int32 { return p.partitionEpoch }

// HighWatermark is the offset below which records are replicated.
func (p *Partition) HighWatermark() int64 { return p.hw }

// EpochStart is the first offset of the leader's epoch.
func (p *Partition) EpochStart() int64 { return p.epochStart }

// ISR is the committed ISR; the caller must not change it.
func (p *Partition) ISR() []int32 { return p.isr }

// Replicas is the assignment; the caller must not change it.
func (p *Partition) Replicas() []int32 { return p.replicas }

// CheckState says whether st may be applied: ErrFencedEpoch when it is older than
// what is known. A state equal to the known one is applied again, harmlessly.
func (p *Partition) CheckState(st State) error {
	if st.LeaderEpoch < p.leaderEpoch ||
		st.LeaderEpoch == p.leaderEpoch && st.PartitionEpoch < p.partitionEpoch {
		return ErrFencedEpoch
	}
	return nil
}

// BecomeLeader applies a state that names this broker leader. It returns true
// when a new epoch begins: the owner must then record (epoch, log end) in the
// log's epoch cache before any append.
func (p *Partition) BecomeLeader(st State, now time.Time) (newEpoch bool, eff Effects) {
	if st.Leader != p.self {
		panic(fmt.Sprintf("replica: broker %d made leader by a state that names %d", p.self, st.Leader))
	}
	newEpoch = p.role != RoleLeader || st.LeaderEpoch != p.leaderEpoch
	p.setState(st)
	p.role = RoleLeader
	if newEpoch {
		p.epochStart = p.logEnd
		p.followers = p.followers[:0]
	}
	p.syncFollowers(now)
	eff.HighWatermarkMoved = p.advance()
	return newEpoch, eff
}

// BecomeFollower applies a state that names another leader, or none (-1).
func (p *Partition) BecomeFollower(st State, _ time.Time) {
	if st.Leader == p.self {
		panic(fmt.Sprintf("replica: broker %d made follower of itself", p.self))
	}
	p.setState(st)
	p.role = RoleFollower
	p.followers = nil
	p.epochStart = 0
}

// Stop forgets the role: the partition is offline here.
func (p *Partition) Stop() {
	p.role, p.leader = RoleNone, -1
	p.followers, p.proposed = nil, nil
}

func (p *Partition) setState(st State) {
	p.leader, p.leaderEpoch, p.partitionEpoch = st.Leader, st.LeaderEpoch, st.PartitionEpoch
	p.isr, p.replicas = slices.Clone(st.ISR), slices.Clone(st.Replicas)
	p.proposed, p.fenced, p.resend = nil, false, false
}

// syncFollowers makes followers match the assignment. A member of the ISR counts
// as caught up now: it gets the full lag time to show up.
func (p *Partition) syncFollowers(now time.Time) {
	p.followers = slices.DeleteFunc(p.followers, func(f follower) bool {
		return !slices.Contains(p.replicas, f.id)
	})
	for _, id := range p.replicas {
		if id == p.self || p.follower(id) != nil {
			continue
		}
		f := follower{id: id, logEnd: -1, logStart: -1}
		if slices.Contains(p.isr, id) {
			f.caughtUp = now
		}
		p.followers = append(p.followers, f)
	}
}

func (p *Partition) follower(id int32) *follower {
	for i := range p.followers {
		if p.followers[i].id == id {
			return &p.followers[i]
		}
	}
	return nil
}

// Appended tells that the local log now ends at logEnd.
func (p *Partition) Appended(logEnd int64) Effects {
	p.logEnd = logEnd
	return p.count(logEnd)
}

// AppendedUnsynced tells that the local log now ends at logEnd, but that what is
// new counts for the high watermark only once Synced has said so.
func (p *Partition) AppendedUnsynced(logEnd int64) { p.logEnd = logEnd }

// Synced tells that everything of the local log below offset may be counted.
func (p *Partition) Synced(offset int64) Effects {
	if offset = min(offset, p.logEnd); offset <= p.counted {
		return Effects{}
	}
	return p.count(offset)
}

func (p *Partition) count(offset int64) Effects {
	p.counted = offset
	if p.role != RoleLeader {
		return Effects{}
	}
	return Effects{HighWatermarkMoved: p.advance()}
}

// Truncated tells that the local log was cut back to logEnd; a follower's input.
// It is the only input that moves the high watermark back.
func (p *Partition) Truncated(logEnd int64) {
	if p.role == RoleLeader {
		panic("replica: a leader never truncates its log")
	}
	p.logEnd, p.counted = logEnd, min(p.counted, logEnd)
	p.hw = min(p.hw, logEnd)
}

// Fetched tells the leader that follower id has everything below offset, at now,
// in agreement with the leader's log (the caller has checked for divergence:
// a follower that still has to truncate proves nothing by its offset).
// logStart is the follower's log start offset.
func (p *Partition) Fetched(id int32, offset, logStart int64, now time.Time) (Effects, error) {
	if p.role != RoleLeader {
		return Effects{}, ErrNotLeader
	}
	f := p.follower(id)
	if f == nil {
		return Effects{}, ErrUnknownReplica
	}
	f.observe(offset, logStart, p.logEnd, now)
	eff := Effects{HighWatermarkMoved: p.advance()}
	eff.Propose = p.maybeExpand(f)
	return eff, nil
}

func (f *follower) observe(offset, logStart, leaderEnd int64, now time.Time) {
	switch {
	case offset >= leaderEnd:
		f.caughtUp = now
	case offset >= f.lastFetchEnd && f.lastFetch.After(f.caughtUp):
		f.caughtUp = f.lastFetch
	}
	f.logEnd, f.logStart = offset, logStart
	f.lastFetch, f.lastFetchEnd = now, leaderEnd
}

// maybeExpand proposes f for the ISR once it has everything that may be
// committed: up to the high watermark, and up to the start of this epoch, since
// records below it may have been committed by an earlier leader without this one
// knowing.
func (p *Partition) maybeExpand(f *follower) *ISRProposal {
	if p.proposed != nil || p.fenced || slices.Contains(p.isr, f.id) || f.logEnd < p.joinOffset() {
		return nil
	}
	return p.propose(append(slices.Clone(p.isr), f.id))
}

func (p *Partition) joinOffset() int64 {
	if p.rules.joinAtHighWatermark {
		return p.hw
	}
	return max(p.hw, p.epochStart)
}

// propose starts a change of the ISR to isr.
func (p *Partition) propose(isr []int32) *ISRProposal {
	p.proposed, p.resend = isr, false
	return &ISRProposal{LeaderEpoch: p.leaderEpoch, PartitionEpoch: p.partitionEpoch, ISR: slices.Clone(isr)}
}

// Tick removes followers that have lagged too long and repeats a proposal that
// got no answer. Leader only.
func (p *Partition) Tick(now time.Time) Effects {
	if p.role != RoleLeader || p.fenced {
		return Effects{}
	}
	if p.resend {
		return Effects{Propose: p.propose(p.proposed)}
	}
	if p.proposed != nil {
		return Effects{}
	}
	kept := slices.DeleteFunc(slices.Clone(p.isr), func(id int32) bool { return p.lags(id, now) })
	if len(kept) == len(p.isr) {
		return Effects{}
	}
	return Effects{Propose: p.propose(kept)}
}

func (p *Partition) lags(id int32, now time.Time) bool {
	if id == p.self {
		return false
	}
	f := p.follower(id)
	return f == nil || f.logEnd != p.logEnd && now.Sub(f.caughtUp) > p.lagMax
}

// ISRAnswered gives the answer to a proposal. An answer to an older proposal is
// ignored.
func (p *Partition) ISRAnswered(a ISRAnswer) Effects {
	if p.role != RoleLeader || p.proposed == nil ||
		a.LeaderEpoch != p.leaderEpoch || a.ProposedAt != p.partitionEpoch {
		return Effects{}
	}
	switch a.Outcome {
	case ISRAccepted:
		p.isr, p.partitionEpoch = slices.Clone(a.ISR), a.PartitionEpoch
		p.proposed, p.resend = nil, false
	case ISRRejected:
		p.proposed, p.resend = nil, false
	case ISRFenced:
		p.fenced = true // the maximal ISR stays in force until the new state comes
	case ISRUnknown:
		p.resend = true
	}
	return Effects{HighWatermarkMoved: p.advance()}
}

// FollowedTo tells a follower that its log ends at logEnd after an append of
// fetched records, and where the leader's high watermark is.
func (p *Partition) FollowedTo(logEnd, leaderHW int64) Effects {
	if p.role != RoleFollower {
		return Effects{}
	}
	p.logEnd, p.counted = logEnd, logEnd
	hw := min(leaderHW, logEnd)
	if hw <= p.hw {
		return Effects{}
	}
	p.hw = hw
	return Effects{HighWatermarkMoved: true}
}

// advance moves the leader's high watermark up to the smallest log end of the
// maximal ISR, its own as far as it counts.
func (p *Partition) advance() bool {
	hw := p.counted
	for i := range p.followers {
		f := &p.followers[i]
		if p.inMaximalISR(f.id) {
			hw = min(hw, f.logEnd)
		}
	}
	if hw <= p.hw {
		return false
	}
	p.hw = hw
	return true
}

func (p *Partition) inMaximalISR(id int32) bool {
	if slices.Contains(p.isr, id) {
		return true
	}
	return !p.rules.committedISROnly && slices.Contains(p.proposed, id)
}

// InSync is the number of replicas that an acknowledged record is certain to be
// on: the smaller of the ISR and the one in flight.
func (p *Partition) InSync() int {
	if p.proposed != nil {
		return min(len(p.isr), len(p.proposed))
	}
	return len(p.isr)
}

// LowWatermark is the smallest log start offset among live replicas: records
// below it are deleted everywhere. local is the leader's own.
func (p *Partition) LowWatermark(local int64) int64 {
	low := local
	for i := range p.followers {
		if slices.Contains(p.isr, p.followers[i].id) {
			low = min(low, p.followers[i].logStart)
		}
	}
	return low
}

// CheckEpoch compares a request's leader epoch, -1 for none, with the current
// one.
func (p *Partition) CheckEpoch(epoch int32) error {
	switch {
	case epoch < 0 || epoch == p.leaderEpoch:
		return nil
	case epoch < p.leaderEpoch:
		return ErrFencedEpoch
	default:
		return ErrUnknownEpoch
	}
}
