package metadata

// TopicTable builds the table of topic keys.
func TopicTable() *Table { return newTable(topicKeys()) }

// BrokerTable builds the table of broker keys.
func BrokerTable() *Table {
	return newTable(clusterKeys(), groupKeys(), logKeys(), networkKeys(), quotaKeys(), remoteKeys(), replicaKeys(), securityKeys(), txnKeys())
}

// topicKeys are the keys of a topic. Their defaults are those of the broker key
// named as synonym, if there is one.
func topicKeys() []Key {
	return []Key{
		topicKey("cleanup.policy", List, "delete", listOf{"compact", "delete"}, Medium, "log.cleanup.policy", ""),
		topicKey("compression.gzip.level", Int, "-1", gzipLevel{}, Medium, "compression.gzip.level", ""),
		topicKey("compression.lz4.level", Int, "9", between{1, 17}, Medium, "compression.lz4.level", ""),
		topicKey("compression.type", String, "producer", oneOf{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, Medium, "compression.type", ""),
		topicKey("compression.zstd.level", Int, "3", between{-131072, 22}, Medium, "compression.zstd.level", ""),
		topicKey("delete.retention.ms", Long, "86400000", atLeast(0), Medium, "log.cleaner.delete.retention.ms", ""),
		topicKey("file.delete.delay.ms", Long, "60000", atLeast(0), Medium, "log.segment.delete.delay.ms", ""),
		topicKey("flush.messages", Long, "9223372036854775807", atLeast(1), Medium, "log.flush.interval.messages", ""),
		topicKey("flush.ms", Long, "9223372036854775807", atLeast(0), Medium, "log.flush.interval.ms", ""),
		topicKey("follower.replication.throttled.replicas", List, "", throttledReplicas{}, Medium, "", ""),
		topicKey("index.interval.bytes", Int, "4096", atLeast(0), Medium, "log.index.interval.bytes", ""),
		topicKey("leader.replication.throttled.replicas", List, "", throttledReplicas{}, Medium, "", ""),
		topicKey("local.retention.bytes", Long, "-2", atLeast(-2), Medium, "log.local.retention.bytes", ""),
		topicKey("local.retention.ms", Long, "-2", atLeast(-2), Medium, "log.local.retention.ms", ""),
		topicKey("max.compaction.lag.ms", Long, "9223372036854775807", atLeast(1), Medium, "log.cleaner.max.compaction.lag.ms", ""),
		topicKey("max.message.bytes", Int, "1048588", atLeast(0), Medium, "message.max.bytes", ""),
		topicKey("message.downconversion.enable", Boolean, "true", nil, Low, "log.message.downconversion.enable", ""),
		topicKey("message.format.version", String, "3.0-IV1", kafkaVersion{}, Medium, "log.message.format.version", ""),
		topicKey("message.timestamp.after.max.ms", Long, "3600000", atLeast(0), Medium, "log.message.timestamp.after.max.ms", ""),
		topicKey("message.timestamp.before.max.ms", Long, "9223372036854775807", atLeast(0), Medium, "log.message.timestamp.before.max.ms", ""),
		topicKey("message.timestamp.difference.max.ms", Long, "9223372036854775807", atLeast(0), Medium, "log.message.timestamp.difference.max.ms", ""),
		topicKey("message.timestamp.type", String, "CreateTime", oneOf{"CreateTime", "LogAppendTime"}, Medium, "log.message.timestamp.type", ""),
		topicKey("min.cleanable.dirty.ratio", Double, "0.5", between{0, 1}, Medium, "log.cleaner.min.cleanable.ratio", ""),
		topicKey("min.compaction.lag.ms", Long, "0", atLeast(0), Medium, "log.cleaner.min.compaction.lag.ms", ""),
		topicKey("min.insync.replicas", Int, "1", atLeast(1), Medium, "min.insync.replicas", ""),
		topicKey("preallocate", Boolean, "false", nil, Medium, "log.preallocate", ""),
		topicKey("remote.log.copy.disable", Boolean, "false", nil, Medium, "", ""),
		topicKey("remote.log.delete.on.disable", Boolean, "false", nil, Medium, "", ""),
		topicKey("remote.storage.enable", Boolean, "false", nil, Medium, "", ""),
		topicKey("retention.bytes", Long, "-1", nil, Medium, "log.retention.bytes", ""),
		topicKey("retention.ms", Long, "604800000", atLeast(-1), Medium, "log.retention.ms", ""),
		topicKey("segment.bytes", Int, "1073741824", atLeast(14), Medium, "log.segment.bytes", ""),
		topicKey("segment.index.bytes", Int, "10485760", atLeast(4), Medium, "log.index.size.max.bytes", ""),
		topicKey("segment.jitter.ms", Long, "0", atLeast(0), Medium, "log.roll.jitter.ms", ""),
		topicKey("segment.ms", Long, "604800000", atLeast(1), Medium, "log.roll.ms", ""),
		topicKey("unclean.leader.election.enable", Boolean, "false", nil, Medium, "unclean.leader.election.enable", ""),
	}
}
