package format

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// The checkpoint files of a log directory.
const (
	RecoveryPointFile = "recovery-point-offset-checkpoint" // below it, nothing needs recovery
	LogStartFile      = "log-start-offset-checkpoint"      // start offsets that file names do not tell
	HighWatermarkFile = "replication-offset-checkpoint"
	CleanerOffsetFile = "cleaner-offset-checkpoint" // how far compaction came
)

// EpochFile is the checkpoint in a partition's folder of where leader epochs began.
const EpochFile = "leader-epoch-checkpoint"

// MaxCheckpoint bounds a checkpoint file, in bytes: a million partitions with
// the longest names.
const MaxCheckpoint = 300 << 20

// Offsets maps partitions to offsets, as one checkpoint file holds them.
type Offsets map[record.TopicPartition]int64

// Lines cuts a checkpoint into its lines after checking version and count:
//
//	0
//	<number of lines that follow>
//	<line> …
//
// An empty file is an empty checkpoint: Kafka makes the files when it opens a
// directory, and fills them minutes later.
func Lines(data []byte) ([]string, error) {
	if len(data) == 0 {
		return nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	if len(lines) < 2 || strings.TrimSpace(lines[0]) != "0" {
		return nil, fmt.Errorf("%w: checkpoint version %.20q", ErrCorruptFile, lines[0])
	}
	count, err := strconv.Atoi(strings.TrimSpace(lines[1]))
	if err != nil || count != len(lines)-2 {
		return nil, fmt.Errorf("%w: checkpoint says %.20q lines and has %d", ErrCorruptFile, lines[1], len(lines)-2)
	}
	return lines[2:], nil
}

// JoinLines gives the contents of a checkpoint with these lines.
func JoinLines(lines []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(lines))
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// DecodeOffsets reads lines of "topic partition offset".
func DecodeOffsets(data []byte) (Offsets, error) {
	lines, err := Lines(data)
	if err != nil {
		return nil, err
	}
	out := make(Offsets, len(lines))
	for _, line := range lines {
		f := strings.Fields(line)
		if len(f) != 3 {
			return nil, fmt.Errorf("%w: checkpoint line %.80q", ErrCorruptFile, line)
		}
		partition, err1 := strconv.ParseInt(f[1], 10, 32)
		offset, err2 := strconv.ParseInt(f[2], 10, 64)
		if err := errors.Join(err1, err2); err != nil || partition < 0 {
			return nil, fmt.Errorf("%w: checkpoint line %.80q", ErrCorruptFile, line)
		}
		out[record.TopicPartition{Topic: f[0], Partition: int32(partition)}] = offset
	}
	return out, nil
}

// Encode gives the contents of a checkpoint file.
func (o Offsets) Encode() []byte {
	lines := make([]string, 0, len(o))
	for tp, offset := range o {
		lines = append(lines, fmt.Sprintf("%s %d %d", tp.Topic, tp.Partition, offset))
	}
	sort.Strings(lines)
	return JoinLines(lines)
}

// ReadOffsets reads a checkpoint file; a missing one is empty.
func ReadOffsets(fsys vfs.FS, name string) (Offsets, error) {
	data, err := vfs.ReadFile(fsys, name, MaxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return Offsets{}, nil
	}
	if err != nil {
		return nil, err
	}
	return DecodeOffsets(data)
}

// PartitionOffset is one line of a checkpoint of offsets.
type PartitionOffset struct {
	record.TopicPartition
	Offset int64
}

// Sorted lists the lines in the order of the partitions.
func (o Offsets) Sorted() []PartitionOffset {
	out := make([]PartitionOffset, 0, len(o))
	for _, tp := range slices.SortedFunc(maps.Keys(o), comparePartitions) {
		out = append(out, PartitionOffset{tp, o[tp]})
	}
	return out
}

func comparePartitions(a, b record.TopicPartition) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}
