package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// The checkpoint files of a log directory.
const (
	recoveryPointFile = "recovery-point-offset-checkpoint"
	logStartFile      = "log-start-offset-checkpoint"
	highWatermarkFile = "replication-offset-checkpoint"
	cleanerOffsetFile = "cleaner-offset-checkpoint"
)

// maxCheckpoint bounds a checkpoint file, in bytes: a million partitions with
// the longest names.
const maxCheckpoint = 300 << 20

// offsets maps partitions to offsets, as one checkpoint file holds them.
type offsets map[record.TopicPartition]int64

// splitCheckpoint cuts a checkpoint into its lines after checking version and
// count:
//
//	0
//	<number of lines that follow>
//	<line> …
//
// An empty file is an empty checkpoint: Kafka makes the files when it opens a
// directory, and fills them minutes later.
func splitCheckpoint(data []byte) ([]string, error) {
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

func joinCheckpoint(lines []string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(lines))
	for _, l := range lines {
		b.WriteString(l)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// decodeOffsets reads lines of "topic partition offset".
func decodeOffsets(data []byte) (offsets, error) {
	lines, err := splitCheckpoint(data)
	if err != nil {
		return nil, err
	}
	out := make(offsets, len(lines))
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

func encodeOffsets(o offsets) []byte {
	lines := make([]string, 0, len(o))
	for tp, offset := range o {
		lines = append(lines, fmt.Sprintf("%s %d %d", tp.Topic, tp.Partition, offset))
	}
	sort.Strings(lines)
	return joinCheckpoint(lines)
}

// readOffsets reads a checkpoint file; a missing one is empty.
func readOffsets(fsys vfs.FS, name string) (offsets, error) {
	data, err := vfs.ReadFile(fsys, name, maxCheckpoint)
	if errors.Is(err, fs.ErrNotExist) {
		return offsets{}, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeOffsets(data)
}
