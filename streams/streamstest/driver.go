package streamstest

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/task"
	"github.com/leatstream/leat/streams/topology"
)

// TB is the part of testing.TB the driver needs.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
}

// Record is one record of a topic. A nil Key or Value is null.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte
	Value     []byte
	Time      int64
	Headers   []processor.Header
}

// Driver runs one application on topics in memory. It is not safe for
// concurrent use. Failures of the application end the test unless
// [Driver.TryPipe] is used.
type Driver struct {
	t          TB
	app        string
	topo       *topology.Topology
	partitions int32
	dir        string // of the stores; empty: in memory
	handler    processor.Handler
	deadLetter string

	now       int64
	log       map[string][][]Record // topic -> partition -> records
	committed map[string][]position
	read      map[string][]int // by Drain: topic -> partition -> count
	readers   map[string]int   // topic -> sub-topology
	tasks     map[processor.TaskID]*task.Task
	order     []processor.TaskID
	pending   []*Record // appended and not yet given to their task
	running   bool
}

type position struct {
	offset   int64
	metadata string
}

// Option changes a driver.
type Option func(*Driver)

// Partitions gives every topic n partitions.
func Partitions(n int32) Option { return func(d *Driver) { d.partitions = n } }

// App sets the application id; the default is "test".
func App(id string) Option { return func(d *Driver) { d.app = id } }

// OnDisk keeps the stores that are not in memory in the folder.
func OnDisk(dir string) Option { return func(d *Driver) { d.dir = dir } }

// Wall sets the virtual wall clock, in milliseconds; the default is 0.
func Wall(ms int64) Option { return func(d *Driver) { d.now = ms } }

// Handler sets the error handler.
func Handler(h processor.Handler) Option { return func(d *Driver) { d.handler = h } }

// DeadLetter names the topic of records classed so.
func DeadLetter(topic string) Option { return func(d *Driver) { d.deadLetter = topic } }

// New starts the application on empty topics.
func New(t TB, topo *topology.Topology, opts ...Option) *Driver {
	t.Helper()
	d := &Driver{
		t: t, app: "test", topo: topo, partitions: 1,
		log: map[string][][]Record{}, committed: map[string][]position{}, read: map[string][]int{}, readers: map[string]int{},
	}
	for _, o := range opts {
		o(d)
	}
	for _, s := range topo.Subs() {
		for _, topic := range s.Topics(d.app) {
			d.readers[topic] = s.ID
		}
	}
	d.start()
	t.Cleanup(func() { d.stop(false) })
	return d
}

// start makes all tasks, restores their stores and hands them what follows
// their committed positions.
func (d *Driver) start() {
	d.t.Helper()
	d.tasks, d.order = map[processor.TaskID]*task.Task{}, nil
	for _, s := range d.topo.Subs() {
		for p := range d.partitions {
			id := processor.TaskID{Sub: s.ID, Partition: p}
			d.order = append(d.order, id)
			d.check(d.startTask(id, s))
		}
	}
	d.running = true
	d.pending = nil
	for topic := range d.readers {
		for p, records := range d.topic(topic) {
			for i := d.position(topic)[p].offset; i < int64(len(records)); i++ {
				d.check(d.enqueue(&records[i]))
			}
		}
	}
}

func (d *Driver) startTask(id processor.TaskID, s *topology.Sub) error {
	var specs []processor.StoreSpec
	for _, st := range s.Stores {
		specs = append(specs, st.StoreSpec)
	}
	dir := ""
	if d.dir != "" {
		dir = filepath.Join(d.dir, id.String())
	}
	set, err := state.Open(state.Config{Dir: dir, Stores: specs})
	if err != nil {
		return err
	}
	for _, st := range set.Stores() {
		if err := d.restore(st, id.Partition); err != nil {
			return err
		}
	}
	tk, err := task.New(task.Config{
		App: d.app, ID: id, Topology: d.topo, Stores: set, Handler: d.handler, DeadLetter: d.deadLetter,
		Partitions: func(string) int32 { return d.partitions },
	})
	if err != nil {
		return err
	}
	d.tasks[id] = tk
	for _, topic := range tk.Topics() {
		tk.SetPartitionTime(topic, d.position(topic)[id.Partition].metadata)
	}
	return tk.Start(d.now)
}

// restore replays the part of a store's changelog that it does not contain.
func (d *Driver) restore(st *state.Store, p int32) error {
	if st.Spec().NoChangelog {
		return nil
	}
	if _, err := st.Bind([16]byte{1}); err != nil {
		return err
	}
	records := d.topic(topology.ChangelogTopic(d.app, st.Spec().Name))[p]
	var todo []state.Restored
	for _, r := range records[st.Checkpoint().Offset:] {
		todo = append(todo, state.Restored{Change: state.Change{Key: r.Key, Value: r.Value, Time: r.Time}, Offset: r.Offset})
	}
	return st.Restore(todo, int64(len(records)))
}

func (d *Driver) stop(flush bool) {
	for _, id := range d.order {
		if tk := d.tasks[id]; tk != nil {
			d.check(tk.Close())
			d.check(tk.Stores().Close(flush))
		}
	}
	d.tasks, d.running = nil, false
}

func (d *Driver) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatalf("streamstest: %v", err)
	}
}

// topic returns the partitions of a topic, made on first use.
func (d *Driver) topic(name string) [][]Record {
	if _, ok := d.log[name]; !ok {
		d.log[name] = make([][]Record, d.partitions)
		d.committed[name] = make([]position, d.partitions)
		d.read[name] = make([]int, d.partitions)
	}
	return d.log[name]
}

func (d *Driver) position(topic string) []position {
	d.topic(topic)
	return d.committed[topic]
}

// Append writes a record to a topic without processing it. A negative
// Partition goes by the hash of the key. It returns the record as stored.
func (d *Driver) Append(r Record) Record {
	parts := d.topic(r.Topic)
	if r.Partition < 0 {
		r.Partition = 0
		if r.Key != nil {
			r.Partition = partitionOf(r.Key, d.partitions)
		}
	}
	r.Offset = int64(len(parts[r.Partition]))
	parts[r.Partition] = append(parts[r.Partition], r)
	if _, ok := d.readers[r.Topic]; ok && d.running {
		d.pending = append(d.pending, &r)
	}
	return r
}

// Run processes everything that has been appended, to the end.
func (d *Driver) Run() {
	d.t.Helper()
	d.check(d.TryRun())
}

// TryRun is Run which returns the error that stops the application.
func (d *Driver) TryRun() error {
	if !d.running {
		return nil
	}
	for {
		for _, id := range d.order {
			if err := d.work(d.tasks[id]); err != nil {
				return err
			}
		}
		if len(d.pending) == 0 {
			return nil
		}
		r := d.pending[0]
		d.pending = d.pending[1:]
		if err := d.enqueue(r); err != nil {
			return err
		}
	}
}

func (d *Driver) enqueue(r *Record) error {
	sub := d.readers[r.Topic]
	tk := d.tasks[processor.TaskID{Sub: sub, Partition: r.Partition}]
	in := task.Input{Offset: r.Offset, Time: r.Time, Key: r.Key, Value: r.Value, Headers: slices.Clip(r.Headers)}
	return tk.Enqueue(r.Topic, []task.Input{in}, false)
}

// work lets a task process all it has.
func (d *Driver) work(tk *task.Task) error {
	for {
		ok, err := tk.Process(d.now)
		d.deliver(tk.Outputs())
		if err != nil || !ok {
			return err
		}
	}
}

func (d *Driver) deliver(outs []task.Output) {
	for _, o := range outs {
		d.Append(Record{Topic: o.Topic, Partition: o.Partition, Key: o.Key, Value: o.Value, Time: o.Time, Headers: o.Headers})
	}
}

// Pipe writes a record and processes everything to the end.
func (d *Driver) Pipe(r Record) {
	d.t.Helper()
	d.check(d.TryPipe(r))
}

// TryPipe is Pipe which returns the error that stops the application.
func (d *Driver) TryPipe(r Record) error {
	d.Append(r)
	return d.TryRun()
}

// Drain returns the records of a topic that no Drain has returned yet, by
// partition, then offset.
func (d *Driver) Drain(topic string) []Record {
	var out []Record
	for p, records := range d.topic(topic) {
		out = append(out, records[d.read[topic][p]:]...)
		d.read[topic][p] = len(records)
	}
	return out
}

// All returns every record of a topic, by partition, then offset.
func (d *Driver) All(topic string) []Record {
	return slices.Concat(d.topic(topic)...)
}

// Now is the virtual wall clock in milliseconds.
func (d *Driver) Now() int64 { return d.now }

// AdvanceWall moves the wall clock while input is still expected: punctuations
// run, idle policies do not.
func (d *Driver) AdvanceWall(by time.Duration) {
	d.t.Helper()
	d.tick(by, task.Busy)
}

// AdvanceIdle moves the wall clock with all inputs read to their ends, so that
// idle policies take effect.
func (d *Driver) AdvanceIdle(by time.Duration) {
	d.t.Helper()
	d.tick(by, task.Confirmed)
}

func (d *Driver) tick(by time.Duration, quiet task.Quiet) {
	d.t.Helper()
	d.now += by.Milliseconds()
	for _, id := range d.order {
		_, err := d.tasks[id].Tick(d.now, quiet)
		d.deliver(d.tasks[id].Outputs())
		d.check(err)
	}
	d.Run()
}

// Commit commits all tasks.
func (d *Driver) Commit() {
	d.t.Helper()
	for _, id := range d.order {
		d.commit(d.tasks[id], commitAll)
	}
}

// The points at which [Driver.CrashInCommit] can stop a commit.
const (
	CrashAfterChangelog = iota // the changelog is written, the stores are not
	CrashAfterStores           // the stores are written, the positions are not
	commitAll
)

func (d *Driver) commit(tk *task.Task, until int) {
	d.t.Helper()
	changes, err := tk.Changes(d.now)
	d.check(err)
	d.deliver(changes)
	next := map[string]int64{}
	for _, c := range changes {
		next[c.Store] = int64(len(d.topic(c.Topic)[c.Partition]))
	}
	if until == CrashAfterChangelog {
		return
	}
	positions := tk.Positions()
	d.check(tk.Commit(next))
	if until == CrashAfterStores {
		return
	}
	for _, p := range positions {
		d.position(p.Topic)[tk.ID().Partition] = position{p.Offset, p.Metadata}
	}
}

// Crash stops the application without a commit.
func (d *Driver) Crash() {
	d.t.Helper()
	d.stop(false)
}

// CrashInCommit commits, but only up to a point, and stops. The commits of the
// tasks before the given one are complete, those after it do not happen.
func (d *Driver) CrashInCommit(nth, point int) {
	d.t.Helper()
	for i, id := range d.order {
		if i == nth%len(d.order) {
			d.commit(d.tasks[id], point)
			break
		}
		d.commit(d.tasks[id], commitAll)
	}
	d.stop(false)
}

// Restart starts the application after a crash and processes what follows the
// committed positions.
func (d *Driver) Restart() {
	d.t.Helper()
	d.start()
	d.Run()
}

// Rebalance commits and moves all tasks to a machine without any state.
func (d *Driver) Rebalance() {
	d.t.Helper()
	d.Commit()
	d.stop(true)
	d.WipeDisk()
	d.Restart()
}

// WipeDisk removes all state on disk; the application must be stopped.
func (d *Driver) WipeDisk() {
	d.t.Helper()
	if d.dir != "" {
		d.check(os.RemoveAll(d.dir))
	}
}

// Store returns the content of a store over all partitions, uncommitted
// entries included, by partition, then key.
func (d *Driver) Store(name string) []state.Item {
	d.t.Helper()
	var out []state.Item
	for _, id := range d.order {
		st, err := d.tasks[id].Stores().Store(name)
		if err != nil {
			continue
		}
		d.check(st.Each(func(it state.Item) bool {
			it.Key, it.Value = slices.Clone(it.Key), slices.Clone(it.Value)
			out = append(out, it)
			return true
		}))
	}
	return out
}

// Drops counts the dropped records of all running tasks by reason.
func (d *Driver) Drops() map[processor.Reason]int64 {
	out := map[processor.Reason]int64{}
	for _, tk := range d.tasks {
		for reason, n := range tk.Stats().Drops {
			out[reason] += n
		}
	}
	return out
}

// Topics names all topics that exist, sorted.
func (d *Driver) Topics() []string { return slices.Sorted(maps.Keys(d.log)) }

// String says where the driver is.
func (d *Driver) String() string {
	return fmt.Sprintf("streamstest: %d tasks at %d ms", len(d.tasks), d.now)
}
