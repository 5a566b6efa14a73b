package metadata

// quotaKeys are the broker keys of quotas and metrics.
func quotaKeys() []Key {
	return []Key{
		readOnly("alter.log.dirs.replication.quota.window.num", Int, "11", atLeast(1), Low, ""),
		readOnly("alter.log.dirs.replication.quota.window.size.seconds", Int, "1", atLeast(1), Low, ""),
		readOnly("auto.include.jmx.reporter", Boolean, "true", nil, Low, ""),
		readOnly("client.quota.callback.class", Class, null, nil, Low, ""),
		readOnly("kafka.metrics.polling.interval.secs", Int, "10", atLeast(1), Low, ""),
		readOnly("kafka.metrics.reporters", List, "", nil, Low, ""),
		clusterWide("metric.reporters", List, "", nil, Low, ""),
		readOnly("metrics.num.samples", Int, "2", atLeast(1), Low, ""),
		readOnly("metrics.recording.level", String, "INFO", nil, Low, ""),
		readOnly("metrics.sample.window.ms", Long, "30000", atLeast(1), Low, ""),
		readOnly("quota.window.num", Int, "11", atLeast(1), Low, ""),
		readOnly("quota.window.size.seconds", Int, "1", atLeast(1), Low, ""),
		readOnly("replication.quota.window.num", Int, "11", atLeast(1), Low, ""),
		readOnly("replication.quota.window.size.seconds", Int, "1", atLeast(1), Low, ""),
		readOnly("telemetry.max.bytes", Int, "1048576", atLeast(1), Low, ""),
	}
}
