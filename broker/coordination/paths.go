package coordination

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// The fixed paths of the tree. Where the comment names a watcher, that role
// reacts to changes made there by anybody.
const (
	BrokersPath          = "/brokers"
	BrokerIDsPath        = "/brokers/ids"    // children: controller
	BrokerSequencePath   = "/brokers/seqid"  // its data version makes broker ids
	TopicsPath           = "/brokers/topics" // children: controller
	ControllerPath       = "/controller"     // all brokers
	ControllerEpochPath  = "/controller_epoch"
	ConfigPath           = "/config"
	ConfigChangesPath    = "/config/changes" // children: all brokers
	AdminPath            = "/admin"
	DeleteTopicsPath     = "/admin/delete_topics" // children: controller
	ReassignPath         = "/admin/reassign_partitions"
	PreferredPath        = "/admin/preferred_replica_election"
	ISRChangePath        = "/isr_change_notification"
	LogDirEventPath      = "/log_dir_event_notification"
	ClusterPath          = "/cluster"
	ClusterIDPath        = "/cluster/id"
	ProducerIDBlockPath  = "/latest_producer_id_block"
	FeaturePath          = "/feature"
	ConsumersPath        = "/consumers"
	configChangePrefix   = "config_change_"
	isrChangePrefix      = "isr_change_"
	logDirEventPrefix    = "log_dir_event_"
	DefaultEntity        = "<default>" // config entity that stands for all others of its type
	maxSequenceNameDigit = 10
)

// ConfigType is a kind of entity that has a config; it is a folder of /config.
type ConfigType string

// The kinds of config entity.
const (
	ConfigTopics  ConfigType = "topics"
	ConfigBrokers ConfigType = "brokers"
	ConfigClients ConfigType = "clients"
	ConfigUsers   ConfigType = "users"
	ConfigIPs     ConfigType = "ips"
)

// PersistentPaths are the nodes that a broker makes when it starts, parents
// first.
func PersistentPaths() []string {
	return []string{
		ConsumersPath,
		BrokersPath, BrokerIDsPath, TopicsPath,
		ConfigPath, ConfigChangesPath,
		AdminPath, DeleteTopicsPath,
		BrokerSequencePath, ISRChangePath, ProducerIDBlockPath, LogDirEventPath,
		ConfigTypePath(ConfigTopics), ConfigTypePath(ConfigClients), ConfigTypePath(ConfigUsers),
		ConfigTypePath(ConfigBrokers), ConfigTypePath(ConfigIPs),
	}
}

// BrokerIDPath is the registration of a broker.
func BrokerIDPath(id int32) string { return BrokerIDsPath + "/" + itoa(id) }

// TopicPath is the assignment of a topic.
func TopicPath(topic string) string { return TopicsPath + "/" + topic }

// PartitionsPath is the parent of a topic's partitions.
func PartitionsPath(topic string) string { return TopicPath(topic) + "/partitions" }

// PartitionPath is the parent of a partition's state.
func PartitionPath(topic string, partition int32) string {
	return PartitionsPath(topic) + "/" + itoa(partition)
}

// PartitionStatePath is the state of a partition.
func PartitionStatePath(topic string, partition int32) string {
	return PartitionPath(topic, partition) + "/state"
}

// DeleteTopicPath marks a topic for deletion.
func DeleteTopicPath(topic string) string { return DeleteTopicsPath + "/" + topic }

// ConfigTypePath is the parent of the configs of one kind.
func ConfigTypePath(t ConfigType) string { return ConfigPath + "/" + string(t) }

// ConfigEntityPath is the config of an entity. The name must be sanitized if its
// kind allows names that are no path elements (clients and users).
func ConfigEntityPath(t ConfigType, name string) string { return ConfigTypePath(t) + "/" + name }

// ConfigChangePath is what a sequential create of a config change is given.
func ConfigChangePath() string { return ConfigChangesPath + "/" + configChangePrefix }

// ISRChangeNotificationPath is what a sequential create of a notice is given.
func ISRChangeNotificationPath() string { return ISRChangePath + "/" + isrChangePrefix }

// LogDirEventNotificationPath is what a sequential create of a notice is given.
func LogDirEventNotificationPath() string { return LogDirEventPath + "/" + logDirEventPrefix }

// ConsumerOffsetsTopicPath is the parent of a group's offsets of one topic.
func ConsumerOffsetsTopicPath(group, topic string) string {
	return ConsumersPath + "/" + group + "/offsets/" + topic
}

// ConsumerOffsetPath is an offset committed into the tree (OffsetCommit v0).
func ConsumerOffsetPath(group, topic string, partition int32) string {
	return ConsumerOffsetsTopicPath(group, topic) + "/" + itoa(partition)
}

// SequenceNumber reads the counter behind the name of a sequence node.
func SequenceNumber(name string) (int64, bool) {
	digits := len(name)
	for digits > 0 && name[digits-1] >= '0' && name[digits-1] <= '9' {
		digits--
	}
	if len(name)-digits < maxSequenceNameDigit {
		return 0, false
	}
	n, err := strconv.ParseInt(name[digits:], 10, 64)
	return n, err == nil
}

// ParseID reads the name of a node that is a number: a broker or a partition.
func ParseID(name string) (int32, error) {
	n, err := strconv.ParseInt(name, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: node name %q is no id", ErrBadPayload, name)
	}
	return int32(n), nil
}

// Sanitize makes a user or client name fit for a path, as Kafka does: URL
// encoding, with %20 for a space and %2A for an asterisk.
func Sanitize(name string) string {
	return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(name))
}

// Desanitize undoes Sanitize.
func Desanitize(name string) (string, error) {
	s, err := url.QueryUnescape(name)
	if err != nil {
		return "", fmt.Errorf("%w: entity name %q", ErrBadPayload, name)
	}
	return s, nil
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
