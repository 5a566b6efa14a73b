package metadata

// remoteKeys are the broker keys of tiered storage.
func remoteKeys() []Key {
	return []Key{
		clusterWide("remote.fetch.max.wait.ms", Int, "500", atLeast(1), Medium, "Time that a fetch waits for data of the remote tier."),
		clusterWide("remote.log.index.file.cache.total.size.bytes", Long, "1073741824", atLeast(1), Low, "Disk space for indexes of the remote tier."),
		readOnly("remote.log.manager.copier.thread.pool.size", Int, "-1", nil, Medium, "Workers that copy segments to the remote tier; -1 means remote.log.manager.thread.pool.size."),
		clusterWide("remote.log.manager.copy.max.bytes.per.second", Long, "9223372036854775807", atLeast(1), Medium, "Most bytes per second copied to the remote tier."),
		readOnly("remote.log.manager.copy.quota.window.num", Int, "11", atLeast(1), Medium, "Number of samples of the quota on copying."),
		readOnly("remote.log.manager.copy.quota.window.size.seconds", Int, "1", atLeast(1), Medium, "Length of a sample of the quota on copying."),
		readOnly("remote.log.manager.expiration.thread.pool.size", Int, "-1", nil, Medium, "Workers that delete from the remote tier; -1 means remote.log.manager.thread.pool.size."),
		clusterWide("remote.log.manager.fetch.max.bytes.per.second", Long, "9223372036854775807", atLeast(1), Medium, "Most bytes per second fetched from the remote tier."),
		readOnly("remote.log.manager.fetch.quota.window.num", Int, "11", atLeast(1), Medium, "Number of samples of the quota on remote fetches."),
		readOnly("remote.log.manager.fetch.quota.window.size.seconds", Int, "1", atLeast(1), Medium, "Length of a sample of the quota on remote fetches."),
		readOnly("remote.log.manager.task.interval.ms", Long, "30000", atLeast(1), Low, "Time between two runs of the tasks of the remote tier."),
		readOnly("remote.log.manager.thread.pool.size", Int, "10", atLeast(1), Medium, "Workers of the remote tier."),
		readOnly("remote.log.metadata.custom.metadata.max.bytes", Int, "128", atLeast(0), Low, "Size of the metadata that a storage plug-in may add to a segment."),
		readOnly("remote.log.metadata.manager.class.name", String, "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", nonEmptyString{}, Medium, "Class that keeps the metadata of remote segments."),
		readOnly("remote.log.metadata.manager.class.path", String, null, nil, Medium, "Where that class is loaded from."),
		readOnly("remote.log.metadata.manager.impl.prefix", String, "rlmm.config.", nonEmptyString{}, Medium, "Prefix of the settings handed to that class."),
		readOnly("remote.log.metadata.manager.listener.name", String, null, nonEmptyString{}, Medium, "Listener that it uses to talk to brokers."),
		readOnly("remote.log.reader.max.pending.tasks", Int, "100", atLeast(1), Medium, "Remote reads that may wait."),
		readOnly("remote.log.reader.threads", Int, "10", atLeast(1), Medium, "Workers that read from the remote tier."),
		readOnly("remote.log.storage.manager.class.name", String, null, nonEmptyString{}, Medium, "Class that stores remote segments."),
		readOnly("remote.log.storage.manager.class.path", String, null, nil, Medium, "Where that class is loaded from."),
		readOnly("remote.log.storage.manager.impl.prefix", String, "rsm.config.", nonEmptyString{}, Medium, "Prefix of the settings handed to that class."),
		readOnly("remote.log.storage.system.enable", Boolean, "false", nil, Medium, "Switch tiered storage on."),
	}
}
