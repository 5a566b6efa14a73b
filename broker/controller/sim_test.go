package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/coordination/embedded"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/vfs"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var (
	simSeed  = flag.Uint64("seed", 1, "first seed of the simulation")
	simSeeds = flag.Int("seeds", 30, "number of seeds of the simulation")
)

// TestSimulation runs the pure core over a tree with random brokers, requests
// and faults. One seed is one run. After each step the tree must hold the
// invariants; after the faults end, every topic must be led and every deleted
// topic be gone.
func TestSimulation(t *testing.T) {
	for i := range *simSeeds {
		seed := *simSeed + uint64(i)
		w := newWorld(t, seed)
		w.run(400)
		w.heal()
		w.close()
		if t.Failed() {
			t.Fatalf("seed %d failed; trace:\n%s", seed, strings.Join(w.trace[max(0, len(w.trace)-80):], "\n"))
		}
	}
}

// simBroker is one broker: up or down, in its how manieth life.
type simBroker struct {
	id       int32
	tree     coordination.Tree // nil while down
	epoch    int64
	cache    *metadata.Cache
	replicas map[topicPartition]simReplica // survive a crash
	maxEpoch int32                         // newest controller epoch it has seen in this life
	ctrl     *simController                // this broker's term as controller; nil: none
}

type simReplica struct {
	id          coordination.UUID
	leaderEpoch int32
}

// simController is one term at work: its core, and its effects that have not
// been carried out yet.
type simController struct {
	broker  *simBroker
	reader  reader
	core    *Controller
	pending []func()
	notices map[string]bool // paths whose watch would have fired
	deposed bool            // it knows that it is not controller any more
}

type world struct {
	t       *testing.T
	rng     *rand.Rand
	ctx     context.Context
	store   *embedded.Store
	observe coordination.Tree
	configs *metadata.Configs
	stop    func()
	brokers []*simBroker
	terms   []*simController // all that are not resigned, deposed ones too
	nextID  byte
	quiet   bool // no more faults
	trace   []string

	epochs  map[string]int32 // newest leader epoch by topic id and partition
	leaders map[string]int32 // leader by topic id, partition and epoch
	ctrlMax int32
}

func newWorld(t *testing.T, seed uint64) *world {
	store, err := embedded.Open(embedded.Config{Dir: "/tree", FS: vfs.NewMem()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- store.Run(ctx) }()
	configs, err := metadata.NewConfigs(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 7)), ctx: context.Background(), store: store, configs: configs,
		stop: func() { cancel(); <-done }, epochs: map[string]int32{}, leaders: map[string]int32{}}
	w.observe, err = store.Connect(w.ctx)
	w.must(err)
	_, err = Prepare(w.ctx, w.observe)
	w.must(err)
	for id := range int32(4) {
		w.brokers = append(w.brokers, &simBroker{id: id, replicas: map[topicPartition]simReplica{}})
	}
	w.start(w.brokers[0])
	return w
}

func (w *world) close() { w.stop() }

func (w *world) must(err error) {
	if err != nil {
		w.t.Helper()
		w.t.Fatalf("%v; trace:\n%s", err, strings.Join(w.trace, "\n"))
	}
}

func (w *world) log(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) run(steps int) {
	for range steps {
		if w.t.Failed() {
			return
		}
		if w.rng.IntN(4) == 0 {
			w.inject()
		} else {
			w.advance()
		}
		w.check()
	}
}

// inject does something to the cluster.
func (w *world) inject() {
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		w.createTopic()
	case 3:
		w.deleteTopic()
	case 4:
		w.addPartitions()
	case 5:
		w.dropTopicID()
	case 6, 7:
		w.start(w.pick(func(b *simBroker) bool { return b.tree == nil }))
	case 8:
		w.crash(w.pick(func(b *simBroker) bool { return b.tree != nil }))
	case 9:
		w.depose()
	case 10:
		w.elect()
	case 11:
		w.shrinkISR()
	}
}

func (w *world) pick(ok func(*simBroker) bool) *simBroker {
	list := slices.DeleteFunc(slices.Clone(w.brokers), func(b *simBroker) bool { return !ok(b) })
	if len(list) == 0 {
		return nil
	}
	return list[w.rng.IntN(len(list))]
}

func (w *world) start(b *simBroker) {
	if b == nil {
		return
	}
	var err error
	b.tree, err = w.store.Connect(w.ctx)
	w.must(err)
	reg, err := RegisterBroker(w.ctx, b.tree, BrokerInfo{ID: b.id, JMXPort: -1, Endpoints: []coordination.Endpoint{{Listener: "PLAINTEXT", SecurityProtocol: "PLAINTEXT", Host: "h", Port: 1}}})
	w.must(err)
	b.epoch, b.cache, b.maxEpoch, b.ctrl = reg.Epoch, metadata.NewCache(""), -1, nil
	w.log("start %d, epoch %d", b.id, b.epoch)
	w.notice(coordination.BrokerIDsPath)
}

func (w *world) crash(b *simBroker) {
	if b == nil {
		return
	}
	w.log("crash %d", b.id)
	w.must(b.tree.Session().Close(w.ctx))
	b.tree = nil
	if b.ctrl != nil {
		w.retire(b.ctrl)
	}
	w.notice(coordination.BrokerIDsPath)
}

func (w *world) retire(c *simController) {
	w.terms = slices.DeleteFunc(w.terms, func(x *simController) bool { return x == c })
	if c.broker.ctrl == c {
		c.broker.ctrl = nil
	}
}

// depose deletes /controller, as an administrator may: the old controller does
// not know it yet and goes on.
func (w *world) depose() {
	w.log("depose")
	err := w.observe.Delete(w.ctx, coordination.ControllerPath, coordination.AnyVersion)
	if !errors.Is(err, coordination.ErrNoNode) {
		w.must(err)
	}
}

// elect lets a live broker that is not at work as controller try.
func (w *world) elect() {
	b := w.pick(func(b *simBroker) bool { return b.tree != nil && (b.ctrl == nil || b.ctrl.deposed) })
	if b == nil {
		return
	}
	r := &Runner{cfg: RunnerConfig{BrokerID: b.id, Tree: b.tree}}
	won, _, err := r.elect(w.ctx)
	w.must(err)
	if won == nil {
		return
	}
	if b.ctrl != nil {
		w.retire(b.ctrl)
	}
	w.log("elected %d, controller epoch %d", b.id, won.epoch)
	c := &simController{
		broker:  b,
		reader:  reader{ctx: w.ctx, tree: b.tree, configs: w.configs, logger: slog.New(slog.DiscardHandler)},
		core:    NewController(Options{BrokerID: b.id, DeleteTopic: true, NewID: w.newID}),
		notices: map[string]bool{},
	}
	b.ctrl = c
	w.terms = append(w.terms, c)
	elected, err := c.reader.loadAll(*won)
	w.must(err)
	w.step(c, *elected)
}

func (w *world) newID() coordination.UUID {
	w.nextID++
	return coordination.UUID{15: w.nextID, 0: 1}
}

// notice fires the watches of all controllers on a path.
func (w *world) notice(path string) {
	for _, c := range w.terms {
		if !c.deposed {
			c.notices[path] = true
		}
	}
}

// advance lets one controller do one thing: carry out an effect or follow a
// watch.
func (w *world) advance() bool {
	var choices []func()
	for _, c := range w.terms {
		for i := range c.pending {
			choices = append(choices, func() {
				fn := c.pending[i]
				c.pending = slices.Delete(c.pending, i, i+1)
				fn()
			})
		}
		for _, path := range sortedNames(c.notices) {
			choices = append(choices, func() { w.follow(c, path) })
		}
	}
	if len(choices) == 0 {
		return false
	}
	choices[w.rng.IntN(len(choices))]()
	return true
}

// follow does what the runner does when a watch fires.
func (w *world) follow(c *simController, path string) {
	delete(c.notices, path)
	if c.core.epoch < w.ctrlMax || !w.has(coordination.ControllerPath) {
		// Watches fire in the order of changes: this one comes after that on
		// /controller. What it has decided before may still be under way.
		c.notices = map[string]bool{}
		c.deposed = true
		return
	}
	s := &shift{Runner: &Runner{}, reader: c.reader, core: c.core}
	switch path {
	case coordination.BrokerIDsPath:
		brokers, err := c.reader.brokers()
		w.must(err)
		w.step(c, BrokersListed{Brokers: brokers})
	case coordination.TopicsPath:
		w.listTopics(c)
	case coordination.DeleteTopicsPath:
		w.listTopics(c)
		names, err := s.children(path)
		w.must(err)
		w.step(c, DeletionsListed{Names: names})
	default:
		w.load(c, strings.TrimPrefix(path, coordination.TopicsPath+"/"))
	}
}

func (w *world) listTopics(c *simController) {
	names, err := c.reader.children(coordination.TopicsPath)
	w.must(err)
	w.step(c, TopicsListed{Names: names})
	for _, name := range names {
		if c.core.topics[name] == nil {
			w.load(c, name)
		}
	}
}

func (w *world) load(c *simController, name string) {
	t, err := c.reader.loadTopic(name)
	w.must(err)
	w.step(c, *t)
}

func (w *world) step(c *simController, ev Event) {
	if c.broker.ctrl != c || c.deposed {
		return
	}
	for _, e := range c.core.Step(ev) {
		switch e := e.(type) {
		case Write:
			c.pending = append(c.pending, func() { w.write(c, e) })
		case Send:
			c.pending = append(c.pending, func() { w.send(c, e) })
		case Load:
			c.pending = append(c.pending, func() { w.load(c, e.Topic) })
		case Resign:
			w.log("controller %d resigns: %s", c.broker.id, e.Reason)
			w.retire(c)
		}
	}
}

func (w *world) write(c *simController, e Write) {
	results, err := c.broker.tree.Multi(w.ctx, e.Ops...)
	w.log("write by %d for %s, %d operations: %v", c.broker.id, e.Topic, len(e.Ops), err)
	if err == nil {
		if c.core.epoch < w.ctrlMax {
			w.t.Errorf("controller of epoch %d wrote in epoch %d", c.core.epoch, w.ctrlMax)
		}
		w.notice(coordination.TopicPath(e.Topic))
		w.notice(coordination.TopicsPath)
		w.notice(coordination.DeleteTopicsPath)
	}
	c.pending = append(c.pending, func() { w.step(c, WriteDone{Topic: e.Topic, Mark: e.Mark, Results: results, Err: err}) })
}

// send delivers a request, or loses it, or its answer.
func (w *world) send(c *simController, e Send) {
	reply := Replied{Broker: e.Broker, Epoch: e.Epoch, Request: e.Request, Err: errors.New("lost")}
	b := w.brokers[e.Broker]
	fate := w.rng.IntN(10)
	if b.tree != nil && (w.quiet || fate != 0) {
		resp := w.handle(b, e.Request)
		if w.quiet || fate != 1 {
			reply.Response, reply.Err = resp, nil
		}
	}
	w.log("%T from %d to %d: %v", e.Request, c.broker.id, e.Broker, reply.Err)
	c.pending = append(c.pending, func() { w.step(c, reply) })
}

// handle is a broker: it refuses what is stale, and remembers what it was told.
func (w *world) handle(b *simBroker, req kmsg.Request) kmsg.Response {
	stale := func(controllerEpoch int32, brokerEpoch int64) int16 {
		switch {
		case brokerEpoch != b.epoch:
			return 77 // STALE_BROKER_EPOCH
		case controllerEpoch < b.maxEpoch:
			return errStaleControllerEpoch
		}
		b.maxEpoch = controllerEpoch
		return errNone
	}
	switch req := req.(type) {
	case *kmsg.LeaderAndISRRequest:
		resp := req.ResponseKind().(*kmsg.LeaderAndISRResponse)
		if resp.ErrorCode = stale(req.ControllerEpoch, req.BrokerEpoch); resp.ErrorCode == 0 {
			w.lead(b, req)
		}
		return resp
	case *kmsg.UpdateMetadataRequest:
		resp := req.ResponseKind().(*kmsg.UpdateMetadataResponse)
		if resp.ErrorCode = stale(req.ControllerEpoch, req.BrokerEpoch); resp.ErrorCode == 0 {
			_, err := b.cache.ApplyUpdate(req)
			w.must(err)
		}
		return resp
	default:
		stop := req.(*kmsg.StopReplicaRequest)
		resp := req.ResponseKind().(*kmsg.StopReplicaResponse)
		if resp.ErrorCode = stale(stop.ControllerEpoch, stop.BrokerEpoch); resp.ErrorCode == 0 {
			for _, t := range stop.Topics {
				for _, p := range t.PartitionStates {
					delete(b.replicas, topicPartition{t.Topic, p.Partition})
				}
			}
		}
		return resp
	}
}

func (w *world) lead(b *simBroker, req *kmsg.LeaderAndISRRequest) {
	for _, t := range req.TopicStates {
		for _, p := range t.PartitionStates {
			tp := topicPartition{t.Topic, p.Partition}
			old, known := b.replicas[tp]
			if known && old.id == t.TopicID && p.LeaderEpoch < old.leaderEpoch {
				continue
			}
			b.replicas[tp] = simReplica{t.TopicID, p.LeaderEpoch}
			w.oneLeader(t.TopicID, p.Partition, p.LeaderEpoch, p.Leader)
		}
	}
}

func (w *world) oneLeader(id coordination.UUID, partition, epoch, leader int32) {
	key := fmt.Sprintf("%x-%d-%d", id, partition, epoch)
	if before, ok := w.leaders[key]; ok && before != leader {
		w.t.Errorf("partition %s has leaders %d and %d in one epoch", key, before, leader)
	}
	w.leaders[key] = leader
}

func (w *world) createTopic() {
	var live []rackedBroker
	for _, b := range w.brokers {
		if b.tree != nil || w.rng.IntN(3) == 0 {
			live = append(live, rackedBroker{id: b.id})
		}
	}
	if len(live) == 0 {
		return
	}
	name := fmt.Sprintf("t%d", w.rng.IntN(6))
	assignment, refusal := assignReplicas(live, 1+w.rng.IntN(3), 1+w.rng.IntN(len(live)), 0, w.rng.IntN(len(live)), w.rng.IntN(len(live)))
	if refusal != nil {
		w.t.Fatal(refusal.message)
	}
	a := coordination.TopicAssignment{ID: w.newID(), Partitions: assignment}
	if marked := w.has(coordination.DeleteTopicPath(name)); marked || w.has(coordination.TopicPath(name)) {
		return
	}
	w.log("create %s %v", name, assignment)
	config := coordination.ConfigEntityPath(coordination.ConfigTopics, name)
	if !w.has(config) {
		_, _, err := w.observe.Create(w.ctx, config, coordination.EncodeConfig(nil), coordination.Persistent)
		w.must(err)
	}
	_, _, err := w.observe.Create(w.ctx, coordination.TopicPath(name), a.Encode(), coordination.Persistent)
	w.must(err)
	w.notice(coordination.TopicsPath)
}

func (w *world) has(path string) bool {
	_, ok, err := w.observe.Exists(w.ctx, path)
	w.must(err)
	return ok
}

func (w *world) pickTopic() (string, coordination.TopicAssignment, bool) {
	names, _, err := w.observe.Children(w.ctx, coordination.TopicsPath)
	w.must(err)
	if len(names) == 0 {
		return "", coordination.TopicAssignment{}, false
	}
	name := names[w.rng.IntN(len(names))]
	return name, w.assignment(name), true
}

func (w *world) assignment(name string) coordination.TopicAssignment {
	data, _, err := w.observe.Get(w.ctx, coordination.TopicPath(name))
	w.must(err)
	a, err := coordination.DecodeTopicAssignment(data)
	w.must(err)
	return a
}

func (w *world) deleteTopic() {
	name, _, ok := w.pickTopic()
	if w.rng.IntN(5) == 0 {
		name, ok = "nothing", true
	}
	if !ok || w.has(coordination.DeleteTopicPath(name)) {
		return
	}
	w.log("delete %s", name)
	_, _, err := w.observe.Create(w.ctx, coordination.DeleteTopicPath(name), nil, coordination.Persistent)
	w.must(err)
	w.notice(coordination.DeleteTopicsPath)
}

func (w *world) rewrite(name string, a coordination.TopicAssignment) {
	_, err := w.observe.Set(w.ctx, coordination.TopicPath(name), a.Encode(), coordination.AnyVersion)
	w.must(err)
	w.notice(coordination.TopicPath(name))
}

func (w *world) addPartitions() {
	name, a, ok := w.pickTopic()
	if !ok || len(a.Partitions) > 6 || w.has(coordination.DeleteTopicPath(name)) {
		return
	}
	w.log("add a partition to %s", name)
	a.Partitions[int32(len(a.Partitions))] = a.Partitions[0]
	w.rewrite(name, a)
}

// dropTopicID rewrites a topic as a tool of Kafka 2.7 does. It does so only to
// topics that the controller knows: the id of others is nowhere else.
func (w *world) dropTopicID() {
	name, a, ok := w.pickTopic()
	if !ok || len(w.terms) != 1 || w.terms[0].core.topics[name] == nil || w.terms[0].core.topics[name].id != a.ID {
		return
	}
	w.log("drop the id of %s", name)
	a.ID = coordination.UUID{}
	w.rewrite(name, a)
}

// shrinkISR is what a leader does that loses a follower.
func (w *world) shrinkISR() {
	name, a, ok := w.pickTopic()
	if !ok {
		return
	}
	for _, p := range a.PartitionIDs() {
		path := coordination.PartitionStatePath(name, p)
		data, stat, err := w.observe.Get(w.ctx, path)
		if err != nil {
			continue
		}
		state, err := coordination.DecodePartitionState(data)
		w.must(err)
		if state.Leader >= 0 && len(state.ISR) > 1 {
			w.log("leader of %s-%d shrinks the ISR", name, p)
			state.ISR = []int32{state.Leader}
			_, err = w.observe.Set(w.ctx, path, state.Encode(), stat.Version)
			w.must(err)
			w.notice(coordination.TopicPath(name))
			return
		}
	}
}

// check holds the tree to the invariants.
func (w *world) check() {
	data, _, err := w.observe.Get(w.ctx, coordination.ControllerEpochPath)
	if errors.Is(err, coordination.ErrNoNode) {
		return
	}
	w.must(err)
	epoch, err := coordination.DecodeControllerEpoch(data)
	w.must(err)
	if epoch < w.ctrlMax {
		w.t.Errorf("controller epoch %d after %d", epoch, w.ctrlMax)
	}
	w.ctrlMax = epoch
	for _, c := range w.terms {
		w.checkCounts(c.core)
	}
	names, _, err := w.observe.Children(w.ctx, coordination.TopicsPath)
	w.must(err)
	for _, name := range names {
		a := w.assignment(name)
		for _, p := range a.PartitionIDs() {
			w.checkState(name, &a, p)
		}
	}
}

func (w *world) checkCounts(c *Controller) {
	all, offline := 0, 0
	for _, t := range c.topics {
		for _, p := range t.partitions {
			all++
			if !p.led() {
				offline++
			}
		}
	}
	if gotAll, gotOffline := c.Counts(); gotAll != all || gotOffline != offline {
		w.t.Errorf("counted %d partitions, %d offline; there are %d and %d", gotAll, gotOffline, all, offline)
	}
}

func (w *world) checkState(name string, a *coordination.TopicAssignment, p int32) {
	data, stat, err := w.observe.Get(w.ctx, coordination.PartitionStatePath(name, p))
	if errors.Is(err, coordination.ErrNoNode) {
		return
	}
	w.must(err)
	s, err := coordination.DecodePartitionState(data)
	w.must(err)
	fail := func(what string) { w.t.Errorf("%s-%d: %s: %+v, replicas %v", name, p, what, s, a.Partitions[p]) }
	for _, id := range s.ISR {
		if !slices.Contains(a.Partitions[p], id) {
			fail("the ISR holds a broker that is no replica")
		}
	}
	switch {
	case len(s.ISR) == 0:
		fail("empty ISR")
	case s.Leader != -1 && !slices.Contains(s.ISR, s.Leader):
		fail("leader outside the ISR")
	case s.ControllerEpoch > w.ctrlMax:
		fail("controller epoch of the future")
	}
	key := fmt.Sprintf("%d-%s-%d", stat.Czxid, name, p)
	if s.LeaderEpoch < w.epochs[key] {
		fail(fmt.Sprint("leader epoch went back from ", w.epochs[key]))
	}
	w.epochs[key] = s.LeaderEpoch
	if a.ID != (coordination.UUID{}) {
		w.oneLeader(a.ID, p, s.LeaderEpoch, s.Leader)
	}
}

// heal ends all faults and lets everything settle; then nothing may be left to
// do, all topics are led, everywhere, and the deleted ones are gone.
func (w *world) heal() {
	w.quiet = true
	w.log("heal")
	for _, b := range w.brokers {
		if b.tree == nil {
			w.start(b)
		}
	}
	for i := 0; ; i++ {
		if i > 20_000 {
			w.t.Error("does not settle")
			return
		}
		if len(w.terms) == 0 || !w.has(coordination.ControllerPath) {
			w.elect()
			if len(w.terms) > 0 && !w.has(coordination.ControllerPath) {
				w.retire(w.terms[0]) // its watch on /controller fired
			}
			continue
		}
		for _, c := range slices.Clone(w.terms) {
			if c.core.epoch < w.ctrlMax {
				w.retire(c)
			}
		}
		if len(w.terms) == 0 {
			w.depose() // whoever held it has just retired
			continue
		}
		w.check()
		if !w.advance() {
			break
		}
	}
	w.settled()
}

func (w *world) settled() {
	marked, _, err := w.observe.Children(w.ctx, coordination.DeleteTopicsPath)
	w.must(err)
	names, _, err := w.observe.Children(w.ctx, coordination.TopicsPath)
	w.must(err)
	configs, _, err := w.observe.Children(w.ctx, coordination.ConfigTypePath(coordination.ConfigTopics))
	w.must(err)
	if len(marked) > 0 || !slices.Equal(names, configs) {
		w.t.Errorf("left over: marks %v, topics %v, configs %v", marked, names, configs)
	}
	for _, b := range w.brokers {
		image := b.cache.Load()
		if !slices.Equal(image.TopicNames(), names) {
			w.t.Errorf("broker %d knows topics %v, want %v", b.id, image.TopicNames(), names)
		}
		for _, name := range names {
			a := w.assignment(name)
			topic, _ := image.Topic(name)
			if !image.Led(name, len(a.Partitions)) || topic.ID != a.ID {
				w.t.Errorf("broker %d: topic %s is not led: %+v", b.id, name, topic)
			}
		}
		for tp, r := range b.replicas {
			if !slices.Contains(names, tp.topic) || w.assignment(tp.topic).ID != r.id {
				w.t.Errorf("broker %d still has %v of a deleted topic", b.id, tp)
			}
		}
	}
}
