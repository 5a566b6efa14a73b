package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/pipelines"
)

// ErrUnbalanced is returned if the counts of a demo do not add up.
var ErrUnbalanced = errors.New("the counts do not add up")

// Summary is what a demo came to.
type Summary struct {
	Seconds       float64      `json:"seconds"`
	FirstRecordMs float64      `json:"first_record_ms"` // from the start of the process to a consumer
	Topics        []TopicCount `json:"topics"`
	Windows       Windows      `json:"windows"`
	Parquet       Parquet      `json:"parquet"`
	// EventsProduced are the records of the topic of activities: each of them
	// is counted in a window, and is a row of the export.
	EventsProduced int64 `json:"events_produced"`
	EventsCounted  int64 `json:"events_counted"`
	Balanced       bool  `json:"balanced"`

	open map[string]int64 // events by key and start of windows in the store
}

// TopicCount is a topic and its records.
type TopicCount struct {
	Topic   string `json:"topic"`
	Records int64  `json:"records"`
}

// Windows counts the windows of the activity pipeline, per page and action.
type Windows struct {
	Closed       int   `json:"closed"`
	Open         int   `json:"open"`
	EventsClosed int64 `json:"events_closed"`
	EventsOpen   int64 `json:"events_open"`
	EventsLate   int64 `json:"events_late"`
}

// Parquet counts the files of the raw export.
type Parquet struct {
	Dir   string `json:"dir"`
	Files int    `json:"files"`
	Rows  int64  `json:"rows"`
	Bytes int64  `json:"bytes"`
}

// topicCounts are the records of each topic that is not internal.
func (d *demo) topicCounts(ctx context.Context) (map[string]int64, error) {
	ends, err := d.adm.ListEndOffsets(ctx)
	if err != nil {
		return nil, err
	}
	counts := map[string]int64{}
	for topic, parts := range ends {
		if strings.HasPrefix(topic, "__") {
			continue
		}
		for _, p := range parts {
			counts[topic] += max(0, p.Offset)
		}
	}
	return counts, nil
}

// countOpen reads the windows that the activity pipeline still holds, closed
// ones among them.
func (d *demo) countOpen(s *Summary) error {
	s.open = map[string]int64{}
	for _, p := range d.pipelines {
		if p.App.Plan().Name != activityPipeline {
			continue
		}
		for _, store := range p.App.Plan().Stores {
			err := p.App.Windows(store.Name, func(w pipelines.OpenWindow) bool {
				n, _ := w.Value["events"].(int)
				s.open[w.Key+"@"+w.Start.Format(time.RFC3339)] += int64(n)
				return true
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// count fills in the rest and says whether it adds up.
func (d *demo) count(ctx context.Context, s *Summary) error {
	counts, err := d.topicCounts(ctx)
	if err != nil {
		return err
	}
	for topic, n := range counts {
		s.Topics = append(s.Topics, TopicCount{topic, n})
	}
	slices.SortFunc(s.Topics, func(a, b TopicCount) int { return cmp.Compare(a.Topic, b.Topic) })
	if err := d.countClosed(ctx, counts[activityPipeline], s); err != nil {
		return err
	}
	s.Windows.EventsLate = counts["activity-late"]
	s.Parquet.Dir = d.dir.files()
	if s.Parquet.Files, s.Parquet.Rows, s.Parquet.Bytes, err = parquetFiles(s.Parquet.Dir); err != nil {
		return err
	}
	s.Seconds = time.Since(d.cfg.Started).Seconds()
	select {
	case first := <-d.first:
		s.FirstRecordMs = float64(first.Microseconds()) / 1000
	default:
	}
	s.EventsProduced = counts[topicActivity]
	s.EventsCounted = s.Windows.EventsClosed + s.Windows.EventsOpen + s.Windows.EventsLate
	// A crash in an earlier run may have repeated counts, never lost any.
	s.Balanced = s.Parquet.Rows == s.EventsProduced && s.EventsCounted >= s.EventsProduced
	if !s.Balanced {
		return fmt.Errorf("%w: %d events produced, %d counted, %d rows exported", ErrUnbalanced, s.EventsProduced, s.EventsCounted, s.Parquet.Rows)
	}
	return nil
}

// countClosed reads the results of the activity pipeline. A window may have
// been written twice after a crash: the last result holds.
func (d *demo) countClosed(ctx context.Context, records int64, s *Summary) error {
	closed := map[string]int64{}
	err := d.readAll(ctx, activityPipeline, records, func(r *kgo.Record) error {
		var row struct{ Events int64 }
		if err := json.Unmarshal(r.Value, &row); err != nil {
			return fmt.Errorf("%s: %w", activityPipeline, err)
		}
		closed[string(r.Key)] = row.Events
		return nil
	})
	if err != nil {
		return err
	}
	for key, n := range closed {
		s.Windows.Closed++
		s.Windows.EventsClosed += n
		delete(s.open, key)
	}
	for _, n := range s.open {
		s.Windows.Open++
		s.Windows.EventsOpen += n
	}
	return nil
}

// readAll hands n records of a topic, all there are, to fn.
func (d *demo) readAll(ctx context.Context, topic string, n int64, fn func(*kgo.Record) error) error {
	if n == 0 {
		return nil
	}
	opts := append([]kgo.Opt{kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())}, d.client...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for n > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		for _, r := range fetches.Records() {
			n--
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// parquetFiles counts the finished files below a folder and their rows.
func parquetFiles(dir string) (files int, rows, size int64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return filepath.SkipDir
		case e.IsDir() || filepath.Ext(path) != ".parquet":
			return nil
		}
		n, bytes, err := parquetRows(path)
		files, rows, size = files+1, rows+n, size+bytes
		return err
	})
	return files, rows, size, err
}

func parquetRows(path string) (rows, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	p, err := parquet.OpenFile(f, info.Size(), parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true))
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w", path, err)
	}
	return p.NumRows(), info.Size(), nil
}

// Print writes the summary as a page.
func (s Summary) Print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\nAfter %.1f s (first record at a consumer after %.0f ms)\n\n", s.Seconds, s.FirstRecordMs)
	for _, t := range s.Topics {
		fmt.Fprintf(&b, "  %-50s %12d records\n", t.Topic, t.Records)
	}
	fmt.Fprintf(&b, "\n  %-50s %12d\n", "events produced", s.EventsProduced)
	fmt.Fprintf(&b, "  %-50s %12d\n", fmt.Sprintf("counted in %d closed windows", s.Windows.Closed), s.Windows.EventsClosed)
	fmt.Fprintf(&b, "  %-50s %12d\n", fmt.Sprintf("counted in %d open windows", s.Windows.Open), s.Windows.EventsOpen)
	fmt.Fprintf(&b, "  %-50s %12d\n", "too late for their windows", s.Windows.EventsLate)
	fmt.Fprintf(&b, "  %-50s %12d\n", fmt.Sprintf("rows in %d Parquet files (%s)", s.Parquet.Files, output.Bytes(s.Parquet.Bytes)), s.Parquet.Rows)
	verdict := "The counts add up.\n"
	if !s.Balanced {
		verdict = "The counts do not add up.\n"
	}
	b.WriteString("\n  " + verdict)
	_, err := io.WriteString(w, b.String())
	return err
}
