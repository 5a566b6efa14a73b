package commitlog

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/logfile"
	"github.com/leatstream/leat/broker/commitlog/producer"
	"github.com/leatstream/leat/broker/record"
)

// Origin tells where an append comes from, and with it how much is checked.
type Origin uint8

const (
	// OriginClient is a produce request: every rule applies.
	OriginClient Origin = iota
	// OriginCoordinator is a coordinator of this broker: markers are allowed,
	// sequence numbers are not checked, epochs are.
	OriginCoordinator
	// OriginReplication is a follower's copy: offsets are taken as they are.
	OriginReplication
)

// AppendOptions are the circumstances of an append.
type AppendOptions struct {
	Origin Origin
	Now    int64 // wall clock in ms; becomes the timestamp under LogAppendTime
	// DeferFlush leaves a due flush (flush.messages) to the caller, who calls
	// Sync(AppendInfo.LastOffset+1) when AppendInfo.FlushDue is set, outside its
	// own locks.
	DeferFlush bool
}

// AppendInfo is the outcome of an append.
type AppendInfo struct {
	FirstOffset    int64 // of the first record; of the old batch if Duplicate
	LastOffset     int64
	LogAppendTime  int64 // -1 unless the topic uses LogAppendTime (or a duplicate: its max timestamp)
	MaxTimestamp   int64
	LogStartOffset int64
	LeaderEpoch    int32 // of the last batch
	Size           int   // bytes appended
	Records        int64 // records appended
	Duplicate      bool  // the batch was in the log already; nothing was appended
	FlushDue       bool  // flush.messages is reached and DeferFlush was set
}

// Prepared is a checked set of batches on its way into a log. It may be reused;
// the zero value is ready for Log.Prepare.
type Prepared struct {
	batches   []byte // whole batches, owned by the caller unless recoded
	opts      AppendOptions
	count     int   // of batches
	records   int64 // by offsets, so that compacted batches count as before
	maxTime   int64
	appendMs  int64  // -1 or the LogAppendTime
	recoded   []byte // buffer of recompressed batches
	producers bool   // at least one batch carries a producer id
}

// Prepare checks batches without taking the log's lock: framing, checksum,
// counts, sizes, timestamps; it rewrites timestamps and codec where the topic's
// configuration asks for it. The bytes of batches are modified in place and must
// stay untouched until AppendPrepared returns.
func (l *Log) Prepare(p *Prepared, batches []byte, opts AppendOptions) error {
	cfg := l.cfg.Load()
	*p = Prepared{batches: batches, opts: opts, maxTime: -1, appendMs: -1, recoded: p.recoded[:0]}
	if opts.Origin == OriginReplication {
		return p.prepareCopy()
	}
	checks := cfg.checks(opts.Now)
	count, recode := 0, false
	for rest := batches; len(rest) > 0; count++ {
		b, next, err := record.Next(rest)
		if err != nil {
			return frameError(err)
		}
		if err := p.prepareBatch(b, cfg, checks); err != nil {
			return err
		}
		recode = recode || cfg.recodes(b)
		rest = next
	}
	switch {
	case count == 0:
		return fmt.Errorf("%w: no batch", ErrInvalidRecord)
	case count > 1 && opts.Origin == OriginClient:
		return fmt.Errorf("%w: %d batches for one partition", ErrInvalidRecord, count)
	case recode:
		return p.recode(cfg)
	}
	return nil
}

// frameError turns a cut batch into a corrupt one: nothing more will come.
func frameError(err error) error {
	if errors.Is(err, record.ErrTruncated) {
		return fmt.Errorf("%w: %w", ErrCorruptBatch, err)
	}
	return err
}

// checks gives the rules for batches that arrive now (ms).
func (c *Config) checks(now int64) record.Checks {
	checks := record.Checks{RequireKey: c.Compact, MinTimestamp: math.MinInt64}
	if c.ValidateRecords || c.Compact {
		checks.Mode = record.ModeRecords
	}
	if c.TimestampType == record.CreateTime && (c.TimestampAfterMaxMs != math.MaxInt64 || c.TimestampBeforeMaxMs != math.MaxInt64) {
		checks.MaxTimestamp = math.MaxInt64
		if c.TimestampAfterMaxMs < math.MaxInt64-now {
			checks.MaxTimestamp = max(1, now+c.TimestampAfterMaxMs)
		}
		if c.TimestampBeforeMaxMs < math.MaxInt64 {
			checks.MinTimestamp = now - c.TimestampBeforeMaxMs
		}
	}
	return checks
}

// recodes tells whether compression.type asks for another codec.
func (c *Config) recodes(b record.Batch) bool {
	return !c.KeepCompression && b.Compression() != c.Compression && !b.IsControl()
}

// prepareBatch checks one batch and stamps it under LogAppendTime.
func (p *Prepared) prepareBatch(b record.Batch, cfg *Config, checks record.Checks) error {
	if len(b) > int(cfg.MaxMessageBytes) {
		return fmt.Errorf("%w: %d > %d", ErrMessageTooLarge, len(b), cfg.MaxMessageBytes)
	}
	if p.opts.Origin == OriginClient {
		if b.TimestampType() == record.LogAppendTime {
			// The checksum decides first whether the flag is real.
			if err := b.CheckCRC(); err != nil {
				return err
			}
			return fmt.Errorf("%w: a producer may not set LogAppendTime", ErrInvalidTimestamp)
		}
	} else {
		checks.MaxTimestamp = 0
		checks.RequireKey = checks.RequireKey && !b.IsControl()
	}
	if err := b.Validate(checks); err != nil {
		return err
	}
	if p.opts.Origin == OriginClient {
		if err := clientRules(b); err != nil {
			return err
		}
	}
	if cfg.TimestampType == record.LogAppendTime {
		b.SetMaxTimestamp(record.LogAppendTime, p.opts.Now)
		p.appendMs = p.opts.Now
	}
	p.note(b)
	return nil
}

// clientRules are the rules that hold only for produce requests.
func clientRules(b record.Batch) error {
	switch {
	case b.IsControl():
		return fmt.Errorf("%w: clients may not write control batches", ErrInvalidRecord)
	case b.HasProducerID() && (b.BaseSequence() < 0 || b.ProducerEpoch() < 0):
		return fmt.Errorf("%w: producer %d, epoch %d, sequence %d", ErrInvalidRecord, b.ProducerID(), b.ProducerEpoch(), b.BaseSequence())
	case b.IsTransactional() && !b.HasProducerID():
		return fmt.Errorf("%w: transactional batch without a producer id", ErrInvalidRecord)
	}
	return nil
}

func (p *Prepared) note(b record.Batch) {
	p.count++
	p.records += int64(b.LastOffsetDelta()) + 1
	p.maxTime = max(p.maxTime, b.MaxTimestamp())
	p.producers = p.producers || b.HasProducerID()
}

// prepareCopy checks batches that a leader has checked already: framing and
// checksum. A cut batch at the end is left out.
func (p *Prepared) prepareCopy() error {
	rest := p.batches
	for len(rest) > 0 {
		b, next, err := record.Next(rest)
		if errors.Is(err, record.ErrTruncated) {
			break
		}
		if err != nil {
			return err
		}
		if err := b.CheckCRC(); err != nil {
			return err
		}
		p.note(b)
		rest = next
	}
	p.batches = p.batches[:len(p.batches)-len(rest)]
	return nil
}

// recode rewrites all batches with the topic's codec.
func (p *Prepared) recode(cfg *Config) error {
	levels := record.Levels{Gzip: cfg.GzipLevel, LZ4: cfg.LZ4Level, Zstd: cfg.ZstdLevel}
	for rest := p.batches; len(rest) > 0; {
		b, next, err := record.Next(rest)
		if err != nil {
			return frameError(err)
		}
		codec := cfg.Compression
		if b.IsControl() {
			codec = b.Compression()
		}
		limit := 0
		if codec == record.None { // what is larger would be refused anyway
			limit = int(cfg.MaxMessageBytes)
		}
		start := len(p.recoded)
		if p.recoded, err = record.Recompress(p.recoded, b, codec, levels, limit); err != nil {
			return err
		}
		if size := len(p.recoded) - start; size > int(cfg.MaxMessageBytes) {
			return fmt.Errorf("%w: %d after compression > %d", ErrMessageTooLarge, size, cfg.MaxMessageBytes)
		}
		rest = next
	}
	p.batches = p.recoded
	return nil
}

// AppendAsLeader is Prepare and AppendPrepared in one step. The batches' bytes
// are modified in place (offset, leader epoch, LogAppendTime).
func (l *Log) AppendAsLeader(batches []byte, leaderEpoch int32, opts AppendOptions) (AppendInfo, error) {
	var p Prepared
	if err := l.Prepare(&p, batches, opts); err != nil {
		return AppendInfo{}, err
	}
	return l.AppendPrepared(&p, leaderEpoch)
}

// AppendAsFollower appends batches fetched from the leader with the offsets and
// epochs that they carry. A partial batch at the end is ignored. Batches that do
// not fit one segment together are appended one after the other, so that an
// error may leave the first of them in the log.
func (l *Log) AppendAsFollower(batches []byte) (AppendInfo, error) {
	var p Prepared
	if err := l.Prepare(&p, batches, AppendOptions{Origin: OriginReplication, Now: time.Now().UnixMilli()}); err != nil {
		return AppendInfo{}, err
	}
	total := AppendInfo{FirstOffset: -1, LastOffset: -1, LogAppendTime: -1, MaxTimestamp: -1, LogStartOffset: l.StartOffset(), LeaderEpoch: -1}
	for all := p.batches; len(all) > 0; {
		n := fitting(all, int(l.cfg.Load().SegmentBytes))
		part := Prepared{batches: all[:n], opts: p.opts, maxTime: -1, appendMs: -1}
		if err := part.prepareCopy(); err != nil {
			return total, err
		}
		end := l.EndOffset()
		info, err := l.AppendPrepared(&part, 0)
		if err != nil {
			return total, err
		}
		total.merge(info)
		if info.FirstOffset-end > math.MaxInt32 {
			if err := l.keepHole(); err != nil {
				return total, err
			}
		}
		all = all[n:]
	}
	return total, nil
}

// keepHole makes the records after a hole between segments durable and moves the
// recovery point past it: recovery takes a hole above that for lost records.
func (l *Log) keepHole() error {
	if err := l.Sync(l.EndOffset()); err != nil {
		return err
	}
	return l.storeRecoveryPoint()
}

// fitting is the size of the longest run of whole batches that one segment can
// hold, within limit bytes and 2³¹ offsets, at least one batch.
func fitting(batches []byte, limit int) int {
	n, first := 0, int64(0)
	for n < len(batches) {
		size, err := record.BatchSize(batches[n:])
		if err != nil || n > 0 && n+size > limit {
			break
		}
		b := record.Batch(batches[n:])
		if n == 0 {
			first = b.BaseOffset()
		} else if b.LastOffset()-first > math.MaxInt32 {
			break
		}
		n += size
	}
	return n
}

func (i *AppendInfo) merge(next AppendInfo) {
	if i.FirstOffset < 0 {
		i.FirstOffset = next.FirstOffset
	}
	i.LastOffset, i.LeaderEpoch, i.LogStartOffset = next.LastOffset, next.LeaderEpoch, next.LogStartOffset
	i.MaxTimestamp = max(i.MaxTimestamp, next.MaxTimestamp)
	i.Size += next.Size
	i.Records += next.Records
}

// AppendPrepared assigns offsets and the leader epoch, checks producer state and
// writes all batches with one write. It either appends all or nothing.
func (l *Log) AppendPrepared(p *Prepared, leaderEpoch int32) (AppendInfo, error) {
	l.mu.Lock()
	info, err := l.append(p, leaderEpoch)
	due := err == nil && l.flushDue(info)
	l.mu.Unlock()
	if !due {
		return info, err
	}
	if p.opts.DeferFlush {
		info.FlushDue = true
		return info, nil
	}
	return info, l.Sync(info.LastOffset + 1)
}

// flushDue tells whether flush.messages asks for a sync before the append is
// answered. A duplicate may have come before the sync of what it repeats was
// done. The caller holds mu.
func (l *Log) flushDue(info AppendInfo) bool {
	limit := l.cfg.Load().FlushMessages
	if info.Duplicate {
		return limit == 1 && l.flushed.Load() <= info.LastOffset
	}
	return l.records >= limit
}

// append does AppendPrepared. The caller holds mu.
func (l *Log) append(p *Prepared, leaderEpoch int32) (AppendInfo, error) {
	l.pending.Reset()
	info, ready, err := l.plan(p, leaderEpoch, l.EndOffset())
	if err != nil || !ready {
		return info, err
	}
	return info, l.write(p, info)
}

// plan gives p its offsets, from next on, stages its changes of producer state
// and rolls the active segment if p does not go into it. When next is not the end
// of the log, p is to follow what joins has let it follow. ready is false when
// there is nothing to write. The caller holds mu.
func (l *Log) plan(p *Prepared, leaderEpoch int32, next int64) (info AppendInfo, ready bool, err error) {
	info = AppendInfo{
		FirstOffset: next, LastOffset: next - 1, LogAppendTime: p.appendMs, MaxTimestamp: p.maxTime,
		LogStartOffset: l.StartOffset(), LeaderEpoch: leaderEpoch, Size: len(p.batches), Records: p.records,
	}
	if err := l.usable(); err != nil || len(p.batches) == 0 {
		return info, false, err
	}
	if err := l.health.Reserve.Err(); err != nil {
		return info, false, err
	}
	cfg := l.cfg.Load()
	if len(p.batches) > int(cfg.SegmentBytes) && p.opts.Origin != OriginReplication {
		return info, false, fmt.Errorf("%w: %d > %d", ErrRecordListTooLarge, len(p.batches), cfg.SegmentBytes)
	}
	if p.producers && p.opts.Origin == OriginClient {
		if dup, ok := l.findDuplicate(p.batches); ok {
			info.FirstOffset, info.LastOffset = dup.FirstOffset(), dup.LastOffset
			info.LogAppendTime, info.MaxTimestamp = dup.Timestamp, dup.Timestamp
			info.Size, info.Records, info.Duplicate = 0, 0, true
			return info, false, nil
		}
	}
	if err := l.writeID(); err != nil { // a log with records has its id
		return info, false, err
	}
	if err := l.assign(p, leaderEpoch, next, &info); err != nil {
		return info, false, err
	}
	if next == l.EndOffset() {
		err = l.makeRoom(p, cfg, &info)
	}
	return info, err == nil, err
}

// makeRoom rolls the active segment when the batches of p, which come next, do
// not go into it.
func (l *Log) makeRoom(p *Prepared, cfg *Config, info *AppendInfo) error {
	// A copy of a compacted log jumps over offsets; the new segment begins where
	// the old one ends all the same, so that recovery sees no hole.
	base := l.EndOffset()
	if info.LastOffset-base > math.MaxInt32 {
		base = info.FirstOffset
	}
	if s := l.active(); l.shouldRoll(s, cfg, ahead{}, len(p.batches), p.maxTime, info.LastOffset, p.opts.Now) && s.base != base {
		return l.roll(base, p.opts.Now)
	}
	return nil
}

// findDuplicate looks for a batch that its producer has sent before.
func (l *Log) findDuplicate(batches []byte) (producer.Batch, bool) {
	for len(batches) > 0 {
		b, rest, err := record.Next(batches)
		if err != nil {
			break
		}
		if dup, ok := l.producers.Duplicate(b); ok {
			return dup, true
		}
		batches = rest
	}
	return producer.Batch{}, false
}

// assign gives the batches their offsets from first on (or checks those of a
// copy), stages the changes of producer state and notes new leader epochs.
func (l *Log) assign(p *Prepared, leaderEpoch int32, first int64, info *AppendInfo) error {
	next := first
	copied := p.opts.Origin == OriginReplication
	checks := producer.Checks{Epochs: !copied, Sequences: p.opts.Origin == OriginClient}
	for rest := p.batches; len(rest) > 0; {
		b, after, err := record.Next(rest)
		if err != nil {
			return frameError(err)
		}
		if !copied {
			b.SetBaseOffset(next)
			b.SetLeaderEpoch(leaderEpoch)
		} else if b.BaseOffset() < next || b.LastOffsetDelta() < 0 {
			return fmt.Errorf("%w: batch at %d, expected %d or later", ErrOffsetOutOfRange, b.BaseOffset(), next)
		}
		if next == first {
			info.FirstOffset = b.BaseOffset()
		}
		if b.HasProducerID() {
			if err := l.producers.Stage(&l.pending, b, b.BaseOffset(), checks); err != nil {
				return err
			}
		}
		if err := l.assignEpoch(b.LeaderEpoch(), b.BaseOffset()); err != nil {
			return err
		}
		info.LeaderEpoch = b.LeaderEpoch()
		next = b.LastOffset() + 1
		rest = after
	}
	info.LastOffset = next - 1
	return nil
}

// write puts the batches at the end of the active segment and publishes them.
// A failed write is cut off again, so that the log is as before.
func (l *Log) write(p *Prepared, info AppendInfo) error {
	s, cfg := l.active(), l.cfg.Load()
	pos := s.size.Load()
	s.file.Touch()
	h, err := s.file.Acquire()
	if err != nil {
		return l.health.FailUnlessFull("open segment", err)
	}
	defer h.Release()
	l.preallocate(s, h, cfg, pos+int64(len(p.batches)))
	if _, err := h.File.WriteAt(p.batches, pos); err != nil {
		return l.undo(s, h, pos, err)
	}
	if txns := l.producers.Aborted(&l.pending); len(txns) > 0 {
		known := s.txns.Entries()
		if err := s.txns.Add(l.dir.fs, s.path(format.TxnIndexSuffix), txns); err != nil {
			err = l.undo(s, h, pos, err)
			if terr := s.txns.Rewrite(l.dir.fs, s.path(format.TxnIndexSuffix), known); terr != nil {
				return l.health.Fail("undo transaction index", terr)
			}
			return err
		}
	}
	l.commit()
	l.publish(s, p, cfg, info, pos)
	return nil
}

// undo cuts a segment back to size after a failed write. If even that fails,
// the directory is off line and recovery will cut the log.
func (l *Log) undo(s *segment, h *logfile.Handle, size int64, cause error) error {
	if err := h.File.Truncate(size); err != nil {
		return l.health.Fail("undo append", errors.Join(cause, err))
	}
	s.allocated = min(s.allocated, size)
	return l.health.FailUnlessFull("append", cause)
}

// preallocate reserves space ahead of the end in steps, which makes appends
// cheaper. Without Config.Preallocate a step is a part of what the segment
// holds, so that little is reserved for logs that hold little. It is an
// optimisation: when it fails, the write will tell.
func (l *Log) preallocate(s *segment, h *logfile.Handle, cfg *Config, end int64) {
	if end <= s.allocated {
		return
	}
	step := int64(preallocateStep)
	if !cfg.Preallocate {
		if step = min(step, end/reserveShare); step < minReserve {
			return
		}
	}
	from := max(s.allocated, s.size.Load())
	to := max(end, min(end+step, int64(cfg.SegmentBytes)))
	if h.File.Preallocate(from, to-from) == nil {
		s.allocated = to
	}
}

// commit takes over the staged changes of producer state.
func (l *Log) commit() {
	l.producers.Commit(&l.pending)
	if l.producers.Unstable() {
		l.unstable.Store(true)
	}
}

// publish makes written batches visible: indexes, size, and the end offset last.
func (l *Log) publish(s *segment, p *Prepared, cfg *Config, info AppendInfo, pos int64) {
	at := pos
	for rest := p.batches; len(rest) > 0; {
		b, after, _ := record.Next(rest)
		s.note(b, at, cfg.IndexIntervalBytes)
		at += int64(len(b))
		rest = after
	}
	end := info.LastOffset + 1
	if l.records == 0 {
		l.oldest = p.opts.Now
	}
	l.records += p.records
	s.size.Store(at)
	if t := s.tail.Load(); t != nil && s.holds(end) {
		t.Add(s.rel(end), uint32(at))
	}
	l.end.Store(end)
	if pos == 0 && l.hooks.filled != nil {
		l.hooks.filled(l)
	}
}
