package metadata

// replicaKeys are the broker keys of replication.
func replicaKeys() []Key {
	return []Key{
		readOnly("auto.leader.rebalance.enable", Boolean, "true", nil, High, "Let the controller hand leadership back to preferred replicas from time to time."),
		readOnly("controlled.shutdown.enable", Boolean, "true", nil, Medium, "Hand leadership over before the broker stops."),
		readOnly("controlled.shutdown.max.retries", Int, "3", nil, Medium, "Number of attempts to hand leadership over."),
		readOnly("controlled.shutdown.retry.backoff.ms", Long, "5000", nil, Medium, "Pause between two such attempts."),
		readOnly("default.replication.factor", Int, "1", nil, Medium, "Replicas of topics that are created without a number of their own."),
		readOnly("delete.records.purgatory.purge.interval.requests", Int, "1", nil, Medium, "Number of finished DeleteRecords requests after which they are cleared away."),
		readOnly("fetch.max.bytes", Int, "57671680", atLeast(1024), Medium, "Most bytes that one fetch is answered with."),
		readOnly("fetch.purgatory.purge.interval.requests", Int, "1000", nil, Medium, "Number of finished fetches after which they are cleared away."),
		readOnly("leader.imbalance.check.interval.seconds", Long, "300", atLeast(1), High, "Seconds between two looks at the balance of leaders."),
		readOnly("leader.imbalance.per.broker.percentage", Int, "10", nil, High, "Share of partitions led by another than the preferred broker at which leadership is moved back."),
		readOnly("num.replica.alter.log.dirs.threads", Int, null, nil, High, "Number of workers that move replicas between folders."),
		clusterWide("num.replica.fetchers", Int, "1", nil, High, "Number of connections over which a follower fetches from one leader."),
		readOnly("producer.purgatory.purge.interval.requests", Int, "1000", nil, Medium, "Number of finished produce requests after which they are cleared away."),
		readOnly("replica.fetch.backoff.ms", Int, "1000", atLeast(0), Medium, "Pause of a follower after a failed fetch."),
		readOnly("replica.fetch.max.bytes", Int, "1048576", atLeast(0), Medium, "Bytes that a follower asks for per partition."),
		readOnly("replica.fetch.min.bytes", Int, "1", nil, High, "Bytes that a follower waits for."),
		readOnly("replica.fetch.response.max.bytes", Int, "10485760", atLeast(0), Medium, "Bytes that a follower asks for in one fetch."),
		readOnly("replica.fetch.wait.max.ms", Int, "500", nil, High, "Time that a follower waits for replica.fetch.min.bytes."),
		readOnly("replica.high.watermark.checkpoint.interval.ms", Long, "5000", nil, High, "Time between two writes of the high watermarks."),
		readOnly("replica.lag.time.max.ms", Long, "30000", nil, High, "Time without catching up after which a follower leaves the ISR."),
		readOnly("replica.selector.class", String, null, nil, Medium, "Class that chooses the replica a consumer reads from."),
		readOnly("replica.socket.receive.buffer.bytes", Int, "65536", nil, High, "Receive buffer of a follower's connection to its leader."),
		readOnly("replica.socket.timeout.ms", Int, "30000", nil, High, "Time after which a request of a follower is given up."),
	}
}
