package api

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
	"weak"

	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Fetch sessions (KIP-227): the broker remembers which partitions a client
// reads and what it was told of them, so that requests and answers name only
// what has changed.

const (
	// noSession is the id of "no session".
	noSession int32 = 0
	// firstEpoch opens a session, finalEpoch stands for requests without one.
	firstEpoch int32 = 0
	finalEpoch int32 = -1

	// sessionIdle is how long a session must be unused, or old, to make way
	// for any other.
	sessionIdle = 2 * time.Minute
	// maxSessionPartitions bounds the partitions of all sessions together.
	maxSessionPartitions = 1 << 20
)

var (
	errSessionUnknown = refuse(kerr.FetchSessionIDNotFound, "no such fetch session")
	errSessionEpoch   = refuse(kerr.InvalidFetchSessionEpoch, "the request is not the next one of its fetch session")
	errSessionTopicID = refuse(kerr.FetchSessionTopicIDError, "the fetch session names topics in the other way")
)

// nextEpoch follows e; 0 is left out, because it opens a session.
func nextEpoch(e int32) int32 {
	if e == math.MaxInt32 {
		return 1
	}
	return e + 1
}

// partitionKey names a partition within a session: by topic id if the session
// uses ids, else by name.
type partitionKey struct {
	topic string
	id    replica.TopicID
	index int32
}

// sessionPartition is what a session remembers of a partition.
type sessionPartition struct {
	key partitionKey
	// want is the client's position as its last request told it.
	want wire.FetchPartition
	// highWatermark and logStartOffset are what the client was told last; the
	// first is -1 after an error, so that the partition is told when it is over.
	highWatermark, logStartOffset int64

	prev, next *sessionPartition // in the order in which they are read
	place      uint64            // grows in that order
	// due says that the next request must look at the partition; else its watch
	// tells when.
	due   bool
	gone  bool // forgotten
	watch replica.Watch
}

// fetchSession is one session.
type fetchSession struct {
	id       int32
	follower bool // followers' sessions outlive consumers'
	usesIDs  bool

	// These belong to the cache, under its mutex.
	created, used time.Time
	size          int // partitions when last used

	mu    sync.Mutex
	epoch int32 // of the next request
	parts map[partitionKey]*sessionPartition
	// order is the ring's anchor. Partitions that gave records go to the end,
	// so that none starves when answers are full.
	order  sessionPartition
	places uint64
	// due are the partitions that are due; some may be gone.
	due      []*sessionPartition
	interest replica.Interest
	closed   bool // nothing may be watched any more
	// looked is when all partitions were due last, and view of what.
	looked time.Time
	view   sessionView
}

// sessionView is what the answer for a partition depends on besides the
// partition. When it is another one, all partitions are due.
type sessionView struct {
	image     weak.Pointer[metadata.Image] // a session that is not used keeps no old image
	isolation int8
}

// lookInterval is how often all partitions of a session are looked at, whether
// or not they have changed: for what no watch tells (a log start moved by
// retention, a right that was taken away). Records are never sent without such a
// look, so that what is told late is told, and nothing more.
const lookInterval = 5 * time.Second

func newFetchSession(follower, usesIDs bool, size int) *fetchSession {
	s := &fetchSession{follower: follower, usesIDs: usesIDs, epoch: nextEpoch(firstEpoch), parts: make(map[partitionKey]*sessionPartition, size)}
	s.order.prev, s.order.next = &s.order, &s.order
	return s
}

// set adds a partition or takes over the client's new position in it. key's
// topic must outlive the session.
func (s *fetchSession) set(key partitionKey, want wire.FetchPartition) *sessionPartition {
	p := s.parts[key]
	if p == nil {
		p = &sessionPartition{key: key, highWatermark: -1, logStartOffset: -1}
		p.watch.Owner = p
		s.parts[key] = p
		s.pushBack(p)
	}
	p.want = want
	p.watch.Rely(false)
	s.makeDue(p)
	return p
}

func (s *fetchSession) makeDue(p *sessionPartition) {
	if !p.due && !p.gone {
		p.due = true
		s.due = append(s.due, p)
	}
}

// takeChanged makes the partitions due that have changed.
func (s *fetchSession) takeChanged() {
	s.interest.Take(func(w *replica.Watch) { s.makeDue(w.Owner.(*sessionPartition)) })
}

// takeDue gives the partitions that a request must look at, in their order.
//
// Followers are looked at whole: each of their requests is also the sign of life
// that keeps them in the ISR of every partition.
func (s *fetchSession) takeDue(view sessionView, now time.Time) []*sessionPartition {
	s.takeChanged()
	if s.follower || view != s.view || now.Sub(s.looked) >= lookInterval {
		s.view, s.looked = view, now
		for p := s.order.next; p != &s.order; p = p.next {
			s.makeDue(p)
		}
	}
	s.due = slices.DeleteFunc(s.due, func(p *sessionPartition) bool { return p.gone })
	slices.SortFunc(s.due, func(a, b *sessionPartition) int { return cmp.Compare(a.place, b.place) })
	return s.due
}

// settle drops the partitions from due that are quiet and watched.
func (s *fetchSession) settle() {
	s.due = slices.DeleteFunc(s.due, func(p *sessionPartition) bool { return !p.due })
}

// close ends all watches.
func (s *fetchSession) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for p := s.order.next; p != &s.order; p = p.next {
		p.watch.Unwatch()
	}
}

func (s *fetchSession) pushBack(p *sessionPartition) {
	s.places++
	p.place = s.places
	last := s.order.prev
	p.prev, p.next = last, &s.order
	last.next, s.order.prev = p, p
}

func (p *sessionPartition) unlink() {
	p.prev.next, p.next.prev = p.next, p.prev
}

// forget removes a partition.
func (s *fetchSession) forget(key partitionKey) {
	if p := s.parts[key]; p != nil {
		p.unlink()
		p.watch.Unwatch()
		p.gone = true
		delete(s.parts, key)
	}
}

// changed reports whether p's answer must be sent, and remembers it as sent.
func (p *sessionPartition) changed(a *wire.FetchResponsePartition, size int) bool {
	must := size > 0 || p.highWatermark != a.HighWatermark || p.logStartOffset != a.LogStartOffset ||
		a.PreferredReplica >= 0 || a.ErrorCode != 0 || a.Diverging.Known
	p.highWatermark, p.logStartOffset = a.HighWatermark, a.LogStartOffset
	if a.ErrorCode != 0 {
		p.highWatermark = -1
	}
	return must
}

// moveBack makes p the last to be read.
func (s *fetchSession) moveBack(p *sessionPartition) {
	p.unlink()
	s.pushBack(p)
}

// sessionCache holds the sessions of a broker. Its mutex is never taken with a
// session's held.
type sessionCache struct {
	slots int

	mu       sync.Mutex
	sessions map[int32]*fetchSession
	parts    int             // partitions of all sessions
	dropped  []*fetchSession // not closed yet
}

func newSessionCache(slots int) *sessionCache {
	return &sessionCache{slots: slots, sessions: make(map[int32]*fetchSession)}
}

// find returns a session.
func (c *sessionCache) find(id int32) (*fetchSession, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.sessions[id]
	return s, ok
}

// add puts s into the cache under a new id, if there is room or can be made.
func (c *sessionCache) add(s *fetchSession, now time.Time) bool {
	defer c.closeDropped()
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(s.parts)
	if len(c.sessions) >= c.slots && !c.evict(s.follower, size, now) {
		return false
	}
	if c.parts+size > maxSessionPartitions {
		return false
	}
	for s.id == noSession || c.sessions[s.id] != nil {
		s.id = rand.Int32N(math.MaxInt32-1) + 1
	}
	s.created, s.used, s.size = now, now, size
	c.sessions[s.id] = s
	c.parts += size
	return true
}

// touch notes that s was used and has size partitions now. It returns false,
// and drops the session, when the cache cannot hold so many.
func (c *sessionCache) touch(s *fetchSession, size int, now time.Time) bool {
	defer c.closeDropped()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.id] != s {
		return true // evicted meanwhile: this request is still served
	}
	if size > s.size && c.parts+size-s.size > maxSessionPartitions {
		c.drop(s)
		return false
	}
	c.parts += size - s.size
	s.size, s.used = size, now
	return true
}

// remove ends a session.
func (c *sessionCache) remove(id int32) {
	defer c.closeDropped()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[id]; s != nil {
		c.drop(s)
	}
}

// drop is called with c.mu held.
func (c *sessionCache) drop(s *fetchSession) {
	c.parts -= s.size
	delete(c.sessions, s.id)
	c.dropped = append(c.dropped, s)
}

// closeDropped closes what was dropped, called without c.mu.
func (c *sessionCache) closeDropped() {
	c.mu.Lock()
	dropped := c.dropped
	c.dropped = nil
	c.mu.Unlock()
	for _, s := range dropped {
		s.close()
	}
}

// evict makes room for a session of size partitions, called with c.mu held: by
// ending one that has been idle, or else the least valuable of those that may
// be ended, if it is worth no more than the new one. Followers are worth more
// than consumers, and large sessions more than small ones.
func (c *sessionCache) evict(follower bool, size int, now time.Time) bool {
	var oldest, least *fetchSession
	for _, s := range c.sessions {
		if oldest == nil || s.used.Before(oldest.used) {
			oldest = s
		}
		aged := now.Sub(s.created) > sessionIdle
		if (aged || follower && !s.follower) && (least == nil || s.lessValuable(least.follower, least.size)) {
			least = s
		}
	}
	switch {
	case oldest == nil:
		return false
	case now.Sub(oldest.used) > sessionIdle:
		c.drop(oldest)
		return true
	case least == nil || !least.lessValuable(follower, size+1):
		return false
	}
	c.drop(least)
	return true
}

// lessValuable compares s with a session of the given kind and size.
func (s *fetchSession) lessValuable(follower bool, size int) bool {
	if s.follower != follower {
		return follower
	}
	return s.size < size
}

// count returns the numbers of sessions and of partitions in them.
func (c *sessionCache) count() (sessions, parts int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.sessions), c.parts
}
