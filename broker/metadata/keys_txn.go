package metadata

// txnKeys are the broker keys of transactions and producer ids.
func txnKeys() []Key {
	return []Key{
		clusterWide("producer.id.expiration.ms", Int, "86400000", atLeast(1), Low, ""),
		readOnly("transaction.abort.timed.out.transaction.cleanup.interval.ms", Int, "10000", atLeast(1), Low, ""),
		readOnly("transaction.max.timeout.ms", Int, "900000", atLeast(1), High, ""),
		clusterWide("transaction.partition.verification.enable", Boolean, "true", nil, Low, ""),
		readOnly("transaction.remove.expired.transaction.cleanup.interval.ms", Int, "3600000", atLeast(1), Low, ""),
		readOnly("transaction.state.log.load.buffer.size", Int, "5242880", atLeast(1), High, ""),
		readOnly("transaction.state.log.min.isr", Int, "2", atLeast(1), High, ""),
		readOnly("transaction.state.log.num.partitions", Int, "50", atLeast(1), High, ""),
		readOnly("transaction.state.log.replication.factor", Short, "3", atLeast(1), High, ""),
		readOnly("transaction.state.log.segment.bytes", Int, "104857600", atLeast(1), High, ""),
		readOnly("transactional.id.expiration.ms", Int, "604800000", atLeast(1), High, ""),
	}
}
