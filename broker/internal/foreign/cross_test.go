package foreign

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/deploy/testbed"
)

// perCodec is how many records a peer writes with each codec, and partitions
// how many partitions each topic has.
const (
	perCodec   = 200
	partitions = 3
)

// codecs are the names of the ways to compress, by the number that record
// batches carry.
func codecs() []string { return []string{"none", "gzip", "snappy", "lz4", "zstd"} }

func topicOf(codec string) string { return "codec-" + codec }

// peer is a client that somebody else wrote. Values are lines "peer/codec/n".
type peer struct {
	name      string
	component string // what the test bed has to have installed; "" for none
	produce   func(t *testing.T, addr, topic, codec string, values []string)
	// consume reads that many records of all topics as the only member of a
	// group, commits and leaves.
	consume func(t *testing.T, addr, group string, topics []string, count int) []string
}

func peers() []peer {
	return []peer{
		{"kcat", "kcat", kcatProduce, kcatConsume},
		{"sarama", "", saramaProduce, saramaConsume},
		{"franz-go", "", kgoProduce, kgoConsume},
		{"java-3.9", "kafka-3.9", javaProduce("3.9"), javaConsume("3.9")},
		{"java-4.3", "kafka-4.3", javaProduce("4.3"), javaConsume("4.3")},
	}
}

// Every peer reads what every peer wrote, with every codec, each record once,
// and its group's offsets are committed to the end.
func TestPeersReadEachOther(t *testing.T) {
	s := testbed.StartServer(t, t.TempDir(), testbed.FreePort(t))
	adm := admin(t, s.Addr)
	var topics []string
	for _, codec := range codecs() {
		topics = append(topics, topicOf(codec))
	}
	if _, err := adm.CreateTopics(t.Context(), partitions, 1, nil, topics...); err != nil {
		t.Fatal(err)
	}
	all := peers()
	if testing.Short() {
		all = slices.DeleteFunc(all, func(p peer) bool { return strings.HasPrefix(p.component, "kafka-") })
	}
	var written []string
	for _, p := range all {
		t.Run("produce/"+p.name, func(t *testing.T) {
			require(t, p)
			for _, codec := range codecs() {
				values := lines(p.name, codec)
				p.produce(t, s.Addr, topicOf(codec), codec, values)
				written = append(written, values...)
			}
		})
	}
	slices.Sort(written)
	t.Run("stored", func(t *testing.T) { checkStored(t, s.Addr, topics, len(written)) })
	for _, p := range all {
		t.Run("consume/"+p.name, func(t *testing.T) {
			require(t, p)
			got := p.consume(t, s.Addr, "group-"+p.name, topics, len(written))
			slices.Sort(got)
			if !slices.Equal(got, written) {
				t.Errorf("%d records read, %d written; %s", len(got), len(written), firstDifference(got, written))
			}
			checkCommitted(t, adm, "group-"+p.name, topics)
		})
	}
}

func require(t *testing.T, p peer) {
	t.Helper()
	if p.component != "" {
		testbed.Require(t, p.component)
	}
}

// lines are the values that a peer writes; one of them is larger than what codecs
// take for a block.
func lines(name, codec string) []string {
	values := make([]string, perCodec)
	for i := range values {
		digits := 1
		if i == perCodec/2 {
			digits = 70_000
		}
		values[i] = fmt.Sprintf("%s/%s/%0*d", name, codec, digits, i)
	}
	return values
}

func firstDifference(got, want []string) string {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return fmt.Sprintf("read %q where %q was written", got[i], want[i])
		}
	}
	return "one is the beginning of the other"
}

func admin(t *testing.T, addr string) *kadm.Client {
	t.Helper()
	cl, err := client.New(client.Config{Brokers: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return kadm.NewClient(cl)
}

// checkStored reads everything partition by partition: the batches carry the
// codec that the producer was told to use, and what one producer wrote to a
// partition is in order.
func checkStored(t *testing.T, addr string, topics []string, count int) {
	t.Helper()
	cl, err := client.New(client.Config{Brokers: []string{addr}}, kgo.ConsumeTopics(topics...), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	last := map[string]int{}
	compressed := map[string]int{}
	for _, r := range poll(t, cl, count) {
		name, codec, n := parse(t, string(r.Value))
		if used := codecs()[r.Attrs.CompressionType()]; used == codec {
			compressed[name+" "+codec]++
		} else if used != "none" {
			t.Errorf("%s is stored with %s", r.Value, used)
		}
		from := fmt.Sprintf("%s %s-%d", name, r.Topic, r.Partition)
		if before, seen := last[from]; seen && n <= before {
			t.Errorf("%s: record %d follows %d", from, n, before)
		}
		last[from] = n
	}
	// Some clients leave a batch alone that compression would not make smaller.
	for _, what := range slices.Sorted(maps.Keys(compressed)) {
		if compressed[what] < perCodec/2 {
			t.Errorf("%s: only %d of %d records are compressed", what, compressed[what], perCodec)
		}
	}
	if want := count / perCodec; len(compressed) != want {
		t.Errorf("%d peers and codecs, want %d: %v", len(compressed), want, compressed)
	}
}

func parse(t *testing.T, value string) (name, codec string, n int) {
	t.Helper()
	parts := strings.Split(value, "/")
	if len(parts) != 3 {
		t.Fatalf("record %q", value)
	}
	n, err := strconv.Atoi(parts[2])
	if err != nil {
		t.Fatalf("record %q: %v", value, err)
	}
	return parts[0], parts[1], n
}

// poll reads that many records.
func poll(t *testing.T, cl *kgo.Client, count int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testbed.Patience)
	defer cancel()
	var records []*kgo.Record
	for len(records) < count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(records), count, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

// checkCommitted checks that a group has committed all there is.
func checkCommitted(t *testing.T, adm *kadm.Client, group string, topics []string) {
	t.Helper()
	ends, err := adm.ListEndOffsets(t.Context(), topics...)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := adm.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	ends.Each(func(o kadm.ListedOffset) {
		if got, ok := committed.Lookup(o.Topic, o.Partition); !ok && o.Offset > 0 || ok && got.At != o.Offset {
			t.Errorf("%s has committed %d of %s-%d, which ends at %d", group, got.At, o.Topic, o.Partition, o.Offset)
		}
	})
}
