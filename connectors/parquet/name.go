package parquet

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leatstream/leat/connect"
)

// offsetWidth is how far offsets in file names are padded with zeros.
const offsetWidth = 10

// span is a range of offsets, both ends inclusive.
type span struct{ start, end int64 }

// layout gives files their names.
type layout struct {
	prefix    string // folder below the root, "" or ending in "/"
	connector string
}

func (l layout) dir(tp connect.TopicPartition) string {
	return fmt.Sprintf("%s%s/partition=%d", l.prefix, tp.Topic, tp.Partition)
}

func (l layout) file(tp connect.TopicPartition, s span) string {
	return fmt.Sprintf("%s/%s+%d+%0*d+%0*d.parquet", l.dir(tp), tp.Topic, tp.Partition, offsetWidth, s.start, offsetWidth, s.end)
}

// tempDir is hidden and its files do not end in .parquet: readers that look
// for *.parquet below the root never see half a file.
func (l layout) tempDir() string { return l.prefix + ".tmp/" + safeName(l.connector) }

func (l layout) tempPrefix(tp connect.TopicPartition) string {
	return fmt.Sprintf("%s+%d+", tp.Topic, tp.Partition)
}

func (l layout) temp(tp connect.TopicPartition, random string) string {
	return l.tempDir() + "/" + l.tempPrefix(tp) + random + ".tmp"
}

// safeName makes a connector's name a single harmless path element.
func safeName(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '/' || r == '\\' || r == 0 || r == '.' {
			return '_'
		}
		return r
	}, s)
}

var namePattern = regexp.MustCompile(`^([a-zA-Z0-9._-]+)\+(\d+)\+(\d+)\+(\d+)\.parquet$`)

// parseName reads a file name of the partition; ok is false for all others.
func parseName(tp connect.TopicPartition, name string) (span, bool) {
	m := namePattern.FindStringSubmatch(name)
	if m == nil || m[1] != tp.Topic || m[2] != strconv.Itoa(int(tp.Partition)) {
		return span{}, false
	}
	start, err1 := strconv.ParseInt(m[3], 10, 64)
	end, err2 := strconv.ParseInt(m[4], 10, 64)
	if err1 != nil || err2 != nil || end < start {
		return span{}, false
	}
	return span{start, end}, true
}

// coverage is what the file names of one partition say.
type coverage struct {
	next     int64  // first offset after the contiguous files from the lowest start; -1: no files
	ahead    []span // files beyond a gap, in order, without overlap among them
	overlaps []span // files that share offsets with an earlier one
}

// cover sums up the names in a partition's folder.
func cover(tp connect.TopicPartition, names []string) coverage {
	var spans []span
	for _, n := range names {
		if s, ok := parseName(tp, n); ok {
			spans = append(spans, s)
		}
	}
	slices.SortFunc(spans, func(a, b span) int {
		if a.start != b.start {
			return compare(a.start, b.start)
		}
		return compare(a.end, b.end)
	})
	c := coverage{next: -1}
	last := int64(-1) // highest offset seen
	for i, s := range spans {
		switch {
		case i > 0 && s.start <= last:
			c.overlaps = append(c.overlaps, s)
			if len(c.ahead) > 0 {
				c.ahead[len(c.ahead)-1].end = max(last, s.end)
			} else {
				c.next = max(c.next, s.end+1)
			}
		case i == 0 || len(c.ahead) == 0 && s.start == c.next:
			c.next = s.end + 1
		default:
			c.ahead = append(c.ahead, s)
		}
		last = max(last, s.end)
	}
	return c
}

func compare(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
