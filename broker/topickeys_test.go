package broker_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/deploy/testbed"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// keyTopic is a topic on which a key is tried at run time.
type keyTopic struct {
	*testing.T
	b    *brokertest.Broker
	name string
	conn *brokertest.Conn
}

// log is the topic's log.
func (k *keyTopic) log() *commitlog.Log { return k.b.Log(k.name) }

// try alters one key of the topic and gives the error code and its reason.
func (k *keyTopic) try(key, value string) (code int16, reason string) {
	k.Helper()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	req.Version = 1
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = key, &value
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, k.name
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	out := k.conn.MustAsk(req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0]
	if out.ErrorMessage != nil {
		reason = *out.ErrorMessage
	}
	return out.ErrorCode, reason
}

// set alters keys: names and values in turn.
func (k *keyTopic) set(pairs ...string) {
	k.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if code, reason := k.try(pairs[i], pairs[i+1]); code != 0 {
			k.Fatalf("%s=%s is refused: %s", pairs[i], pairs[i+1], reason)
		}
	}
}

// another is a topic on which the key is left alone.
func (k *keyTopic) another(configs ...string) *keyTopic {
	k.Helper()
	o := &keyTopic{T: k.T, b: k.b, name: k.name + "-other", conn: k.conn}
	k.b.CreateTopic(o.name, 1, configs...)
	return o
}

// code produces one batch with acks=all and gives the error code.
func (k *keyTopic) code(batch []byte) int16 {
	k.Helper()
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, -1, 5000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = k.name, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return k.conn.MustAsk(req).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode
}

// wantCode fails unless a batch is answered with the error, nil for none.
func (k *keyTopic) wantCode(what string, batch []byte, want *kerr.Error) {
	k.Helper()
	code := int16(0)
	if want != nil {
		code = want.Code
	}
	if got := k.code(batch); got != code {
		k.Errorf("%s: error %d, want %d", what, got, code)
	}
}

// send produces a batch of one record of size bytes, made ago, and wants it taken.
func (k *keyTopic) send(ago time.Duration, size int) {
	k.Helper()
	if code := k.code(made(k.T, record.NewOptions(), ago, "key", string(make([]byte, size)))); code != 0 {
		k.Fatalf("produce: error %d", code)
	}
}

// made builds a batch of one record, made ago.
func made(t testing.TB, o record.BuilderOptions, ago time.Duration, key, value string) []byte {
	t.Helper()
	var w record.Builder
	w.Reset(o)
	var k, v []byte
	if key != "" {
		k = []byte(key)
	}
	if value != "" {
		v = []byte(value)
	}
	w.Append(time.Now().Add(-ago).UnixMilli(), k, v)
	out, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// segments counts the topic's segments.
func (k *keyTopic) segments() int {
	k.Helper()
	list, err := k.log().Segments()
	if err != nil {
		k.Fatal(err)
	}
	return len(list)
}

func (k *keyTopic) wantSegments(what string, want int) {
	k.Helper()
	if got := k.segments(); got != want {
		k.Errorf("%s: %d segments, want %d", what, got, want)
	}
}

// files lists files of the topic's folder.
func (k *keyTopic) files(glob string) []string {
	k.Helper()
	names, err := filepath.Glob(filepath.Join(k.log().Path(), glob))
	if err != nil {
		k.Fatal(err)
	}
	return names
}

// stored reads the batches in the topic's log.
func (k *keyTopic) stored() (out []record.Batch) {
	k.Helper()
	l := k.log()
	for offset := l.StartOffset(); offset < l.EndOffset(); {
		s, err := l.Read(offset, 1<<20, true, l.EndOffset())
		if err != nil {
			k.Fatal(err)
		}
		data, err := s.Bytes(nil)
		s.Release()
		if err != nil {
			k.Fatal(err)
		}
		for len(data) > 0 {
			b, rest, err := record.Next(data)
			if err != nil || b == nil {
				break
			}
			out, offset, data = append(out, b), b.LastOffset()+1, rest
		}
	}
	return out
}

// keys counts the records of the topic's log by key; a tombstone's key has a
// minus in front.
func (k *keyTopic) keys() map[string]int {
	k.Helper()
	count := map[string]int{}
	for _, b := range k.stored() {
		var it record.Iterator
		if err := it.Reset(b, 0); err != nil {
			k.Fatal(err)
		}
		for it.Next() {
			key := string(it.Record.Key)
			if it.Record.Value == nil {
				key = "-" + key
			}
			count[key]++
		}
		it.Close()
	}
	return count
}

// gone waits until retention has taken all records.
func (k *keyTopic) gone(what string) {
	k.Helper()
	testbed.Until(k.T, what, func() bool { l := k.log(); return l.StartOffset() == l.EndOffset() && l.EndOffset() > 0 })
}

// sizeOf is a file's size in bytes.
func sizeOf(t testing.TB, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// textual is data that compresses, and better with more effort.
func textual(size int) string {
	rng := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "the %x of %x; ", rng.IntN(400), rng.IntN(1<<16))
	}
	return b.String()
}

// level tries a codec's level: the stored batch becomes smaller.
func level(codec, low, high string) func(*keyTopic) {
	return func(k *keyTopic) {
		key := "compression." + codec + ".level"
		k.set("compression.type", codec, key, low)
		value := textual(100_000)
		k.wantCode("low level", made(k.T, record.NewOptions(), 0, "k", value), nil)
		k.set(key, high)
		k.wantCode("high level", made(k.T, record.NewOptions(), 0, "k", value), nil)
		if b := k.stored(); len(b) != 2 || len(b[1]) >= len(b[0]) {
			k.Errorf("level %s gives %d bytes, level %s %d", low, len(b[0]), high, len(b[1]))
		}
	}
}

// compacting makes a topic whose every batch is a segment and which is dirty
// enough at once, unless configs say otherwise.
func (k *keyTopic) compacting(configs ...string) {
	k.Helper()
	k.set(append([]string{"segment.bytes", "200", "cleanup.policy", "compact", "min.cleanable.dirty.ratio", "0"}, configs...)...)
}

// twice writes two records of one key, made ago, and one of another to end the
// segment of the second.
func (k *keyTopic) twice(ago time.Duration) {
	k.Helper()
	for _, key := range []string{"a", "a", "end", "end2"} {
		k.wantCode("produce", made(k.T, record.NewOptions(), ago, key, strings.Repeat("x", 100)), nil)
	}
}

// compacted waits until of each key one record is left.
func (k *keyTopic) compacted(what string) {
	k.Helper()
	testbed.Until(k.T, what, func() bool { return k.keys()["a"] == 1 })
}

// stays fails if the key's older record is gone, once the cleaner has shown on
// another topic that it works.
func (k *keyTopic) stays(what string) {
	k.Helper()
	witness := &keyTopic{T: k.T, b: k.b, name: fmt.Sprintf("%s-witness-%d", k.name, k.segments()), conn: k.conn}
	k.b.CreateTopic(witness.name, 1)
	witness.compacting()
	witness.twice(0)
	witness.compacted("the witness is compacted")
	if n := k.keys()["a"]; n != 2 {
		k.Errorf("%s: %d records of the key are left, want 2", what, n)
	}
}

// accepted is for keys that have their effect in a cluster, or on what Leat does
// not have: the value is taken and shown.
func accepted(key, value string) func(*keyTopic) {
	return func(k *keyTopic) {
		k.set(key, value)
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version = 4
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, k.name, []string{key}
		req.Resources = append(req.Resources, r)
		got := k.conn.MustAsk(req).(*kmsg.DescribeConfigsResponse).Resources[0].Configs[0]
		if got.Value == nil || *got.Value != value || got.Source != kmsg.ConfigSourceDynamicTopicConfig {
			k.Errorf("%s is shown as %v from %v", key, got.Value, got.Source)
		}
		k.send(0, 10)
	}
}

// keyRow is one key: a value that is refused and why, and what a good one does.
type keyRow struct {
	key, bad, reason string
	effect           func(*keyTopic)
}

const tooLow = "Value must be at least"

func storageRows() []keyRow {
	return []keyRow{
		{"segment.bytes", "13", tooLow, func(k *keyTopic) {
			k.send(0, 1000)
			k.send(0, 1000)
			k.wantSegments("before", 1)
			k.set("segment.bytes", "1500")
			k.send(0, 1000)
			k.send(0, 1000)
			k.wantSegments("after", 3)
			k.wantCode("more than a segment", made(k.T, record.NewOptions(), 0, "", textual(2000)), kerr.RecordListTooLarge)
		}},
		{"segment.ms", "0", tooLow, func(k *keyTopic) {
			k.send(3*time.Hour, 10)
			k.send(2*time.Hour, 10)
			k.wantSegments("before", 1)
			k.set("segment.ms", "60000")
			k.send(time.Hour, 10)
			k.wantSegments("after", 2)
		}},
		{"segment.jitter.ms", "-1", tooLow, func(k *keyTopic) {
			k.set("segment.ms", "1000000")
			for i, want := range []int{2, 5} {
				if i == 1 {
					k.set("segment.jitter.ms", "1000000")
				}
				// A segment that began with the jitter, and a record that comes a
				// moment before the full segment.ms.
				k.send(time.Duration(9-4*i)*time.Hour, 10)
				k.send(time.Duration(8-4*i)*time.Hour, 10)
				k.send(time.Duration(8-4*i)*time.Hour-999*time.Second, 10)
				k.wantSegments("jitter "+fmt.Sprint(i), want)
			}
		}},
		{"segment.index.bytes", "3", tooLow, func(k *keyTopic) {
			k.set("index.interval.bytes", "1")
			for range 8 {
				k.send(0, 10)
			}
			k.wantSegments("before", 1)
			k.set("segment.index.bytes", "40")
			for range 8 {
				k.send(0, 10)
			}
			if n := k.segments(); n < 3 {
				k.Errorf("%d segments with five entries each", n)
			}
		}},
		{"index.interval.bytes", "-1", tooLow, func(k *keyTopic) {
			k.send(0, 100)
			k.send(0, 100)
			k.set("segment.ms", "1000", "index.interval.bytes", "50")
			k.send(-2*time.Second, 100) // ends the segment without entries
			k.send(-2*time.Second, 100)
			k.send(-2*time.Second, 100)
			k.send(-9*time.Second, 100) // ends the one with entries
			var sizes []int64
			for _, name := range k.files("*.index") {
				sizes = append(sizes, sizeOf(k.T, name))
			}
			if len(sizes) < 2 || sizes[0] != 0 || sizes[1] != 16 {
				k.Errorf("index files of %v bytes, want 0 and 16", sizes)
			}
		}},
		{"preallocate", "maybe", "Expected value to be either true or false", func(k *keyTopic) {
			k.set("segment.bytes", "8388608")
			k.send(0, 100)
			name := k.files("*.log")[0]
			before := allocated(k.T, name)
			k.set("preallocate", "true")
			k.send(0, 100)
			if after := allocated(k.T, name); before >= 0 && (before >= 4<<20 || after < 4<<20) {
				k.Errorf("%d bytes allocated before, %d after", before, after)
			}
		}},
		{"flush.messages", "0", tooLow, func(k *keyTopic) {
			k.send(0, 10)
			if l := k.log(); l.FlushedOffset() == l.EndOffset() {
				k.Error("synced without need")
			}
			k.set("flush.messages", "1")
			k.send(0, 10)
			if l := k.log(); l.FlushedOffset() != 2 {
				k.Errorf("acknowledged, and synced up to %d of %d", l.FlushedOffset(), l.EndOffset())
			}
		}},
		{"flush.ms", "-1", tooLow, func(k *keyTopic) {
			k.send(0, 10)
			k.set("flush.ms", "5")
			testbed.Until(k.T, "the idle log is synced", func() bool { return k.log().FlushedOffset() == 1 })
		}},
	}
}

func retentionRows() []keyRow {
	return []keyRow{
		{"retention.ms", "-2", tooLow, func(k *keyTopic) {
			o := k.another()
			k.send(time.Hour, 10)
			o.send(time.Hour, 10)
			k.set("retention.ms", "1000")
			k.gone("old records go")
			if o.log().StartOffset() != 0 {
				k.Error("the other topic's records are gone too")
			}
		}},
		{"retention.bytes", "much", "Not a number", func(k *keyTopic) {
			k.set("segment.bytes", "1500")
			for range 5 {
				k.send(0, 1000)
			}
			k.set("retention.bytes", "2500")
			testbed.Until(k.T, "two segments are left", func() bool { return k.segments() == 3 || k.segments() == 2 })
			if l := k.log(); l.Size() < 2500 {
				k.Errorf("%d bytes are left", l.Size())
			}
		}},
		{"file.delete.delay.ms", "-1", tooLow, func(k *keyTopic) {
			k.send(time.Hour, 10)
			k.set("retention.ms", "1000")
			k.gone("retention")
			testbed.Until(k.T, "the files wait", func() bool { return len(k.files("*.deleted")) >= 2 })
			k.set("file.delete.delay.ms", "0", "retention.ms", "-1")
			k.send(time.Hour, 10)
			end := fmt.Sprintf("%020d.log*", k.log().EndOffset()-1)
			k.set("retention.ms", "1000")
			k.gone("retention")
			testbed.Until(k.T, "files are deleted at once", func() bool { return len(k.files(end)) == 0 })
		}},
		{"cleanup.policy", "shred", "String must be one of", func(k *keyTopic) {
			k.set("segment.bytes", "200", "min.cleanable.dirty.ratio", "0")
			k.twice(0)
			k.stays("delete")
			k.set("cleanup.policy", "compact")
			k.compacted("compact")
			k.wantCode("a record without a key", made(k.T, record.NewOptions(), 0, "", "v"), kerr.InvalidRecord)
			k.set("cleanup.policy", "compact,delete", "retention.ms", "0")
			k.gone("compact,delete")
		}},
		{"min.cleanable.dirty.ratio", "1.1", "Value must be no more than", func(k *keyTopic) {
			k.compacting("min.cleanable.dirty.ratio", "0.9")
			k.set("cleanup.policy", "delete")
			k.twice(0)
			k.set("cleanup.policy", "compact")
			k.compacted("never cleaned: all is dirty")
			k.wantCode("produce", made(k.T, record.NewOptions(), 0, "a", strings.Repeat("x", 100)), nil)
			k.wantCode("produce", made(k.T, record.NewOptions(), 0, "end3", strings.Repeat("x", 100)), nil)
			k.stays("a third is dirty")
			k.set("min.cleanable.dirty.ratio", "0.1")
			k.compacted("less is asked for")
		}},
		{"min.compaction.lag.ms", "-1", tooLow, func(k *keyTopic) {
			k.compacting("min.compaction.lag.ms", "3600000")
			k.twice(0)
			k.stays("within the lag")
			k.set("min.compaction.lag.ms", "0")
			k.compacted("without a lag")
		}},
		{"max.compaction.lag.ms", "0", tooLow, func(k *keyTopic) {
			k.compacting()
			k.twice(time.Hour)
			k.compacted("all is dirty")
			k.set("min.cleanable.dirty.ratio", "1")
			k.wantCode("produce", made(k.T, record.NewOptions(), time.Hour, "a", strings.Repeat("x", 100)), nil)
			k.wantCode("produce", made(k.T, record.NewOptions(), time.Hour, "end3", strings.Repeat("x", 100)), nil)
			k.stays("not dirty enough")
			k.set("max.compaction.lag.ms", "60000")
			k.compacted("longer than the lag")
		}},
		{"delete.retention.ms", "-1", tooLow, func(k *keyTopic) {
			k.compacting()
			k.wantCode("produce", made(k.T, record.NewOptions(), 0, "t", ""), nil)
			k.twice(0)
			k.compacted("compaction")
			if n := k.keys()["-t"]; n != 1 {
				k.Errorf("%d tombstones after compaction", n)
			}
			k.set("delete.retention.ms", "0")
			k.wantCode("produce", made(k.T, record.NewOptions(), 0, "u", ""), nil)
			testbed.Until(k.T, "the tombstone goes", func() bool {
				k.twice(0) // each pass needs something to do
				return k.keys()["-u"] == 0
			})
			if n := k.keys()["-t"]; n != 1 {
				k.Errorf("%d tombstones whose horizon was set before", n)
			}
		}},
	}
}

func recordRows() []keyRow {
	old, future := 2*time.Hour, -2*time.Hour
	return []keyRow{
		{"max.message.bytes", "-1", tooLow, func(k *keyTopic) {
			k.send(0, 1000)
			k.set("max.message.bytes", "500")
			k.wantCode("a large batch", made(k.T, record.NewOptions(), 0, "", textual(1000)), kerr.MessageTooLarge)
			k.send(0, 100)
		}},
		{"message.timestamp.type", "Now", "String must be one of", func(k *keyTopic) {
			k.send(old, 10)
			k.set("message.timestamp.type", "LogAppendTime")
			k.send(old, 10)
			b := k.stored()
			if b[0].TimestampType() != record.CreateTime || b[1].TimestampType() != record.LogAppendTime || b[1].MaxTimestamp()-b[0].MaxTimestamp() < (old-time.Minute).Milliseconds() {
				k.Errorf("stored as %v and %v", b[0].TimestampType(), b[1].TimestampType())
			}
			if err := b[1].CheckCRC(); err != nil {
				k.Error(err)
			}
		}},
		{"message.timestamp.before.max.ms", "-1", tooLow, func(k *keyTopic) {
			k.send(old, 10)
			k.set("message.timestamp.before.max.ms", "3600000")
			k.wantCode("an old record", made(k.T, record.NewOptions(), old, "", "v"), kerr.InvalidTimestamp)
			k.send(0, 10)
		}},
		{"message.timestamp.after.max.ms", "-1", tooLow, func(k *keyTopic) {
			k.wantCode("two hours ahead, by default", made(k.T, record.NewOptions(), future, "", "v"), kerr.InvalidTimestamp)
			k.set("message.timestamp.after.max.ms", "9223372036854775807")
			k.send(future, 10)
			k.set("message.timestamp.after.max.ms", "1000")
			k.wantCode("an hour ahead", made(k.T, record.NewOptions(), -time.Hour/2, "", "v"), kerr.InvalidTimestamp)
		}},
		{"message.timestamp.difference.max.ms", "-1", tooLow, func(k *keyTopic) {
			k.send(old, 10)
			k.set("message.timestamp.difference.max.ms", "3600000")
			k.wantCode("an old record", made(k.T, record.NewOptions(), old, "", "v"), kerr.InvalidTimestamp)
		}},
		{"compression.type", "zip", "String must be one of", func(k *keyTopic) {
			k.send(0, 1000)
			for i, codec := range []string{"gzip", "snappy", "lz4", "zstd", "uncompressed"} {
				k.set("compression.type", codec)
				k.send(0, 1000)
				b := k.stored()
				want, _ := record.ParseCompression(codec)
				if got := b[i+1].Compression(); got != want {
					k.Errorf("%s: stored as %v", codec, got)
				}
			}
			if b := k.stored(); b[0].Compression() != record.None {
				k.Errorf("producer: stored as %v", b[0].Compression())
			}
		}},
		{"compression.gzip.level", "0", "Value must be between", level("gzip", "1", "9")},
		{"compression.lz4.level", "0", tooLow, level("lz4", "1", "12")},
		{"compression.zstd.level", "23", "Value must be no more than", level("zstd", "1", "19")},
		{"record.validation", "none", "String must be one of", func(k *keyTopic) {
			bad := garbled(k.T)
			k.wantCode("garbage within a good checksum, header", bad, nil)
			k.set("record.validation", "records")
			k.wantCode("garbage, records", garbled(k.T), kerr.CorruptMessage)
			k.set("record.validation", "header")
			k.wantCode("garbage, header again", garbled(k.T), nil)
			k.wantCode("one record less than it says", short(k.T), kerr.InvalidRecord)
			c := k.another("cleanup.policy", "compact")
			c.wantCode("garbage, compacted", garbled(k.T), kerr.CorruptMessage)
		}},
		{"message.downconversion.enable", "yes", "Expected value to be either true or false", func(k *keyTopic) {
			k.send(0, 10)
			fetch := func() int16 {
				req := kmsg.NewPtrFetchRequest()
				req.Version, req.MaxWaitMillis, req.MinBytes, req.ReplicaID = 3, 0, 1, -1
				req.MaxBytes = 1 << 20
				p := kmsg.NewFetchRequestTopicPartition()
				p.PartitionMaxBytes = 1 << 20
				t := kmsg.NewFetchRequestTopic()
				t.Topic, t.Partitions = k.name, append(t.Partitions, p)
				req.Topics = append(req.Topics, t)
				return k.conn.MustAsk(req).(*kmsg.FetchResponse).Topics[0].Partitions[0].ErrorCode
			}
			if code := fetch(); code != 0 {
				k.Errorf("fetch of an old version: error %d", code)
			}
			k.set("message.downconversion.enable", "false")
			if code := fetch(); code != kerr.UnsupportedVersion.Code {
				k.Errorf("fetch of an old version, forbidden: error %d", code)
			}
		}},
		{"message.format.version", "x", "is not a valid version", func(k *keyTopic) {
			accepted("message.format.version", "0.10.2")(k)
			if b := k.stored()[0]; b[16] != 2 {
				k.Errorf("stored in format %d: from 3.0 on the newest always holds", b[16])
			}
		}},
	}
}

func clusterRows() []keyRow {
	const noTier = "Tiered Storage functionality is disabled in the broker"
	const zooKeeper = "under Zookeeper's mode"
	local := func(key string) func(*keyTopic) {
		return func(k *keyTopic) { // without a tier nothing is local only, as in Kafka
			o := k.another("retention.ms", "1000")
			accepted(key, "1")(k)
			o.send(time.Hour, 10)
			o.gone("retention")
			if k.log().StartOffset() != 0 {
				k.Error("records are gone by a bound of tiered storage")
			}
		}
	}
	return []keyRow{
		{"min.insync.replicas", "0", tooLow, accepted("min.insync.replicas", "2")}, // one replica: one is enough, as in Kafka
		{"unclean.leader.election.enable", "x", "Expected value", accepted("unclean.leader.election.enable", "true")},
		{"leader.replication.throttled.replicas", "1", "must be the literal", accepted("leader.replication.throttled.replicas", "0:0")},
		{"follower.replication.throttled.replicas", "a:b", "must be the literal", accepted("follower.replication.throttled.replicas", "*")},
		{"remote.storage.enable", "true", noTier, accepted("remote.storage.enable", "false")},
		{"remote.log.copy.disable", "true", zooKeeper, accepted("remote.log.copy.disable", "false")},
		{"remote.log.delete.on.disable", "true", zooKeeper, accepted("remote.log.delete.on.disable", "false")},
		{"local.retention.ms", "-3", tooLow, local("local.retention.ms")},
		{"local.retention.bytes", "-3", tooLow, local("local.retention.bytes")},
	}
}

// garbled is a batch whose header and checksum are good and whose compressed
// records are not.
func garbled(t testing.TB) []byte {
	o := record.NewOptions()
	o.Compression = record.Gzip
	b := record.Batch(made(t, o, 0, "key", textual(500)))
	for i := record.HeaderSize; i < len(b); i++ {
		b[i] ^= 0x5a
	}
	return signed(b)
}

// short is a batch with one record whose header speaks of two.
func short(t testing.TB) []byte {
	b := record.Batch(made(t, record.NewOptions(), 0, "key", "value"))
	b[26], b[60] = 1, 2 // last offset delta and count
	return signed(b)
}

// signed gives a batch that was tampered with a good checksum.
func signed(b record.Batch) record.Batch {
	const at, covers = 17, 21 // position of the checksum, and of what it is of
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b[covers:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// Every topic key takes effect while the broker runs, or is refused with a
// reason.
func TestEveryTopicKey(t *testing.T) {
	b := brokertest.Start(t, map[string]string{
		"log.retention.check.interval.ms": "20", "log.cleaner.backoff.ms": "20", "log.cleaner.threads": "2",
		"auto.create.topics.enable": "false",
	})
	rows := map[string]bool{}
	for _, part := range [][]keyRow{storageRows(), retentionRows(), recordRows(), clusterRows()} {
		for _, r := range part {
			rows[r.key] = true
			t.Run(r.key, func(t *testing.T) {
				t.Parallel()
				k := &keyTopic{T: t, b: b, name: "t-" + r.key, conn: b.Dial()}
				b.CreateTopic(k.name, 1)
				if code, reason := k.try(r.key, r.bad); code != kerr.InvalidConfig.Code || !strings.Contains(reason, r.reason) {
					t.Errorf("%s=%s: error %d, %q; want a reason with %q", r.key, r.bad, code, reason, r.reason)
				}
				r.effect(k)
			})
		}
	}
	for _, key := range metadata.TopicTable().Keys() {
		if !rows[key.Name] {
			t.Errorf("%s is not tried", key.Name)
		}
	}
}
