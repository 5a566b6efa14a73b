package commitlog

import "github.com/leatstream/leat/broker/record"

// LockFile is the file in each log directory that its broker holds locked.
const LockFile = ".lock"

// ParseFolder takes the name of a partition's folder, "topic-3", apart; ok is
// false for any other name.
func ParseFolder(name string) (tp record.TopicPartition, ok bool) { return parseFolder(name) }
