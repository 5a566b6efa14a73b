package oracle

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/wire"
	"github.com/leatstream/leat/deploy/testbed"
)

// talks is how many rows are held at a time: most of their time is waiting.
const talks = "8"

// show prints what the peers answer also where they agree.
var show = flag.Bool("show", false, "print the transcripts")

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", talks); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// bench is what all rows share.
type bench struct {
	leat, old, new *peer
	start          time.Time
	differences    *ledger
	mu             sync.Mutex
	compared       map[string]int // versions of rows by peer
}

// TestKafkaAgrees holds every row in every version with Leat and with the Kafka
// that serves the version.
func TestKafkaAgrees(t *testing.T) {
	for _, c := range []string{"zookeeper", "kafka-3.9", "kafka-4.3"} {
		testbed.Require(t, c)
	}
	b := &bench{start: time.Now().Truncate(time.Second), differences: newLedger(), compared: make(map[string]int)}
	b.startPeers(t)
	for _, p := range []*peer{b.leat, b.old, b.new} {
		furnish(t, b, p)
	}
	t.Run("ranges", b.ranges)
	whole := true
	t.Run("rows", func(t *testing.T) {
		for _, a := range wire.APIs() {
			ran := false
			t.Run(a.Name, func(t *testing.T) { ran = true; b.api(t, a) })
			whole = whole && ran
		}
	})
	t.Logf("versions of rows compared: %v", b.compared)
	if whole && !b.filtered() {
		b.differences.unused(t)
	}
}

// filtered reports whether flags have chosen among the rows.
func (b *bench) filtered() bool {
	return strings.Count(flag.Lookup("test.run").Value.String(), "/") > 0 || flag.Lookup("test.skip").Value.String() != ""
}

// startPeers starts all three; the Kafkas, which are slow, beside each other.
func (b *bench) startPeers(t *testing.T) {
	var wg sync.WaitGroup
	wg.Go(func() { b.old = startKafka(t, "3.9") })
	wg.Go(func() { b.new = startKafka(t, "4.3") })
	b.leat = startLeat(t)
	wg.Wait()
	if t.Failed() || b.old == nil || b.new == nil {
		t.FailNow()
	}
}

// ranges: whatever version a Kafka lists of an API that Leat has, Leat lists.
func (b *bench) ranges(t *testing.T) {
	for _, kafka := range []*peer{b.old, b.new} {
		for key, a := range kafka.served {
			for v := a.MinVersion; v <= a.MaxVersion; v++ {
				if _, ok := b.leat.served[key]; ok && !b.leat.serves(key, v) {
					t.Errorf("%s serves key %d version %d, Leat does not", kafka.name, key, v)
				}
			}
		}
	}
}

// oracle is the Kafka that a version is compared with: 3.9 if that serves it.
func (b *bench) oracle(key, version int16) *peer {
	for _, p := range []*peer{b.old, b.new} {
		if p.serves(key, version) {
			return p
		}
	}
	return nil
}

// api holds the rows of an API, its own and those of every API.
func (b *bench) api(t *testing.T, a wire.API) {
	for _, r := range allRows(a) {
		if r.key != a.Key {
			continue
		}
		if r.below == 0 {
			r.below = a.Max + 1
		}
		t.Run(r.name, func(t *testing.T) {
			for v := r.from; v < r.below; v++ {
				if kafka := b.oracle(a.Key, v); kafka != nil {
					t.Run(fmt.Sprintf("v%d", v), func(t *testing.T) {
						t.Parallel()
						b.compare(t, kafka, &r, v)
					})
				}
			}
		})
	}
}

// compare holds a row in one version with both peers at once.
func (b *bench) compare(t *testing.T, kafka *peer, r *row, version int16) {
	var ours, theirs []line
	var wg sync.WaitGroup
	failures := make([]string, 2)
	wg.Go(func() { ours, failures[0] = b.call(b.leat, kafka, r, version).hold() })
	wg.Go(func() { theirs, failures[1] = b.call(kafka, kafka, r, version).hold() })
	wg.Wait()
	if *show {
		t.Logf("Leat: %v\n%s: %v", ours, kafka.name, theirs)
	}
	b.mu.Lock()
	b.compared[kafka.name]++
	b.mu.Unlock()
	for _, d := range compareLines(ours, theirs) {
		if !b.differences.explain(kafka.name, r, version, d) {
			t.Errorf("%s: Leat %s, %s %s", d.field, d.leat, kafka.name, d.kafka)
		}
	}
	for i, name := range []string{b.leat.name, kafka.name} {
		if failures[i] != "" {
			t.Errorf("%s: %s", name, failures[i])
		}
	}
}

// call makes a conversation of a row with peer; kafka is the other side's, or
// the peer itself.
func (b *bench) call(p, kafka *peer, r *row, version int16) *call {
	return &call{
		connection: connection{addr: p.addr, patience: patience},
		peer:       p, row: r, version: version, start: b.start,
		prefix: fmt.Sprintf("%s%d-%s-%d-%d-", rowPrefix, r.key, slug(r.name), version, b.start.Unix()),
		common: func(key int16) int16 { return min(b.leat.served[key].MaxVersion, kafka.served[key].MaxVersion) },
	}
}

// slug makes a legal part of a topic's name.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(name))
}

// compareLines lists the fields whose values differ. What lies below a
// difference is left out: where one peer does not answer, every field of the
// other's answer would differ.
func compareLines(ours, theirs []line) []observed {
	values := make(map[string]*observed)
	var order []*observed
	entry := func(field string) *observed {
		if values[field] == nil {
			values[field] = &observed{field: field, leat: nothing, kafka: nothing}
			order = append(order, values[field])
		}
		return values[field]
	}
	for _, l := range ours {
		entry(l.field).leat = l.value
	}
	for _, l := range theirs {
		entry(l.field).kafka = l.value
	}
	var out []observed
	for _, o := range order {
		below := slices.ContainsFunc(out, func(d observed) bool { return d.covers(o) })
		if o.leat != o.kafka && !below {
			out = append(out, *o)
		}
	}
	return out
}

// nothing stands for a field that a peer does not have.
const nothing = "nothing"

// covers reports whether a difference explains another below it.
func (d observed) covers(o *observed) bool {
	rest, ok := strings.CutPrefix(o.field, d.field)
	return ok && rest != "" && (rest[0] == '.' || rest[0] == '[')
}
