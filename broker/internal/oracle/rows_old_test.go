package oracle

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// newFormats is the first version of Produce, and newFetch the first of Fetch,
// that carries only batches of format 2.
const newFormats, newFetch = 3, 4

// plainMessage is a message of format 0 or 1; change may spoil it before its
// size and checksum are set.
func plainMessage(magic int8, timestamp int64, key, value []byte, change ...func([]byte) []byte) []byte {
	var b []byte
	if magic == 0 {
		b = (&kmsg.MessageV0{Key: key, Value: value}).AppendTo(nil)
	} else {
		b = (&kmsg.MessageV1{Magic: 1, Timestamp: timestamp, Key: key, Value: value}).AppendTo(nil)
	}
	for _, f := range change {
		b = f(b)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-12))
	binary.BigEndian.PutUint32(b[12:], crc32.ChecksumIEEE(b[16:]))
	return b
}

// at sets bytes of a message.
func at(place int, values ...byte) func([]byte) []byte {
	return func(b []byte) []byte { copy(b[place:], values); return b }
}

// wrap compresses a set into a message.
func wrap(magic int8, timestamp int64, codec record.Compression, set []byte, change ...func([]byte) []byte) []byte {
	value, err := record.Compress(nil, min(codec, record.Zstd), record.Levels{}, set)
	if err != nil {
		panic(err)
	}
	return plainMessage(magic, timestamp, nil, value, append([]func([]byte) []byte{at(17, byte(codec))}, change...)...)
}

// set is what a producer of an older format makes of n small records.
func (c *call) set(magic int8, n int, codec record.Compression) []byte {
	d := record.Down{Magic: magic, MaxBytes: 1 << 20}
	defer d.Close()
	out, _, err := d.Convert(nil, c.batch(n, func(o *record.BuilderOptions) { o.Compression = codec }))
	if err != nil {
		panic(err)
	}
	return out
}

// oldProduceRows compare what is made of message sets of formats 0 and 1.
func oldProduceRows() []row {
	codecs := []record.Compression{record.None, record.Gzip, record.Snappy, record.LZ4}
	appended := func(name string, configs []string, sets ...func(c *call) []byte) row {
		return row{name: name, key: wire.Produce, below: newFormats, talk: func(c *call) {
			t := c.topic("t", int32(len(sets)), configs...)
			id := c.id(t)
			for i, set := range sets {
				c.ask(produceTo(t, id, int32(i), set(c)))
				c.ask(fetchFrom(t, id, int32(i), 0))
			}
		}}
	}
	var all []func(c *call) []byte
	for magic := range int8(2) {
		for _, codec := range codecs {
			all = append(all, func(c *call) []byte { return c.set(magic, 3, codec) })
		}
	}
	rows := []row{
		appended("old codecs", nil, all...),
		appended("old sets to a topic of gzip", []string{"compression.type", "gzip"}, all...),
		appended("old sets to a topic of zstd", []string{"compression.type", "zstd"}, all...),
		appended("old sets to a topic without compression", []string{"compression.type", "uncompressed"}, all...),
		appended("old sets to a topic of log append time", []string{"message.timestamp.type", "LogAppendTime"}, all...),
		appended("old sets, timestamps out of bounds", []string{"message.timestamp.before.max.ms", "1", "message.timestamp.after.max.ms", "1"}, all[0], all[4]),
		appended("old sets, too large", []string{"max.message.bytes", "100"}, all...),
		appended("old sets to a compacted topic", []string{"cleanup.policy", "compact"}, all[0], all[1], func(c *call) []byte {
			return slices.Concat(c.set(1, 1, record.None), plainMessage(1, c.start.UnixMilli(), nil, []byte("v")))
		}),
	}
	return append(rows, row{name: "old sets", key: wire.Produce, below: newFormats, talk: func(c *call) {
		sets := oldSets(c)
		t := c.topic("t", int32(len(sets)))
		id := c.id(t)
		for i, set := range sets {
			c.as = set.name
			c.ask(produceTo(t, id, int32(i), set.bytes))
			c.ask(fetchFrom(t, id, int32(i), 0))
		}
	}})
}

// oldSet is a message set, mostly with something wrong about it.
type oldSet struct {
	name  string
	bytes []byte
}

func oldSets(c *call) []oldSet {
	now := c.start.UnixMilli()
	k, v := []byte("k"), []byte("v")
	zero, one := plainMessage(0, now, k, v), plainMessage(1, now, k, v)
	garbled := slices.Clone(one)
	garbled[len(garbled)-1] ^= 1
	both := func(sets ...[]byte) []byte { return slices.Concat(sets...) }
	return []oldSet{
		{"null and empty", both(plainMessage(1, now, nil, nil), plainMessage(1, now, []byte{}, []byte{}))},
		{"format 0, then 1", both(zero, one)},
		{"format 1, then 0", both(one, zero)},
		{"format 1, then a batch", both(one, c.batch(1))},
		{"a batch, then format 1", both(c.batch(1), one)},
		{"two wrappers", both(c.set(1, 2, record.Gzip), c.set(1, 2, record.Gzip))},
		{"a wrapper, then a plain message", both(c.set(1, 2, record.Gzip), one)},
		{"a plain message, then a wrapper", both(one, c.set(1, 2, record.Gzip))},
		{"cut after a whole one", both(one, one[:len(one)-1])},
		{"size cut after a whole one", both(one, one[:10])},
		{"wrapper cut", c.set(1, 2, record.Gzip)[:40]},
		{"checksum", garbled},
		{"checksum of the second", both(one, garbled)},
		{"checksum inside", wrap(1, now, record.Gzip, both(one, garbled))},
		{"size of 13", at(11, 13)(slices.Clone(zero))},
		{"size of -1", at(8, 255, 255, 255, 255)(slices.Clone(one))},
		{"wrapper in a wrapper", wrap(1, now, record.Gzip, c.set(1, 2, record.Snappy))},
		{"wrapper without a value", plainMessage(1, now, nil, nil, at(17, 1))},
		{"wrapper of nothing", wrap(1, now, record.Gzip, nil)},
		{"wrapper of garbage", plainMessage(1, now, nil, []byte("garbage"), at(17, 1))},
		{"wrapper, its last message cut", wrap(1, now, record.Gzip, both(one, one[:len(one)-1]))},
		{"wrapper with a key", wrap(1, now, record.Gzip, one, func(b []byte) []byte {
			return slices.Concat(b[:26], []byte{0, 0, 0, 1, 'k'}, b[30:])
		})},
		{"format 0 in 1", wrap(1, now, record.Gzip, zero)},
		{"format 1 in 0", wrap(0, now, record.Gzip, one)},
		{"wrapper of log append time", wrap(1, now, record.Gzip, one, at(17, 8|byte(record.Gzip)))},
		{"zstd in 1", wrap(1, now, record.Zstd, one)},
		{"codec 5", wrap(1, now, 5, one)},
		{"log append time", plainMessage(1, now, k, v, at(17, 8))},
		{"log append time, format 0", plainMessage(0, now, k, v, at(17, 8))},
		{"unknown attribute bits", plainMessage(1, now, k, v, at(17, 0xf0))},
		{"timestamp of -1", plainMessage(1, -1, k, v)},
		{"timestamp of -5", plainMessage(1, -5, k, v)},
		{"timestamp of -5 inside", wrap(1, -5, record.Gzip, plainMessage(1, -5, k, v))},
		{"timestamps that fall", both(plainMessage(1, now, k, v), plainMessage(1, now-5000, k, v))},
		{"key of -2 bytes", plainMessage(1, now, k, v, at(26, 255, 255, 255, 254))},
		{"key longer than the message", plainMessage(1, now, k, v, at(26, 0, 0, 1, 0))},
		{"value longer than the message", plainMessage(1, now, k, v, at(31, 0, 0, 0, 2))},
		{"bytes behind the value", plainMessage(1, now, k, v, func(b []byte) []byte { return append(b, 1, 2) })},
		{"offset of seven", plainMessage(1, now, k, v, at(7, 7))},
		{"offsets that fall", both(plainMessage(1, now, k, v, at(7, 7)), one)},
		{"wrapper with offset 0", at(7, 0)(c.set(1, 3, record.Gzip))},
		{"wrapper with offset 1", at(7, 1)(c.set(1, 3, record.Gzip))},
		{"wrapper of equal offsets", wrap(1, now, record.Gzip, both(one, one))},
		{"LZ4 of format 1 in 0", wrap(0, now, record.LZ4, zero)},
	}
}

// oldFetchRows compare what clients of formats 0 and 1 are given. Conversion
// of few records makes them smaller, so that Kafka sends all of them.
func oldFetchRows() []row {
	stored := func(name string, configs []string, more func(c *call, req *kmsg.FetchRequest), batches ...func(c *call) []byte) row {
		return row{name: name, key: wire.Fetch, below: newFetch, talk: func(c *call) {
			t := c.topic("t", 2, configs...)
			for _, b := range batches {
				c.produce(t, 0, b(c))
			}
			for offset := range int64(len(batches)*2 + 1) {
				req := fetchFrom(t, c.id(t), 0, offset)
				if more != nil {
					more(c, req)
				}
				c.ask(req)
			}
		}}
	}
	of := func(change func(*record.BuilderOptions)) func(c *call) []byte {
		return func(c *call) []byte { return c.batch(2, change) }
	}
	in := func(codec record.Compression) func(c *call) []byte {
		return of(func(o *record.BuilderOptions) { o.Compression = codec })
	}
	plain := in(record.None)
	limit := func(n int32) func(*call, *kmsg.FetchRequest) {
		return func(_ *call, req *kmsg.FetchRequest) { req.Topics[0].Partitions[0].PartitionMaxBytes = n }
	}
	return []row{
		stored("old, plain", nil, nil, plain, plain),
		stored("old, gzip", nil, nil, in(record.Gzip)),
		stored("old, snappy", nil, nil, in(record.Snappy)),
		stored("old, lz4", nil, nil, in(record.LZ4)),
		stored("old, zstd", nil, nil, in(record.Zstd)),
		stored("old, zstd later", nil, nil, plain, in(record.Zstd)),
		stored("old, topic of zstd", []string{"compression.type", "zstd"}, nil, plain),
		stored("old, log append time", []string{"message.timestamp.type", "LogAppendTime"}, nil, plain, in(record.Gzip)),
		stored("old, idempotent", nil, nil, of(idempotent(5000, 0, 0))),
		stored("old, with headers", nil, nil, func(c *call) []byte {
			var b record.Builder
			b.Reset(record.NewOptions())
			b.Append(c.start.UnixMilli(), []byte("k"), []byte("v"), record.Header{Key: []byte("h"), Value: []byte("x")})
			b.Append(-1, nil, nil)
			out, _ := b.Build(nil)
			return out
		}),
		stored("old, conversion forbidden", []string{"message.downconversion.enable", "false"}, nil, plain),
		stored("old, conversion forbidden for a replica", []string{"message.downconversion.enable", "false"}, func(_ *call, req *kmsg.FetchRequest) { req.ReplicaID = 77 }, plain),
		stored("old, 1 byte", nil, limit(1), plain),
		stored("old, 20 bytes of a wrapper", nil, limit(20), in(record.Gzip)),
		stored("old, zero bytes", nil, limit(0), plain),
		stored("old, 1 byte in all", nil, func(_ *call, req *kmsg.FetchRequest) { req.MaxBytes = 1 }, plain),
		stored("old, the first batch only", nil, func(c *call, req *kmsg.FetchRequest) { limit(int32(len(c.batch(2)))+5)(c, req) }, plain, plain),
	}
}
