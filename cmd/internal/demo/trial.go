package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
)

const (
	trialPart     = "trial"
	trialPause    = 10 * time.Second       // without readers
	trialPatience = time.Minute            // until all must be well again
	trialLook     = 200 * time.Millisecond // between looks at the lag
	trialWindows  = 6
	// trialSettle is how long after its end, besides the grace, a window is
	// looked at: by then its results are written, if nothing stands still.
	trialSettle = 3 * time.Second
	grace       = 2 * time.Second
)

// trial breaks parts of the demo on demand. One action runs at a time, on the
// trial's own goroutine.
type trial struct {
	d        *demo
	requests chan string

	mu    sync.Mutex
	state admin.TrialState

	look   sync.Mutex // guards the comparison below, and makes it once at a time
	looked time.Time
	last   []admin.TrialWindow
}

func newTrial(d *demo) *trial {
	return &trial{d: d, requests: make(chan string), state: admin.TrialState{Text: "Nothing has been broken yet."}}
}

// Actions implements admin.Trial.
func (t *trial) Actions() []admin.TrialAction {
	return []admin.TrialAction{
		{Name: "stream", Title: "Kill the stream task", Text: "Stops the pipeline " + activityPipeline + ", deletes its state on disk, and starts it again: the windows come back from the changelog topic."},
		{Name: "lag", Title: "Add lag", Text: fmt.Sprintf("Keeps the pipeline %s from reading for %.0f seconds while records go on coming in.", activityPipeline, trialPause.Seconds())},
		{Name: "broker", Title: "Restart the broker", Text: "Stops the broker and starts it again: producers, pipelines and this console reconnect."},
	}
}

// Start implements admin.Trial.
func (t *trial) Start(name string) error {
	if !slices.ContainsFunc(t.Actions(), func(a admin.TrialAction) bool { return a.Name == name }) {
		return fmt.Errorf("action %s: %w", name, admin.ErrNotFound)
	}
	select {
	case t.requests <- name:
		return nil
	default:
		return admin.ErrTrialBusy
	}
}

// State implements admin.Trial.
func (t *trial) State() admin.TrialState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.state
}

func (t *trial) say(busy bool, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.state = admin.TrialState{Busy: busy, Text: fmt.Sprintf(format, args...)}
}

// run works off the requests.
func (t *trial) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case name := <-t.requests:
			if err := t.act(ctx, name); err != nil && ctx.Err() == nil {
				t.say(false, "That failed: %v", err)
			}
		}
	}
}

func (t *trial) act(ctx context.Context, name string) error {
	began, what := time.Now(), "The stream task was killed"
	var err error
	switch name {
	case "stream":
		t.say(true, "The pipeline stands still, its state is deleted …")
		err = t.killStream(ctx)
	case "lag":
		what = "The pipeline stood still"
		t.say(true, "The pipeline stands still for %.0f seconds, and its lag grows …", trialPause.Seconds())
		err = t.d.lasting[activityPipeline].interrupt(ctx, func() { wait(ctx, trialPause) })
	case "broker":
		what = "The broker was restarted"
		t.say(true, "The broker is stopping …")
		err = t.d.lasting["broker"].interrupt(ctx, func() {})
	}
	if err != nil {
		return err
	}
	t.say(true, "%s. Catching up …", what)
	for !t.well(ctx) {
		if time.Since(began) > trialPatience {
			t.say(false, "%s, and the pipeline has not caught up within %s.", what, trialPatience)
			return nil
		}
		if !wait(ctx, trialLook) {
			return ctx.Err()
		}
	}
	t.say(false, "%s, and all was well again after %.1f s.", what, time.Since(began).Seconds())
	return nil
}

func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (t *trial) killStream(ctx context.Context) error {
	var failed error
	err := t.d.lasting[activityPipeline].interrupt(ctx, func() {
		failed = os.RemoveAll(filepath.Join(t.d.dir.states(), activityPipeline))
	})
	return errors.Join(err, failed)
}

// well tells whether the pipeline runs and is less than two seconds behind.
func (t *trial) well(ctx context.Context) bool {
	app := t.d.pipeline(activityPipeline).App
	lags, err := t.d.adm.Lag(ctx, activityPipeline)
	if err != nil || app.State() != "running" {
		return false
	}
	total, ok := totalLag(lags, []string{activityPipeline})
	return ok && total <= int64(max(1000, 2*t.d.cfg.Rate))
}

// Windows implements admin.Trial: the records of the topic of activities by
// time, and what the pipeline counted for the same windows, late ones too.
func (t *trial) Windows(ctx context.Context) ([]admin.TrialWindow, error) {
	t.look.Lock()
	defer t.look.Unlock()
	if time.Since(t.looked) < time.Second {
		return t.last, nil
	}
	size := t.d.cfg.Window
	newest := time.Now().Add(-size - grace - trialSettle).Truncate(size)
	windows := make([]admin.TrialWindow, trialWindows)
	for i := range windows {
		windows[i].Start = newest.Add(-time.Duration(i) * size).UTC()
	}
	if err := t.countIn(ctx, windows, size); err != nil {
		return nil, err
	}
	if err := t.countOut(ctx, windows); err != nil {
		return nil, err
	}
	// Nothing is said of the time before the demo began.
	windows = slices.DeleteFunc(windows, func(w admin.TrialWindow) bool { return w.In == 0 || w.Start.Before(t.d.cfg.Started) })
	t.last, t.looked = windows, time.Now()
	return windows, nil
}

// countIn counts by the offsets at the borders of the windows.
func (t *trial) countIn(ctx context.Context, windows []admin.TrialWindow, size time.Duration) error {
	after, err := t.offsetsAt(ctx, topicActivity, windows[0].Start.Add(size))
	if err != nil {
		return err
	}
	for i := range windows {
		before, err := t.offsetsAt(ctx, topicActivity, windows[i].Start)
		if err != nil {
			return err
		}
		for p, end := range after {
			windows[i].In += max(0, end-before[p])
		}
		after = before
	}
	return nil
}

// offsetsAt are the offsets of the first records at or after a time.
func (t *trial) offsetsAt(ctx context.Context, topic string, at time.Time) (map[int32]int64, error) {
	listed, err := t.d.adm.ListOffsetsAfterMilli(ctx, at.UnixMilli(), topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, fmt.Errorf("offsets of %s: %w", topic, err)
	}
	offsets := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { offsets[o.Partition] = o.Offset })
	return offsets, nil
}

// countOut adds up the results by window; of a result that was written twice,
// the last one holds.
func (t *trial) countOut(ctx context.Context, windows []admin.TrialWindow) error {
	from := windows[len(windows)-1].Start
	results := map[string]result{}
	add := func(start time.Time, n int64) {
		for i := range windows {
			if windows[i].Start.Equal(start) {
				windows[i].Counted += n
			}
		}
	}
	err := t.readFrom(ctx, activityPipeline, from, func(r *kgo.Record) {
		var row result
		if json.Unmarshal(r.Value, &row) == nil {
			results[string(r.Key)] = row
		}
	})
	if err != nil {
		return err
	}
	for _, row := range results {
		add(row.Minute, row.Events)
	}
	return t.readFrom(ctx, "activity-late", from, func(r *kgo.Record) {
		add(r.Timestamp.UTC().Truncate(t.d.cfg.Window), 1)
	})
}

// result is what the pipeline writes for a page and action.
type result struct {
	Minute time.Time `json:"minute"`
	Events int64     `json:"events"`
}

// readFrom hands the records from a time to the present end to fn.
func (t *trial) readFrom(ctx context.Context, topic string, from time.Time, fn func(*kgo.Record)) error {
	starts, err := t.offsetsAt(ctx, topic, from)
	if err != nil {
		return err
	}
	ends, err := t.d.adm.ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("ends of %s: %w", topic, err)
	}
	left, offsets := int64(0), map[int32]kgo.Offset{}
	for p, start := range starts {
		if end, ok := ends.Lookup(topic, p); ok && end.Offset > start {
			left += end.Offset - start
			offsets[p] = kgo.NewOffset().At(start)
		}
	}
	if left == 0 {
		return nil
	}
	opts := append([]kgo.Opt{kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets})}, t.d.client...)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for left > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, _ := ends.Lookup(topic, r.Partition); r.Offset < end.Offset {
				left--
				fn(r)
			}
		})
	}
	return nil
}

// pipeline finds one of the demo's pipelines.
func (d *demo) pipeline(name string) *Pipeline {
	i := slices.IndexFunc(d.pipelines, func(p *Pipeline) bool { return p.App.Plan().Name == name })
	return d.pipelines[i]
}
