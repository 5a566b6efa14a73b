package wire

// Keys of the APIs that are served.
const (
	Produce                 int16 = 0
	Fetch                   int16 = 1
	ListOffsets             int16 = 2
	Metadata                int16 = 3
	OffsetCommit            int16 = 8
	OffsetFetch             int16 = 9
	FindCoordinator         int16 = 10
	JoinGroup               int16 = 11
	Heartbeat               int16 = 12
	LeaveGroup              int16 = 13
	SyncGroup               int16 = 14
	DescribeGroups          int16 = 15
	ListGroups              int16 = 16
	ApiVersions             int16 = 18
	CreateTopics            int16 = 19
	DeleteTopics            int16 = 20
	DeleteRecords           int16 = 21
	InitProducerId          int16 = 22
	OffsetForLeaderEpoch    int16 = 23
	DescribeConfigs         int16 = 32
	AlterConfigs            int16 = 33
	AlterReplicaLogDirs     int16 = 34
	DescribeLogDirs         int16 = 35
	CreatePartitions        int16 = 37
	DeleteGroups            int16 = 42
	IncrementalAlterConfigs int16 = 44
	DescribeCluster         int16 = 60
	ListConfigResources     int16 = 74
	DescribeTopicPartitions int16 = 75
)

// maxKey is the largest key in apis.
const maxKey = DescribeTopicPartitions

// API is one row of the version table.
type API struct {
	Key      int16
	Min, Max int16 // served versions, both inclusive
	Flexible int16 // first version with compact fields and tagged fields
	Name     string
}

// Supports reports whether version lies within the served range.
func (a API) Supports(version int16) bool { return a.Min <= version && version <= a.Max }

// IsFlexible reports whether version has tagged fields. It is also defined for
// versions outside of the served range.
func (a API) IsFlexible(version int16) bool { return version >= a.Flexible }

// apis is read-only: every served API in ascending order of its key. The
// ranges are the union of what Kafka 3.9 and 4.4 serve, from zero on, so that
// clients of 0.8 and of 4.x share one port.
var apis = [...]API{
	{Produce, 0, 13, 9, "Produce"},
	{Fetch, 0, 18, 12, "Fetch"},
	{ListOffsets, 0, 11, 6, "ListOffsets"},
	{Metadata, 0, 13, 9, "Metadata"},
	{OffsetCommit, 0, 10, 8, "OffsetCommit"},
	{OffsetFetch, 0, 10, 6, "OffsetFetch"},
	{FindCoordinator, 0, 6, 3, "FindCoordinator"},
	{JoinGroup, 0, 9, 6, "JoinGroup"},
	{Heartbeat, 0, 4, 4, "Heartbeat"},
	{LeaveGroup, 0, 5, 4, "LeaveGroup"},
	{SyncGroup, 0, 5, 4, "SyncGroup"},
	{DescribeGroups, 0, 6, 5, "DescribeGroups"},
	{ListGroups, 0, 5, 3, "ListGroups"},
	{ApiVersions, 0, 5, 3, "ApiVersions"},
	{CreateTopics, 0, 7, 5, "CreateTopics"},
	{DeleteTopics, 0, 6, 4, "DeleteTopics"},
	{DeleteRecords, 0, 2, 2, "DeleteRecords"},
	{InitProducerId, 0, 5, 2, "InitProducerId"},
	{OffsetForLeaderEpoch, 0, 4, 4, "OffsetForLeaderEpoch"},
	{DescribeConfigs, 0, 4, 4, "DescribeConfigs"},
	{AlterConfigs, 0, 2, 2, "AlterConfigs"},
	{AlterReplicaLogDirs, 0, 2, 2, "AlterReplicaLogDirs"},
	{DescribeLogDirs, 0, 5, 2, "DescribeLogDirs"},
	{CreatePartitions, 0, 3, 2, "CreatePartitions"},
	{DeleteGroups, 0, 3, 2, "DeleteGroups"},
	{IncrementalAlterConfigs, 0, 1, 1, "IncrementalAlterConfigs"},
	{DescribeCluster, 0, 2, 0, "DescribeCluster"},
	{ListConfigResources, 0, 1, 0, "ListConfigResources"},
	{DescribeTopicPartitions, 0, 0, 0, "DescribeTopicPartitions"},
}

// rows is read-only: the index into apis of each key, plus one; zero for keys
// that are not served.
var rows = func() (r [maxKey + 1]uint8) {
	for i, a := range apis {
		r[a.Key] = uint8(i + 1)
	}
	return r
}()

// Lookup returns the row of key, or false when the key is not served.
func Lookup(key int16) (API, bool) {
	if key < 0 || key > maxKey || rows[key] == 0 {
		return API{}, false
	}
	return apis[rows[key]-1], true
}

// APIs returns a copy of the table, in ascending order of the keys.
func APIs() []API { return append([]API(nil), apis[:]...) }
