package producer

import (
	"fmt"
	"math"
	"slices"

	"github.com/leatstream/leat/broker/commitlog/index"
	"github.com/leatstream/leat/broker/record"
)

// rememberedBatches is how many batches of a producer can be recognised as
// duplicates.
const rememberedBatches = 5

// Batch is what is kept of one appended batch.
type Batch struct {
	LastSequence int32
	OffsetDelta  int32 // last offset - first offset
	LastOffset   int64
	Timestamp    int64 // max timestamp
}

// FirstOffset is the offset of the batch's first record.
func (b Batch) FirstOffset() int64 { return b.LastOffset - int64(b.OffsetDelta) }

// firstSeq undoes the wrap from 2^31-1 to 0.
func (b Batch) firstSeq() int32 {
	return int32((int64(b.LastSequence) - int64(b.OffsetDelta) + math.MaxInt32 + 1) & math.MaxInt32)
}

// producer is the state of one producer in one log.
type producer struct {
	id               int64
	epoch            int16 // NoProducerEpoch: nothing known
	count            uint8 // batches in use, oldest first
	coordinatorEpoch int32
	lastTimestamp    int64
	txnStart         int64 // first offset of the open transaction, -1: none
	batches          [rememberedBatches]Batch
}

func newProducer(id int64) producer {
	return producer{id: id, epoch: record.NoProducerEpoch, coordinatorEpoch: -1, lastTimestamp: -1, txnStart: -1}
}

// lastSeq is the last sequence number, NoSequence if no batch is known.
func (p *producer) lastSeq() int32 {
	if p.count == 0 {
		return record.NoSequence
	}
	return p.batches[p.count-1].LastSequence
}

// bump starts a new epoch if epoch is one; old batches are forgotten.
func (p *producer) bump(epoch int16) {
	if p.epoch != epoch {
		p.epoch, p.count = epoch, 0
	}
}

func (p *producer) add(b Batch) {
	if p.count == rememberedBatches {
		copy(p.batches[:], p.batches[1:])
		p.count--
	}
	p.batches[p.count] = b
	p.count++
	p.lastTimestamp = b.Timestamp
}

// duplicate finds the remembered batch with the same epoch and sequences as b.
func (p *producer) duplicate(b record.Batch) (Batch, bool) {
	if p.epoch != b.ProducerEpoch() {
		return Batch{}, false
	}
	first, last := b.BaseSequence(), b.LastSequence()
	for _, m := range p.batches[:p.count] {
		if m.LastSequence == last && m.firstSeq() == first {
			return m, true
		}
	}
	return Batch{}, false
}

// inSequence tells whether next follows last, wrapping after 2^31-1.
func inSequence(last, next int32) bool {
	return int64(next) == int64(last)+1 || next == 0 && last == math.MaxInt32
}

// Checks says which rules an append must keep. The zero value takes everything:
// a follower takes what the leader took.
type Checks struct {
	Epochs    bool // producers and coordinators with an older epoch are refused, as are plain batches inside a transaction
	Sequences bool // the sequence numbers of batches must follow each other
}

// checkEpoch fences older producers.
func (p *producer) checkEpoch(epoch int16, checks Checks) error {
	if epoch < p.epoch && checks.Epochs {
		return fmt.Errorf("%w: producer %d has epoch %d, the batch %d", ErrInvalidProducerEpoch, p.id, p.epoch, epoch)
	}
	return nil
}

// checkSequence applies the rules for a client's batch: a producer that the log
// does not know may begin anywhere, a new epoch begins at 0, and otherwise the
// next number must follow.
func (p *producer) checkSequence(epoch int16, first int32) error {
	switch {
	case p.epoch == record.NoProducerEpoch:
		return nil
	case epoch != p.epoch && first == 0:
		return nil
	case epoch == p.epoch && inSequence(p.lastSeq(), first):
		return nil
	}
	return fmt.Errorf("%w: producer %d sent %d in epoch %d after %d in epoch %d",
		ErrOutOfOrderSequence, p.id, first, epoch, p.lastSeq(), p.epoch)
}

// openTxn is a transaction whose outcome is unknown, or known but perhaps not
// replicated.
type openTxn struct {
	pid   int64
	first int64
	last  int64 // offset of the marker; -1 while open
}

// completedTxn is what a marker does to an open transaction.
type completedTxn struct {
	pid     int64
	first   int64
	last    int64
	aborted bool
}

// State is the state of all producers of a log.
//
// Invariant: it equals a replay of the log's batches from the snapshot to the end,
// apart from expired producers. It is guarded by the log's mutex.
type State struct {
	producers map[int64]*producer
	ongoing   []openTxn // by first offset
	completed []openTxn // by first offset; waiting for the high watermark
}

// New gives the state of a log without producers.
func New() *State {
	return &State{producers: map[int64]*producer{}}
}

// Len is the number of known producers.
func (s *State) Len() int { return len(s.producers) }

// Unstable tells whether a transaction is open, or ended and perhaps not replicated.
func (s *State) Unstable() bool { return len(s.ongoing)+len(s.completed) > 0 }

// Duplicate finds the remembered batch that b repeats.
func (s *State) Duplicate(b record.Batch) (Batch, bool) {
	p := s.producers[b.ProducerID()]
	if p == nil || !b.HasProducerID() {
		return Batch{}, false
	}
	return p.duplicate(b)
}

// Update is what one append does to the state, kept apart until the bytes are
// written.
type Update struct {
	staged []producer
	begun  []openTxn
	ended  []completedTxn
}

// Reset empties u for the next append.
func (u *Update) Reset() {
	u.staged, u.begun, u.ended = u.staged[:0], u.begun[:0], u.ended[:0]
}

// Len is the number of producers whose state is staged.
func (u *Update) Len() int { return len(u.staged) }

// Has tells whether a producer's state is staged.
func (u *Update) Has(id int64) bool {
	for i := range u.staged {
		if u.staged[i].id == id {
			return true
		}
	}
	return false
}

// Transactional tells whether a transaction begins or ends.
func (u *Update) Transactional() bool { return len(u.begun)+len(u.ended) > 0 }

// Cut takes back what was staged after the first n producers, none of whom may
// have been staged again since. Transactions are taken back only all together,
// with n = 0: they must not be staged behind others.
func (u *Update) Cut(n int) {
	if n == 0 {
		u.Reset()
		return
	}
	u.staged = u.staged[:n]
}

// of gives the staged copy of a producer's state. The pointer is valid until
// the next call.
func (u *Update) of(s *State, id int64) *producer {
	for i := range u.staged {
		if u.staged[i].id == id {
			return &u.staged[i]
		}
	}
	p := newProducer(id)
	if known := s.producers[id]; known != nil {
		p = *known
	}
	u.staged = append(u.staged, p)
	return &u.staged[len(u.staged)-1]
}

// Stage checks one batch with a producer id, which will get base as its first
// offset, and notes its effects in u.
func (s *State) Stage(u *Update, b record.Batch, base int64, checks Checks) error {
	p := u.of(s, b.ProducerID())
	if b.IsControl() {
		return s.stageMarker(u, p, b, base, checks)
	}
	epoch := b.ProducerEpoch()
	if err := p.checkEpoch(epoch, checks); err != nil {
		return err
	}
	if checks.Sequences {
		if err := p.checkSequence(epoch, b.BaseSequence()); err != nil {
			return err
		}
	}
	p.bump(epoch)
	delta := b.LastOffsetDelta()
	p.add(Batch{LastSequence: b.LastSequence(), OffsetDelta: delta, LastOffset: base + int64(delta), Timestamp: b.MaxTimestamp()})
	switch {
	case p.txnStart >= 0 && !b.IsTransactional():
		if checks.Epochs {
			return fmt.Errorf("%w: producer %d wrote outside its transaction", ErrInvalidTxnState, p.id)
		}
	case p.txnStart < 0 && b.IsTransactional():
		p.txnStart = base
		u.begun = append(u.begun, openTxn{pid: p.id, first: base, last: -1})
	}
	return nil
}

func (s *State) stageMarker(u *Update, p *producer, b record.Batch, base int64, checks Checks) error {
	marker, timestamp, ok, err := b.ReadMarker()
	if err != nil || !ok {
		return err
	}
	if err := p.checkEpoch(b.ProducerEpoch(), checks); err != nil {
		return err
	}
	if marker.CoordinatorEpoch < p.coordinatorEpoch && checks.Epochs {
		return fmt.Errorf("%w: marker of epoch %d after %d", ErrCoordinatorFenced, marker.CoordinatorEpoch, p.coordinatorEpoch)
	}
	if p.txnStart >= 0 {
		u.ended = append(u.ended, completedTxn{pid: p.id, first: p.txnStart, last: base, aborted: marker.Type == record.Abort})
	}
	p.bump(b.ProducerEpoch())
	p.coordinatorEpoch = marker.CoordinatorEpoch
	p.txnStart, p.lastTimestamp = -1, timestamp
	return nil
}

// Aborted gives the entries that u adds to the transaction index, without
// changing the state.
func (s *State) Aborted(u *Update) []index.AbortedTxn {
	if len(u.ended) == 0 {
		return nil
	}
	open := slices.Clone(s.ongoing)
	for _, t := range u.begun {
		open = insertTxn(open, t)
	}
	var out []index.AbortedTxn
	for _, t := range u.ended {
		if t.aborted {
			out = append(out, index.AbortedTxn{
				ProducerID: t.pid, FirstOffset: t.first, LastOffset: t.last,
				LastStableOffset: stableAfter(open, t),
			})
		}
		open = slices.DeleteFunc(open, func(o openTxn) bool { return o.first == t.first })
	}
	return out
}

// stableAfter is the last stable offset once t has ended: the first offset of
// the oldest other open transaction, or the offset after the marker.
func stableAfter(open []openTxn, t completedTxn) int64 {
	for _, o := range open {
		if o.pid != t.pid && o.first < t.last {
			return o.first
		}
	}
	return t.last + 1
}

// Commit applies u.
func (s *State) Commit(u *Update) {
	for i := range u.staged {
		p := s.producers[u.staged[i].id]
		if p == nil {
			p = new(producer)
			s.producers[u.staged[i].id] = p
		}
		*p = u.staged[i]
	}
	for _, t := range u.begun {
		s.ongoing = insertTxn(s.ongoing, t)
	}
	for _, t := range u.ended {
		s.complete(t)
	}
}

// insertTxn keeps the list ordered by first offset.
func insertTxn(list []openTxn, t openTxn) []openTxn {
	i, _ := slices.BinarySearchFunc(list, t.first, func(o openTxn, first int64) int {
		return int(max(-1, min(1, o.first-first)))
	})
	return slices.Insert(list, i, t)
}

func (s *State) complete(t completedTxn) {
	s.ongoing = slices.DeleteFunc(s.ongoing, func(o openTxn) bool { return o.first == t.first })
	s.completed = insertTxn(s.completed, openTxn{pid: t.pid, first: t.first, last: t.last})
}

// FirstUnstable is the first offset of the oldest transaction that is open or
// whose marker is not below highWatermark; ok is false when there is none.
// Transactions below highWatermark are forgotten.
func (s *State) FirstUnstable(highWatermark int64) (offset int64, ok bool) {
	s.completed = slices.DeleteFunc(s.completed, func(o openTxn) bool { return o.last < highWatermark })
	offset = math.MaxInt64
	if len(s.ongoing) > 0 {
		offset = s.ongoing[0].first
	}
	if len(s.completed) > 0 {
		offset = min(offset, s.completed[0].first)
	}
	return offset, offset != math.MaxInt64
}

// Expire forgets producers that have been silent for maxIdle ms, unless they
// have a transaction open. Now is in ms.
func (s *State) Expire(now, maxIdle int64) {
	for id, p := range s.producers {
		if p.txnStart < 0 && now-p.lastTimestamp >= maxIdle {
			delete(s.producers, id)
		}
	}
}

// Load puts the producers of a snapshot into the state.
func (s *State) Load(entries []Entry) {
	for i := range entries {
		p := entries[i].producer()
		s.producers[p.id] = &p
		if p.txnStart >= 0 {
			s.ongoing = insertTxn(s.ongoing, openTxn{pid: p.id, first: p.txnStart, last: -1})
		}
	}
}

// Replay applies a batch that is in the log already.
func (s *State) Replay(u *Update, b record.Batch) ([]index.AbortedTxn, error) {
	if !b.HasProducerID() {
		return nil, nil
	}
	u.Reset()
	if err := s.Stage(u, b, b.BaseOffset(), Checks{}); err != nil {
		return nil, err
	}
	aborted := s.Aborted(u)
	s.Commit(u)
	return aborted, nil
}
