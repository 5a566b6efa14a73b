package broker

import (
	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/clean"
	"github.com/leatstream/leat/broker/commitlog/scrub"
	"github.com/leatstream/leat/broker/coordinator/group"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/replica"
	"github.com/leatstream/leat/broker/server"
)

// This file translates the resolved configuration into those of the parts.

// logConfig is the part of a topic's configuration that its logs follow.
func logConfig(t *metadata.TopicConfig) commitlog.Config {
	c := commitlog.Config{
		SegmentBytes:           t.SegmentBytes,
		SegmentMs:              t.SegmentMs,
		SegmentJitterMs:        t.SegmentJitterMs,
		SegmentIndexBytes:      t.SegmentIndexBytes,
		IndexIntervalBytes:     t.IndexIntervalBytes,
		FlushMessages:          t.FlushMessages,
		FlushMs:                t.FlushMs,
		RetentionBytes:         t.RetentionBytes,
		RetentionMs:            t.RetentionMs,
		FileDeleteDelayMs:      t.FileDeleteDelayMs,
		Compact:                t.Compact,
		Delete:                 t.Delete,
		DeleteRetentionMs:      t.DeleteRetentionMs,
		MinCompactionLagMs:     t.MinCompactionLagMs,
		MaxCompactionLagMs:     t.MaxCompactionLagMs,
		MinCleanableDirtyRatio: t.MinCleanableRatio,
		MaxMessageBytes:        t.MaxMessageBytes,
		GzipLevel:              t.GzipLevel,
		LZ4Level:               t.LZ4Level,
		ZstdLevel:              t.ZstdLevel,
		TimestampBeforeMaxMs:   t.TimestampBeforeMaxMs,
		TimestampAfterMaxMs:    t.TimestampAfterMaxMs,
		Preallocate:            t.Preallocate,
		ValidateRecords:        t.ValidateRecords,
	}
	if t.LogAppendTime {
		c.TimestampType = record.LogAppendTime
	}
	codec, err := record.ParseCompression(t.CompressionType)
	c.Compression, c.KeepCompression = codec, err != nil // "producer" is no codec
	return c
}

// cleanerSettings is the part of the broker's configuration that compaction
// follows; it may change at run time.
func cleanerSettings(c *metadata.BrokerConfig) clean.Settings {
	return clean.Settings{
		Threads:             c.LogCleanerThreads,
		DedupeBufferBytes:   c.LogCleanerDedupeBuffer,
		LoadFactor:          c.LogCleanerLoadFactor,
		IOBufferBytes:       int(c.LogCleanerIOBuffer),
		IOMaxBytesPerSecond: c.LogCleanerIOBytesPerSecond,
		Backoff:             c.LogCleanerBackoff,
	}
}

// scrubSettings is the part of the broker's configuration that scrubbing
// follows; it may change at run time.
func scrubSettings(c *metadata.BrokerConfig) scrub.Settings {
	return scrub.Settings{BytesPerSecond: c.LogScrubBytesPerSecond, Period: c.LogScrubPeriod}
}

// topicConfig is the part of a topic's configuration that its replicas follow.
func topicConfig(name string, t *metadata.TopicConfig) replica.TopicConfig {
	return replica.TopicConfig{
		MinISR:                t.MinInSyncReplicas,
		Internal:              name == group.OffsetsTopic,
		Delete:                t.Delete,
		Compact:               t.Compact,
		UncleanLeaderElection: t.UncleanLeaderElection,
		Log:                   logConfig(t),
	}
}

func groupConfig(c *metadata.BrokerConfig) group.Config {
	return group.Config{
		Partitions:             c.OffsetsTopicPartitions,
		InitialRebalanceDelay:  c.GroupInitialRebalanceDelay,
		MinSessionTimeout:      c.GroupMinSessionTimeout,
		MaxSessionTimeout:      c.GroupMaxSessionTimeout,
		MaxSize:                int(c.GroupMaxSize),
		OffsetMetadataMaxBytes: int(c.OffsetMetadataMaxBytes),
		OffsetsRetention:       c.OffsetsRetention,
		RetentionCheckInterval: c.OffsetsRetentionCheckInterval,
		CommitTimeout:          c.OffsetCommitTimeout,
	}
}

// Keys whose absence means "as many as is good".
const (
	keySendBuffer      = "socket.send.buffer.bytes"
	keyReceiveBuffer   = "socket.receive.buffer.bytes"
	keyRecoveryThreads = "num.recovery.threads.per.data.dir"
)

// recoveryThreads is how many logs of a directory are opened at a time. Most of
// it is waiting for the disk, so more than Kafka's default are good.
func recoveryThreads(c *metadata.BrokerConfig, properties map[string]string) int {
	const usual = 8
	if _, ok := properties[keyRecoveryThreads]; ok {
		return c.RecoveryThreadsPerDir
	}
	return max(usual, c.RecoveryThreadsPerDir)
}

// serverConfig is the part of the configuration that the connections follow.
// Socket buffers are set only where the configuration names them: the system
// adapts its own to the connection, which Kafka's small defaults would stop.
func serverConfig(c *metadata.BrokerConfig, properties map[string]string) server.Config {
	s := server.Config{
		MaxRequestBytes:     int(c.SocketRequestMaxBytes),
		MaxConnections:      int(c.MaxConnections),
		MaxConnectionsPerIP: int(c.MaxConnectionsPerIP),
		MaxIdle:             c.ConnectionsMaxIdle,
	}
	if _, ok := properties[keySendBuffer]; ok {
		s.SendBuffer = max(0, int(c.SocketSendBufferBytes))
	}
	if _, ok := properties[keyReceiveBuffer]; ok {
		s.ReceiveBuffer = max(0, int(c.SocketReceiveBufferBytes))
	}
	return s
}
