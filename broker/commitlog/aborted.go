package commitlog

import "github.com/leatstream/leat/broker/commitlog/index"

// AbortedTxn is one aborted transaction in a range of the log.
type AbortedTxn = index.AbortedTxn

// AbortedTransactions lists the aborted transactions that a reader of
// [from, to) must skip, in the order of their completion.
func (l *Log) AbortedTransactions(from, to int64) ([]AbortedTxn, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	list := *l.segments.Load()
	var out []AbortedTxn
	for i := floorSegment(list, from); i < len(list); i++ {
		s := list[i]
		if err := s.load(l.cfg.Load().IndexIntervalBytes); err != nil {
			if s.replaced.Load() {
				return l.AbortedTransactions(from, to)
			}
			return nil, l.readError(from, err)
		}
		for _, t := range s.txns.Entries() {
			if t.LastOffset >= from && t.FirstOffset < to {
				out = append(out, t)
			}
			// Later markers end transactions that began at or after this.
			if t.LastStableOffset >= to {
				return out, nil
			}
		}
	}
	return out, nil
}
