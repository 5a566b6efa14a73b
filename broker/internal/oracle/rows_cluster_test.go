package oracle

import (
	"github.com/leatstream/leat/broker/wire"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// versionRows compare ApiVersions; what it lists is compared by TestKafkaAgrees
// itself.
func versionRows() []row {
	software := func(name, version string) func(*call) kmsg.Request {
		return func(*call) kmsg.Request {
			req := kmsg.NewPtrApiVersionsRequest()
			req.ClientSoftwareName, req.ClientSoftwareVersion = name, version
			return req
		}
	}
	return []row{
		once(wire.ApiVersions, "named software", software("oracle-1", "1.0-x.y")),
		once(wire.ApiVersions, "software with a blank", software("o r", "1")),
		once(wire.ApiVersions, "software without a version", software("o", "")),
		once(wire.ApiVersions, "software ends in a dash", software("o-", "1")),
		{name: "version 99 with a flexible header", key: wire.ApiVersions, below: 1, talk: func(c *call) {
			a, _ := wire.Lookup(wire.ApiVersions)
			f := versionOf(append(header(c, a), 0, 1, 1, 0), 99)
			c.askFrame(f, &kmsg.ApiVersionsRequest{})
		}},
		{name: "key 999", key: wire.ApiVersions, below: 1, talk: func(c *call) {
			c.askFrame([]byte{3, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, &kmsg.ApiVersionsRequest{})
		}},
		{name: "key -1", key: wire.ApiVersions, below: 1, talk: func(c *call) {
			c.askFrame([]byte{0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, &kmsg.ApiVersionsRequest{})
		}},
		{name: "empty frame", key: wire.ApiVersions, below: 1, talk: func(c *call) {
			c.askFrame([]byte{}, &kmsg.ApiVersionsRequest{})
		}},
		{name: "frame of three bytes", key: wire.ApiVersions, below: 1, talk: func(c *call) {
			c.askFrame([]byte{0, 18, 0}, &kmsg.ApiVersionsRequest{})
		}},
		{name: "frame of a negative size", key: wire.ApiVersions, below: 1, talk: func(c *call) { c.size(0x80000001) }},
		{name: "frame of two gigabytes", key: wire.ApiVersions, below: 1, talk: func(c *call) { c.size(0x7fffffff) }},
		{name: "HTTP", key: wire.ApiVersions, below: 1, talk: func(c *call) { c.size(0x47455420) }},
	}
}

// size sends the size of a frame that never comes.
func (c *call) size(n uint32) {
	if err := c.write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}); err != nil {
		c.w.add("size", closed)
		return
	}
	out := c.read()
	c.w.add("size", out.what)
}

func metadataRows() []row {
	named := func(names ...string) func(*call) kmsg.Request {
		return func(*call) kmsg.Request { return metadataOf(false, names...) }
	}
	return []row{
		once(wire.Metadata, "fixture", func(c *call) kmsg.Request { return metadataOf(false, c.fixture()) }),
		once(wire.Metadata, "fixture twice", func(c *call) kmsg.Request { return metadataOf(false, c.fixture(), c.fixture()) }),
		once(wire.Metadata, "all topics", func(c *call) kmsg.Request {
			req := metadataOf(false)
			if c.version > 0 {
				req.Topics = nil
			}
			return req
		}),
		once(wire.Metadata, "no topics", named()),
		once(wire.Metadata, "unknown topic", named("unknown")).since(4),
		once(wire.Metadata, "empty name", named("")),
		once(wire.Metadata, "illegal name", named("a b")),
		once(wire.Metadata, "illegal name, to be created", func(*call) kmsg.Request { return metadataOf(true, "a/b", "") }),
		once(wire.Metadata, "internal topic", named("__consumer_offsets")),
		once(wire.Metadata, "known and unknown", func(c *call) kmsg.Request { return metadataOf(false, c.fixture(), "unknown") }).since(4),
		once(wire.Metadata, "with operations", func(c *call) kmsg.Request {
			req := metadataOf(false, c.fixture(), "unknown")
			req.IncludeClusterAuthorizedOperations = c.version <= 10
			req.IncludeTopicAuthorizedOperations = true
			return req
		}).since(8),
		once(wire.Metadata, "by id", func(c *call) kmsg.Request {
			return &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{TopicID: c.id(c.fixture())}}}
		}).since(10),
		once(wire.Metadata, "by unknown id", func(*call) kmsg.Request {
			return &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{TopicID: [16]byte{15: 7}}}}
		}).since(10),
		once(wire.Metadata, "by id and name", func(c *call) kmsg.Request {
			return &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{TopicID: c.id(c.fixture()), Topic: str("unknown")}}}
		}).since(10),
		once(wire.Metadata, "neither id nor name", func(*call) kmsg.Request {
			return &kmsg.MetadataRequest{Topics: []kmsg.MetadataRequestTopic{{}}}
		}).since(10),
		{name: "topic is created", key: wire.Metadata, talk: func(c *call) {
			c.do(metadataOf(true, c.name("auto")))
			c.awaitLeader(c.name("auto"))
			c.ask(metadataOf(false, c.name("auto")))
		}},
	}
}

func clusterRows() []row {
	describe := func(operations bool, endpoints int8, fenced bool) func(*call) kmsg.Request {
		return func(*call) kmsg.Request {
			req := kmsg.NewPtrDescribeClusterRequest()
			req.IncludeClusterAuthorizedOperations, req.EndpointType, req.IncludeFencedBrokers = operations, endpoints, fenced
			return req
		}
	}
	return []row{
		once(wire.DescribeCluster, "with operations", describe(true, 1, false)),
		once(wire.DescribeCluster, "controllers", describe(false, 2, false)).since(1),
		once(wire.DescribeCluster, "unknown endpoint type", describe(false, 9, false)).since(1),
		once(wire.DescribeCluster, "with fenced brokers", describe(false, 1, true)).since(2),

		once(wire.AlterReplicaLogDirs, "where it is", func(c *call) kmsg.Request { return moveTo(c.logDir(), c.fixture(), 0, 1) }),
		once(wire.AlterReplicaLogDirs, "unknown directory", func(c *call) kmsg.Request { return moveTo("/no/such/dir", c.fixture(), 1) }),
		once(wire.AlterReplicaLogDirs, "empty directory", func(c *call) kmsg.Request { return moveTo("", c.fixture(), 1) }),
		once(wire.AlterReplicaLogDirs, "slash at the end", func(c *call) kmsg.Request { return moveTo(c.logDir()+"/", c.fixture(), 1) }),
		once(wire.AlterReplicaLogDirs, "unknown topic", func(c *call) kmsg.Request { return moveTo(c.logDir(), "unknown", 0) }),
		once(wire.AlterReplicaLogDirs, "unknown topic and directory", func(*call) kmsg.Request { return moveTo("/no/such/dir", "unknown", 0) }),
		once(wire.AlterReplicaLogDirs, "unknown partition", func(c *call) kmsg.Request { return moveTo(c.logDir(), c.fixture(), 9) }),
		once(wire.AlterReplicaLogDirs, "partition -1", func(c *call) kmsg.Request { return moveTo(c.logDir(), c.fixture(), -1) }),
		once(wire.AlterReplicaLogDirs, "empty name", func(c *call) kmsg.Request { return moveTo(c.logDir(), "", 0) }),
		once(wire.AlterReplicaLogDirs, "partition twice", func(c *call) kmsg.Request { return moveTo(c.logDir(), c.fixture(), 1, 1) }),
		once(wire.AlterReplicaLogDirs, "no partitions", func(c *call) kmsg.Request { return moveTo(c.logDir(), c.fixture()) }),

		once(wire.DescribeLogDirs, "fixture", func(c *call) kmsg.Request { return logDirsOf(c.fixture(), 0, 1) }),
		once(wire.DescribeLogDirs, "one partition", func(c *call) kmsg.Request { return logDirsOf(c.fixture(), 1) }),
		once(wire.DescribeLogDirs, "unknown partition", func(c *call) kmsg.Request { return logDirsOf(c.fixture(), 9, -1) }),
		once(wire.DescribeLogDirs, "unknown topic", func(*call) kmsg.Request { return logDirsOf("unknown", 0) }),
		once(wire.DescribeLogDirs, "no partitions", func(c *call) kmsg.Request { return logDirsOf(c.fixture()) }),

		once(wire.DescribeTopicPartitions, "fixture", func(c *call) kmsg.Request { return topicPartitions(c.fixture()) }),
		once(wire.DescribeTopicPartitions, "unknown topic", func(*call) kmsg.Request { return topicPartitions("unknown") }),
		once(wire.DescribeTopicPartitions, "empty name", func(*call) kmsg.Request { return topicPartitions("") }),
		once(wire.DescribeTopicPartitions, "illegal name", func(*call) kmsg.Request { return topicPartitions("a b") }),
		once(wire.DescribeTopicPartitions, "internal topic", func(*call) kmsg.Request { return topicPartitions("__consumer_offsets") }),
		once(wire.DescribeTopicPartitions, "fixture twice", func(c *call) kmsg.Request { return topicPartitions(c.fixture(), c.fixture()) }),
		once(wire.DescribeTopicPartitions, "limit of one", func(c *call) kmsg.Request {
			req := topicPartitions(c.fixture())
			req.ResponsePartitionLimit = 1
			return req
		}),
		once(wire.DescribeTopicPartitions, "limit of none", func(c *call) kmsg.Request {
			req := topicPartitions(c.fixture())
			req.ResponsePartitionLimit = 0
			return req
		}),
		once(wire.DescribeTopicPartitions, "from the second partition", cursor(1)),
		once(wire.DescribeTopicPartitions, "from beyond the last partition", cursor(9)),
		once(wire.DescribeTopicPartitions, "from a negative partition", cursor(-1)),
		once(wire.DescribeTopicPartitions, "from an unknown topic", func(c *call) kmsg.Request {
			req := topicPartitions(c.fixture())
			req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: "unknown"}
			return req
		}),

		once(wire.ListConfigResources, "topics", func(*call) kmsg.Request {
			return &kmsg.ListConfigResourcesRequest{ResourceTypes: []int8{2}}
		}).since(1),
		once(wire.ListConfigResources, "brokers and loggers", func(*call) kmsg.Request {
			return &kmsg.ListConfigResourcesRequest{ResourceTypes: []int8{4, 8}}
		}).since(1),
		once(wire.ListConfigResources, "unknown type", func(*call) kmsg.Request {
			return &kmsg.ListConfigResourcesRequest{ResourceTypes: []int8{99}}
		}).since(1),
	}
}

func cursor(partition int32) func(*call) kmsg.Request {
	return func(c *call) kmsg.Request {
		req := topicPartitions(c.fixture())
		req.Cursor = &kmsg.DescribeTopicPartitionsRequestCursor{Topic: c.fixture(), Partition: partition}
		return req
	}
}

// logDir is the broker's log directory.
func (c *call) logDir() string {
	return c.do(logDirsOf(c.fixture(), 0)).(*kmsg.DescribeLogDirsResponse).Dirs[0].Dir
}
