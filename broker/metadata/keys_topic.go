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
		topicKey("cleanup.policy", List, "delete", listOf{"compact", "delete"}, Medium, "log.cleanup.policy", "What happens to old segments: delete drops them by age and size, compact keeps the newest record of each key, both do both."),
		topicKey("compression.gzip.level", Int, "-1", gzipLevel{}, Medium, "compression.gzip.level", "Level of gzip when the broker compresses; -1 is the codec's own choice."),
		topicKey("compression.lz4.level", Int, "9", between{1, 17}, Medium, "compression.lz4.level", "Level of lz4 when the broker compresses."),
		topicKey("compression.type", String, "producer", oneOf{"uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"}, Medium, "compression.type", "Codec in which batches are stored: gzip, snappy, lz4, zstd, uncompressed, or producer to keep what the producer chose."),
		topicKey("compression.zstd.level", Int, "3", between{-131072, 22}, Medium, "compression.zstd.level", "Level of zstd when the broker compresses."),
		topicKey("delete.retention.ms", Long, "86400000", atLeast(0), Medium, "log.cleaner.delete.retention.ms", "Time that tombstones stay in a compacted topic; a reader from the start must finish within it."),
		topicKey("file.delete.delay.ms", Long, "60000", atLeast(0), Medium, "log.segment.delete.delay.ms", "Time that the files of a deleted segment stay on disk."),
		topicKey("flush.messages", Long, "9223372036854775807", atLeast(1), Medium, "log.flush.interval.messages", "Number of records after which the log is synced to disk."),
		topicKey("flush.ms", Long, "9223372036854775807", atLeast(0), Medium, "log.flush.interval.ms", "Time after which records are synced to disk."),
		topicKey("follower.replication.throttled.replicas", List, "", throttledReplicas{}, Medium, "", "Replicas whose fetching is throttled, as partition:broker separated by commas, or * for all."),
		topicKey("index.interval.bytes", Int, "4096", atLeast(0), Medium, "log.index.interval.bytes", "Bytes of log between two entries of the offset index."),
		topicKey("leader.replication.throttled.replicas", List, "", throttledReplicas{}, Medium, "", "Replicas towards which leaders are throttled, as partition:broker separated by commas, or * for all."),
		topicKey("local.retention.bytes", Long, "-2", atLeast(-2), Medium, "log.local.retention.bytes", "Size that stays on local disk under tiered storage; -2 means retention.bytes."),
		topicKey("local.retention.ms", Long, "-2", atLeast(-2), Medium, "log.local.retention.ms", "Time that stays on local disk under tiered storage; -2 means retention.ms."),
		topicKey("max.compaction.lag.ms", Long, "9223372036854775807", atLeast(1), Medium, "log.cleaner.max.compaction.lag.ms", "Longest time that a record may wait to be compacted."),
		topicKey("max.message.bytes", Int, "1048588", atLeast(0), Medium, "message.max.bytes", "Size of the largest record batch that is taken, as it is stored."),
		topicKey("message.downconversion.enable", Boolean, "true", nil, Low, "log.message.downconversion.enable", "Convert records for clients that only read older formats."),
		topicKey("message.format.version", String, "3.0-IV1", kafkaVersion{}, Medium, "log.message.format.version", "Taken for compatibility; the format is always the newest."),
		topicKey("message.timestamp.after.max.ms", Long, "3600000", atLeast(0), Medium, "log.message.timestamp.after.max.ms", "How far a record's timestamp may lie ahead of the broker's clock."),
		topicKey("message.timestamp.before.max.ms", Long, "9223372036854775807", atLeast(0), Medium, "log.message.timestamp.before.max.ms", "How far a record's timestamp may lie behind the broker's clock."),
		topicKey("message.timestamp.difference.max.ms", Long, "9223372036854775807", atLeast(0), Medium, "log.message.timestamp.difference.max.ms", "Older name for both bounds of timestamps."),
		topicKey("message.timestamp.type", String, "CreateTime", oneOf{"CreateTime", "LogAppendTime"}, Medium, "log.message.timestamp.type", "Whether a record's time is that of its creation or that of its arrival."),
		topicKey("min.cleanable.dirty.ratio", Double, "0.5", between{0, 1}, Medium, "log.cleaner.min.cleanable.ratio", "Share of the log that must be uncleaned before it is cleaned."),
		topicKey("min.compaction.lag.ms", Long, "0", atLeast(0), Medium, "log.cleaner.min.compaction.lag.ms", "Shortest time that a record stays uncompacted."),
		topicKey("min.insync.replicas", Int, "1", atLeast(1), Medium, "min.insync.replicas", "Number of in-sync replicas below which a write with acks=all is refused."),
		topicKey("preallocate", Boolean, "false", nil, Medium, "log.preallocate", "Reserve the space of a segment when it begins."),
		topicKey("record.validation", String, "header", oneOf{"header", "records"}, Medium, "log.record.validation", "How deep a produced batch is checked: header proves checksum, count and offsets without decompressing, records decodes every record. Compacted topics always decode."),
		topicKey("remote.log.copy.disable", Boolean, "false", nil, Medium, "", "Keep what is in the remote tier, but copy nothing more there."),
		topicKey("remote.log.delete.on.disable", Boolean, "false", nil, Medium, "", "Delete what is in the remote tier when it is switched off for the topic."),
		topicKey("remote.storage.enable", Boolean, "false", nil, Medium, "", "Copy closed segments to the remote tier."),
		topicKey("retention.bytes", Long, "-1", nil, Medium, "log.retention.bytes", "Size of a partition above which its oldest segments are deleted; -1 means no bound."),
		topicKey("retention.ms", Long, "604800000", atLeast(-1), Medium, "log.retention.ms", "Time that records are kept; -1 means for ever."),
		topicKey("segment.bytes", Int, "1073741824", atLeast(14), Medium, "log.segment.bytes", "Size at which a segment is closed and a new one begins. Retention works on whole segments."),
		topicKey("segment.index.bytes", Int, "10485760", atLeast(4), Medium, "log.index.size.max.bytes", "Size of the index files at which a new segment begins."),
		topicKey("segment.jitter.ms", Long, "0", atLeast(0), Medium, "log.roll.jitter.ms", "Random spread taken off segment.ms, so that not all segments end at once."),
		topicKey("segment.ms", Long, "604800000", atLeast(1), Medium, "log.roll.ms", "Time after which a new segment begins even if it is not full, so that retention can work."),
		topicKey("unclean.leader.election.enable", Boolean, "false", nil, Medium, "unclean.leader.election.enable", "Let a replica that is not in sync lead when no other is left. Records may be lost."),
	}
}
