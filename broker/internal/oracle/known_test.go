package oracle

import "github.com/leatstream/leat/broker/wire"

// differences lists what Leat does otherwise than Kafka, and why. A field that
// is listed covers what lies below it.
func differences() []difference {
	const (
		unsent      = "no client sends it"
		undecoded   = "records of a batch are not decoded: what its header says is checked"
		nullArray   = "null in place of an array that may not be null counts as an empty one"
		unanswered  = "Kafka never answers: an error or an empty answer is better than a client that hangs"
		failing     = "Kafka fails with an unexpected error: a code that says why is better"
		futureBound = "one hour as in Kafka 4, since a timestamp of the future keeps a segment for ever"
		isDefault   = "Kafka leaves the field of version 0 unset; it is true for a default"
		ownPlace    = "each broker has its own address, folders and coordination"
		details     = "the code says enough: no record is looked at, so none can be named"
		badReplicas = "3.9 takes an assignment that can never be served; 4.3 refuses it"
		share       = "coordinators of share groups are not served yet"
		cutInside   = "a record would be lost without a word"
		notNull     = "clients expect records that are not null"
		converted   = "limits hold for the messages that are sent, not for the batches that are stored"
		operations  = "groups have configurations as in Kafka 4"
		ownKey      = "a key that only Leat has"
	)
	return []difference{
		{api: anyAPI, row: "body of ones", field: "1 *", leat: answered, kafka: closed, why: nullArray},

		{api: wire.ApiVersions, row: "named software", field: "*.FinalizedFeaturesEpoch", leat: "-1", kafka: "0", why: "no feature is finalised yet"},

		{api: wire.Produce, row: "null records", field: "1 Produce", leat: answered, kafka: silent, why: unanswered},
		{api: wire.Produce, row: "codecs", field: "*.ErrorCode", leat: "76", kafka: "-1", why: failing},
		{api: wire.Produce, row: "codecs", from: 5, below: 7, field: "*.LogStartOffset", leat: "0", kafka: "-1", why: failing},
		{api: wire.Produce, row: "timestamps out of bounds", field: "1 *.ErrorCode", leat: "0", kafka: "32", why: undecoded},
		{api: wire.Produce, row: "timestamps out of bounds", field: "? *.BaseOffset", why: undecoded},
		{api: wire.Produce, row: "timestamps out of bounds", from: 8, field: "*.ErrorRecords", leat: "null", kafka: "filled", why: details},
		{api: wire.Produce, row: "timestamps out of bounds", from: 8, field: "*.ErrorMessage", leat: "null", kafka: "text", why: details},
		{api: wire.Produce, row: "batches", from: 8, field: "magic *.ErrorMessage", leat: "null", kafka: "text", why: details},
		{api: wire.Produce, row: "batches", from: 8, field: "size of *.ErrorMessage", leat: "null", kafka: "text", why: details},
		{api: wire.Produce, row: "batches", field: "offset delta of a record: *", why: "a record outside of its batch's offsets would never be found"},
		{api: wire.Produce, row: "batches", field: "max timestamp wrong: Fetch*.RecordBatches", why: undecoded + "; Kafka corrects the timestamp"},
		{api: wire.Produce, row: "batches", field: "log append time set: *", why: "the time of appending is not the client's to give; " + unsent},
		{api: wire.Produce, row: "batches", field: "gzip that is none: *", why: undecoded},
		{api: wire.Produce, row: "old sets", field: "log append time: *", why: "the time of appending is not the client's to give; " + unsent},
		{api: wire.Produce, row: "old sets", field: "wrapper of log append time: *", why: "the time of appending is not the client's to give; " + unsent},
		{api: wire.Produce, row: "old sets", field: "wrapper, its last message cut: *", why: cutInside},
		{api: wire.Produce, row: "old sets", field: "codec 5: *.ErrorCode", leat: "76", kafka: "-1", why: failing},
		{api: wire.Produce, row: "old sets", field: "key *.ErrorCode", leat: "87", kafka: "-1", why: failing},
		{api: wire.Produce, row: "old sets", field: "value longer than the message: *.ErrorCode", leat: "87", kafka: "-1", why: failing},
		{api: wire.Produce, row: "old sets", field: "timestamp of -5*.ErrorCode", leat: "32", kafka: "-1", why: failing},
		{api: wire.Produce, row: "old sets", field: "wrapper of garbage: *.ErrorCode", leat: "2", kafka: "-1", why: failing},
		{api: wire.Produce, row: "batches", field: "producer without an epoch: *", why: "duplicates could not be told; " + unsent},

		{api: wire.Fetch, row: "minus one byte", field: "*", why: failing + ": a negative size counts as none"},
		{api: wire.Fetch, row: "isolation level 2", below: 13, field: "*.RecordBatches", leat: "empty", kafka: "null", why: notNull},
		{api: wire.Fetch, row: "old, *", below: 4, field: "*.RecordBatches", leat: "empty", kafka: "null", why: notNull},
		{api: wire.Fetch, row: "old, the first batch only", below: 4, field: "*.RecordBatches", why: converted},
		{api: wire.Fetch, row: "old, 1 byte*", from: 3, below: 4, field: "*.RecordBatches", why: converted},
		{api: wire.Fetch, row: "old, zero bytes", from: 3, below: 4, field: "*.RecordBatches", why: converted},
		{api: wire.Fetch, row: "unknown replica with its state", peer: "Kafka 4.3", field: "*.Brokers", leat: "filled", kafka: "null", why: "3.9 tells followers too where the leader is"},

		{api: wire.ListOffsets, row: "partition twice", peer: "Kafka 4.3", field: "*", leat: "present", kafka: nothing, why: "3.9 answers each of the two"},

		{api: wire.OffsetCommit, row: "empty group", below: 1, field: "*.ErrorCode", leat: "24", kafka: "-1", why: failing},
		{api: wire.OffsetFetch, row: "empty group", below: 1, field: "*.ErrorCode", leat: "24", kafka: "-1", why: failing},
		{api: wire.OffsetFetch, peer: "Kafka 3.9", from: 8, field: "1 OffsetFetch", leat: answered, kafka: silent, why: unanswered},
		{api: wire.FindCoordinator, row: "share group", from: 6, field: "*.ErrorCode", leat: "42", kafka: "15", why: share},
		{api: wire.FindCoordinator, row: "share group", field: "*.ErrorMessage", leat: "text", why: share},
		{api: wire.DescribeGroups, row: "with operations", peer: "Kafka 3.9", field: "*.AuthorizedOperations", leat: "3400", kafka: "328", why: operations},

		{api: wire.CreateTopics, field: "*.Configs[message.timestamp.after.max.ms].Value", why: futureBound},
		{api: wire.CreateTopics, field: "*.Configs[record.validation]*", leat: "present", kafka: nothing, why: ownKey},
		{api: wire.CreateTopics, row: "trials", field: "assignment to an unknown broker: *", why: badReplicas},
		{api: wire.CreateTopics, row: "trials", field: "assignment to a negative broker: *", why: badReplicas},
		{api: wire.CreateTopics, row: "trials", field: "assignment without replicas: *", why: badReplicas},
		{api: wire.DeleteTopics, row: "neither name nor id", field: "*.ErrorCode", leat: "42", kafka: "29", why: "nothing was denied: the request is wrong"},
		{api: wire.CreatePartitions, row: "trials", field: "empty name: *", why: failing},
		{api: wire.DescribeTopicPartitions, row: "empty name", field: "*.ErrorCode", leat: "17", kafka: "-1", why: failing},
		{api: wire.DescribeTopicPartitions, row: "empty name", field: "*.AuthorizedOperations", why: failing},

		{api: wire.DescribeConfigs, below: 1, field: "*.IsDefault", leat: "true", kafka: "false", why: isDefault},
		{api: wire.DescribeConfigs, field: "*message.timestamp.after.max.ms*.Value", why: futureBound},
		{api: wire.DescribeConfigs, field: "*Configs[record.validation]*", leat: "present", kafka: nothing, why: ownKey},
		{api: wire.DescribeConfigs, row: "broker", field: "*Configs[log.record.validation]*", leat: "present", kafka: nothing, why: ownKey},
		{api: wire.DescribeConfigs, row: "broker", field: "*Configs[log.reserve.bytes]*", leat: "present", kafka: nothing, why: ownKey},
		{api: wire.DescribeConfigs, row: "broker", field: "*Configs[log.scrub.*]*", leat: "present", kafka: nothing, why: ownKey},
		{api: wire.DescribeConfigs, row: "unknown topic", field: "*.ErrorMessage", leat: "text", kafka: `""`, why: "the text names the topic"},
		{api: wire.DescribeConfigs, row: "broker", field: "*[listeners]*.Value", why: ownPlace},
		{api: wire.DescribeConfigs, row: "broker", field: "*[log.dirs]*.Value", why: ownPlace},
		{api: wire.DescribeConfigs, row: "broker", field: "*[zookeeper.connect].*", why: ownPlace},
		{api: wire.DescribeConfigs, row: "broker", field: "*[zookeeper.session.timeout.ms].*", why: ownPlace},
		{api: wire.IncrementalAlterConfigs, row: "trials", field: "unknown operation: *", why: failing},
	}
}
