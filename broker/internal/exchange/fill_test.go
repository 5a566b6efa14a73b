package exchange

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/leatstream/leat/broker/record"
)

const (
	group     = "readers"
	firstTime = 1_700_000_000_000 // ms; records are a millisecond apart
)

// Topics: codecs has batches of every codec in several segments, stamped the
// broker's own times, trimmed a start beyond 0, latest is compacted, once has an
// idempotent producer whose state matters, accounts has transactions.
func ourTopics() []string {
	return []string{"codecs", "stamped", "trimmed", "latest", "once", "accounts"}
}

func topicConfigs() map[string]map[string]string {
	return map[string]map[string]string{
		"codecs":   {"segment.bytes": "16384", "retention.ms": "-1", "index.interval.bytes": "512"},
		"stamped":  {"message.timestamp.type": "LogAppendTime"},
		"trimmed":  {"segment.bytes": "4096", "retention.ms": "-1"},
		"latest":   {"cleanup.policy": "compact", "segment.bytes": "8192", "min.cleanable.dirty.ratio": "0.01"},
		"once":     {"retention.ms": "-1"},
		"accounts": {"segment.bytes": "2048", "retention.ms": "-1"},
	}
}

// fill makes the topics and writes to all of them but accounts.
func fill(t *testing.T, addr string) {
	t.Helper()
	adm := kadm.NewClient(dial(t, addr))
	for topic, config := range topicConfigs() {
		values := map[string]*string{}
		for k, v := range config {
			values[k] = &v
		}
		partitions := int32(1)
		if topic == "codecs" {
			partitions = 3
		}
		must(adm.CreateTopic(patience(t), partitions, 1, values, topic))(t)
	}
	fillCodecs(t, addr)
	send(t, dial(t, addr), "stamped", 50, "stamped")
	send(t, dial(t, addr, kgo.ProducerBatchMaxBytes(1024)), "trimmed", 300, strings.Repeat("x", 60))
	must(adm.DeleteRecords(patience(t), kadm.Offsets{"trimmed": {0: {Topic: "trimmed", Partition: 0, At: 170}}}))(t)
	fillLatest(t, addr)
	commit := kadm.Offsets{}
	commit.Add(kadm.Offset{Topic: "codecs", Partition: 0, At: 12, LeaderEpoch: -1, Metadata: "twelve"})
	commit.Add(kadm.Offset{Topic: "codecs", Partition: 2, At: 34, LeaderEpoch: 0})
	must(adm.CommitOffsets(patience(t), group, commit))(t)
}

func fillCodecs(t *testing.T, addr string) {
	t.Helper()
	for i, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		cl := dial(t, addr, kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchMaxBytes(4096))
		var records []*kgo.Record
		for n := range 450 {
			records = append(records, &kgo.Record{
				Topic: "codecs", Partition: int32(n % 3), Timestamp: time.UnixMilli(firstTime + int64(i*1000+n)),
				Key: fmt.Appendf(nil, "k%d", n), Value: fmt.Appendf(nil, "%d-%s", i, strings.Repeat("value ", n%30)),
				Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte{byte(i)}}, {Key: "null"}},
			})
		}
		if err := cl.ProduceSync(patience(t), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		cl.Close()
	}
}

func send(t *testing.T, cl *kgo.Client, topic string, count int, value string) {
	t.Helper()
	var records []*kgo.Record
	for n := range count {
		records = append(records, &kgo.Record{Topic: topic, Timestamp: time.UnixMilli(firstTime + int64(n)), Value: fmt.Appendf(nil, "%s %d", value, n)})
	}
	if err := cl.ProduceSync(patience(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// fillLatest writes keys over and over, and a tombstone.
func fillLatest(t *testing.T, addr string) {
	t.Helper()
	cl := dial(t, addr, kgo.ProducerBatchMaxBytes(2048))
	var records []*kgo.Record
	for n := range 1200 {
		r := &kgo.Record{Topic: "latest", Key: fmt.Appendf(nil, "key %d", n%40), Value: fmt.Appendf(nil, "value %d", n), Timestamp: time.UnixMilli(firstTime + int64(n))}
		if n == 1190 {
			r.Value = nil
		}
		records = append(records, r)
	}
	if err := cl.ProduceSync(patience(t), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// once is an idempotent producer, told frame by frame what to send.
type once struct {
	id    int64
	epoch int16
	next  int32
}

const onceBatch = 4 // records

func newOnce(t *testing.T, addr string) *once {
	t.Helper()
	req := kmsg.NewPtrInitProducerIDRequest()
	resp := must(req.RequestWith(patience(t), dial(t, addr)))(t)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		t.Fatal(err)
	}
	return &once{id: resp.ProducerID, epoch: resp.ProducerEpoch}
}

// send sends the batch that begins with a sequence number, and returns its
// offset.
func (o *once) send(t *testing.T, addr string, sequence int32) (int64, error) {
	t.Helper()
	opts := record.NewOptions()
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence = o.id, o.epoch, sequence
	var b record.Builder
	b.Reset(opts)
	now := time.Now().UnixMilli() // producers whose last record is old are forgotten
	for n := range int32(onceBatch) {
		b.Append(now, nil, fmt.Appendf(nil, "sequence %d", sequence+n))
	}
	batch := must(b.Build(nil))(t)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = -1, 10_000
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = batch
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.Partitions = "once", append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(req.Key(), 12) // the last that names topics
	cl := dial(t, addr, kgo.MaxVersions(versions))
	resp := must(cl.SeedBrokers()[0].Request(patience(t), req))(t).(*kmsg.ProduceResponse)
	r := resp.Topics[0].Partitions[0]
	return r.BaseOffset, kerr.ErrorForCode(r.ErrorCode)
}

// goesOn checks that a broker remembers the producer: what it sent last is known,
// a gap is refused, the next batch is taken.
func (o *once) goesOn(t *testing.T, addr string) {
	t.Helper()
	last := o.next - onceBatch
	if offset, err := o.send(t, addr, last); err != nil || offset != int64(last) {
		t.Errorf("the last batch sent again: offset %d, %v; it is at %d", offset, err, last)
	}
	if _, err := o.send(t, addr, o.next+onceBatch); err == nil {
		t.Error("a batch after a gap was taken")
	}
	o.add(t, addr)
}

// add sends the next batch, which must come to lie behind the last one.
func (o *once) add(t *testing.T, addr string) {
	t.Helper()
	if offset, err := o.send(t, addr, o.next); err != nil || offset != int64(o.next) {
		t.Fatalf("sequence %d went to offset %d, %v", o.next, offset, err)
	}
	o.next += onceBatch
}
