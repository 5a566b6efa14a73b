package api

import (
	"testing"
	"time"
	"weak"

	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/wire"
)

// testSession makes a session of size partitions.
func testSession(follower bool, size int) *fetchSession {
	s := newFetchSession(follower, false, size)
	for i := range size {
		s.set(partitionKey{topic: "t", index: int32(i)}, wire.FetchPartition{})
	}
	return s
}

// TestSessionEviction: a full cache ends a session only for one that is worth
// more.
func TestSessionEviction(t *testing.T) {
	start := time.Unix(1000, 0)
	minute := func(n int) time.Time { return start.Add(time.Duration(n) * time.Minute) }
	for _, c := range []struct {
		name     string
		old      *fetchSession
		used     time.Time
		new      *fetchSession
		now      time.Time
		accepted bool
	}{
		{"young consumer against consumer", testSession(false, 1), minute(1), testSession(false, 9), minute(1), false},
		{"young consumer against follower", testSession(false, 9), minute(1), testSession(true, 1), minute(1), true},
		{"young follower against follower", testSession(true, 1), minute(1), testSession(true, 9), minute(1), false},
		{"old, in use, small", testSession(false, 1), minute(9), testSession(false, 2), minute(10), true},
		{"old, in use, as large", testSession(false, 2), minute(9), testSession(false, 2), minute(10), true},
		{"old, in use, larger", testSession(false, 3), minute(9), testSession(false, 2), minute(10), false},
		{"old follower in use against consumer", testSession(true, 1), minute(9), testSession(false, 5), minute(10), false},
		{"idle", testSession(true, 9), minute(1), testSession(false, 1), minute(4), true},
	} {
		cache := newSessionCache(1)
		if !cache.add(c.old, start) || !cache.touch(c.old, len(c.old.parts), c.used) {
			t.Fatal("the empty cache refuses a session")
		}
		if got := cache.add(c.new, c.now); got != c.accepted {
			t.Errorf("%s: accepted %v, want %v", c.name, got, c.accepted)
		}
		if n, parts := cache.count(); n != 1 || parts != len(c.old.parts) && !c.accepted || parts != len(c.new.parts) && c.accepted {
			t.Errorf("%s: %d sessions with %d partitions", c.name, n, parts)
		}
		if _, ok := cache.find(c.old.id); ok == c.accepted {
			t.Errorf("%s: the old session is there: %v", c.name, ok)
		}
	}
}

// TestSessionBound: all sessions together hold a bounded number of partitions.
func TestSessionBound(t *testing.T) {
	cache := newSessionCache(10)
	now := time.Unix(1000, 0)
	s := testSession(false, 5)
	if !cache.add(s, now) {
		t.Fatal("session refused")
	}
	if !cache.touch(s, maxSessionPartitions, now) {
		t.Error("the session cannot grow to the bound")
	}
	if cache.add(testSession(false, 1), now) {
		t.Error("a session beyond the bound was accepted")
	}
	if cache.touch(s, maxSessionPartitions+1, now) {
		t.Error("the session can grow beyond the bound")
	}
	if n, parts := cache.count(); n != 0 || parts != 0 {
		t.Errorf("%d sessions with %d partitions are left", n, parts)
	}
	if newSessionCache(0).add(testSession(false, 1), now) {
		t.Error("a cache without slots took a session")
	}
}

func TestNextEpoch(t *testing.T) {
	if nextEpoch(1) != 2 || nextEpoch(1<<31-1) != 1 {
		t.Error("epochs do not follow one another")
	}
}

// TestSessionLooksAtAll: partitions that rest with their watch are looked at when
// something changes that no watch tells: the cluster's image, the isolation, or,
// for anything else, after a while. Followers' sessions never rest.
func TestSessionLooksAtAll(t *testing.T) {
	now := time.Unix(1000, 0)
	image := sessionView{image: weak.Make(new(metadata.Image))}
	rest := func(s *fetchSession) {
		for _, p := range s.due {
			p.due = false
		}
		s.settle()
	}
	s := testSession(false, 3)
	for _, step := range []struct {
		name string
		view sessionView
		now  time.Time
		due  int
	}{
		{"first look", image, now, 3},
		{"nothing new", image, now.Add(lookInterval - 1), 0},
		{"after a while", image, now.Add(lookInterval), 3},
		{"then not again", image, now.Add(lookInterval + 1), 0},
		{"another image", sessionView{image: weak.Make(new(metadata.Image))}, now.Add(lookInterval + 1), 3},
		{"another isolation", sessionView{image: image.image, isolation: 1}, now.Add(lookInterval + 1), 3},
	} {
		if got := len(s.takeDue(step.view, step.now)); got != step.due {
			t.Errorf("%s: %d partitions are due, want %d", step.name, got, step.due)
		}
		rest(s)
	}
	s.set(partitionKey{topic: "t", index: 1}, wire.FetchPartition{FetchOffset: 7})
	s.set(partitionKey{topic: "t", index: 2}, wire.FetchPartition{})
	s.forget(partitionKey{topic: "t", index: 2})
	if due := s.takeDue(sessionView{image: image.image, isolation: 1}, now.Add(lookInterval+1)); len(due) != 1 || due[0].want.FetchOffset != 7 {
		t.Errorf("after the client has moved one partition and forgotten another: %v", due)
	}
	f := testSession(true, 3)
	for range 2 {
		if got := len(f.takeDue(image, now)); got != 3 {
			t.Errorf("%d partitions of a follower are due", got)
		}
		rest(f)
	}
}

// TestSessionCloses: a session that leaves the cache, for whatever reason, rests
// no more.
func TestSessionCloses(t *testing.T) {
	now := time.Unix(1000, 0)
	cache := newSessionCache(1)
	ended := testSession(false, 1)
	cache.add(ended, now)
	cache.remove(ended.id)
	evicted := testSession(false, 1)
	cache.add(evicted, now)
	large := testSession(true, 1)
	cache.add(large, now)
	cache.touch(large, maxSessionPartitions+1, now)
	for name, s := range map[string]*fetchSession{"ended": ended, "evicted": evicted, "too large": large} {
		if !s.closed {
			t.Errorf("the session that was %s is not closed", name)
		}
	}
}
