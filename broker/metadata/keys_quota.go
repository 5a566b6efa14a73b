package metadata

// quotaKeys are the broker keys of quotas and metrics.
func quotaKeys() []Key {
	return []Key{
		readOnly("alter.log.dirs.replication.quota.window.num", Int, "11", atLeast(1), Low, "Number of samples of the quota on moves between folders."),
		readOnly("alter.log.dirs.replication.quota.window.size.seconds", Int, "1", atLeast(1), Low, "Length of a sample of the quota on moves between folders."),
		readOnly("auto.include.jmx.reporter", Boolean, "true", nil, Low, "Report metrics over JMX. Without meaning here."),
		readOnly("client.quota.callback.class", Class, null, nil, Low, "Class that decides on quotas."),
		readOnly("kafka.metrics.polling.interval.secs", Int, "10", atLeast(1), Low, "Interval of metrics reporters that poll."),
		readOnly("kafka.metrics.reporters", List, "", nil, Low, "Classes of metrics reporters. Without meaning here."),
		clusterWide("metric.reporters", List, "", nil, Low, "Classes of metrics reporters. Without meaning here."),
		readOnly("metrics.num.samples", Int, "2", atLeast(1), Low, "Number of samples of a metric."),
		readOnly("metrics.recording.level", String, "INFO", nil, Low, "Level of metrics that are recorded."),
		readOnly("metrics.sample.window.ms", Long, "30000", atLeast(1), Low, "Length of a sample of a metric."),
		readOnly("quota.window.num", Int, "11", atLeast(1), Low, "Number of samples of client quotas."),
		readOnly("quota.window.size.seconds", Int, "1", atLeast(1), Low, "Length of a sample of client quotas."),
		onlySet(clusterWide("replica.alter.log.dirs.io.max.bytes.per.second", Long, "9223372036854775807", atLeast(0), Medium, "Most bytes that are copied per second while logs move between folders.")),
		readOnly("replication.quota.window.num", Int, "11", atLeast(1), Low, "Number of samples of the quota on replication."),
		readOnly("replication.quota.window.size.seconds", Int, "1", atLeast(1), Low, "Length of a sample of the quota on replication."),
		readOnly("telemetry.max.bytes", Int, "1048576", atLeast(1), Low, "Size of the metrics that a client may push at once."),
	}
}
