package oracle

import (
	"cmp"
	"strings"

	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func topicRows() []row {
	create := func(name string, partitions int32, replication int16, change func(c *call, req *kmsg.CreateTopicsRequest)) func(*call) kmsg.Request {
		return func(c *call) kmsg.Request {
			req := createTopic(cmp.Or(name, c.name("t")), partitions, replication)
			if change != nil {
				change(c, req)
			}
			return req
		}
	}
	config := func(key, value string) func(*call, *kmsg.CreateTopicsRequest) {
		return func(_ *call, req *kmsg.CreateTopicsRequest) {
			req.Topics[0].Configs = append(req.Topics[0].Configs, kmsg.CreateTopicsRequestTopicConfig{Name: key, Value: &value})
		}
	}
	assign := func(replicas map[int32][]int32) func(*call, *kmsg.CreateTopicsRequest) {
		return func(_ *call, req *kmsg.CreateTopicsRequest) {
			for partition := int32(0); partition < 9; partition++ {
				if r, ok := replicas[partition]; ok {
					req.Topics[0].ReplicaAssignment = append(req.Topics[0].ReplicaAssignment,
						kmsg.CreateTopicsRequestTopicReplicaAssignment{Partition: partition, Replicas: r})
				}
			}
		}
	}
	rows := []row{
		{name: "create", key: wire.CreateTopics, talk: func(c *call) {
			c.ask(createTopic(c.name("t"), 2, 1))
			c.ask(createTopic(c.name("t"), 2, 1))
			c.awaitLeader(c.name("t"))
			c.ask(metadataOf(false, c.name("t")))
		}},
		once(wire.CreateTopics, "with configs", create("", 1, 1, config("retention.ms", "1000"))),
		once(wire.CreateTopics, "names that collide", func(c *call) kmsg.Request {
			c.makeTopic(c.name("a.b"), 1)
			return createTopic(c.name("a_b"), 1, 1)
		}),
		once(wire.CreateTopics, "with an assignment", create("", -1, -1, assign(map[int32][]int32{0: {0}, 1: {0}}))),
		once(wire.CreateTopics, "default counts", create("", -1, -1, nil)).since(4),
		once(wire.CreateTopics, "no time", func(c *call) kmsg.Request {
			req := createTopic(c.name("t"), 1, 1)
			req.TimeoutMillis = 0
			return req
		}),
		once(wire.CreateTopics, "twice in a request", func(c *call) kmsg.Request {
			req := createTopic(c.name("t"), 1, 1)
			req.Topics = append(req.Topics, req.Topics[0])
			return req
		}),
	}
	// Refused, or only validated.
	trials := []struct {
		name, topic string
		partitions  int32
		replication int16
		change      func(*call, *kmsg.CreateTopicsRequest)
	}{
		{"valid", "", 3, 1, nil},
		{"valid with configs", "", 3, 1, config("cleanup.policy", "compact,delete")},
		{"empty name", "-", 1, 1, func(_ *call, req *kmsg.CreateTopicsRequest) { req.Topics[0].Topic = "" }},
		{"illegal name", "a b", 1, 1, nil},
		{"one dot", ".", 1, 1, nil},
		{"two dots", "..", 1, 1, nil},
		{"name too long", strings.Repeat("n", 250), 1, 1, nil},
		{"longest name", strings.Repeat("n", 249), 1, 1, nil},
		{"internal name", "__consumer_offsets", 1, 1, nil},
		{"zero partitions", "", 0, 1, nil},
		{"minus two partitions", "", -2, 1, nil},
		{"zero replicas", "", 1, 0, nil},
		{"too many replicas", "", 1, 2, nil},
		{"minus two replicas", "", 1, -2, nil},
		{"default counts for trial", "", -1, -1, nil},
		{"unknown config", "", 1, 1, config("no.such.key", "1")},
		{"wrong config value", "", 1, 1, config("retention.ms", "soon")},
		{"config out of range", "", 1, 1, config("segment.bytes", "1")},
		{"wrong cleanup policy", "", 1, 1, config("cleanup.policy", "burn")},
		{"null config", "", 1, 1, func(_ *call, req *kmsg.CreateTopicsRequest) {
			req.Topics[0].Configs = []kmsg.CreateTopicsRequestTopicConfig{{Name: "retention.ms"}}
		}},
		{"config twice", "", 1, 1, func(c *call, req *kmsg.CreateTopicsRequest) {
			config("retention.ms", "1")(c, req)
			config("retention.ms", "2")(c, req)
		}},
		{"min.insync.replicas above the replicas", "", 1, 1, config("min.insync.replicas", "3")},
		{"assignment and counts", "", 1, 1, assign(map[int32][]int32{0: {0}})},
		{"assignment with a gap", "", -1, -1, assign(map[int32][]int32{0: {0}, 2: {0}})},
		{"assignment not from zero", "", -1, -1, assign(map[int32][]int32{1: {0}})},
		{"assignment with a broker twice", "", -1, -1, assign(map[int32][]int32{0: {0, 0}})},
		{"assignment to an unknown broker", "", -1, -1, assign(map[int32][]int32{0: {77}})},
		{"assignment to a negative broker", "", -1, -1, assign(map[int32][]int32{0: {-1}})},
		{"assignment without replicas", "", -1, -1, assign(map[int32][]int32{0: {}})},
		{"assignment of unequal lengths", "", -1, -1, assign(map[int32][]int32{0: {0}, 1: {0, 1}})},
		{"topic that exists", "fixture", 1, 1, func(c *call, req *kmsg.CreateTopicsRequest) { req.Topics[0].Topic = c.fixture() }},
	}
	rows = append(rows, row{name: "trials", key: wire.CreateTopics, from: 1, talk: func(c *call) {
		for _, trial := range trials {
			c.as = trial.name
			req := create(trial.topic, trial.partitions, trial.replication, trial.change)(c).(*kmsg.CreateTopicsRequest)
			req.ValidateOnly = true
			c.ask(req)
		}
	}})
	return append(rows, changeRows()...)
}

// changeRows compare DeleteTopics and CreatePartitions.
func changeRows() []row {
	return []row{
		{name: "delete", key: wire.DeleteTopics, talk: func(c *call) {
			t := c.topic("t", 1)
			c.ask(deleteTopics(t))
			for c.led(t) {
				pause()
			}
			c.ask(deleteTopics(t))
		}},
		{name: "delete by id", key: wire.DeleteTopics, from: 6, talk: func(c *call) {
			t := c.topic("t", 1)
			c.ask(&kmsg.DeleteTopicsRequest{TimeoutMillis: 9000, Topics: []kmsg.DeleteTopicsRequestTopic{{TopicID: c.id(t)}, {TopicID: [16]byte{3}}}})
		}},
		once(wire.DeleteTopics, "name and id", func(c *call) kmsg.Request {
			return &kmsg.DeleteTopicsRequest{TimeoutMillis: 9000, Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: str("unknown"), TopicID: [16]byte{3}}}}
		}).since(6),
		once(wire.DeleteTopics, "neither name nor id", func(c *call) kmsg.Request {
			return &kmsg.DeleteTopicsRequest{TimeoutMillis: 9000, Topics: []kmsg.DeleteTopicsRequestTopic{{}}}
		}).since(6),
		once(wire.DeleteTopics, "unknown topic", func(*call) kmsg.Request { return deleteTopics("unknown") }),
		once(wire.DeleteTopics, "empty name", func(*call) kmsg.Request { return deleteTopics("") }),
		once(wire.DeleteTopics, "unknown topic twice", func(*call) kmsg.Request { return deleteTopics("unknown", "unknown") }),
		once(wire.DeleteTopics, "no time", func(c *call) kmsg.Request {
			req := deleteTopics(c.topic("t", 1))
			req.TimeoutMillis = 0
			return req
		}),

		{name: "add partitions", key: wire.CreatePartitions, talk: func(c *call) {
			t := c.topic("t", 1)
			c.ask(createPartitions(t, 3))
			c.ask(createPartitions(t, 4, 0))
			c.ask(createPartitions(t, 2))
			for len(c.metadata(t).Partitions) < 4 {
				pause()
			}
			c.awaitLeader(t)
			c.ask(metadataOf(false, t))
		}},
		{name: "trials", key: wire.CreatePartitions, talk: func(c *call) {
			f := c.fixture()
			for _, trial := range []struct {
				name string
				req  *kmsg.CreatePartitionsRequest
			}{
				{"valid", createPartitions(f, 3)},
				{"as many", createPartitions(f, 2)},
				{"fewer", createPartitions(f, 1)},
				{"zero", createPartitions(f, 0)},
				{"negative", createPartitions(f, -1)},
				{"unknown topic", createPartitions("unknown", 3)},
				{"empty name", createPartitions("", 3)},
				{"internal topic", createPartitions("__consumer_offsets", 5)},
				{"assignment", createPartitions(f, 3, 0)},
				{"assignment too long", createPartitions(f, 3, 0, 0)},
				{"assignment too short", createPartitions(f, 4, 0)},
				{"assignment to an unknown broker", createPartitions(f, 3, 77)},
			} {
				trial.req.ValidateOnly = true
				c.as = trial.name
				c.ask(trial.req)
			}
			c.as = "twice"
			req := createPartitions(f, 3)
			req.Topics = append(req.Topics, req.Topics[0])
			req.ValidateOnly = true
			c.ask(req)
		}},
	}
}

// Kinds of resources.
const (
	aTopic  = kmsg.ConfigResourceTypeTopic
	aBroker = kmsg.ConfigResourceTypeBroker
	aLogger = kmsg.ConfigResourceTypeBrokerLogger
)

// Operations of IncrementalAlterConfigs.
const (
	set      = kmsg.IncrementalAlterConfigOpSet
	remove   = kmsg.IncrementalAlterConfigOpDelete
	appendTo = kmsg.IncrementalAlterConfigOpAppend
	subtract = kmsg.IncrementalAlterConfigOpSubtract
)

func configRows() []row {
	describe := func(name string, kind kmsg.ConfigResourceType, resource string, keys ...string) row {
		return once(wire.DescribeConfigs, name, func(c *call) kmsg.Request {
			if resource == "fixture" {
				return describeConfigs(kind, c.fixture(), keys...)
			}
			return describeConfigs(kind, resource, keys...)
		})
	}
	return append(alterRows(),
		describe("topic", aTopic, "fixture"),
		describe("topic, three keys", aTopic, "fixture", "retention.ms", "cleanup.policy", "no.such.key"),
		describe("broker", aBroker, "0"),
		describe("broker, three keys", aBroker, "0", "log.retention.ms", "num.io.threads", "no.such.key"),
		describe("all brokers", aBroker, ""),
		describe("unknown broker", aBroker, "77"),
		describe("broker that is no number", aBroker, "x"),
		describe("unknown topic", aTopic, "unknown"),
		describe("empty topic", aTopic, ""),
		describe("illegal topic", aTopic, "a b"),
		describe("unknown kind", 99, "x"),
		describe("kind 0", 0, "x"),
		describe("logger of an unknown broker", aLogger, "77"),
		once(wire.DescribeConfigs, "no keys", func(c *call) kmsg.Request {
			req := describeConfigs(aTopic, c.fixture())
			req.Resources[0].ConfigNames = []string{}
			return req
		}),
		once(wire.DescribeConfigs, "topic twice", func(c *call) kmsg.Request {
			req := describeConfigs(aTopic, c.fixture(), "retention.ms")
			req.Resources = append(req.Resources, req.Resources[0])
			return req
		}),
		row{name: "overridden", key: wire.DescribeConfigs, talk: func(c *call) {
			t := c.topic("t", 1, "retention.ms", "1000", "cleanup.policy", "compact")
			c.ask(describeConfigs(aTopic, t))
			req := describeConfigs(aTopic, t)
			req.IncludeSynonyms, req.IncludeDocumentation = false, false
			c.ask(req)
		}},
	)
}

// alterRows compare AlterConfigs and IncrementalAlterConfigs.
func alterRows() []row {
	look := func(c *call, topic string) {
		c.ask(describeConfigs(aTopic, topic, "retention.ms", "cleanup.policy", "max.message.bytes"))
	}
	return []row{
		{name: "replace", key: wire.AlterConfigs, talk: func(c *call) {
			t := c.topic("t", 1, "retention.ms", "1000")
			c.ask(alterConfigs(aTopic, t, "cleanup.policy", "compact"))
			pause()
			look(c, t)
			c.ask(alterConfigs(aTopic, t))
			pause()
			look(c, t)
		}},
		{name: "trials", key: wire.AlterConfigs, talk: func(c *call) {
			f := c.fixture()
			for _, trial := range []struct {
				name string
				req  *kmsg.AlterConfigsRequest
			}{
				{"valid", alterConfigs(aTopic, f, "retention.ms", "5")},
				{"unknown key", alterConfigs(aTopic, f, "no.such.key", "5")},
				{"wrong value", alterConfigs(aTopic, f, "retention.ms", "x")},
				{"empty value", alterConfigs(aTopic, f, "retention.ms", "")},
				{"out of range", alterConfigs(aTopic, f, "segment.bytes", "-7")},
				{"key twice", alterConfigs(aTopic, f, "retention.ms", "5", "retention.ms", "6")},
				{"unknown topic", alterConfigs(aTopic, "unknown", "retention.ms", "5")},
				{"empty topic", alterConfigs(aTopic, "", "retention.ms", "5")},
				{"broker", alterConfigs(aBroker, "0", "log.cleaner.threads", "1")},
				{"broker, key that cannot change", alterConfigs(aBroker, "0", "log.dirs", "/tmp")},
				{"all brokers, key of one", alterConfigs(aBroker, "", "listeners", "PLAINTEXT://:1")},
				{"unknown broker", alterConfigs(aBroker, "77", "log.cleaner.threads", "1")},
				{"broker that is no number", alterConfigs(aBroker, "x", "log.cleaner.threads", "1")},
				{"logger", alterConfigs(aLogger, "0", "kafka", "INFO")},
				{"unknown kind", alterConfigs(99, "x", "a", "b")},
			} {
				trial.req.ValidateOnly = true
				c.as = trial.name
				c.ask(trial.req)
			}
			c.as = "null value"
			null := alterConfigs(aTopic, f, "retention.ms", "1")
			null.Resources[0].Configs[0].Value, null.ValidateOnly = nil, true
			c.ask(null)
		}},
		{name: "change", key: wire.IncrementalAlterConfigs, talk: func(c *call) {
			t := c.topic("t", 1, "retention.ms", "1000")
			for _, op := range []kmsg.IncrementalAlterConfigsRequestResourceConfig{
				op(set, "max.message.bytes", str("7777")),
				op(appendTo, "cleanup.policy", str("compact")),
				op(appendTo, "cleanup.policy", str("compact")),
				op(subtract, "cleanup.policy", str("delete")),
				op(subtract, "cleanup.policy", str("delete")),
				op(remove, "retention.ms", nil),
				op(remove, "retention.ms", nil),
			} {
				c.ask(incremental(aTopic, t, op))
				pause()
				look(c, t)
			}
		}},
		{name: "trials", key: wire.IncrementalAlterConfigs, talk: func(c *call) {
			f := c.fixture()
			for _, trial := range []struct {
				name string
				req  *kmsg.IncrementalAlterConfigsRequest
			}{
				{"valid", incremental(aTopic, f, op(set, "retention.ms", str("5")))},
				{"no operations", incremental(aTopic, f)},
				{"unknown key", incremental(aTopic, f, op(set, "no.such.key", str("5")))},
				{"unknown key is deleted", incremental(aTopic, f, op(remove, "no.such.key", nil))},
				{"wrong value", incremental(aTopic, f, op(set, "retention.ms", str("x")))},
				{"null value", incremental(aTopic, f, op(set, "retention.ms", nil))},
				{"append to what is no list", incremental(aTopic, f, op(appendTo, "retention.ms", str("5")))},
				{"append a wrong value", incremental(aTopic, f, op(appendTo, "cleanup.policy", str("burn")))},
				{"subtract the last", incremental(aTopic, f, op(subtract, "cleanup.policy", str("delete")))},
				{"unknown operation", incremental(aTopic, f, op(9, "retention.ms", str("5")))},
				{"key twice", incremental(aTopic, f, op(set, "retention.ms", str("5")), op(remove, "retention.ms", nil))},
				{"unknown topic", incremental(aTopic, "unknown", op(set, "retention.ms", str("5")))},
				{"empty topic", incremental(aTopic, "", op(set, "retention.ms", str("5")))},
				{"broker", incremental(aBroker, "0", op(set, "log.cleaner.threads", str("1")))},
				{"broker, wrong value", incremental(aBroker, "0", op(set, "log.cleaner.threads", str("x")))},
				{"broker, key that cannot change", incremental(aBroker, "0", op(set, "log.dirs", str("/tmp")))},
				{"broker, unknown key", incremental(aBroker, "0", op(set, "no.such.key", str("1")))},
				{"unknown broker", incremental(aBroker, "77", op(set, "log.cleaner.threads", str("1")))},
				{"logger, wrong level", incremental(aLogger, "0", op(set, "kafka", str("LOUD")))},
				{"unknown kind", incremental(99, "x", op(set, "a", str("b")))},
			} {
				trial.req.ValidateOnly = true
				c.as = trial.name
				c.ask(trial.req)
			}
			c.as = "topic twice"
			twice := incremental(aTopic, f, op(set, "retention.ms", str("5")))
			twice.Resources, twice.ValidateOnly = append(twice.Resources, twice.Resources[0]), true
			c.ask(twice)
		}},
	}
}
