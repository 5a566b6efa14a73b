package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
)

// reader reads the tree for the controller. Its methods belong to one goroutine.
type reader struct {
	ctx     context.Context
	tree    coordination.Tree
	configs *metadata.Configs
	logger  *slog.Logger
	watched map[string]bool // paths with a watch set
	// await is given each watch that is set; nil: none is set.
	await func(path string, watch <-chan coordination.Event)
}

// loadAll reads what a term begins with, and sets all watches. The brokers' own
// watches come first: what changes while the rest is read fires one.
func (r *reader) loadAll(won term) (*Elected, error) {
	elected := &Elected{Epoch: won.epoch, EpochVersion: won.epochVersion}
	var err error
	if elected.Brokers, err = r.brokers(); err != nil {
		return nil, err
	}
	if _, err = r.children(coordination.ISRChangePath); err != nil {
		return nil, err
	}
	if elected.Deletions, err = r.children(coordination.DeleteTopicsPath); err != nil {
		return nil, err
	}
	names, err := r.children(coordination.TopicsPath)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t, err := r.loadTopic(name)
		if err != nil {
			return nil, err
		}
		if t != nil && t.Exists {
			elected.Topics = append(elected.Topics, *t)
		}
	}
	return elected, nil
}

// changed reacts to a watch: it reads what changed, with a new watch, and tells
// the core.
func (s *shift) changed(path string) error {
	switch path {
	case coordination.BrokerIDsPath:
		return s.brokersChanged()
	case coordination.TopicsPath:
		return s.topicsChanged()
	case coordination.DeleteTopicsPath:
		// Topics first: a topic made and marked in quick succession must be known
		// before its mark is looked at.
		if err := s.topicsChanged(); err != nil {
			return err
		}
		names, err := s.children(path)
		if err != nil {
			return err
		}
		s.step(DeletionsListed{Names: names})
		return nil
	case coordination.ISRChangePath:
		return s.isrChanged()
	}
	if name, ok := strings.CutPrefix(path, coordination.TopicsPath+"/"); ok {
		return s.loadInto(name)
	}
	if strings.HasPrefix(path, coordination.BrokerIDsPath+"/") {
		return s.brokersChanged()
	}
	return nil
}

// children lists a node's children and keeps one watch on them. A node that is
// not there has none, and is made so that it can be watched.
func (r *reader) children(path string) ([]string, error) {
	if r.await == nil || r.watched[path] {
		names, _, err := r.tree.Children(r.ctx, path)
		return names, err
	}
	names, _, watch, err := r.tree.ChildrenW(r.ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		if err := ensure(r.ctx, r.tree, path); err != nil {
			return nil, err
		}
		names, _, watch, err = r.tree.ChildrenW(r.ctx, path)
	}
	if err != nil {
		return nil, err
	}
	r.watched[path] = true
	r.await(path, watch)
	return names, nil
}

// get reads a node and keeps one watch on it.
func (r *reader) get(path string) ([]byte, coordination.Stat, error) {
	if r.await == nil || r.watched[path] {
		return r.tree.Get(r.ctx, path)
	}
	data, stat, watch, err := r.tree.GetW(r.ctx, path)
	if err == nil {
		r.watched[path] = true
		r.await(path, watch)
	}
	return data, stat, err
}

func (s *shift) brokersChanged() error {
	brokers, err := s.brokers()
	if err != nil {
		return err
	}
	s.step(BrokersListed{Brokers: brokers})
	return nil
}

// brokers reads the registrations of all live brokers.
func (r *reader) brokers() ([]Broker, error) {
	names, err := r.children(coordination.BrokerIDsPath)
	if err != nil {
		return nil, err
	}
	var out []Broker
	for _, name := range names {
		id, err := coordination.ParseID(name)
		if err != nil {
			r.logger.Warn("broker with a name that is no id", "name", name)
			continue
		}
		data, stat, err := r.get(coordination.BrokerIDPath(id))
		if errors.Is(err, coordination.ErrNoNode) {
			continue // went since; the watch on the list fires
		}
		if err != nil {
			return nil, err
		}
		reg, err := coordination.DecodeBrokerRegistration(data)
		if err != nil {
			r.logger.Error("broker with a registration that cannot be read", "broker", id, "error", err)
			continue
		}
		out = append(out, Broker{ID: id, Epoch: stat.Czxid, Rack: reg.Rack, Endpoints: reg.Endpoints})
	}
	return out, nil
}

func (s *shift) topicsChanged() error {
	names, err := s.children(coordination.TopicsPath)
	if err != nil {
		return err
	}
	s.step(TopicsListed{Names: names})
	for _, name := range names {
		if s.core.topics[name] == nil {
			if err := s.loadInto(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadInto reads a topic and tells the core.
func (s *shift) loadInto(name string) error {
	t, err := s.loadTopic(name)
	if err != nil || t == nil {
		return err
	}
	s.step(*t)
	return nil
}

// loadTopic reads all there is of a topic. A topic whose nodes cannot be read as
// what they should be is left alone: nil.
func (r *reader) loadTopic(name string) (*TopicLoaded, error) {
	t := &TopicLoaded{Name: name, States: map[int32]VersionedState{}}
	data, stat, err := r.get(coordination.TopicPath(name))
	if errors.Is(err, coordination.ErrNoNode) {
		return t, nil
	}
	if err != nil {
		return nil, err
	}
	t.Exists, t.Version = true, stat.Version
	if t.Assignment, err = coordination.DecodeTopicAssignment(data); err == nil {
		err = r.loadPartitions(t)
	}
	if err == nil {
		err = r.loadConfig(t)
	}
	if errors.Is(err, coordination.ErrBadPayload) {
		r.logger.Error("topic with nodes that cannot be read is left alone", "topic", name, "error", err)
		return nil, nil
	}
	return t, err
}

func (r *reader) loadPartitions(t *TopicLoaded) error {
	names, _, err := r.tree.Children(r.ctx, coordination.PartitionsPath(t.Name))
	if errors.Is(err, coordination.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	t.HasPartitions = true
	for _, name := range names {
		index, err := coordination.ParseID(name)
		if err != nil {
			return err
		}
		t.Nodes = append(t.Nodes, index)
		data, stat, err := r.tree.Get(r.ctx, coordination.PartitionStatePath(t.Name, index))
		if errors.Is(err, coordination.ErrNoNode) {
			continue
		}
		if err != nil {
			return err
		}
		state, err := coordination.DecodePartitionState(data)
		if err != nil {
			return fmt.Errorf("partition %d: %w", index, err)
		}
		t.States[index] = VersionedState{PartitionState: state, Version: stat.Version}
	}
	return nil
}

func (r *reader) loadConfig(t *TopicLoaded) error {
	t.Unclean = r.configs.Broker().UncleanLeaderElection
	data, _, err := r.tree.Get(r.ctx, coordination.ConfigEntityPath(coordination.ConfigTopics, t.Name))
	if errors.Is(err, coordination.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	t.HasConfig = true
	config, err := coordination.DecodeConfig(data)
	if err != nil {
		r.logger.Error("topic config that cannot be read is ignored", "topic", t.Name, "error", err)
		return nil
	}
	if text, ok := config["unclean.leader.election.enable"]; ok {
		t.Unclean = strings.EqualFold(strings.TrimSpace(text), "true")
	}
	return nil
}

// isrChanged reads the notices of leaders that changed an ISR themselves, reads
// those topics again, and removes the notices.
func (s *shift) isrChanged() error {
	names, err := s.children(coordination.ISRChangePath)
	if err != nil {
		return err
	}
	topics := map[string]struct{}{}
	for _, name := range names {
		path := coordination.ISRChangePath + "/" + name
		data, _, err := s.cfg.Tree.Get(s.ctx, path)
		if errors.Is(err, coordination.ErrNoNode) {
			continue
		}
		if err != nil {
			return err
		}
		partitions, err := coordination.DecodePartitions(data)
		if err != nil {
			s.reader.logger.Warn("notice of an ISR change that cannot be read", "node", name, "error", err)
		}
		for _, p := range partitions {
			topics[p.Topic] = struct{}{}
		}
		if err := s.cfg.Tree.Delete(s.ctx, path, coordination.AnyVersion); err != nil && !errors.Is(err, coordination.ErrNoNode) {
			return err
		}
	}
	for _, name := range sortedNames(topics) {
		if err := s.loadInto(name); err != nil {
			return err
		}
	}
	return nil
}
