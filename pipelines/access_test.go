package pipelines

import (
	"bufio"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/streams/streamstest"
)

// The access-log pipeline over a web server's log agrees, minute by minute,
// with a count made by other means. The lines are those of the sample in this
// folder and, where it is there, of a real site's log.
func TestAccessLogCountsEveryLine(t *testing.T) {
	for name, file := range map[string]string{
		"sample": "access-log/sample.log", "real": filepath.Join("..", "..", "shared", "data", "access.log"),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(file)
			if err != nil {
				t.Skipf("no such log here: %v", err)
			}
			defer f.Close()
			var lines []string
			for s := bufio.NewScanner(f); s.Scan(); {
				lines = append(lines, s.Text())
			}
			got, dead := runAccessLog(t, lines)
			want, bad := countByHand(lines)
			if !maps.Equal(got, want) {
				t.Errorf("counts differ: %d minutes and classes, want %d", len(got), len(want))
			}
			if dead != bad {
				t.Errorf("%d dead letters, want %d", dead, bad)
			}
			t.Logf("%d lines, %d minutes and classes, %d dead letters", len(lines), len(got), dead)
		})
	}
}

// runAccessLog gives each line the time it tells, as a tailing source would
// that had been there.
func runAccessLog(t *testing.T, lines []string) (counts map[string]int, dead int) {
	doc, err := ReadyDocument("access-log")
	if err != nil {
		t.Fatal(err)
	}
	plan, problems := Load("access-log", doc, Options{Params: map[string]string{"grace": "24h"}})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	d := streamstest.New(t, plan.Topology, streamstest.Handler(plan.Handler), streamstest.DeadLetter(plan.DeadLetter), streamstest.Wall(endOfTime))
	for _, line := range lines {
		at, _ := lineTime(line)
		d.Pipe(streamstest.Record{Topic: "access-log", Value: []byte(line), Time: at.UnixMilli()})
	}
	for range 3 {
		d.AdvanceIdle(time.Hour)
	}
	counts = map[string]int{}
	for _, r := range d.All("access-per-minute") {
		var row struct {
			Class    string
			Requests int
			Minute   time.Time
		}
		if err := json.Unmarshal(r.Value, &row); err != nil {
			t.Fatal(err)
		}
		counts[row.Class+" "+row.Minute.Format(time.RFC3339)] += row.Requests
	}
	return counts, len(d.All("access-dead"))
}

var (
	bracketed = regexp.MustCompile(`\[([^\]]+)\]`)
	combined  = regexp.MustCompile(`^\S+ \S+ \S+ \[[^\]]+\] "\S+ \S+`)
)

func lineTime(line string) (time.Time, bool) {
	m := bracketed.FindStringSubmatch(line)
	if m == nil {
		return time.UnixMilli(0), false
	}
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", m[1])
	if err != nil {
		return time.UnixMilli(0), false
	}
	return at.UTC(), true
}

// countByHand splits lines at quotes and blanks instead of matching a pattern.
func countByHand(lines []string) (counts map[string]int, bad int) {
	counts = map[string]int{}
	for _, line := range lines {
		at, ok := lineTime(line)
		parts := strings.SplitN(line, `" `, 2)
		if !ok || len(parts) != 2 || !combined.MatchString(line) || len(parts[1]) < 3 {
			bad++
			continue
		}
		counts[parts[1][:1]+"xx "+at.Truncate(time.Minute).Format(time.RFC3339)]++
	}
	return counts, bad
}
