package transfer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/leatstream/leat/broker/coordination"
)

// readers bounds the topics that are read at the same time: a remote source is
// as fast as its round trips.
const readers = 32

// maxNodes bounds what is carried over, so that a foreign tree cannot exhaust
// memory.
const maxNodes = 4_000_000

// reading is one call of Read.
type reading struct {
	src  Source
	opts Options
	plan *Plan
	made map[string]bool // paths in plan.nodes
}

// Read reads a cluster's tree and plans what of it the broker gets. Nothing is
// changed. The broker must have left the cluster: ErrBrokerRunning otherwise.
func Read(ctx context.Context, src Source, opts Options) (*Plan, error) {
	r := &reading{src: src, opts: opts, plan: &Plan{Broker: opts.Broker, Counts: map[string]int{}}, made: map[string]bool{}}
	for _, step := range []func(context.Context) error{
		r.identity, r.brokers, r.controller, r.skeleton, r.carried, r.topics, r.rest,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return r.plan, nil
}

func (r *reading) identity(ctx context.Context) error {
	data, _, err := r.src.Get(ctx, coordination.ClusterIDPath)
	if errors.Is(err, coordination.ErrNoNode) {
		return fmt.Errorf("%w: there is no %s; is the chroot right?", ErrNoCluster, coordination.ClusterIDPath)
	}
	if err != nil {
		return err
	}
	r.plan.ClusterID, err = coordination.DecodeClusterID(data)
	return err
}

// brokers makes sure that the broker is down, and notes which others are not.
func (r *reading) brokers(ctx context.Context) error {
	names, err := r.names(ctx, coordination.BrokerIDsPath)
	if err != nil {
		return err
	}
	for _, name := range names {
		id, err := coordination.ParseID(name)
		if err != nil {
			continue
		}
		if id == r.opts.Broker {
			return fmt.Errorf("%w: broker %d is registered; stop it, or wait until its session has ended", ErrBrokerRunning, id)
		}
		r.plan.LiveBrokers = append(r.plan.LiveBrokers, id)
	}
	slices.Sort(r.plan.LiveBrokers)
	return nil
}

func (r *reading) controller(ctx context.Context) error {
	data, _, err := r.src.Get(ctx, coordination.ControllerPath)
	if err == nil {
		node, err := coordination.DecodeControllerNode(data)
		if err != nil {
			return fmt.Errorf("%s: %w", coordination.ControllerPath, err)
		}
		if node.KRaftEpoch >= 0 {
			return fmt.Errorf("%w: controller %d", ErrMigrating, node.BrokerID)
		}
	} else if !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	data, _, err = r.src.Get(ctx, coordination.ControllerEpochPath)
	if errors.Is(err, coordination.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.plan.ControllerEpoch, err = coordination.DecodeControllerEpoch(data); err != nil {
		return err
	}
	r.add(coordination.ControllerEpochPath, data)
	return nil
}

// skeleton adds the nodes that every cluster has.
func (r *reading) skeleton(context.Context) error {
	for _, path := range append(coordination.PersistentPaths(), coordination.ClusterPath) {
		if path != coordination.ProducerIDBlockPath {
			r.add(path, nil)
		}
	}
	r.add(coordination.ClusterIDPath, coordination.EncodeClusterID(r.plan.ClusterID))
	return nil
}

// carried are the nodes that are copied with all below them.
func (r *reading) carried(ctx context.Context) error {
	if err := r.producerIDs(ctx); err != nil {
		return err
	}
	for _, path := range []string{
		coordination.ConfigTypePath(coordination.ConfigTopics), coordination.ConfigTypePath(coordination.ConfigBrokers),
		coordination.ConfigTypePath(coordination.ConfigClients), coordination.ConfigTypePath(coordination.ConfigUsers),
		coordination.ConfigTypePath(coordination.ConfigIPs),
		coordination.ConsumersPath, coordination.DeleteTopicsPath, coordination.FeaturePath,
		aclPath, extendedACLPath, tokensPath,
	} {
		if err := r.copyTree(ctx, path, strings.TrimPrefix(path, "/")); err != nil {
			return err
		}
	}
	return nil
}

// Nodes of which only the importer knows.
const (
	aclPath         = "/kafka-acl"
	extendedACLPath = "/kafka-acl-extended"
	tokenPath       = "/delegation_token"
	tokensPath      = "/delegation_token/tokens"
	migrationPath   = "/migration"
)

func (r *reading) producerIDs(ctx context.Context) error {
	data, _, err := r.src.Get(ctx, coordination.ProducerIDBlockPath)
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	if len(data) > 0 {
		block, err := coordination.DecodeProducerIDBlock(data)
		if err != nil {
			return err
		}
		r.plan.NextProducerID = block.Last + 1
	}
	r.add(coordination.ProducerIDBlockPath, data)
	return nil
}

// copyTree copies a node with all below it that is not ephemeral, parents first.
// An absent node is no error.
func (r *reading) copyTree(ctx context.Context, path, kind string) error {
	data, stat, err := r.src.Get(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) || err == nil && stat.EphemeralOwner != 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if len(r.plan.nodes) >= maxNodes {
		return fmt.Errorf("%w: more than %d nodes", coordination.ErrTooLarge, maxNodes)
	}
	r.parents(path)
	r.add(path, data)
	if len(data) > 0 {
		r.plan.Counts[kind]++
	}
	if stat.NumChildren == 0 {
		return nil
	}
	names, err := r.names(ctx, path)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := r.copyTree(ctx, path+"/"+name, kind); err != nil {
			return err
		}
	}
	return nil
}

// parents adds those above a path that are still missing.
func (r *reading) parents(path string) {
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			r.add(path[:i], nil)
		}
	}
}

func (r *reading) add(path string, data []byte) {
	if !r.made[path] {
		r.made[path] = true
		r.plan.nodes = append(r.plan.nodes, Node{path, data})
	}
}

// names lists children; those of an absent node are none.
func (r *reading) names(ctx context.Context, path string) ([]string, error) {
	names, _, err := r.src.Children(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

func (r *reading) topics(ctx context.Context) error {
	names, err := r.names(ctx, coordination.TopicsPath)
	if err != nil {
		return err
	}
	slices.Sort(names)
	topics := make([]*Topic, len(names))
	finished := make(chan struct{}, len(names)) // has room for all: nobody waits
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	group.Go(func() error { return r.follow(ctx, finished, len(names)) })
	for i, name := range names {
		group.Go(func() (err error) {
			topics[i], err = r.topic(ctx, name)
			finished <- struct{}{}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, t := range topics {
		if t != nil {
			t.Deleting = r.made[coordination.DeleteTopicPath(t.Name)]
			r.plan.Topics = append(r.plan.Topics, *t)
		}
	}
	return nil
}

// follow reports progress, one call at a time.
func (r *reading) follow(ctx context.Context, finished <-chan struct{}, total int) error {
	for done := range total {
		select {
		case <-finished:
		case <-ctx.Done():
			return nil
		}
		if r.opts.Progress != nil {
			r.opts.Progress(done+1, total)
		}
	}
	return nil
}

// rest notes what is there and not carried over.
func (r *reading) rest(ctx context.Context) error {
	for _, path := range []string{coordination.ReassignPath, coordination.PreferredPath} {
		_, _, err := r.src.Get(ctx, path)
		if err != nil && !errors.Is(err, coordination.ErrNoNode) {
			return err
		}
		if err == nil {
			r.leaveOut(path, "order to the cluster's controller")
		}
	}
	known := map[string]bool{"zookeeper": true, "controller": true, strings.TrimPrefix(migrationPath, "/"): true, strings.TrimPrefix(tokenPath, "/"): true,
		// Notices of changes that brokers have seen, or will read anyway.
		"kafka-acl-changes": true, "kafka-acl-extended-changes": true}
	for path := range r.made {
		first, _, _ := strings.Cut(path[1:], "/")
		known[first] = true
	}
	names, err := r.names(ctx, "/")
	if err != nil {
		return err
	}
	for _, name := range names {
		if !known[name] {
			r.leaveOut("/"+name, "not a node of Kafka")
		}
	}
	return nil
}

func (r *reading) leaveOut(path, reason string) {
	r.plan.LeftOut = append(r.plan.LeftOut, Note{path, reason})
}
