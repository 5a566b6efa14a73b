package format

import (
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/record"
)

// LockFile is the file in each log directory that its broker holds locked.
const LockFile = ".lock"

// ParseFolder takes the name of a partition's folder, "topic-3", apart; ok is
// false for any other name.
func ParseFolder(name string) (tp record.TopicPartition, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return record.TopicPartition{}, false
	}
	n, err := strconv.ParseUint(name[i+1:], 10, 31)
	if err != nil || strconv.FormatUint(n, 10) != name[i+1:] {
		return record.TopicPartition{}, false
	}
	return record.TopicPartition{Topic: name[:i], Partition: int32(n)}, true
}
