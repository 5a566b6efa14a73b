package metadata

// replicaKeys are the broker keys of replication.
func replicaKeys() []Key {
	return []Key{
		readOnly("auto.leader.rebalance.enable", Boolean, "true", nil, High, ""),
		readOnly("controlled.shutdown.enable", Boolean, "true", nil, Medium, ""),
		readOnly("controlled.shutdown.max.retries", Int, "3", nil, Medium, ""),
		readOnly("controlled.shutdown.retry.backoff.ms", Long, "5000", nil, Medium, ""),
		readOnly("default.replication.factor", Int, "1", nil, Medium, ""),
		readOnly("delete.records.purgatory.purge.interval.requests", Int, "1", nil, Medium, ""),
		readOnly("fetch.max.bytes", Int, "57671680", atLeast(1024), Medium, ""),
		readOnly("fetch.purgatory.purge.interval.requests", Int, "1000", nil, Medium, ""),
		readOnly("leader.imbalance.check.interval.seconds", Long, "300", atLeast(1), High, ""),
		readOnly("leader.imbalance.per.broker.percentage", Int, "10", nil, High, ""),
		readOnly("num.replica.alter.log.dirs.threads", Int, null, nil, High, ""),
		clusterWide("num.replica.fetchers", Int, "1", nil, High, ""),
		readOnly("producer.purgatory.purge.interval.requests", Int, "1000", nil, Medium, ""),
		readOnly("replica.fetch.backoff.ms", Int, "1000", atLeast(0), Medium, ""),
		readOnly("replica.fetch.max.bytes", Int, "1048576", atLeast(0), Medium, ""),
		readOnly("replica.fetch.min.bytes", Int, "1", nil, High, ""),
		readOnly("replica.fetch.response.max.bytes", Int, "10485760", atLeast(0), Medium, ""),
		readOnly("replica.fetch.wait.max.ms", Int, "500", nil, High, ""),
		readOnly("replica.high.watermark.checkpoint.interval.ms", Long, "5000", nil, High, ""),
		readOnly("replica.lag.time.max.ms", Long, "30000", nil, High, ""),
		readOnly("replica.selector.class", String, null, nil, Medium, ""),
		readOnly("replica.socket.receive.buffer.bytes", Int, "65536", nil, High, ""),
		readOnly("replica.socket.timeout.ms", Int, "30000", nil, High, ""),
	}
}
