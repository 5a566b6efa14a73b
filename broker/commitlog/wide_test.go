package commitlog

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/leatstream/leat/broker/record"
)

// more does one of the rarer operations of the metamorphic test, if the draw
// says so.
func (w *world) more() bool {
	switch n := w.rng.IntN(100); {
	case n < 7:
		w.follow()
	case n < 17 && len(w.dirs()) > 1:
		w.moveOn()
	case n < 21:
		w.reconfigure()
	default:
		return false
	}
	return true
}

// dirs are the log directories: one, whose operations come in the same order each
// time, or two.
func (w *world) dirs() []string {
	return []string{"/data", "/data2"}[:1+(w.seed+1)%2]
}

// follow appends what a follower fetches from a compacted log.
func (w *world) follow() {
	after := w.model.clone()
	data := w.copied(&after, 1+w.rng.IntN(3))
	info, err := w.log.AppendAsFollower(data)
	if err != nil || info.LastOffset+1 != after.end {
		w.failf("copy up to %d, want %d: %v", info.LastOffset+1, after.end, err)
	}
	w.note("copy of [%d,%d]", info.FirstOffset, info.LastOffset)
	w.model = after
	w.model.flushed = max(w.model.flushed, w.log.FlushedOffset())
	if w.cfg.FlushMessages == 1 && w.log.FlushedOffset() != w.model.end {
		w.failf("flush.messages=1 and flushed %d of %d", w.log.FlushedOffset(), w.model.end)
	}
}

// reconfigure changes what may change at run time and leaves the indexes
// comparable.
func (w *world) reconfigure() {
	w.cfg.SegmentBytes = int32(400 + w.rng.IntN(4000))
	w.cfg.SegmentIndexBytes = []int32{10 << 20, 64}[w.rng.IntN(2)]
	w.cfg.FlushMessages = []int64{1, 5, math.MaxInt64}[w.rng.IntN(3)]
	w.cfg.Preallocate = w.rng.IntN(2) == 0
	w.cfg.ValidateRecords = w.rng.IntN(2) == 0
	w.cfg.KeepCompression = w.rng.IntN(3) > 0
	w.cfg.Compression = record.Compression(w.rng.IntN(5))
	w.cfg.TimestampType = record.TimestampType(w.rng.IntN(2))
	w.note("configure: segments of %d bytes, flush.messages %d, codec %v (kept: %v), timestamps %v",
		w.cfg.SegmentBytes, w.cfg.FlushMessages, w.cfg.Compression, w.cfg.KeepCompression, w.cfg.TimestampType)
	w.m.Configure(world0.Topic, w.cfg)
}

// asStored gives what the log makes of a batch once it has stamped it, apart from
// offset and epoch.
func (w *world) asStored(data []byte) []byte {
	b := record.Batch(slices.Clone(data))
	if !w.cfg.recodes(b) {
		return b
	}
	out, err := record.Recompress(nil, b, w.cfg.Compression, record.Levels{Gzip: w.cfg.GzipLevel, LZ4: w.cfg.LZ4Level, Zstd: w.cfg.ZstdLevel}, 0)
	if err != nil {
		w.failf("recompress: %v", err)
		return b
	}
	record.Batch(out).SetLeaderEpoch(w.epoch)
	return out
}

// moveOn begins a move to the other directory, goes on with the one under way,
// has its copy take the log's place, or gives it up.
func (w *world) moveOn() {
	if w.moving == nil {
		v, err := w.m.BeginMove(world0, w.otherDir())
		if err != nil || v == nil {
			w.failf("begin move: %v", err)
			return
		}
		w.note("move to %s", w.otherDir())
		w.moving = v
	}
	if w.rng.IntN(12) == 0 {
		w.note("give the move up")
		if err := w.moving.Cancel(); err != nil {
			w.failf("cancel: %v", err)
		}
		w.moving = nil
		return
	}
	for range w.rng.IntN(6) {
		if _, _, err := w.moving.Copy(1 + w.rng.IntN(4000)); err != nil {
			w.failf("copy for a move: %v", err)
			return
		}
	}
	moved, err := w.moving.Commit()
	if errors.Is(err, ErrMoveBehind) {
		return
	}
	if err != nil {
		w.failf("move: %v", err)
		return
	}
	w.note("moved to %s", moved.Dir())
	w.log, w.moving = moved, nil
	w.model.flushed = max(w.model.flushed, moved.FlushedOffset())
}

// fail tries an operation on a disk that fails somewhere in it, and goes on with
// what a kill or a power cut leaves.
func (w *world) fail() {
	names := attemptNames()
	name := names[w.rng.IntN(len(names))]
	if name == "move" && len(w.dirs()) == 1 {
		name = "append"
	}
	rule := diskErrors[w.rng.IntN(len(diskErrors))]
	rule.Skip, rule.Times = w.rng.IntN(15), 1
	w.note("%s, and call %d fails: %v", name, rule.Skip, rule.Err)
	before := w.model.clone()
	w.fs.Inject(&rule)
	after, err := attempts[name](w)
	w.fs.Heal()
	if l, ok := w.m.Log(world0); ok && w.log.closed.Load() {
		w.log = l
	}
	before, after = w.checkFailed(before, after, err)
	disk := w.fs.Clone()
	if w.rng.IntN(2) == 0 {
		disk = w.crash()
	}
	w.fs = disk
	w.m, w.log = w.open(disk)
	w.checkCrash(w.log, before, after)
	w.moving = nil
	w.model = model{start: w.log.StartOffset(), end: w.log.EndOffset(), flushed: w.log.FlushedOffset(), batches: w.batchesOf(w.log)}
}

// reopened is what a log holds after it was closed and opened: a gap at its end
// is forgotten.
func (m *model) reopened() {
	m.end = max(m.start, m.lastRecord(m.end))
	m.flushed = m.end
}

// checkLimits reads up to offsets below the end, as consumers do up to the high
// watermark and the last stable offset: whole batches below the limit, and all
// that are asked for.
func (w *world) checkLimits(l *Log, m model) {
	w.t.Helper()
	rng := rand.New(rand.NewPCG(w.seed, uint64(m.end)))
	for range 6 {
		if m.end <= m.start {
			return
		}
		offset := m.start + rng.Int64N(m.end-m.start)
		limit := offset + rng.Int64N(m.end-offset+1)
		if b := m.from(limit); b != nil && b.base < limit {
			limit = b.base // no high watermark lies within a batch
		}
		slice, err := l.Read(offset, 1<<20, true, limit)
		if err != nil {
			w.failf("read at %d up to %d: %v", offset, limit, err)
			return
		}
		data, err := slice.Bytes(nil)
		slice.Release()
		if err != nil {
			w.failf("read at %d up to %d: %v", offset, limit, err)
		}
		if want := m.from(offset); len(data) == 0 && want != nil && want.last < limit {
			w.failf("read at %d up to %d gives nothing, want %v", offset, limit, want)
		}
		for next := offset; len(data) > 0; {
			b, rest, err := record.Next(data)
			if err != nil || b.LastOffset() >= limit || b.BaseOffset() != m.from(next).base {
				w.failf("read at %d up to %d gives [%d,%d], %v, after %d", offset, limit, b.BaseOffset(), b.LastOffset(), err, next-1)
				return
			}
			next, data = b.LastOffset()+1, rest
		}
	}
}
