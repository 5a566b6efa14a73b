package clean

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// stats counts what compacting one log took.
type stats struct {
	passes           int
	bytesRead        int64
	bytesWritten     int64
	recordsRead      int64 // of the segments that were rewritten
	recordsWritten   int64
	keyless          int64 // records without key, which are dropped
	keys             int   // in the fullest map
	fill             float64
	duration         time.Duration
	before, after    int64 // bytes of the rewritten segments
	firstDirty, done int64 // offsets
}

const (
	// learnedAtOnce is how many keys are put into the map in one go.
	learnedAtOnce = 64
	// supersededShare of the memory for keys remembers which dirty records need
	// not be looked up again: enough for 33 million records of the usual 128 MiB.
	supersededShare = 32
)

// pass compacts a log once: it learns the last offset of each key in
// [dirty, end) and rewrites everything below end without what is superseded.
type pass struct {
	log  *commitlog.Log
	cfg  commitlog.Config
	env  *environment
	now  int64 // ms
	stat *stats

	keys      *keyMap
	old       *superseded // of the dirty records, those that keys need not be asked for
	pending   []seen      // keys not in the map yet
	end       int64       // records at or above stay as they are
	tails     map[int64]commitlog.ProducerTail
	filter    record.Filter
	out       []byte // batch being made
	keep      func(*record.Record) bool
	forgotten bool // the current batch's delete horizon has passed
}

// environment is what passes share with the cleaner.
type environment struct {
	settings Settings
	throttle *throttle
}

func (e *environment) pay(ctx context.Context, n int) error {
	return e.throttle.wait(ctx, n, e.settings.IOMaxBytesPerSecond)
}

// compact runs as many passes as the map of keys asks for. What was done before
// an error stays done.
func compact(ctx context.Context, c candidate, env *environment, now time.Time) (stats, error) {
	begin := time.Now()
	s := stats{firstDirty: c.dirty, done: c.dirty}
	for s.done < c.end {
		list, err := c.log.Segments()
		if err != nil {
			return s, err
		}
		p := &pass{log: c.log, cfg: c.log.Config(), env: env, now: now.UnixMilli(), stat: &s, tails: c.log.ProducerTails()}
		p.keep = p.stays
		end, err := p.run(ctx, list, max(s.done, c.log.StartOffset()), c.end)
		p.filter.Close()
		if err != nil {
			return s, err
		}
		s.passes++
		s.done = end
		s.duration = time.Since(begin)
	}
	return s, nil
}

// run does one pass and gives the offset up to which the log is compacted.
func (p *pass) run(ctx context.Context, list []commitlog.SegmentInfo, dirty, limit int64) (int64, error) {
	first, truncations := list[0].BaseOffset, p.log.Truncations()
	aborted, err := p.log.AbortedTransactions(first, limit)
	if err != nil {
		return 0, err
	}
	if err := p.learn(ctx, dirty, limit, newTransactions(aborted)); err != nil {
		return 0, err
	}
	txns := newTransactions(aborted)
	for _, g := range groups(list, p.end, p.cfg) {
		if err := p.rewrite(ctx, g, txns); err != nil {
			return 0, err
		}
	}
	return p.end, p.log.SetCleanedOffset(p.end, truncations)
}

// learn fills the map of keys from dirty on and sets p.end: limit, or the first
// record for which there was no room.
func (p *pass) learn(ctx context.Context, dirty, limit int64, txns *transactions) error {
	budget := p.env.settings.mapBytes()
	p.old = newSuperseded(budget/supersededShare, dirty, limit)
	p.keys = newKeyMap(budget-p.old.size(), dirty, limit-dirty, p.env.settings.LoadFactor)
	p.pending = make([]seen, 0, learnedAtOnce)
	p.end = limit
	r, err := p.log.ReadBatches(dirty, limit)
	if err != nil {
		return err
	}
	defer r.Close()
	var it record.Iterator
	defer it.Close()
	for full := false; !full; {
		b, err := p.next(ctx, r)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		p.stat.bytesRead += int64(len(b))
		if b.IsControl() {
			_, _, err = txns.marker(b)
		} else if !txns.records(b) {
			full, err = p.learnBatch(&it, b, dirty)
		}
		if err != nil {
			return damaged(r, err)
		}
	}
	p.settle() // nothing is pending when the map is full
	p.stat.keys = max(p.stat.keys, p.keys.count)
	p.stat.fill = max(p.stat.fill, p.keys.fill())
	return nil
}

// next gives the next batch once it is paid for, unless the log is not to be
// compacted any more.
func (p *pass) next(ctx context.Context, r *commitlog.BatchReader) (record.Batch, error) {
	b, err := r.Next()
	if err != nil {
		return nil, err
	}
	if !p.log.Config().Compact {
		return nil, errNotCompacted
	}
	return b, p.env.pay(ctx, len(b))
}

func (p *pass) learnBatch(it *record.Iterator, b record.Batch, dirty int64) (full bool, err error) {
	if err := it.Reset(b, 0); err != nil {
		return false, err
	}
	for it.Next() {
		rec := &it.Record
		if rec.Key == nil || rec.Offset < dirty {
			continue
		}
		hash, check := digest(rec.Key)
		p.pending = append(p.pending, seen{hash, check, rec.Offset})
		if len(p.pending) == learnedAtOnce && !p.settle() {
			return true, nil
		}
	}
	return false, it.Err()
}

// settle puts the pending keys into the map. False says that it became full:
// then p.end is the first record for which there was no room.
func (p *pass) settle() bool {
	defer func() { p.pending = p.pending[:0] }()
	p.keys.touch(p.pending)
	for _, s := range p.pending {
		before, ok := p.keys.put(s)
		if !ok {
			p.end = s.offset
			return false
		}
		if before >= 0 {
			p.old.mark(before)
		}
	}
	return true
}

// damaged names the place of records that cannot be decoded although their
// batch's checksum is right.
func damaged(r *commitlog.BatchReader, err error) error {
	segment, pos := r.Position()
	return fmt.Errorf("%w: segment %d, position %d: %w", commitlog.ErrCorruptBatch, segment, pos, err)
}

// rewrite compacts one group of segments.
func (p *pass) rewrite(ctx context.Context, g group, txns *transactions) error {
	w, err := p.log.BeginRewrite(g.from, g.to, p.env.settings.bufferBytes())
	if err != nil {
		return err
	}
	defer w.Abandon()
	for {
		b, err := p.next(ctx, w.BatchReader)
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		p.stat.bytesRead += int64(len(b))
		p.stat.recordsRead += int64(b.Count())
		if err := p.batch(ctx, w, b, txns); err != nil {
			return err
		}
	}
	if !p.log.Config().Compact {
		return errNotCompacted
	}
	size := w.Size()
	if err := w.Commit(); err != nil {
		return err
	}
	p.stat.before += g.size
	p.stat.after += size
	return nil
}

// batch decides about one batch and writes what stays of it.
//
// A producer's last batch stays, if only as a header, because it tells the last
// sequence number. So does the last batch of a group: without it the log would
// have a hole there, which recovery could not tell from a lost tail.
func (p *pass) batch(ctx context.Context, w *commitlog.Rewrite, b record.Batch, txns *transactions) error {
	mustStay := w.Last() || p.isTail(b)
	if b.IsControl() {
		return p.control(ctx, w, b, txns, mustStay)
	}
	kept, out := int32(0), p.out[:0]
	if !txns.records(b) {
		horizon, set := b.DeleteHorizon()
		p.forgotten = set && p.now >= horizon
		var err error
		if out, kept, err = p.filter.Apply(out, b, p.options(), p.keep); err != nil {
			return damaged(w.BatchReader, err)
		}
	} else if b.LastOffset() >= p.end {
		out, kept = append(out, b...), b.Count()
	}
	if kept == 0 {
		if !mustStay {
			return nil
		}
		out = record.AppendEmpty(out, b)
	}
	p.out = out
	return p.write(ctx, w, out)
}

// control writes a batch with a marker. One without any batch of its
// transaction left gets a delete horizon, and goes once that has passed.
func (p *pass) control(ctx context.Context, w *commitlog.Rewrite, b record.Batch, txns *transactions, mustStay bool) error {
	spent, ended, err := txns.marker(b)
	if err != nil {
		return damaged(w.BatchReader, err)
	}
	horizon, set := b.DeleteHorizon()
	switch {
	case !spent || b.LastOffset() >= p.end || b.Count() == 0 && mustStay || set && mustStay:
		err = p.write(ctx, w, b)
	case b.Count() == 0 || set && p.now >= horizon:
		return nil
	case set:
		err = p.write(ctx, w, b)
	default:
		out, _, ferr := p.filter.Apply(p.out[:0], b, p.options(), everything)
		if ferr != nil {
			return damaged(w.BatchReader, ferr)
		}
		p.out = out
		err = p.write(ctx, w, out)
	}
	if err == nil && ended != nil {
		w.Aborted(*ended)
	}
	return err
}

func everything(*record.Record) bool { return true }

func (p *pass) options() record.FilterOptions {
	return record.FilterOptions{
		DeleteHorizon: p.now + min(p.cfg.DeleteRetentionMs, 1<<60),
		Levels:        record.Levels{Gzip: p.cfg.GzipLevel, LZ4: p.cfg.LZ4Level, Zstd: p.cfg.ZstdLevel},
	}
}

func (p *pass) write(ctx context.Context, w *commitlog.Rewrite, b record.Batch) error {
	if err := p.env.pay(ctx, len(b)); err != nil {
		return err
	}
	p.stat.bytesWritten += int64(len(b))
	p.stat.recordsWritten += int64(b.Count())
	return w.Append(b)
}

// stays decides about one record: the last of its key stays, but a tombstone
// only until its batch's delete horizon.
func (p *pass) stays(r *record.Record) bool {
	switch {
	case r.Offset >= p.end:
		return true
	case r.Key == nil:
		p.stat.keyless++
		return false
	case p.old.covers(r.Offset):
		if p.old.has(r.Offset) {
			return false
		}
	case p.keys.last(r.Key) > r.Offset:
		return false
	}
	return r.Value != nil || !p.forgotten
}

// isTail tells whether b is the newest that the log holds of an active producer.
func (p *pass) isTail(b record.Batch) bool {
	if !b.HasProducerID() {
		return false
	}
	t, ok := p.tails[b.ProducerID()]
	if ok && t.LastOffset < 0 {
		return b.IsControl() && b.ProducerEpoch() == t.Epoch
	}
	return ok && t.LastOffset == b.LastOffset()
}
