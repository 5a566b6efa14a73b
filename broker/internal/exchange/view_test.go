package exchange

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/deploy/testbed"
)

// view is all that a client can learn about the topics that fill makes. Lines
// are texts, so that a difference can be read.
type view struct {
	topics   []string // name, id, partitions
	bounds   []string // of each partition: start, last stable and end offset
	times    []string // offsets by timestamp
	groups   []string // committed offsets
	settings []string // topic configs that are not defaults
	records  []string // everything, control records too
	stable   []string // what read_committed sees
	latest   []string // of the compacted topic: last record of each key
}

func dial(t testing.TB, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := client.New(client.Config{Brokers: []string{addr}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func patience(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	t.Cleanup(cancel)
	return ctx
}

// look reads everything from a broker.
func look(t *testing.T, addr string) view {
	t.Helper()
	adm := kadm.NewClient(dial(t, addr))
	var v view
	details := must(adm.ListTopics(patience(t), ourTopics()...))(t)
	for _, d := range details.Sorted() {
		v.topics = append(v.topics, fmt.Sprintf("%s %s %v %v", d.Topic, d.ID, d.Partitions.Numbers(), d.Err))
	}
	starts := must(adm.ListStartOffsets(patience(t), ourTopics()...))(t)
	stable := must(adm.ListCommittedOffsets(patience(t), ourTopics()...))(t)
	ends := must(adm.ListEndOffsets(patience(t), ourTopics()...))(t)
	ends.Each(func(o kadm.ListedOffset) {
		first, _ := starts.Lookup(o.Topic, o.Partition)
		last, _ := stable.Lookup(o.Topic, o.Partition)
		v.bounds = append(v.bounds, fmt.Sprintf("%s-%d: %d %d %d epoch %d %v", o.Topic, o.Partition, first.Offset, last.Offset, o.Offset, o.LeaderEpoch, o.Err))
	})
	slices.Sort(v.bounds)
	v.times = lookUpTimes(t, adm)
	v.groups = commits(t, adm)
	v.settings = settings(t, adm)
	v.records = consume(t, addr, starts, ends, kgo.KeepControlRecords())
	v.stable = consume(t, addr, starts, stable, kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	v.latest = latest(&v.records)
	latest(&v.stable)
	return v
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func lookUpTimes(t *testing.T, adm *kadm.Client) (lines []string) {
	for _, ms := range []int64{0, firstTime, firstTime + 7, firstTime + 333, firstTime + 5000, firstTime + 1<<40} {
		must(adm.ListOffsetsAfterMilli(patience(t), ms, "codecs", "trimmed", "once", "accounts"))(t).Each(func(o kadm.ListedOffset) {
			lines = append(lines, fmt.Sprintf("%s-%d at %d: %d of %d %v", o.Topic, o.Partition, ms, o.Offset, o.Timestamp, o.Err))
		})
	}
	slices.Sort(lines)
	return lines
}

func commits(t *testing.T, adm *kadm.Client) (lines []string) {
	must(adm.FetchOffsets(patience(t), group))(t).Each(func(o kadm.OffsetResponse) {
		lines = append(lines, fmt.Sprintf("%s-%d: %d epoch %d %q %v", o.Topic, o.Partition, o.At, o.LeaderEpoch, o.Metadata, o.Err))
	})
	slices.Sort(lines)
	return lines
}

func settings(t *testing.T, adm *kadm.Client) (lines []string) {
	for _, r := range must(adm.DescribeTopicConfigs(patience(t), ourTopics()...))(t) {
		for _, c := range r.Configs {
			if c.Source == kmsg.ConfigSourceDynamicTopicConfig {
				lines = append(lines, r.Name+" "+c.Key+"="+c.MaybeValue())
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// consume reads each partition from its start to its end.
func consume(t *testing.T, addr string, starts, ends kadm.ListedOffsets, opts ...kgo.Opt) []string {
	t.Helper()
	from := map[string]map[int32]kgo.Offset{}
	left := map[string]int64{} // by partition: the last offset that is still to come
	ends.Each(func(o kadm.ListedOffset) {
		first, _ := starts.Lookup(o.Topic, o.Partition)
		if first.Offset < o.Offset {
			if from[o.Topic] == nil {
				from[o.Topic] = map[int32]kgo.Offset{}
			}
			from[o.Topic][o.Partition] = kgo.NewOffset().At(first.Offset)
			left[fmt.Sprint(o.Topic, o.Partition)] = o.Offset - 1
		}
	})
	cl := dial(t, addr, append(opts, kgo.ConsumePartitions(from))...)
	defer cl.Close()
	var lines []string
	for ctx := patience(t); len(left) > 0; {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("%v; still to come: %v", err, left)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			tp := fmt.Sprint(r.Topic, r.Partition)
			if last, waiting := left[tp]; waiting && r.Offset <= last {
				lines = append(lines, line(r))
			}
			if r.Offset >= left[tp] {
				delete(left, tp)
			}
		})
	}
	slices.Sort(lines)
	return lines
}

func line(r *kgo.Record) string {
	return fmt.Sprintf("%s-%d@%06d %d %q=%q %v codec %d type %d control %v txn %v producer %d/%d epoch %d", r.Topic, r.Partition, r.Offset,
		r.Timestamp.UnixMilli(), r.Key, r.Value, r.Headers, r.Attrs.CompressionType(), r.Attrs.TimestampType(), r.Attrs.IsControl(),
		r.Attrs.IsTransactional(), r.ProducerID, r.ProducerEpoch, r.LeaderEpoch)
}

// latest takes the compacted topic out of the records: only the last record of
// each key is certain to be there.
func latest(records *[]string) []string {
	last := map[string]string{}
	*records = slices.DeleteFunc(*records, func(line string) bool {
		rest, ours := strings.CutPrefix(line, "latest-0@")
		if ours {
			key := rest[strings.IndexByte(rest, '"'):strings.IndexByte(rest, '=')]
			last[key] = line // lines are in the order of offsets
		}
		return ours
	})
	return slices.Sorted(maps.Values(last))
}

// compare fails t where two views differ.
func compare(t *testing.T, before, after view) {
	t.Helper()
	for _, c := range []struct {
		name      string
		want, got []string
	}{
		{"topics", before.topics, after.topics},
		{"bounds", before.bounds, after.bounds},
		{"times", before.times, after.times},
		{"groups", before.groups, after.groups},
		{"settings", before.settings, after.settings},
		{"records", before.records, after.records},
		{"committed records", before.stable, after.stable},
		{"latest by key", before.latest, after.latest},
	} {
		if len(c.want) == 0 {
			t.Errorf("%s: nothing to compare", c.name)
		}
		for i := range max(len(c.want), len(c.got)) {
			if i >= len(c.want) || i >= len(c.got) || c.want[i] != c.got[i] {
				t.Errorf("%s: %d lines before, %d after; the first that differs:\nbefore %.300s\nafter  %.300s", c.name, len(c.want), len(c.got), at(c.want, i), at(c.got, i))
				break
			}
		}
	}
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "nothing"
}
