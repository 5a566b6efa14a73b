package metadata

import (
	"maps"
	"math"
	"slices"
)

// TopicConfig is the effective configuration of one topic in typed form. It is
// immutable. Sizes are bytes, times ms; -1 means unlimited where the key allows
// it.
type TopicConfig struct {
	Compact                   bool // cleanup.policy contains compact
	Delete                    bool // cleanup.policy contains delete
	CompressionType           string
	GzipLevel                 int
	LZ4Level                  int
	ZstdLevel                 int
	DeleteRetentionMs         int64
	FileDeleteDelayMs         int64
	FlushMessages             int64
	FlushMs                   int64
	IndexIntervalBytes        int32
	MinCompactionLagMs        int64
	MaxCompactionLagMs        int64
	MaxMessageBytes           int32
	DownConversion            bool // message.downconversion.enable
	LogAppendTime             bool // message.timestamp.type; else CreateTime
	TimestampBeforeMaxMs      int64
	TimestampAfterMaxMs       int64
	MinCleanableRatio         float64
	MinInSyncReplicas         int
	Preallocate               bool
	ValidateRecords           bool  // record.validation=records
	RetentionBytes            int64 // -1: unlimited
	RetentionMs               int64 // -1: unlimited
	SegmentBytes              int32
	SegmentIndexBytes         int32
	SegmentJitterMs           int64
	SegmentMs                 int64
	UncleanLeaderElection     bool
	RemoteStorage             bool
	LocalRetentionMs          int64 // -2: as RetentionMs
	LocalRetentionBytes       int64 // -2: as RetentionBytes
	LeaderThrottledReplicas   []string
	FollowerThrottledReplicas []string
}

// buildTopic resolves all topic keys. c.mu is held.
func (c *Configs) buildTopic(overrides map[string]string) *TopicConfig {
	get := func(name string) value { return c.topicValue(name, overrides) }
	long := func(name string) int64 { return get(name).i }
	policy := get("cleanup.policy").list
	return &TopicConfig{
		Compact:                   slices.Contains(policy, "compact"),
		Delete:                    slices.Contains(policy, "delete"),
		CompressionType:           get("compression.type").s,
		GzipLevel:                 int(long("compression.gzip.level")),
		LZ4Level:                  int(long("compression.lz4.level")),
		ZstdLevel:                 int(long("compression.zstd.level")),
		DeleteRetentionMs:         long("delete.retention.ms"),
		FileDeleteDelayMs:         long("file.delete.delay.ms"),
		FlushMessages:             long("flush.messages"),
		FlushMs:                   long("flush.ms"),
		IndexIntervalBytes:        int32(long("index.interval.bytes")),
		MinCompactionLagMs:        long("min.compaction.lag.ms"),
		MaxCompactionLagMs:        long("max.compaction.lag.ms"),
		MaxMessageBytes:           int32(long("max.message.bytes")),
		DownConversion:            get("message.downconversion.enable").b,
		LogAppendTime:             get("message.timestamp.type").s == "LogAppendTime",
		TimestampBeforeMaxMs:      c.timestampBound("message.timestamp.before.max.ms", overrides),
		TimestampAfterMaxMs:       c.timestampBound("message.timestamp.after.max.ms", overrides),
		MinCleanableRatio:         get("min.cleanable.dirty.ratio").f,
		MinInSyncReplicas:         int(long("min.insync.replicas")),
		Preallocate:               get("preallocate").b,
		ValidateRecords:           get("record.validation").s == "records",
		RetentionBytes:            long("retention.bytes"),
		RetentionMs:               long("retention.ms"),
		SegmentBytes:              int32(long("segment.bytes")),
		SegmentIndexBytes:         int32(long("segment.index.bytes")),
		SegmentJitterMs:           long("segment.jitter.ms"),
		SegmentMs:                 long("segment.ms"),
		UncleanLeaderElection:     get("unclean.leader.election.enable").b,
		RemoteStorage:             get("remote.storage.enable").b,
		LocalRetentionMs:          long("local.retention.ms"),
		LocalRetentionBytes:       long("local.retention.bytes"),
		LeaderThrottledReplicas:   get("leader.replication.throttled.replicas").list,
		FollowerThrottledReplicas: get("follower.replication.throttled.replicas").list,
	}
}

// timestampBound is one of the two bounds. The older key for both holds where
// the newer one was left at its default.
func (c *Configs) timestampBound(name string, overrides map[string]string) int64 {
	bound := c.topicValue(name, overrides).i
	if bound != c.topics.byName[name].defaultValue().i {
		return bound
	}
	if both := c.topicValue("message.timestamp.difference.max.ms", overrides).i; both != math.MaxInt64 {
		return both
	}
	return bound
}

// topicValue is the value of one topic key. c.mu is held.
func (c *Configs) topicValue(name string, overrides map[string]string) value {
	k := c.topics.byName[name]
	if text, ok := overrides[name]; ok {
		if v, err := k.parse(text); err == nil {
			return v
		}
	}
	if k.Synonym == "" {
		return k.defaultValue()
	}
	return c.brokerDefault(k.Synonym)
}

// brokerDefault is the value that a broker key gives to topics: the first of its
// synonyms that is set, in ms.
func (c *Configs) brokerDefault(name string) value {
	v := c.effective(name)
	if !v.null {
		return v
	}
	for _, other := range synonyms(name)[1:] {
		unit := int64(1)
		switch other {
		case "log.retention.hours", "log.roll.hours", "log.roll.jitter.hours":
			unit = 60 * 60 * 1000
		case "log.retention.minutes":
			unit = 60 * 1000
		}
		if v := c.effective(other); !v.null {
			if v.i < 0 {
				return value{i: -1}
			}
			return value{i: v.i * unit}
		}
	}
	return v
}

// ValidateTopic checks overrides of a topic. Errors are ErrInvalidConfig.
func (c *Configs) ValidateTopic(overrides map[string]string) error {
	names := slices.Sorted(maps.Keys(overrides))
	for _, name := range names {
		if _, ok := c.topics.Key(name); !ok {
			return &UnknownKeyError{Name: name, Nearest: c.topics.Nearest(name)}
		}
	}
	for _, name := range names {
		if _, err := c.topics.byName[name].parse(overrides[name]); err != nil {
			return err
		}
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	lagMin := c.topicValue("min.compaction.lag.ms", overrides).i
	lagMax := c.topicValue("max.compaction.lag.ms", overrides).i
	if lagMin > lagMax {
		return invalidf("conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", lagMin, lagMax)
	}
	if c.topicValue("remote.storage.enable", overrides).b {
		return invalidf("Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage.")
	}
	if c.topicValue("remote.log.delete.on.disable", overrides).b || c.topicValue("remote.log.copy.disable", overrides).b {
		return invalidf("It is invalid to set `remote.log.delete.on.disable` or `remote.log.copy.disable` under Zookeeper's mode.")
	}
	return nil
}

// UnknownKeyError is the ErrInvalidConfig of a topic key that does not exist.
type UnknownKeyError struct {
	Name    string
	Nearest string // "" when no key is much like it
}

// Error is what Kafka says, so that tools recognise it.
func (e *UnknownKeyError) Error() string { return "Unknown topic config name: " + e.Name }

// Is makes errors.Is(err, ErrInvalidConfig) hold.
func (e *UnknownKeyError) Is(target error) bool { return target == ErrInvalidConfig }
