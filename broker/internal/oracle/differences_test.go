package oracle

import (
	"path"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/leatstream/leat/broker/wire"
)

// observed is a field in which the transcripts of the peers differ. "nothing"
// stands for a field that a peer does not have.
type observed struct{ field, leat, kafka string }

// difference is one that is meant. Patterns know * and ? only; an empty pattern
// matches everything.
type difference struct {
	api         int16
	peer        string // "Kafka 3.9" or "Kafka 4.3"
	row         string // pattern
	from, below int16  // versions from ≤ v < below; below 0: up to the newest
	field       string // pattern
	leat, kafka string // patterns of the values
	why         string
}

// plainly keeps brackets and slashes from meaning something in a pattern.
var plainly = strings.NewReplacer("[", "(", "]", ")", "/", "|", "\\", "|")

// anyAPI stands for all APIs in a difference.
const anyAPI = -1

// ledger is the table with a count of what was seen.
type ledger struct {
	rows []difference
	used []atomic.Int64
}

func newLedger() *ledger {
	rows := differences()
	return &ledger{rows: rows, used: make([]atomic.Int64, len(rows))}
}

// explain reports whether the table lists what was observed.
func (l *ledger) explain(kafka string, r *row, version int16, o observed) bool {
	for i, d := range l.rows {
		if (d.api == r.key || d.api == anyAPI) && matches(d.peer, kafka) && matches(d.row, r.name) &&
			d.from <= version && (d.below == 0 || version < d.below) &&
			matches(d.field, o.field) && matches(d.leat, o.leat) && matches(d.kafka, o.kafka) {
			l.used[i].Add(1)
			return true
		}
	}
	return false
}

// matches is path.Match with what it treats as special in fields replaced.
func matches(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(plainly.Replace(pattern), plainly.Replace(s))
	return err == nil && ok
}

// unused fails t for every listed difference that did not occur.
func (l *ledger) unused(t *testing.T) {
	for i, d := range l.rows {
		if l.used[i].Load() == 0 {
			a, _ := wire.Lookup(d.api)
			t.Errorf("listed difference does not occur: %s %q %q %q: %s", a.Name, d.row, d.field, d.leat, d.why)
		}
	}
}
