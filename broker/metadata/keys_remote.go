package metadata

// remoteKeys are the broker keys of tiered storage.
func remoteKeys() []Key {
	return []Key{
		clusterWide("remote.fetch.max.wait.ms", Int, "500", atLeast(1), Medium, ""),
		clusterWide("remote.log.index.file.cache.total.size.bytes", Long, "1073741824", atLeast(1), Low, ""),
		readOnly("remote.log.manager.copier.thread.pool.size", Int, "-1", nil, Medium, ""),
		clusterWide("remote.log.manager.copy.max.bytes.per.second", Long, "9223372036854775807", atLeast(1), Medium, ""),
		readOnly("remote.log.manager.copy.quota.window.num", Int, "11", atLeast(1), Medium, ""),
		readOnly("remote.log.manager.copy.quota.window.size.seconds", Int, "1", atLeast(1), Medium, ""),
		readOnly("remote.log.manager.expiration.thread.pool.size", Int, "-1", nil, Medium, ""),
		clusterWide("remote.log.manager.fetch.max.bytes.per.second", Long, "9223372036854775807", atLeast(1), Medium, ""),
		readOnly("remote.log.manager.fetch.quota.window.num", Int, "11", atLeast(1), Medium, ""),
		readOnly("remote.log.manager.fetch.quota.window.size.seconds", Int, "1", atLeast(1), Medium, ""),
		readOnly("remote.log.manager.task.interval.ms", Long, "30000", atLeast(1), Low, ""),
		readOnly("remote.log.manager.thread.pool.size", Int, "10", atLeast(1), Medium, ""),
		readOnly("remote.log.metadata.custom.metadata.max.bytes", Int, "128", atLeast(0), Low, ""),
		readOnly("remote.log.metadata.manager.class.name", String, "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager", nonEmptyString{}, Medium, ""),
		readOnly("remote.log.metadata.manager.class.path", String, null, nil, Medium, ""),
		readOnly("remote.log.metadata.manager.impl.prefix", String, "rlmm.config.", nonEmptyString{}, Medium, ""),
		readOnly("remote.log.metadata.manager.listener.name", String, null, nonEmptyString{}, Medium, ""),
		readOnly("remote.log.reader.max.pending.tasks", Int, "100", atLeast(1), Medium, ""),
		readOnly("remote.log.reader.threads", Int, "10", atLeast(1), Medium, ""),
		readOnly("remote.log.storage.manager.class.name", String, null, nonEmptyString{}, Medium, ""),
		readOnly("remote.log.storage.manager.class.path", String, null, nil, Medium, ""),
		readOnly("remote.log.storage.manager.impl.prefix", String, "rsm.config.", nonEmptyString{}, Medium, ""),
		readOnly("remote.log.storage.system.enable", Boolean, "false", nil, Medium, ""),
	}
}
