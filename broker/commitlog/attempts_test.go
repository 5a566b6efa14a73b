package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// attempt is an operation that may fail: it gives what the log would hold had it
// been done to the end, and the error.
type attempt func(w *world) (after model, err error)

// attempts are all that is done to logs and log directories.
var attempts = map[string]attempt{
	"append":      tryAppend,
	"copy":        tryCopy,
	"sync":        trySync,
	"truncate":    tryTruncate,
	"restart":     tryRestart,
	"advance":     tryAdvance,
	"delete":      tryDelete,
	"rewrite":     tryRewrite,
	"checkpoint":  tryCheckpoint,
	"upkeep":      tryUpkeep,
	"epoch":       tryEpoch,
	"close":       tryClose,
	"move":        tryMove,
	"high marks":  tryHighWatermarks,
	"delete logs": tryDeleteLog,
}

// attemptNames are in an order that a seed can choose from.
func attemptNames() []string {
	var out []string
	for name := range attempts {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// tryAppend appends until a segment has been rolled, marker included.
func tryAppend(w *world) (model, error) {
	after := w.model.clone()
	for n := len(*w.log.segments.Load()); len(*w.log.segments.Load()) == n; {
		data := w.batchAfter(after)
		if len(w.asStored(data)) > int(w.cfg.SegmentBytes) {
			continue
		}
		info, err := w.log.AppendAsLeader(data, w.epoch, AppendOptions{Origin: OriginCoordinator, Now: testNow.UnixMilli()})
		after.add(w.asStored(data), after.end)
		if err != nil {
			return after, err
		}
		if info.FirstOffset != after.batches[len(after.batches)-1].base {
			w.failf("append at %d", info.FirstOffset)
		}
	}
	return after, nil
}

// tryCopy appends as a follower does, with a gap.
func tryCopy(w *world) (model, error) {
	after := w.model.clone()
	data := w.copied(&after, 1+w.rng.IntN(3))
	_, err := w.log.AppendAsFollower(data)
	return after, err
}

func trySync(w *world) (model, error) { return w.model, w.log.Sync(w.log.EndOffset()) }

func tryTruncate(w *world) (model, error) {
	after := w.model.clone()
	offset := after.start + w.rng.Int64N(after.end-after.start+1)
	err := w.log.TruncateTo(offset)
	after.truncate(offset)
	return after, err
}

func tryRestart(w *world) (model, error) {
	offset := w.model.end + w.rng.Int64N(5)
	return model{start: offset, end: offset, flushed: offset, restarted: true}, w.log.TruncateFullyAndStartAt(offset)
}

func tryAdvance(w *world) (model, error) {
	after := w.model.clone()
	after.start += w.rng.Int64N(after.end - after.start + 1)
	return after, w.log.AdvanceStart(after.start)
}

func tryDelete(w *world) (model, error) {
	after := w.model.clone()
	upTo := after.end - w.rng.Int64N(3)
	_, err := w.log.DeleteSegments(upTo)
	after.start = max(after.start, upTo)
	return after, err
}

func tryRewrite(w *world) (model, error) {
	list := *w.log.segments.Load()
	if len(list) < 2 {
		return w.model, nil
	}
	return w.model, copyAll(w.t, w.log, list[0].base, list[len(list)-1].base, 700)
}

func tryCheckpoint(w *world) (model, error) { return w.model, w.m.Checkpoint() }

// tryUpkeep has the workers do everything that they do.
func tryUpkeep(w *world) (model, error) {
	for _, d := range w.m.dirs {
		d.work.checkpoint.Store(true)
		d.work.flush.Store(true)
		d.work.retain.Store(true)
		d.work.space.Store(true)
		d.step(testNow)
	}
	return w.model, nil
}

// tryEpoch begins an epoch, which the file learns with its first record.
func tryEpoch(w *world) (model, error) {
	w.epoch++
	if err := w.log.StartEpoch(w.epoch, w.log.EndOffset()); err != nil {
		return w.model, err
	}
	return tryAppend(w)
}

func tryClose(w *world) (model, error) { return w.model, w.m.Close(3) }

func tryMove(w *world) (model, error) {
	v, err := w.m.BeginMove(world0, w.otherDir())
	if err != nil {
		return w.model, err
	}
	for done := false; !done; {
		if _, done, err = v.Copy(900); err != nil {
			return w.model, errors.Join(err, v.Cancel())
		}
	}
	_, err = v.Commit()
	return w.model, err
}

func tryHighWatermarks(w *world) (model, error) {
	return w.model, w.m.WriteHighWatermarks(map[record.TopicPartition]int64{world0: w.model.end})
}

// tryDeleteLog makes another log and deletes it.
func tryDeleteLog(w *world) (model, error) {
	tp := record.TopicPartition{Topic: "other", Partition: 1}
	if _, err := w.m.GetOrCreate(tp, [16]byte{9}, w.cfg); err != nil {
		return w.model, err
	}
	return w.model, w.m.Delete(tp)
}

func (w *world) otherDir() string {
	for _, d := range w.m.Dirs() {
		if d.Path != w.log.Dir() {
			return d.Path
		}
	}
	panic("one directory only")
}

// add takes a batch that was appended at base.
func (m *model) add(data []byte, base int64) {
	b := record.Batch(slices.Clone(data))
	b.SetBaseOffset(base)
	m.batches = append(m.batches, stored{base, b.LastOffset(), b})
	m.end = b.LastOffset() + 1
}

// batchAfter is batch for a log that holds m.
func (w *world) batchAfter(m model) []byte {
	kept := w.model
	defer func() { w.model = kept }()
	w.model = m
	return w.batch()
}

// copied makes n batches as a leader's compacted log gives them, with offsets
// left out, and takes them into m.
func (w *world) copied(m *model, n int) []byte {
	var data []byte
	for range n {
		b := record.Batch(w.batchAfter(*m))
		b.SetLeaderEpoch(w.epoch)
		b.SetBaseOffset(m.end + w.rng.Int64N(4)*w.rng.Int64N(2))
		m.add(b, b.BaseOffset())
		data = append(data, b...)
	}
	return data
}

// diskErrors are the ways in which the disk fails.
var diskErrors = []vfs.Rule{{Err: syscall.EIO, Short: 24}, {Err: syscall.ENOSPC, Short: 24}, {Err: syscall.EIO}, {Err: syscall.ENOSPC}}

// someErrors leaves the plain ones to runs with many seeds: what fails after a
// part of it was done fails there too.
func someErrors() []vfs.Rule {
	if *seedsFlag > 40 {
		return diskErrors
	}
	return diskErrors[:2]
}

// Every operation on a log is tried with an error at each of its calls of the
// disk in turn. What was acknowledged is there afterwards: in the log as long as
// its directory is on line, after a kill, and, as far as it was synced, after a
// power cut; and a directory that went off line is left alone.
func TestErrorAtEveryCall(t *testing.T) {
	for _, name := range attemptNames() {
		t.Run(name, func(t *testing.T) {
			failures := 0
			for seed := range uint64(max(1, *seedsFlag/40)) {
				for _, rule := range someErrors() {
					for skip := 0; ; skip++ {
						rule.Skip, rule.Times = skip, 1
						fired, err := failOnce(t, seed+1, name, rule)
						if t.Failed() {
							t.Fatalf("seed %d, %s: %v, %d bytes short, at call %d: %v", seed+1, name, rule.Err, rule.Short, skip, err)
						}
						if !fired {
							break
						}
						if err != nil {
							failures++
						}
					}
				}
			}
			if failures == 0 && name != "upkeep" {
				t.Error("nothing failed")
			}
		})
	}
}

// failOnce makes a log of many segments and tries one operation with one error.
func failOnce(t *testing.T, seed uint64, name string, rule vfs.Rule) (fired bool, err error) {
	w := newWorld(t, 2*seed) // with two directories
	for w.model.end < 30 || len(*w.log.segments.Load()) < 3 {
		w.append()
	}
	if seed%2 == 1 { // something is left to sync
		w.cfg.FlushMessages = math.MaxInt64
		w.m.Configure(world0.Topic, w.cfg)
		w.append()
	}
	w.note("try %s", name)
	before := w.model.clone()
	var calls atomic.Int64 // two directories close at the same time
	w.fs.Observe(func(vfs.Call) { calls.Add(1) })
	w.fs.Inject(&rule)
	after, err := attempts[name](w)
	w.fs.Observe(nil)
	w.fs.Heal()
	if w.log.closed.Load() { // moved
		if l, ok := w.m.Log(world0); ok && !l.closed.Load() {
			w.log = l
		}
	}
	w.checkFailed(before, after, err)
	return calls.Load() > int64(rule.Skip), err
}

// checkFailed checks what an operation leaves that met an error, or did not.
func (w *world) checkFailed(before, after model, err error) (model, model) {
	w.t.Helper()
	switch {
	case w.log.OffLine() != nil:
		w.checkLeftAlone()
	case !w.log.closed.Load():
		w.checkOneOf(w.log, before, after)
		if !w.t.Failed() && !errors.Is(err, ErrMoveTorn) {
			before, after = w.goOn(before, after)
		}
	}
	_, killed := w.open(w.fs.Clone())
	w.checkOneOf(killed, before, after)
	for range 3 {
		_, crashed := w.open(w.crash())
		w.checkCrash(crashed, before, after)
	}
	return before, after
}

// goOn appends to a log that has survived an error.
func (w *world) goOn(before, after model) (model, model) {
	w.t.Helper()
	for _, d := range w.m.dirs {
		d.health.Reserve.Watch()
	}
	end := w.log.EndOffset()
	data := plain(w.t, "more")
	info, err := w.log.AppendAsLeader(data, w.epoch, AppendOptions{Origin: OriginCoordinator, Now: testNow.UnixMilli()})
	if err != nil || info.FirstOffset != end {
		w.failf("append after an error at %d, want %d: %v", info.FirstOffset, end, err)
		return before, after
	}
	if err := w.log.Sync(w.log.EndOffset()); err != nil {
		w.failf("sync after an error: %v", err)
	}
	if err := w.m.Checkpoint(); err != nil { // the next opening trusts what is below
		w.failf("checkpoint after an error: %v", err)
	}
	for _, m := range []*model{&before, &after} {
		m.restarted = false
		m.truncate(end)
		m.start = w.log.StartOffset()
		m.add(w.asStored(data), end)
		m.flushed = m.end
	}
	w.checkOneOf(w.log, before, after)
	return before, after
}

// checkOneOf has a log hold what one of two models says, or a part of the way
// from one to the other.
func (w *world) checkOneOf(l *Log, before, after model) {
	w.t.Helper()
	least, most := min(before.lastRecord(before.end), after.lastRecord(after.end)), max(before.end, after.end)
	if after.restarted {
		least = 0
	}
	if end := l.EndOffset(); end < least || end > most {
		w.failf("the log ends at %d, want %d to %d", end, least, most)
		return
	}
	if start := l.StartOffset(); start > max(before.start, after.start) || start < min(before.start, after.start) && !after.restarted {
		w.failf("the log starts at %d, want %d to %d", start, before.start, after.start)
	}
	w.checkContents(l, before, after)
	w.checkIndexes(l)
	w.checkProducers(l, model{start: l.StartOffset(), end: l.EndOffset(), batches: w.batchesOf(l)})
}

// lastRecord is the offset after the last record below offset: after a gap at its
// end a log that was opened again ends there.
func (m model) lastRecord(offset int64) int64 {
	for i := len(m.batches) - 1; i >= 0; i-- {
		if m.batches[i].base < offset {
			return min(offset, m.batches[i].last+1)
		}
	}
	return min(offset, m.start)
}

// checkLeftAlone has nothing change in a directory that is off line.
func (w *world) checkLeftAlone() {
	w.t.Helper()
	var changed bytes.Buffer
	dir := w.log.Dir()
	w.fs.Observe(func(c vfs.Call) {
		if c.Op.Mutates() && len(c.Name) > len(dir) && c.Name[:len(dir)+1] == dir+"/" {
			fmt.Fprintln(&changed, c.Op, c.Name)
		}
	})
	defer w.fs.Observe(nil)
	for _, op := range []func() error{
		func() error { _, err := tryAppend(w); return err },
		func() error { return w.log.Sync(w.log.EndOffset() + 1) },
		func() error { return w.log.TruncateTo(w.model.start) },
		func() error { return w.log.AdvanceStart(w.model.start + 1) },
		func() error { _, err := w.log.DeleteSegments(w.model.end); return err },
	} {
		if err := op(); !errors.Is(err, ErrStorage) && !errors.Is(err, ErrClosed) {
			w.failf("off line, and an operation gives %v", err)
		}
	}
	_, _ = tryUpkeep(w)
	_ = w.m.Close(1)
	if changed.Len() > 0 {
		w.failf("off line, and files are changed: %s", changed.String())
	}
}

// Every call of the disk that opening makes fails in turn, after a power cut and
// after a stop. Nothing is lost by it: the next opening finds what the first one
// would have found.
func TestErrorWhileOpening(t *testing.T) {
	for seed := range uint64(max(2, *seedsFlag/40)) {
		w := newWorld(t, seed+1)
		for w.model.end < 40 {
			w.append()
		}
		if seed%2 == 1 {
			if err := w.m.Close(1); err != nil {
				t.Fatal(err)
			}
		}
		disk := w.crash()
		_, l := w.open(disk.Clone())
		want := model{start: l.StartOffset(), end: l.EndOffset(), batches: w.batchesOf(l)}
		for _, rule := range someErrors() {
			for skip, calls := 0, 1; skip < calls; skip++ {
				rule.Skip, rule.Times = skip, 1
				calls = w.openWithError(disk.Clone(), rule, want)
				if t.Failed() {
					t.Fatalf("seed %d: %v at call %d", seed+1, rule.Err, skip)
				}
			}
		}
	}
}

// openWithError gives how many calls of the disk the opening made.
func (w *world) openWithError(disk *vfs.Mem, rule vfs.Rule, want model) int {
	w.t.Helper()
	disk.Inject(&rule)
	var calls atomic.Int64 // directories open at the same time
	disk.Observe(func(vfs.Call) { calls.Add(1) })
	m, err := OpenManager(w.t.Context(), ManagerConfig{
		Dirs: w.dirs(), FS: disk, BrokerID: 1, ClusterID: "c", Defaults: w.cfg, ProducerIDExpiration: 1 << 62,
	}, nil, nil)
	disk.Observe(nil)
	disk.Heal()
	if err == nil {
		if l, ok := m.Log(world0); ok && l.OffLine() == nil {
			w.checkOneOf(l, want, want)
		}
		_ = m.abandon()
	}
	for _, d := range []*vfs.Mem{disk.Clone(), disk.Crash(w.rng)} {
		_, l := w.open(d)
		w.checkOneOf(l, want, want)
	}
	return int(calls.Load())
}
