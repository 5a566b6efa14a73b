package demo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/pipelines"
)

// banner names what runs, and what to try.
func (d *demo) banner() {
	w := d.cfg.Screen
	kept := "kept"
	if d.dir.temp {
		kept = "deleted on exit; --keep to keep"
	}
	fmt.Fprintf(w, " leat %s  single node, metadata embedded, data %s (%s)\n", d.cfg.Version, d.dir.root, kept)
	fmt.Fprintf(w, " %-12s %s\n", "Kafka API", d.bootstrap)
	for _, name := range []string{"Console", "Metrics"} {
		if url := d.urls[name]; url != "" {
			fmt.Fprintf(w, " %-12s %s\n", name, url)
		}
	}
	for _, note := range d.notes {
		fmt.Fprintf(w, " ! %s\n", note)
	}
	for _, p := range d.pipelines {
		fmt.Fprintf(w, " %s\n", flow(p.App.Plan(), d.dir.files()))
	}
	at := ""
	if d.bootstrap != "localhost:9092" {
		at = " -b " + d.bootstrap
	}
	fmt.Fprintf(w, " Try:  leat topic tail %s%s --where 'value.action == \"search\"'\n", topicActivity, at)
	fmt.Fprintf(w, "       kcat -b %s -t trending-searches -o beginning -e\n", d.bootstrap)
}

// flow is a pipeline in one line.
func flow(plan *pipelines.Plan, files string) string {
	var from, to []string
	for _, t := range plan.Topics {
		switch t.Role {
		case pipelines.RoleSource:
			from = append(from, t.Name)
		case pipelines.RoleSink:
			to = append(to, t.Name)
		}
	}
	if len(plan.Connectors) > 0 {
		to = append(to, "parquet "+files)
	}
	return fmt.Sprintf("%s → %s → %s", strings.Join(from, ", "), plan.Name, strings.Join(to, ", "))
}

// ticker shows rates.
type ticker struct {
	d       *demo
	at      time.Time
	in, out int64
	lines   int
}

// plainEvery is how many seconds lie between two lines where none can be
// rewritten.
const plainEvery = 10

func (t *ticker) show(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	counts, err := t.d.topicCounts(ctx)
	if err != nil {
		return // the next second will tell
	}
	in, out := t.d.flows(counts)
	now := time.Now()
	seconds := now.Sub(t.at).Seconds()
	if !t.at.IsZero() {
		t.line(float64(in-t.in)/seconds, float64(out-t.out)/seconds, t.d.lag(ctx))
	}
	t.at, t.in, t.out = now, in, out
}

func (t *ticker) line(in, out float64, lag int64) {
	files, rows, size, _ := parquetFiles(t.d.dir.files()) // what cannot be read yet is not counted
	text := fmt.Sprintf(" ▸ in %.0f/s  out %.0f/s  lag %d  parquet %d files, %d rows, %s", in, out, lag, files, rows, output.Bytes(size))
	t.lines++
	switch {
	case t.d.cfg.Live:
		fmt.Fprintf(t.d.cfg.Screen, "\r\x1b[K%s    Ctrl-C to stop", text)
	case t.lines%plainEvery == 1:
		fmt.Fprintln(t.d.cfg.Screen, text)
	}
}

func (t *ticker) end() {
	if t.d.cfg.Live && t.lines > 0 {
		fmt.Fprintln(t.d.cfg.Screen)
	}
}

// flows are the records in the sources' topics and in those of the results.
func (d *demo) flows(counts map[string]int64) (in, out int64) {
	results := map[string]bool{}
	for _, p := range d.pipelines {
		for _, t := range p.App.Plan().Topics {
			if t.Role == pipelines.RoleSink {
				results[t.Name] = true
			}
		}
	}
	for topic, n := range counts {
		switch {
		case results[topic]:
			out += n
		case topic == topicActivity || topic == topicMetrics || topic == topicAccess:
			in += n
		}
	}
	return in, out
}

func (d *demo) lag(ctx context.Context) int64 {
	var groups []string
	for _, p := range d.pipelines {
		groups = append(groups, p.App.Plan().Name)
	}
	lags, err := d.adm.Lag(ctx, groups...)
	if err != nil {
		return 0
	}
	total, _ := totalLag(lags, groups)
	return total
}
