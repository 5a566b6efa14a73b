package controller

import (
	"maps"
	"slices"
	"sync"
)

// configNotes gathers the topics whose configuration has changed until the term
// under way looks at them. An empty name stands for all topics.
type configNotes struct {
	mu    sync.Mutex
	names map[string]struct{}
	wake  chan struct{} // one token: there are names
}

func newConfigNotes() *configNotes {
	return &configNotes{names: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

func (n *configNotes) add(topic string) {
	n.mu.Lock()
	n.names[topic] = struct{}{}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

func (n *configNotes) take() map[string]struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	names := n.names
	n.names = map[string]struct{}{}
	return names
}

// configsChanged reads again the topics in which unclean elections were allowed
// or forbidden, so that a partition without a leader may get one now. No other
// key matters to a controller.
func (s *shift) configsChanged() {
	names := s.notes.take()
	if _, all := names[""]; all {
		names = maps.Clone(names)
		for name := range s.core.topics {
			names[name] = struct{}{}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		t := s.core.topics[name]
		if t != nil && t.unclean != s.cfg.Configs.Topic(name).UncleanLeaderElection {
			s.carryOut(Load{Topic: name})
		}
	}
}
