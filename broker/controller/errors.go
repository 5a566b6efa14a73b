package controller

// The error codes of Kafka's protocol that this package uses.
const (
	errUnknownServer            int16 = -1
	errNone                     int16 = 0
	errUnknownTopicOrPartition  int16 = 3
	errRequestTimedOut          int16 = 7
	errStaleControllerEpoch     int16 = 11
	errInvalidTopic             int16 = 17
	errTopicAlreadyExists       int16 = 36
	errInvalidPartitions        int16 = 37
	errInvalidReplicationFactor int16 = 38
	errInvalidReplicaAssignment int16 = 39
	errInvalidConfig            int16 = 40
	errInvalidRequest           int16 = 42
	errStorage                  int16 = 56
	errReassignmentInProgress   int16 = 60
	errUnknownTopicID           int16 = 100
)
