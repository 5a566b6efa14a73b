package metadata

// txnKeys are the broker keys of transactions and producer ids.
func txnKeys() []Key {
	return []Key{
		clusterWide("producer.id.expiration.ms", Int, "86400000", atLeast(1), Low, "Time without writes after which a partition forgets a producer id."),
		readOnly("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, "10000", atLeast(1), Low, "Time between two searches for transactions that ran out of time."),
		readOnly("transaction.max.timeout.ms", Int, "900000", atLeast(1), High, "Longest transaction timeout that a producer may ask for."),
		clusterWide("transaction.partition.verification.enable", Boolean, "true", nil, Low, "Check that a partition belongs to the transaction before a record is written."),
		readOnly("transaction.remove.expired.transaction.cleanup.interval.ms", Int, "3600000", atLeast(1), Low, "Time between two searches for transactional ids that have expired."),
		readOnly("transaction.state.log.load.buffer.size", Int, "5242880", atLeast(1), High, "Bytes read at once when transactions are loaded."),
		readOnly("transaction.state.log.min.isr", Int, "2", atLeast(1), High, "In-sync replicas that the topic of transactions needs for a write."),
		readOnly("transaction.state.log.num.partitions", Int, "50", atLeast(1), High, "Partitions of the topic of transactions. Do not change it later."),
		readOnly("transaction.state.log.replication.factor", Short, "3", atLeast(1), High, "Replicas of the topic of transactions; fewer when there are fewer brokers."),
		readOnly("transaction.state.log.segment.bytes", Int, "104857600", atLeast(1), High, "Size of a segment of the topic of transactions."),
		readOnly("transactional.id.expiration.ms", Int, "604800000", atLeast(1), High, "Time without a transaction after which a transactional id is forgotten."),
	}
}
