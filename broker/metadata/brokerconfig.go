package metadata

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// BrokerConfig is the effective configuration of this broker in typed form. It
// is immutable. Sizes are bytes.
type BrokerConfig struct {
	BrokerID                   int32 // -1: to be generated
	Rack                       string
	BrokerIDGeneration         bool
	ReservedBrokerMaxID        int32
	ZooKeeperConnect           string
	ZooKeeperSessionTimeout    time.Duration
	ZooKeeperConnectionTimeout time.Duration

	Listeners           []Listener
	AdvertisedListeners []Listener // equal to Listeners when not set
	InterBrokerListener string
	TLS                 map[string]*TLS // of the listeners with SSL, by name
	LogDirs             []string

	NumPartitions            int32
	DefaultReplicationFactor int16
	MinInSyncReplicas        int
	AutoCreateTopics         bool
	DeleteTopicEnable        bool

	BackgroundThreads        int
	RecoveryThreadsPerDir    int
	NumNetworkThreads        int
	NumIOThreads             int
	QueuedMaxRequests        int
	SocketSendBufferBytes    int32
	SocketReceiveBufferBytes int32
	SocketRequestMaxBytes    int32
	ConnectionsMaxIdle       time.Duration
	MaxConnections           int32
	MaxConnectionsPerIP      int32
	RequestTimeout           time.Duration

	LogRetentionCheckInterval     time.Duration
	LogReserveBytes               int64
	LogScrubBytesPerSecond        int64
	LogScrubPeriod                time.Duration
	LogCleanerEnable              bool
	LogCleanerThreads             int
	LogCleanerDedupeBuffer        int64   // bytes, of all threads together
	LogCleanerLoadFactor          float64 // share of it that may be filled
	LogCleanerIOBuffer            int32   // bytes, of all threads together
	LogCleanerIOBytesPerSecond    float64
	LogCleanerBackoff             time.Duration
	LogFlushSchedulerInterval     time.Duration
	LogFlushOffsetCheckpoint      time.Duration
	LogFlushStartOffsetCheckpoint time.Duration

	ReplicaLagTimeMax            time.Duration
	ReplicaFetchMaxBytes         int32
	ReplicaFetchResponseMaxBytes int32
	ReplicaFetchMinBytes         int32
	ReplicaFetchWaitMax          time.Duration
	ReplicaFetchBackoff          time.Duration
	HighWatermarkCheckpoint      time.Duration
	MoveThreads                  int   // between log directories; 0: one for each of them
	MoveBytesPerSecond           int64 // of all these threads together
	FetchMaxBytes                int32
	FetchSessionCacheSlots       int
	UncleanLeaderElection        bool
	AutoLeaderRebalance          bool
	LeaderImbalanceCheckInterval time.Duration
	LeaderImbalancePercentage    int

	OffsetsTopicPartitions        int32
	OffsetsTopicReplicationFactor int16
	OffsetsTopicSegmentBytes      int32
	OffsetsTopicCompressionCodec  int8
	OffsetsRetention              time.Duration
	OffsetsRetentionCheckInterval time.Duration
	OffsetsLoadBufferSize         int32
	OffsetMetadataMaxBytes        int32
	OffsetCommitTimeout           time.Duration
	GroupInitialRebalanceDelay    time.Duration
	GroupMinSessionTimeout        time.Duration
	GroupMaxSessionTimeout        time.Duration
	GroupMaxSize                  int32

	TransactionStatePartitions        int32
	TransactionStateReplicationFactor int16
	TransactionStateMinISR            int
	TransactionStateSegmentBytes      int32
	TransactionMaxTimeout             time.Duration
	TransactionalIDExpiration         time.Duration
	ProducerIDExpiration              time.Duration
	ProducerIDExpirationCheckInterval time.Duration
}

// Listener is one entry of listeners or advertised.listeners.
type Listener struct {
	Name             string
	Host             string // empty: all interfaces
	Port             int32
	SecurityProtocol int16 // 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL
}

// buildBroker resolves the typed broker configuration. c.mu is held, or c is not
// shared yet.
func (c *Configs) buildBroker() (*BrokerConfig, error) {
	b := &BrokerConfig{BrokerID: c.brokerID}
	c.fillIdentity(b)
	c.fillNetwork(b)
	c.fillLog(b)
	c.fillReplica(b)
	c.fillGroups(b)
	c.fillTransactions(b)
	return b, c.fillListeners(b)
}

func (c *Configs) long(name string) int64 { return c.effective(name).i }
func (c *Configs) i32(name string) int32  { return int32(c.effective(name).i) }
func (c *Configs) text(name string) string {
	return c.effective(name).s
}
func (c *Configs) flag(name string) bool { return c.effective(name).b }

// ms reads a time in ms. Longer than 292 years is as good as that.
func (c *Configs) ms(name string) time.Duration { return duration(c.long(name), time.Millisecond) }

func duration(n int64, unit time.Duration) time.Duration {
	const longest = time.Duration(1<<63 - 1)
	if n > int64(longest/unit) {
		return longest
	}
	return time.Duration(n) * unit
}

func (c *Configs) fillIdentity(b *BrokerConfig) {
	b.Rack = c.text("broker.rack")
	b.BrokerIDGeneration = c.flag("broker.id.generation.enable")
	b.ReservedBrokerMaxID = c.i32("reserved.broker.max.id")
	b.ZooKeeperConnect = c.text("zookeeper.connect")
	b.ZooKeeperSessionTimeout = c.ms("zookeeper.session.timeout.ms")
	b.ZooKeeperConnectionTimeout = b.ZooKeeperSessionTimeout
	if v := c.effective("zookeeper.connection.timeout.ms"); !v.null {
		b.ZooKeeperConnectionTimeout = duration(v.i, time.Millisecond)
	}
	b.NumPartitions = c.i32("num.partitions")
	b.DefaultReplicationFactor = int16(min(c.long("default.replication.factor"), 1<<15-1))
	b.MinInSyncReplicas = int(c.i32("min.insync.replicas"))
	b.AutoCreateTopics = c.flag("auto.create.topics.enable")
	b.DeleteTopicEnable = c.flag("delete.topic.enable")
}

func (c *Configs) fillNetwork(b *BrokerConfig) {
	b.BackgroundThreads = int(c.i32("background.threads"))
	b.RecoveryThreadsPerDir = int(c.i32("num.recovery.threads.per.data.dir"))
	b.NumNetworkThreads = int(c.i32("num.network.threads"))
	b.NumIOThreads = int(c.i32("num.io.threads"))
	b.QueuedMaxRequests = int(c.i32("queued.max.requests"))
	b.SocketSendBufferBytes = c.i32("socket.send.buffer.bytes")
	b.SocketReceiveBufferBytes = c.i32("socket.receive.buffer.bytes")
	b.SocketRequestMaxBytes = c.i32("socket.request.max.bytes")
	b.ConnectionsMaxIdle = c.ms("connections.max.idle.ms")
	b.MaxConnections = c.i32("max.connections")
	b.MaxConnectionsPerIP = c.i32("max.connections.per.ip")
	b.RequestTimeout = c.ms("request.timeout.ms")
	b.FetchMaxBytes = c.i32("fetch.max.bytes")
	b.FetchSessionCacheSlots = int(c.i32("max.incremental.fetch.session.cache.slots"))
}

func (c *Configs) fillLog(b *BrokerConfig) {
	dirs := c.text("log.dirs")
	if dirs == "" {
		dirs = c.text("log.dir")
	}
	b.LogDirs = splitList(dirs)
	b.LogRetentionCheckInterval = c.ms("log.retention.check.interval.ms")
	b.LogReserveBytes = c.long("log.reserve.bytes")
	b.LogScrubBytesPerSecond = c.long("log.scrub.bytes.per.second")
	b.LogScrubPeriod = c.ms("log.scrub.period.ms")
	b.LogCleanerEnable = c.flag("log.cleaner.enable")
	b.LogCleanerThreads = int(c.i32("log.cleaner.threads"))
	b.LogCleanerDedupeBuffer = c.long("log.cleaner.dedupe.buffer.size")
	b.LogCleanerLoadFactor = c.effective("log.cleaner.io.buffer.load.factor").f
	b.LogCleanerIOBuffer = c.i32("log.cleaner.io.buffer.size")
	b.LogCleanerIOBytesPerSecond = c.effective("log.cleaner.io.max.bytes.per.second").f
	b.LogCleanerBackoff = c.ms("log.cleaner.backoff.ms")
	b.LogFlushSchedulerInterval = c.ms("log.flush.scheduler.interval.ms")
	b.LogFlushOffsetCheckpoint = c.ms("log.flush.offset.checkpoint.interval.ms")
	b.LogFlushStartOffsetCheckpoint = c.ms("log.flush.start.offset.checkpoint.interval.ms")
}

func (c *Configs) fillReplica(b *BrokerConfig) {
	b.ReplicaLagTimeMax = c.ms("replica.lag.time.max.ms")
	b.ReplicaFetchMaxBytes = c.i32("replica.fetch.max.bytes")
	b.ReplicaFetchResponseMaxBytes = c.i32("replica.fetch.response.max.bytes")
	b.ReplicaFetchMinBytes = c.i32("replica.fetch.min.bytes")
	b.ReplicaFetchWaitMax = c.ms("replica.fetch.wait.max.ms")
	b.ReplicaFetchBackoff = c.ms("replica.fetch.backoff.ms")
	b.HighWatermarkCheckpoint = c.ms("replica.high.watermark.checkpoint.interval.ms")
	b.MoveThreads = int(c.i32("num.replica.alter.log.dirs.threads"))
	b.MoveBytesPerSecond = c.long("replica.alter.log.dirs.io.max.bytes.per.second")
	b.UncleanLeaderElection = c.flag("unclean.leader.election.enable")
	b.AutoLeaderRebalance = c.flag("auto.leader.rebalance.enable")
	b.LeaderImbalanceCheckInterval = duration(c.long("leader.imbalance.check.interval.seconds"), time.Second)
	b.LeaderImbalancePercentage = int(c.i32("leader.imbalance.per.broker.percentage"))
}

func (c *Configs) fillGroups(b *BrokerConfig) {
	b.OffsetsTopicPartitions = c.i32("offsets.topic.num.partitions")
	b.OffsetsTopicReplicationFactor = int16(c.long("offsets.topic.replication.factor"))
	b.OffsetsTopicSegmentBytes = c.i32("offsets.topic.segment.bytes")
	b.OffsetsTopicCompressionCodec = int8(c.long("offsets.topic.compression.codec"))
	b.OffsetsRetention = duration(c.long("offsets.retention.minutes"), time.Minute)
	b.OffsetsRetentionCheckInterval = c.ms("offsets.retention.check.interval.ms")
	b.OffsetsLoadBufferSize = c.i32("offsets.load.buffer.size")
	b.OffsetMetadataMaxBytes = c.i32("offset.metadata.max.bytes")
	b.OffsetCommitTimeout = c.ms("offsets.commit.timeout.ms")
	b.GroupInitialRebalanceDelay = c.ms("group.initial.rebalance.delay.ms")
	b.GroupMinSessionTimeout = c.ms("group.min.session.timeout.ms")
	b.GroupMaxSessionTimeout = c.ms("group.max.session.timeout.ms")
	b.GroupMaxSize = c.i32("group.max.size")
}

func (c *Configs) fillTransactions(b *BrokerConfig) {
	b.TransactionStatePartitions = c.i32("transaction.state.log.num.partitions")
	b.TransactionStateReplicationFactor = int16(c.long("transaction.state.log.replication.factor"))
	b.TransactionStateMinISR = int(c.i32("transaction.state.log.min.isr"))
	b.TransactionStateSegmentBytes = c.i32("transaction.state.log.segment.bytes")
	b.TransactionMaxTimeout = c.ms("transaction.max.timeout.ms")
	b.TransactionalIDExpiration = c.ms("transactional.id.expiration.ms")
	b.ProducerIDExpiration = c.ms("producer.id.expiration.ms")
	b.ProducerIDExpirationCheckInterval = 10 * time.Minute
}

func (c *Configs) fillListeners(b *BrokerConfig) (err error) {
	protocols, err := parseProtocolMap(c.text("listener.security.protocol.map"))
	if err != nil {
		return err
	}
	if b.Listeners, err = parseListeners("listeners", c.text("listeners"), protocols); err != nil {
		return err
	}
	if len(b.Listeners) == 0 {
		return invalidf("listeners must name at least one listener")
	}
	c.fillTLS(b)
	b.AdvertisedListeners = b.Listeners
	if v := c.effective("advertised.listeners"); !v.null && v.s != "" {
		if b.AdvertisedListeners, err = parseListeners("advertised.listeners", v.s, protocols); err != nil {
			return err
		}
	}
	b.InterBrokerListener, err = c.interBrokerListener(b.AdvertisedListeners)
	return err
}

// interBrokerListener is the listener for other brokers: the one that is named,
// or whose name is the protocol that is set; by default PLAINTEXT or, where there
// is none, the first.
func (c *Configs) interBrokerListener(advertised []Listener) (string, error) {
	const byName, byProtocol = "inter.broker.listener.name", "security.inter.broker.protocol"
	name, key := strings.ToUpper(c.text(byName)), byName
	_, protocolSet := c.static[byProtocol]
	switch {
	case name != "" && protocolSet:
		return "", invalidf("Only one of %s and %s should be set.", byName, byProtocol)
	case name == "":
		name, key = c.text(byProtocol), byProtocol
	}
	if slices.ContainsFunc(advertised, func(l Listener) bool { return l.Name == name }) {
		return name, nil
	}
	if key == byProtocol && !protocolSet {
		return advertised[0].Name, nil
	}
	return "", invalidf("%s is %s, but no listener of that name is advertised.", key, name)
}

// parseProtocolMap reads NAME:PROTOCOL,….
func parseProtocolMap(text string) (map[string]int16, error) {
	protocols := make(map[string]int16)
	for _, e := range splitList(text) {
		name, protocol, _ := strings.Cut(e, ":")
		id := securityProtocolID(strings.TrimSpace(protocol))
		if id < 0 || name == "" {
			return nil, invalidf("listener.security.protocol.map: cannot read %q", e)
		}
		protocols[strings.ToUpper(strings.TrimSpace(name))] = id
	}
	return protocols, nil
}

func securityProtocolID(name string) int16 {
	for id := range int16(4) {
		if strings.EqualFold(securityProtocolName(id), name) {
			return id
		}
	}
	return -1
}

// parseListeners reads NAME://host:port,….
func parseListeners(key, text string, protocols map[string]int16) ([]Listener, error) {
	var out []Listener
	for _, e := range splitList(text) {
		name, address, ok := strings.Cut(e, "://")
		if !ok {
			return nil, invalidf("Error creating broker listeners from '%s': Unable to parse %s to a broker endpoint", text, e)
		}
		host, portText, err := net.SplitHostPort(address)
		if err != nil {
			return nil, invalidf("Error creating broker listeners from '%s': Unable to parse %s to a broker endpoint", text, e)
		}
		port, err := strconv.ParseUint(portText, 10, 16)
		if err != nil {
			return nil, invalidf("Error creating broker listeners from '%s': Unable to parse %s to a broker endpoint", text, e)
		}
		name = strings.ToUpper(name)
		protocol, known := protocols[name]
		if !known {
			return nil, invalidf("Error creating broker listeners from '%s': No security protocol defined for listener %s", text, name)
		}
		for _, other := range out {
			if other.Name == name {
				return nil, invalidf("%s: Each listener must have a different name, listeners: %s", key, text)
			}
		}
		out = append(out, Listener{Name: name, Host: host, Port: int32(port), SecurityProtocol: protocol})
	}
	return out, nil
}
