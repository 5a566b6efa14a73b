package worker

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/connect/config"
)

// clientProps gathers the properties of one kind of client ("producer" or
// "consumer"): the worker's "kind." entries, then the connector's
// "kind.override." entries.
func clientProps(cfg Config, kind string) map[string]string {
	props := below(cfg.Worker, kind+".")
	maps.Copy(props, below(cfg.Props, kind+".override."))
	return props
}

// clientOpts translates Kafka's client properties to options; keys that are not
// known here are left to the options in Config.Client.
func clientOpts(cfg Config, kind, role string) ([]kgo.Opt, map[string]string, error) {
	props := clientProps(cfg, kind)
	opts := append([]kgo.Opt(nil), cfg.Client...)
	servers := props["bootstrap.servers"]
	if servers == "" {
		servers = cfg.Worker["bootstrap.servers"]
	}
	if servers != "" {
		opts = append(opts, kgo.SeedBrokers(splitTrim(servers)...))
	}
	id := props["client.id"]
	if id == "" {
		id = fmt.Sprintf("connector-%s-%s-%d", role, cfg.Connector, cfg.Task)
	}
	opts = append(opts, kgo.ClientID(id))
	for _, name := range sortedKeys(props) {
		translate, ok := clientKeys[name]
		if !ok {
			continue
		}
		opt, err := translate(strings.TrimSpace(props[name]))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s.%s=%s: %w", config.ErrInvalid, kind, name, props[name], err)
		}
		opts = append(opts, opt)
	}
	return opts, props, nil
}

// clientKeys are the properties of producers and consumers that are honoured.
// The map is never written.
var clientKeys = map[string]func(string) (kgo.Opt, error){
	"acks":                      acksOpt,
	"compression.type":          compressionOpt,
	"linger.ms":                 millis(func(d time.Duration) kgo.Opt { return kgo.ProducerLinger(d) }),
	"batch.size":                size(func(n int32) kgo.Opt { return kgo.ProducerBatchMaxBytes(max(n, 1<<20)) }),
	"max.request.size":          size(func(n int32) kgo.Opt { return kgo.ProducerBatchMaxBytes(n) }),
	"buffer.memory":             size(func(n int32) kgo.Opt { return kgo.MaxBufferedBytes(int(n)) }),
	"fetch.min.bytes":           size(func(n int32) kgo.Opt { return kgo.FetchMinBytes(n) }),
	"fetch.max.bytes":           size(func(n int32) kgo.Opt { return kgo.FetchMaxBytes(n) }),
	"max.partition.fetch.bytes": size(func(n int32) kgo.Opt { return kgo.FetchMaxPartitionBytes(n) }),
	"fetch.max.wait.ms":         millis(func(d time.Duration) kgo.Opt { return kgo.FetchMaxWait(d) }),
	"session.timeout.ms":        millis(func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) }),
	"heartbeat.interval.ms":     millis(func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d) }),
	"rebalance.timeout.ms":      millis(func(d time.Duration) kgo.Opt { return kgo.RebalanceTimeout(d) }),
	"auto.offset.reset":         resetOpt,
	"isolation.level":           isolationOpt,
}

func millis(f func(time.Duration) kgo.Opt) func(string) (kgo.Opt, error) {
	return func(s string) (kgo.Opt, error) {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("not a duration in milliseconds")
		}
		return f(time.Duration(n) * time.Millisecond), nil
	}
}

func size(f func(int32) kgo.Opt) func(string) (kgo.Opt, error) {
	return func(s string) (kgo.Opt, error) {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("not a size in bytes")
		}
		return f(int32(n)), nil
	}
}

func acksOpt(s string) (kgo.Opt, error) {
	switch s {
	case "all", "-1":
		return kgo.RequiredAcks(kgo.AllISRAcks()), nil
	}
	return nil, fmt.Errorf("sources are stored with acks=all; nothing less keeps their offsets true")
}

func compressionOpt(s string) (kgo.Opt, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	c, ok := codecs[s]
	if !ok {
		return nil, fmt.Errorf("must be none, gzip, snappy, lz4 or zstd")
	}
	return kgo.ProducerBatchCompression(c), nil
}

func resetOpt(s string) (kgo.Opt, error) {
	switch s {
	case "earliest":
		return kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), nil
	case "latest":
		return kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()), nil
	case "none":
		return kgo.ConsumeResetOffset(kgo.NoResetOffset()), nil
	}
	return nil, fmt.Errorf("must be earliest, latest or none")
}

func isolationOpt(s string) (kgo.Opt, error) {
	switch s {
	case "read_committed":
		return kgo.FetchIsolationLevel(kgo.ReadCommitted()), nil
	case "read_uncommitted":
		return kgo.FetchIsolationLevel(kgo.ReadUncommitted()), nil
	}
	return nil, fmt.Errorf("must be read_committed or read_uncommitted")
}

// partitioner honours a record's own partition and leaves the others to the
// sticky key partitioner, which hashes keys as Java clients do.
type partitioner struct{ kgo.Partitioner }

func newPartitioner() kgo.Partitioner {
	return partitioner{kgo.StickyKeyPartitioner(nil)}
}

// ForTopic implements kgo.Partitioner.
func (p partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{p.Partitioner.ForTopic(topic)}
}

type topicPartitioner struct{ kgo.TopicPartitioner }

// RequiresConsistency implements kgo.TopicPartitioner.
func (t topicPartitioner) RequiresConsistency(r *kgo.Record) bool {
	return r.Partition >= 0 || t.TopicPartitioner.RequiresConsistency(r)
}

// Partition implements kgo.TopicPartitioner; a partition that does not exist
// makes the client fail the record.
func (t topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return t.TopicPartitioner.Partition(r, n)
}

// OnNewBatch implements kgo.TopicPartitionerOnNewBatch.
func (t topicPartitioner) OnNewBatch() {
	if nb, ok := t.TopicPartitioner.(kgo.TopicPartitionerOnNewBatch); ok {
		nb.OnNewBatch()
	}
}
