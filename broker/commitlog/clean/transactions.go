package clean

import (
	"slices"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
)

// transactions follows the transactions of a log while its batches are walked
// in order, and tells which batches no reader will ever need: records of aborted
// transactions, and markers of transactions without any batch left.
type transactions struct {
	aborted []commitlog.AbortedTxn // those not reached yet, by first offset
	open    map[int64]*abortedTxn  // by producer
	data    map[int64]bool         // producers with batches since their last marker
}

// abortedTxn is a transaction whose batches are being walked.
type abortedTxn struct {
	commitlog.AbortedTxn
	seen bool // at least one of its batches is there
}

func newTransactions(aborted []commitlog.AbortedTxn) *transactions {
	aborted = slices.Clone(aborted)
	slices.SortFunc(aborted, func(a, b commitlog.AbortedTxn) int { return int(max(-1, min(1, a.FirstOffset-b.FirstOffset))) })
	return &transactions{aborted: aborted, open: map[int64]*abortedTxn{}, data: map[int64]bool{}}
}

// reach opens the aborted transactions that begin at or below offset.
func (t *transactions) reach(offset int64) {
	for len(t.aborted) > 0 && t.aborted[0].FirstOffset <= offset {
		t.open[t.aborted[0].ProducerID] = &abortedTxn{AbortedTxn: t.aborted[0]}
		t.aborted = t.aborted[1:]
	}
}

// records takes a batch of records and tells whether it was aborted.
func (t *transactions) records(b record.Batch) (aborted bool) {
	if !b.IsTransactional() {
		return false
	}
	t.reach(b.LastOffset())
	if a := t.open[b.ProducerID()]; a != nil && b.BaseOffset() >= a.FirstOffset && b.LastOffset() <= a.LastOffset {
		a.seen = true
		return true
	}
	t.data[b.ProducerID()] = true
	return false
}

// marker takes a marker. Spent says that nothing is left of its transaction.
// Ended is the aborted transaction that the index must go on to name.
func (t *transactions) marker(b record.Batch) (spent bool, ended *commitlog.AbortedTxn, err error) {
	t.reach(b.LastOffset())
	m, _, ok, err := b.ReadMarker()
	if err != nil || !ok {
		return b.Count() == 0, nil, err
	}
	pid := b.ProducerID()
	data, a := t.data[pid], t.open[pid]
	delete(t.data, pid)
	delete(t.open, pid)
	if m.Type == record.Abort && a != nil && a.seen && a.LastOffset == b.LastOffset() {
		return false, &a.AbortedTxn, nil
	}
	return !data && (a == nil || !a.seen), nil, nil
}
