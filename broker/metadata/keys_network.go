package metadata

// networkKeys are the broker keys of listeners, threads and connections.
func networkKeys() []Key {
	return []Key{
		perBroker("advertised.listeners", String, null, nil, High, "Addresses that clients are told to connect to, where they differ from listeners. Port and host must be reachable for them; 0.0.0.0 is not."),
		clusterWide("background.threads", Int, "10", atLeast(1), High, "Number of workers for housekeeping such as retention and file deletion."),
		readOnly("connections.max.idle.ms", Long, "600000", nil, Medium, "Time without traffic after which a connection is closed."),
		readOnly("control.plane.listener.name", String, null, nil, High, "Listener that carries requests of the controller only. Empty: they share the listener between brokers."),
		readOnly("early.start.listeners", String, null, nil, High, "Listeners that open before the authorizer is ready."),
		readOnly("inter.broker.listener.name", String, null, nil, Medium, "Listener over which brokers talk to each other. When not set, security.inter.broker.protocol chooses."),
		perBroker("listener.security.protocol.map", String, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", nil, Low, "Security of each listener as NAME:PROTOCOL, separated by commas."),
		perBroker("listeners", String, "PLAINTEXT://:9092", nil, High, "Addresses to listen on as NAME://host:port, separated by commas. An empty host means all interfaces."),
		clusterWide("max.connection.creation.rate", Int, "2147483647", atLeast(0), Medium, "Most new connections per second."),
		clusterWide("max.connections", Int, "2147483647", atLeast(0), Medium, "Most connections to this broker."),
		clusterWide("max.connections.per.ip", Int, "2147483647", atLeast(0), Medium, "Most connections from one address."),
		clusterWide("max.connections.per.ip.overrides", String, "", nil, Medium, "Other bounds for single addresses as address:number, separated by commas."),
		readOnly("max.incremental.fetch.session.cache.slots", Int, "1000", atLeast(0), Medium, "Number of fetch sessions that are kept."),
		readOnly("max.request.partition.size.limit", Int, "2000", atLeast(1), Medium, "Most partitions in one answer to DescribeTopicPartitions."),
		clusterWide("num.io.threads", Int, "8", atLeast(1), High, "Number of workers that handle requests. A hint: connections are served by goroutines."),
		clusterWide("num.network.threads", Int, "3", atLeast(1), High, "Number of workers that read and write the network. A hint: connections are served by goroutines."),
		readOnly("queued.max.request.bytes", Long, "-1", nil, Medium, "Bytes of requests that may wait before connections are no longer read; -1 means no bound."),
		readOnly("queued.max.requests", Int, "500", atLeast(1), High, "Number of requests that may wait before connections are no longer read."),
		readOnly("request.timeout.ms", Int, "30000", nil, High, "Time after which a request to another broker is given up."),
		readOnly("socket.connection.setup.timeout.max.ms", Long, "30000", nil, Medium, "Longest time to wait for a connection to be set up."),
		readOnly("socket.connection.setup.timeout.ms", Long, "10000", nil, Medium, "First time to wait for a connection to be set up."),
		readOnly("socket.listen.backlog.size", Int, "50", atLeast(1), Medium, "Connections that may wait to be accepted."),
		readOnly("socket.receive.buffer.bytes", Int, "102400", nil, High, "Receive buffer of client connections; -1 leaves it to the system."),
		readOnly("socket.request.max.bytes", Int, "104857600", atLeast(1), High, "Size of the largest request that is read."),
		readOnly("socket.send.buffer.bytes", Int, "102400", nil, High, "Send buffer of client connections; -1 leaves it to the system."),
	}
}
