package metadata

// networkKeys are the broker keys of listeners, threads and connections.
func networkKeys() []Key {
	return []Key{
		perBroker("advertised.listeners", String, null, nil, High, ""),
		clusterWide("background.threads", Int, "10", atLeast(1), High, ""),
		readOnly("connections.max.idle.ms", Long, "600000", nil, Medium, ""),
		readOnly("control.plane.listener.name", String, null, nil, High, ""),
		readOnly("early.start.listeners", String, null, nil, High, ""),
		readOnly("inter.broker.listener.name", String, null, nil, Medium, ""),
		perBroker("listener.security.protocol.map", String, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", nil, Low, ""),
		perBroker("listeners", String, "PLAINTEXT://:9092", nil, High, ""),
		clusterWide("max.connection.creation.rate", Int, "2147483647", atLeast(0), Medium, ""),
		clusterWide("max.connections", Int, "2147483647", atLeast(0), Medium, ""),
		clusterWide("max.connections.per.ip", Int, "2147483647", atLeast(0), Medium, ""),
		clusterWide("max.connections.per.ip.overrides", String, "", nil, Medium, ""),
		readOnly("max.incremental.fetch.session.cache.slots", Int, "1000", atLeast(0), Medium, ""),
		readOnly("max.request.partition.size.limit", Int, "2000", atLeast(1), Medium, ""),
		clusterWide("num.io.threads", Int, "8", atLeast(1), High, ""),
		clusterWide("num.network.threads", Int, "3", atLeast(1), High, ""),
		readOnly("queued.max.request.bytes", Long, "-1", nil, Medium, ""),
		readOnly("queued.max.requests", Int, "500", atLeast(1), High, ""),
		readOnly("request.timeout.ms", Int, "30000", nil, High, ""),
		readOnly("socket.connection.setup.timeout.max.ms", Long, "30000", nil, Medium, ""),
		readOnly("socket.connection.setup.timeout.ms", Long, "10000", nil, Medium, ""),
		readOnly("socket.listen.backlog.size", Int, "50", atLeast(1), Medium, ""),
		readOnly("socket.receive.buffer.bytes", Int, "102400", nil, High, ""),
		readOnly("socket.request.max.bytes", Int, "104857600", atLeast(1), High, ""),
		readOnly("socket.send.buffer.bytes", Int, "102400", nil, High, ""),
	}
}
