package robust

import (
	"fmt"
	"sync"
)

// state is what a producer knows about a record.
type state int

const (
	sent    state = iota // given to the client
	refused              // the client reported an error: it may be in the log or not
	acked                // the broker acknowledged it
)

// History is what the clients of one run were told. It may be used by many
// goroutines.
type History struct {
	mu        sync.Mutex
	producers map[string][]state // by producer: the state of each sequence number
	acks      int
	problems  []string
}

// NewHistory is an empty history.
func NewHistory() *History { return &History{producers: map[string][]state{}} }

// Send notes that a producer sends its next record and returns its number,
// which counts from 0.
func (h *History) Send(producer string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.producers[producer] = append(h.producers[producer], sent)
	return len(h.producers[producer]) - 1
}

// Done notes what became of a record.
func (h *History) Done(producer string, n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.producers[producer][n] = refused
	if err == nil {
		h.producers[producer][n] = acked
		h.acks++
	}
}

// Acked is the number of records acknowledged so far.
func (h *History) Acked() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.acks
}

// Sent is the number of records a producer has sent so far.
func (h *History) Sent() (count int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, states := range h.producers {
		count += len(states)
	}
	return count
}

// Problem notes something that must not happen.
func (h *History) Problem(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.problems = append(h.problems, fmt.Sprintf(format, args...))
}

// Entry is a record as found in a partition, in the order of offsets.
type Entry struct {
	Offset   int64
	Producer string
	N        int
}

// maxProblems bounds what Check reports.
const maxProblems = 20

// Check compares partitions of the log with the history: each acknowledged
// record is there once, none more often, those of a producer are in order, and
// nothing is there that nobody sent. Offsets grow.
func (h *History) Check(partitions [][]Entry) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := append([]string(nil), h.problems...)
	found := map[string]map[int]int{}
	for p, entries := range partitions {
		last := map[string]int{}
		offset := int64(-1)
		for _, e := range entries {
			if e.Offset <= offset {
				out = append(out, fmt.Sprintf("partition %d: offset %d follows %d", p, e.Offset, offset))
			}
			offset = e.Offset
			if e.N < 0 || e.N >= len(h.producers[e.Producer]) {
				out = append(out, fmt.Sprintf("partition %d, offset %d: %s sent no record %d", p, e.Offset, e.Producer, e.N))
				continue
			}
			if before, ok := last[e.Producer]; ok && e.N <= before {
				out = append(out, fmt.Sprintf("partition %d, offset %d: record %d of %s follows %d", p, e.Offset, e.N, e.Producer, before))
			}
			last[e.Producer] = e.N
			if found[e.Producer] == nil {
				found[e.Producer] = map[int]int{}
			}
			found[e.Producer][e.N]++
		}
	}
	for producer, states := range h.producers {
		for n, s := range states {
			switch count := found[producer][n]; {
			case count > 1:
				out = append(out, fmt.Sprintf("record %d of %s is there %d times", n, producer, count))
			case count == 0 && s == acked:
				out = append(out, fmt.Sprintf("record %d of %s was acknowledged and is lost", n, producer))
			}
		}
	}
	if len(out) > maxProblems {
		out = append(out[:maxProblems], fmt.Sprintf("and %d more", len(out)-maxProblems))
	}
	return out
}
