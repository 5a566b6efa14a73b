package format

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/broker/record"
)

// DamageFile remembers where a log directory has damage, in the form of the
// checkpoints, one "topic partition segment position" per line. Opening looks at
// those places again before anything is read from them; what is intact by then,
// because another program has replaced it, is forgotten. Kafka leaves the file alone.
const DamageFile = ".leat-damage"

// DamagePlace is a line of the list of damage.
type DamagePlace struct {
	record.TopicPartition
	Segment  int64 // its base offset
	Position int64 // bytes from the start of its log file
}

// EncodeDamage gives the contents of the list.
func EncodeDamage(places []DamagePlace) []byte {
	lines := make([]string, len(places))
	for i, p := range places {
		lines[i] = fmt.Sprintf("%s %d %d %d", p.Topic, p.Partition, p.Segment, p.Position)
	}
	slices.Sort(lines)
	return JoinLines(lines)
}

// DecodeDamage reads the contents of the list.
func DecodeDamage(data []byte) ([]DamagePlace, error) {
	lines, err := Lines(data)
	if err != nil {
		return nil, err
	}
	out := make([]DamagePlace, len(lines))
	for i, line := range lines {
		f := strings.Fields(line)
		if len(f) != 4 {
			return nil, fmt.Errorf("%w: line %.80q", ErrCorruptFile, line)
		}
		partition, err1 := strconv.ParseInt(f[1], 10, 32)
		segment, err2 := strconv.ParseInt(f[2], 10, 64)
		pos, err3 := strconv.ParseInt(f[3], 10, 64)
		if err := errors.Join(err1, err2, err3); err != nil || partition < 0 || segment < 0 || pos < 0 {
			return nil, fmt.Errorf("%w: line %.80q", ErrCorruptFile, line)
		}
		out[i] = DamagePlace{record.TopicPartition{Topic: f[0], Partition: int32(partition)}, segment, pos}
	}
	return out, nil
}
