package oracle

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicIDs is the first version of Produce and of Fetch that names topics
// by id.
const topicIDs = 13

// produceRows compare Produce but for the content of batches.
func produceRows() []row {
	to := func(change func(c *call, req *kmsg.ProduceRequest)) func(*call) kmsg.Request {
		return func(c *call) kmsg.Request {
			req := produceTo(c.fixture(), c.id(c.fixture()), 0, c.batch(1))
			change(c, req)
			return req
		}
	}
	return []row{
		{name: "append", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			c.ask(produceTo(t, c.id(t), 0, c.batch(2)))
			c.ask(produceTo(t, c.id(t), 0, c.batch(3)))
			c.ask(fetchFrom(t, c.id(t), 0, 0))
		}},
		{name: "codecs", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			for _, codec := range []record.Compression{record.Gzip, record.Snappy, record.LZ4, record.Zstd, 5, 7} {
				b := c.batch(2)
				if codec <= record.Zstd {
					b = c.batch(2, func(o *record.BuilderOptions) { o.Compression = codec })
				} else {
					b[22] |= byte(codec)
					resum(b)
				}
				c.ask(produceTo(t, c.id(t), 0, b))
			}
		}},
		{name: "one acknowledgement", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			req := produceTo(t, c.id(t), 0, c.batch(2))
			req.Acks = 1
			c.ask(req)
		}},
		{name: "no acknowledgement", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			req := produceTo(t, c.id(t), 0, c.batch(2))
			req.Acks = 0
			c.tell(req)
		}},
		{name: "no acknowledgement of an error", key: wire.Produce, from: 3, talk: func(c *call) {
			req := produceTo("unknown", [16]byte{1}, 0, c.batch(2))
			req.Acks = 0
			c.tell(req)
		}},
		{name: "log append time", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1, "message.timestamp.type", "LogAppendTime")
			c.ask(produceTo(t, c.id(t), 0, c.batch(2)))
			c.ask(produceTo(t, c.id(t), 0, c.batch(2, func(o *record.BuilderOptions) { o.Compression = record.Gzip })))
			c.ask(fetchFrom(t, c.id(t), 0, 0))
			c.ask(fetchFrom(t, c.id(t), 0, 2))
		}},
		recompressed("gzip"), recompressed("snappy"), recompressed("lz4"), recompressed("zstd"), recompressed("uncompressed"),
		{name: "two partitions", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 2)
			req := produceTo(t, c.id(t), 0, c.batch(2))
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, kmsg.ProduceRequestTopicPartition{Partition: 1, Records: c.batch(1)})
			c.ask(req)
		}},
		{name: "more in sync replicas than there are", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1, "min.insync.replicas", "2")
			req := produceTo(t, c.id(t), 0, c.batch(2))
			c.ask(req)
			req.Acks = 1
			c.ask(req)
		}},
		once(wire.Produce, "acks 2", to(func(_ *call, req *kmsg.ProduceRequest) { req.Acks = 2 })),
		once(wire.Produce, "acks -2", to(func(_ *call, req *kmsg.ProduceRequest) { req.Acks = -2 })),
		once(wire.Produce, "unknown topic", to(func(_ *call, req *kmsg.ProduceRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "unknown", [16]byte{1}
		})),
		once(wire.Produce, "empty topic", to(func(_ *call, req *kmsg.ProduceRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "", [16]byte{}
		})),
		once(wire.Produce, "illegal topic", to(func(_ *call, req *kmsg.ProduceRequest) { req.Topics[0].Topic = "a b" })).until(topicIDs),
		once(wire.Produce, "internal topic", to(func(c *call, req *kmsg.ProduceRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "__consumer_offsets", c.id("__consumer_offsets")
		})),
		once(wire.Produce, "unknown partition", to(func(_ *call, req *kmsg.ProduceRequest) { req.Topics[0].Partitions[0].Partition = 9 })),
		once(wire.Produce, "negative partition", to(func(_ *call, req *kmsg.ProduceRequest) { req.Topics[0].Partitions[0].Partition = -1 })),
		once(wire.Produce, "no partitions", to(func(_ *call, req *kmsg.ProduceRequest) { req.Topics[0].Partitions = nil })),
		once(wire.Produce, "empty records", to(func(_ *call, req *kmsg.ProduceRequest) { req.Topics[0].Partitions[0].Records = []byte{} })),
		once(wire.Produce, "null records", to(func(_ *call, req *kmsg.ProduceRequest) { req.Topics[0].Partitions[0].Records = nil })).brief(),
		once(wire.Produce, "transactional id without a transactional batch", to(func(c *call, req *kmsg.ProduceRequest) {
			req.TransactionID = str(c.name("id"))
			req.Topics[0].Topic, req.Topics[0].TopicID = "unknown", [16]byte{1}
		})).since(3),
	}
}

// recompressed appends batches of every codec to a topic that has one of its own.
func recompressed(codec string) row {
	return row{name: "to a topic of codec " + codec, key: wire.Produce, from: 3, talk: func(c *call) {
		t := c.topic("t", 5, "compression.type", codec)
		id := c.id(t)
		for p := range int32(5) {
			b := c.batch(3, idempotent(4000, 0, 0), func(o *record.BuilderOptions) { o.Compression = record.Compression(p) })
			c.ask(produceTo(t, id, p, b))
			c.ask(fetchFrom(t, id, p, 0))
		}
	}}
}

// resum corrects the checksum of a changed batch.
func resum(b []byte) []byte {
	binary.BigEndian.PutUint32(b[17:], crc32.Checksum(b[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// batchRows compare what is made of the content of batches, good and bad. In the
// row "batches" each has a partition of its own.
func batchRows() []row {
	batches := []struct {
		name string
		make func(c *call) []byte
	}{
		{"wrong checksum", func(c *call) []byte { b := c.batch(1); b[17] ^= 1; return b }},
		{"magic 3", func(c *call) []byte { b := c.batch(1); b[16] = 3; return b }},
		{"magic -1", func(c *call) []byte { b := c.batch(1); b[16] = 0xff; return b }},
		{"batch cut", func(c *call) []byte { b := c.batch(1); return b[:len(b)-3] }},
		{"bytes behind the batch", func(c *call) []byte { return append(c.batch(1), 0, 0, 0) }},
		{"two batches", func(c *call) []byte { return append(c.batch(1), c.batch(2)...) }},
		{"ten bytes", func(c *call) []byte { return c.batch(1)[:10] }},
		{"size of zero", func(c *call) []byte { b := c.batch(1); binary.BigEndian.PutUint32(b[8:], 0); return b }},
		{"size of minus one", func(c *call) []byte { b := c.batch(1); binary.BigEndian.PutUint32(b[8:], 0xffffffff); return b }},
		{"size too small by one", func(c *call) []byte { b := c.batch(1); binary.BigEndian.PutUint32(b[8:], uint32(len(b)-13)); return b }},
		{"base offset of seven", func(c *call) []byte { b := c.batch(1); b[7] = 7; return b }},
		{"leader epoch of five", func(c *call) []byte { b := c.batch(1); copy(b[12:], []byte{0, 0, 0, 5}); return b }},
		{"count one too many", func(c *call) []byte { b := c.batch(2); b[60] = 3; return resum(b) }},
		{"count one too few", func(c *call) []byte { b := c.batch(2); b[60] = 1; return resum(b) }},
		{"count of minus one", func(c *call) []byte { b := c.batch(2); copy(b[57:], []byte{255, 255, 255, 255}); return resum(b) }},
		{"count of zero", func(c *call) []byte { b := c.batch(2); copy(b[57:], []byte{0, 0, 0, 0}); return resum(b) }},
		{"last offset delta too large", func(c *call) []byte { b := c.batch(2); b[26] = 5; return resum(b) }},
		{"last offset delta negative", func(c *call) []byte { b := c.batch(2); copy(b[23:], []byte{255, 255, 255, 255}); return resum(b) }},
		{"offset delta of a record", func(c *call) []byte { b := c.batch(2); b[64] = 8; return resum(b) }},
		{"max timestamp wrong", func(c *call) []byte { b := c.batch(2); b[42]++; return resum(b) }},
		{"unknown attribute bit", func(c *call) []byte { b := c.batch(1); b[21] = 0x40; return resum(b) }},
		{"log append time set", func(c *call) []byte { b := c.batch(1); b[22] |= 8; return resum(b) }},
		{"delete horizon", func(c *call) []byte { b := c.batch(1); b[22] |= 0x40; return resum(b) }},
		{"control batch", func(c *call) []byte { b := c.batch(1); b[22] |= 0x20; return resum(b) }},
		{"transactional batch without a producer", func(c *call) []byte { b := c.batch(1); b[22] |= 0x10; return resum(b) }},
		{"gzip that is none", func(c *call) []byte { b := c.batch(1); b[22] |= 1; return resum(b) }},
		{"record length negative", func(c *call) []byte { b := c.batch(1); b[61] = 1; return resum(b) }},
		{"record longer than the batch", func(c *call) []byte { b := c.batch(1); b[61] = 0x7e; return resum(b) }},
		{"producer without an epoch", func(c *call) []byte { return c.batch(1, idempotent(9, -1, 0)) }},
		{"producer without a sequence", func(c *call) []byte { return c.batch(1, idempotent(9, 0, -1)) }},
		{"producer of minus two", func(c *call) []byte { return c.batch(1, idempotent(-2, 0, 0)) }},
		{"producer begins at seven", func(c *call) []byte { return c.batch(1, idempotent(9, 0, 7)) }},
		{"magic 1", func(*call) []byte { return oldMessage(1) }},
		{"magic 0", func(*call) []byte { return oldMessage(0) }},
	}
	rows := []row{
		{name: "compacted topic without keys", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1, "cleanup.policy", "compact")
			var b record.Builder
			b.Reset(record.NewOptions())
			b.Append(c.start.UnixMilli(), []byte("k"), []byte("v"))
			b.Append(c.start.UnixMilli(), nil, []byte("v"))
			out, _ := b.Build(nil)
			c.ask(produceTo(t, c.id(t), 0, out))
		}},
		{name: "batch too large", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1, "max.message.bytes", "100")
			c.ask(produceTo(t, c.id(t), 0, c.batch(9)))
		}},
		{name: "batches larger than a segment", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1, "segment.bytes", "1048576", "max.message.bytes", "8000000")
			var b record.Builder
			b.Reset(record.NewOptions())
			b.Append(c.start.UnixMilli(), nil, make([]byte, 2<<20))
			out, _ := b.Build(nil)
			c.ask(produceTo(t, c.id(t), 0, out))
		}},
		{name: "timestamps out of bounds", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1, "message.timestamp.before.max.ms", "3600000", "message.timestamp.after.max.ms", "3600000")
			for _, shift := range []int64{-4e6, 4e6, 0} {
				var b record.Builder
				b.Reset(record.NewOptions())
				b.Append(c.start.UnixMilli(), nil, []byte("v"))
				b.Append(c.start.UnixMilli()+shift, nil, []byte("v"))
				out, _ := b.Build(nil)
				c.ask(produceTo(t, c.id(t), 0, out))
			}
		}},
		{name: "negative timestamp", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			var b record.Builder
			b.Reset(record.NewOptions())
			b.Append(-5, nil, []byte("v"))
			out, _ := b.Build(nil)
			c.ask(produceTo(t, c.id(t), 0, out))
		}},
		{name: "idempotent sequences", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			for _, b := range [][]byte{
				c.batch(2, idempotent(4000, 0, 0)),
				c.batch(3, idempotent(4000, 0, 2)),
				c.batch(3, idempotent(4000, 0, 2)),          // again
				c.batch(2, idempotent(4000, 0, 0)),          // an older one again
				c.batch(1, idempotent(4000, 0, 9)),          // a gap
				c.batch(2, idempotent(4000, 0, 3)),          // half old
				c.batch(1, idempotent(4000, 1, 5)),          // a new epoch not at 0
				c.batch(1, idempotent(4000, 1, 0)),          // a new epoch
				c.batch(1, idempotent(4000, 0, 5)),          // the old epoch
				c.batch(1, idempotent(4001, 0, 2147483647)), // before the wrap
				c.batch(1, idempotent(4001, 0, 0)),          // behind the wrap
			} {
				c.ask(produceTo(t, c.id(t), 0, b))
			}
			c.ask(fetchFrom(t, c.id(t), 0, 0))
		}},
		{name: "idempotent and more batches", key: wire.Produce, from: 3, talk: func(c *call) {
			t := c.topic("t", 1)
			c.ask(produceTo(t, c.id(t), 0, append(c.batch(1, idempotent(4000, 0, 0)), c.batch(1, idempotent(4000, 0, 1))...)))
		}},
	}
	return append(rows, row{name: "batches", key: wire.Produce, talk: func(c *call) {
		t := c.topic("t", int32(len(batches)))
		id := c.id(t)
		for i, b := range batches {
			c.as = b.name
			c.ask(produceTo(t, id, int32(i), b.make(c)))
			c.ask(fetchFrom(t, id, int32(i), 0))
		}
	}})
}

// oldMessage is a message set of one message in format 0 or 1.
func oldMessage(magic byte) []byte {
	body := []byte{magic, 0}
	if magic == 1 {
		body = append(body, 0, 0, 1, 0x80, 0, 0, 0, 0)
	}
	body = append(body, 0, 0, 0, 1, 'k', 0, 0, 0, 1, 'v')
	m := make([]byte, 12, 40)
	m[11] = byte(4 + len(body))
	m = binary.BigEndian.AppendUint32(m, crc32.ChecksumIEEE(body))
	return slices.Concat(m, body)
}

func fetchRows() []row {
	from := func(partition int32, offset int64, change func(c *call, req *kmsg.FetchRequest)) func(*call) kmsg.Request {
		return func(c *call) kmsg.Request {
			req := fetchFrom(c.fixture(), c.id(c.fixture()), partition, offset)
			if change != nil {
				change(c, req)
			}
			return req
		}
	}
	part := func(req *kmsg.FetchRequest) *kmsg.FetchRequestTopicPartition { return &req.Topics[0].Partitions[0] }
	return []row{
		once(wire.Fetch, "from the start", from(0, 0, nil)),
		once(wire.Fetch, "from within a batch", from(0, 4, nil)).since(4),
		once(wire.Fetch, "from the end", from(0, 6, nil)),
		once(wire.Fetch, "from beyond the end", from(0, 7, nil)),
		once(wire.Fetch, "from -1", from(0, -1, nil)),
		once(wire.Fetch, "from an empty partition", from(1, 0, nil)),
		once(wire.Fetch, "both partitions", from(0, 0, func(_ *call, req *kmsg.FetchRequest) {
			p := *part(req)
			p.Partition = 1
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		})).since(4),
		once(wire.Fetch, "one byte", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { part(req).PartitionMaxBytes = 1 })).since(4),
		once(wire.Fetch, "zero bytes", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { part(req).PartitionMaxBytes = 0 })).since(4),
		once(wire.Fetch, "minus one byte", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { part(req).PartitionMaxBytes = -1 })).since(4),
		once(wire.Fetch, "one byte in all", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.MaxBytes = 1 })).since(4),
		once(wire.Fetch, "no byte in all", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.MaxBytes = 0 })).since(4),
		once(wire.Fetch, "first batch only", from(0, 0, func(c *call, req *kmsg.FetchRequest) {
			part(req).PartitionMaxBytes = int32(len(c.batch(3)) + 5)
		})).since(4),
		once(wire.Fetch, "no least size", from(0, 6, func(_ *call, req *kmsg.FetchRequest) { req.MinBytes, req.MaxWaitMillis = 0, 9000 })),
		once(wire.Fetch, "negative least size", from(0, 6, func(_ *call, req *kmsg.FetchRequest) { req.MinBytes, req.MaxWaitMillis = -1, 9000 })),
		once(wire.Fetch, "no wait", from(0, 6, func(_ *call, req *kmsg.FetchRequest) { req.MaxWaitMillis = 0 })),
		once(wire.Fetch, "negative wait", from(0, 6, func(_ *call, req *kmsg.FetchRequest) { req.MaxWaitMillis = -1 })),
		once(wire.Fetch, "unknown partition", from(9, 0, nil)),
		once(wire.Fetch, "negative partition", from(-1, 0, nil)),
		once(wire.Fetch, "unknown topic", from(0, 0, func(_ *call, req *kmsg.FetchRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "unknown", [16]byte{1}
		})),
		once(wire.Fetch, "empty topic", from(0, 0, func(_ *call, req *kmsg.FetchRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "", [16]byte{}
		})),
		once(wire.Fetch, "committed records only", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.IsolationLevel = 1 })).since(4),
		once(wire.Fetch, "isolation level 2", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.IsolationLevel = 2 })).since(4),
		once(wire.Fetch, "newer leader epoch", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { part(req).CurrentLeaderEpoch = 9 })).since(9),
		once(wire.Fetch, "leader epoch of now", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { part(req).CurrentLeaderEpoch = 0 })).since(9),
		once(wire.Fetch, "leader epoch of -2", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { part(req).CurrentLeaderEpoch = -2 })).since(9),
		once(wire.Fetch, "last fetched epoch of now", from(0, 3, func(_ *call, req *kmsg.FetchRequest) { part(req).LastFetchedEpoch = 0 })).since(12),
		once(wire.Fetch, "last fetched epoch of later", from(0, 3, func(_ *call, req *kmsg.FetchRequest) { part(req).LastFetchedEpoch = 7 })).since(12),
		once(wire.Fetch, "last fetched epoch, beyond the end", from(0, 9, func(_ *call, req *kmsg.FetchRequest) { part(req).LastFetchedEpoch = 0 })).since(12),
		once(wire.Fetch, "unknown replica", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.ReplicaID = 77 })).until(15),
		once(wire.Fetch, "debugging replica", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.ReplicaID = -2 })).since(4).until(15),
		once(wire.Fetch, "unknown replica with its state", from(0, 0, func(_ *call, req *kmsg.FetchRequest) {
			req.ReplicaState.ID, req.ReplicaState.Epoch = 77, 5
		})).since(15),
		once(wire.Fetch, "with a rack", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.Rack = "r1" })).since(11),
		once(wire.Fetch, "of another cluster", from(0, 0, func(_ *call, req *kmsg.FetchRequest) { req.ClusterID = str("another") })).since(12),
		once(wire.Fetch, "internal topic", from(0, 0, func(c *call, req *kmsg.FetchRequest) {
			req.Topics[0].Topic, req.Topics[0].TopicID = "__consumer_offsets", c.id("__consumer_offsets")
			part(req).FetchOffset = 1 << 40
		})),
		once(wire.Fetch, "log append time", func(c *call) kmsg.Request {
			t := c.topic("t", 1, "message.timestamp.type", "LogAppendTime")
			return fetchFrom(t, c.id(t), 0, 0)
		}),
	}
}

// sessionRows compare fetch sessions (version 7 on).
func sessionRows() []row {
	open := func(c *call) (*kmsg.FetchRequest, *kmsg.FetchResponse) {
		req := fetchFrom(c.fixture(), c.id(c.fixture()), 0, 0)
		req.SessionEpoch = 0
		resp, _ := c.ask(req).(*kmsg.FetchResponse)
		if resp == nil {
			panic(spoiled("no session"))
		}
		return req, resp
	}
	return []row{
		{name: "session", key: wire.Fetch, from: 7, talk: func(c *call) {
			req, resp := open(c)
			topics := req.Topics
			req.SessionID, req.SessionEpoch, req.Topics = resp.SessionID, 1, nil
			c.ask(req) // the same again
			req.SessionEpoch, req.Topics = 2, topics
			req.Topics[0].Partitions[0].FetchOffset = 6
			c.ask(req) // at the end
			req.SessionEpoch, req.Topics = 3, nil
			c.ask(req) // nothing new
			req.SessionEpoch = 4
			req.ForgottenTopics = []kmsg.FetchRequestForgottenTopic{{Topic: topics[0].Topic, TopicID: topics[0].TopicID, Partitions: []int32{0}}}
			c.ask(req) // nothing left
			req.SessionEpoch, req.ForgottenTopics = -1, nil
			c.ask(req) // closed
			req.SessionEpoch = 5
			c.ask(req) // gone
		}},
		{name: "session at a wrong epoch", key: wire.Fetch, from: 7, talk: func(c *call) {
			req, resp := open(c)
			req.SessionID, req.SessionEpoch = resp.SessionID, 7
			c.ask(req)
		}},
		{name: "unknown session", key: wire.Fetch, from: 7, talk: func(c *call) {
			req := fetchFrom(c.fixture(), c.id(c.fixture()), 0, 0)
			req.SessionID, req.SessionEpoch = 12345, 1
			c.ask(req)
		}},
		{name: "session with errors", key: wire.Fetch, from: 7, talk: func(c *call) {
			req := fetchFrom(c.fixture(), c.id(c.fixture()), 9, 0)
			req.SessionEpoch = 0
			resp, _ := c.ask(req).(*kmsg.FetchResponse)
			if resp != nil {
				req.SessionID, req.SessionEpoch, req.Topics = resp.SessionID, 1, nil
				c.ask(req)
			}
		}},
		{name: "session without partitions", key: wire.Fetch, from: 7, talk: func(c *call) {
			req := fetchFrom(c.fixture(), c.id(c.fixture()), 0, 0)
			req.SessionEpoch, req.Topics = 0, nil
			c.ask(req)
		}},
		{name: "session of an unknown topic", key: wire.Fetch, from: 7, talk: func(c *call) {
			req := fetchFrom("unknown", [16]byte{9}, 0, 0)
			req.SessionEpoch = 0
			c.ask(req)
		}},
	}
}

// offsetRows compare ListOffsets, OffsetForLeaderEpoch, DeleteRecords and
// InitProducerId.
func offsetRows() []row {
	list := func(partition int32, timestamp int64, change func(c *call, req *kmsg.ListOffsetsRequest)) func(*call) kmsg.Request {
		return func(c *call) kmsg.Request {
			req := listOffset(c.fixture(), partition, timestamp)
			if timestamp > 1000 {
				req.Topics[0].Partitions[0].Timestamp = c.start.UnixMilli() + timestamp - 2000
			}
			if change != nil {
				change(c, req)
			}
			return req
		}
	}
	rows := []row{
		once(wire.ListOffsets, "latest", list(0, -1, nil)),
		once(wire.ListOffsets, "earliest", list(0, -2, nil)),
		once(wire.ListOffsets, "largest timestamp", list(0, -3, nil)),
		once(wire.ListOffsets, "earliest local", list(0, -4, nil)),
		once(wire.ListOffsets, "latest tiered", list(0, -5, nil)),
		once(wire.ListOffsets, "earliest pending upload", list(0, -6, nil)),
		once(wire.ListOffsets, "special timestamp -7", list(0, -7, nil)),
		once(wire.ListOffsets, "special timestamp -99", list(0, -99, nil)),
		once(wire.ListOffsets, "timestamp 0", list(0, 0, nil)).since(1),
		once(wire.ListOffsets, "timestamp of a record", list(0, 3000, nil)).since(1),
		once(wire.ListOffsets, "timestamp between records", list(0, 2500, nil)).since(1),
		once(wire.ListOffsets, "timestamp of the future", list(0, 1<<40, nil)).since(1),
		once(wire.ListOffsets, "empty partition, latest", list(1, -1, nil)),
		once(wire.ListOffsets, "empty partition, largest timestamp", list(1, -3, nil)),
		once(wire.ListOffsets, "empty partition, timestamp 0", list(1, 0, nil)).since(1),
		once(wire.ListOffsets, "unknown partition", list(9, -1, nil)),
		once(wire.ListOffsets, "unknown topic", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) { req.Topics[0].Topic = "unknown" })),
		once(wire.ListOffsets, "empty topic", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) { req.Topics[0].Topic = "" })),
		once(wire.ListOffsets, "partition twice", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) {
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, req.Topics[0].Partitions[0])
		})),
		once(wire.ListOffsets, "committed only", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) { req.IsolationLevel = 1 })).since(2),
		once(wire.ListOffsets, "isolation level 2", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) { req.IsolationLevel = 2 })).since(2),
		once(wire.ListOffsets, "newer leader epoch", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) {
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = 9
		})).since(4),
		once(wire.ListOffsets, "leader epoch of -2", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) {
			req.Topics[0].Partitions[0].CurrentLeaderEpoch = -2
		})).since(4),
		once(wire.ListOffsets, "unknown replica", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) { req.ReplicaID = 77 })),
		once(wire.ListOffsets, "debugging replica", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) { req.ReplicaID = -2 })),
		once(wire.ListOffsets, "no old offsets wanted", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) {
			req.Topics[0].Partitions[0].MaxNumOffsets = 0
		})).until(1),
		once(wire.ListOffsets, "one old offset wanted", list(0, -1, func(_ *call, req *kmsg.ListOffsetsRequest) {
			req.Topics[0].Partitions[0].MaxNumOffsets = 1
		})).until(1),

		once(wire.InitProducerId, "no transactional id", initProducer(nil, 0, -1, -1)),
		once(wire.InitProducerId, "empty transactional id", initProducer(str(""), 60000, -1, -1)),
		once(wire.InitProducerId, "id without an epoch", initProducer(nil, 0, 5, -1)).since(3),
		once(wire.InitProducerId, "epoch without an id", initProducer(nil, 0, -1, 3)).since(3),
		once(wire.InitProducerId, "id and epoch of before", initProducer(nil, 0, 5, 3)).since(3),
		once(wire.InitProducerId, "negative timeout", initProducer(nil, -1, -1, -1)),
		{name: "two producers", key: wire.InitProducerId, talk: func(c *call) {
			c.ask(initProducer(nil, 0, -1, -1)(c))
			c.ask(initProducer(nil, 0, -1, -1)(c))
		}},

		{name: "records are deleted", key: wire.DeleteRecords, talk: func(c *call) {
			t := c.topic("t", 1)
			c.produce(t, 0, c.batch(3), c.batch(3))
			for _, offset := range []int64{4, 2, 7, -2, 6, -1, 6} {
				c.ask(deleteRecords(t, 0, offset))
			}
			c.ask(listOffset(t, 0, -2))
			c.ask(fetchFrom(t, c.id(t), 0, 2))
		}},
		once(wire.DeleteRecords, "unknown partition", func(c *call) kmsg.Request { return deleteRecords(c.fixture(), 9, 0) }),
		once(wire.DeleteRecords, "unknown topic", func(*call) kmsg.Request { return deleteRecords("unknown", 0, 0) }),
		once(wire.DeleteRecords, "empty topic", func(*call) kmsg.Request { return deleteRecords("", 0, 0) }),
		once(wire.DeleteRecords, "internal topic", func(*call) kmsg.Request { return deleteRecords("__consumer_offsets", 0, 0) }),
		once(wire.DeleteRecords, "compacted topic", func(c *call) kmsg.Request {
			return deleteRecords(c.topic("t", 1, "cleanup.policy", "compact"), 0, 0)
		}),
	}
	epochs := []struct {
		name                      string
		partition, current, epoch int32
	}{
		{"epoch of now", 0, -1, 0}, {"epoch of later", 0, -1, 5}, {"epoch of -1", 0, -1, -1}, {"epoch of -2", 0, -1, -2},
		{"empty partition", 1, -1, 0}, {"unknown partition", 9, -1, 0}, {"negative partition", -1, -1, 0},
		{"leader epoch of now", 0, 0, 0}, {"leader epoch of later", 0, 5, 0}, {"leader epoch of -2", 0, -2, 0},
	}
	for _, e := range epochs {
		rows = append(rows, once(wire.OffsetForLeaderEpoch, e.name, func(c *call) kmsg.Request {
			return epochEnd(c.fixture(), e.partition, e.current, e.epoch)
		}))
	}
	return append(rows,
		once(wire.OffsetForLeaderEpoch, "unknown topic", func(*call) kmsg.Request { return epochEnd("unknown", 0, -1, 0) }),
		once(wire.OffsetForLeaderEpoch, "empty topic", func(*call) kmsg.Request { return epochEnd("", 0, -1, 0) }),
		once(wire.OffsetForLeaderEpoch, "unknown replica", func(c *call) kmsg.Request {
			req := epochEnd(c.fixture(), 0, -1, 0)
			req.ReplicaID = 77
			return req
		}).since(3))
}

func initProducer(transaction *string, timeout int32, id int64, epoch int16) func(*call) kmsg.Request {
	return func(*call) kmsg.Request {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = transaction, timeout
		req.ProducerID, req.ProducerEpoch = id, epoch
		return req
	}
}
