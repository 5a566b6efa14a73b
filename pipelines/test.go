package pipelines

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/streamstest"
)

// TestResult is the outcome of one test of a document.
type TestResult struct {
	Name     string   `json:"name"`
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Passed   bool     `json:"passed"`
	Failures []string `json:"failures,omitempty"`
}

// Test runs the tests of a document: each on a topology of its own, without a
// broker, in event time. Problems are those of Load; with an error among them
// nothing runs.
func Test(name string, data []byte, opts Options) ([]TestResult, Problems) {
	spec, plan, problems := load(name, data, opts)
	if plan == nil {
		return nil, problems
	}
	var out []TestResult
	for i := range spec.tests {
		t := &spec.tests[i]
		failures := spec.runTest(t, plan)
		out = append(out, TestResult{Name: t.name, File: name, Line: t.at.at().line, Passed: len(failures) == 0, Failures: failures})
	}
	return out, problems
}

// checkTests checks that tests name sources and sinks which exist.
func (s *Spec) checkTests(r *report) {
	var sources []string
	for _, src := range s.sources {
		sources = append(sources, src.name)
	}
	sinks := append(s.sinkNames(), "dead_letter")
	for _, t := range s.tests {
		for _, g := range t.given {
			if !slices.Contains(sources, g.source) {
				r.errorf(g.at.at(), "unknown-source", didYouMean(g.source, sources), "test %q gives records to %s, which is no source", t.name, g.source)
			}
		}
		for _, x := range t.expect {
			if !slices.Contains(sinks, x.sink) {
				r.errorf(x.at.at(), "unknown-sink", didYouMean(x.sink, sinks), "test %q expects records of %s, which is no sink", t.name, x.sink)
			}
		}
	}
}

// errStop ends a test's driver.
var errStop = errors.New("the pipeline stopped")

// driverTB lets the driver of streamstest run outside a test function.
type driverTB struct{ cleanups []func() }

func (d *driverTB) Helper() {}
func (d *driverTB) Fatalf(format string, args ...any) {
	panic(fmt.Errorf("%w: "+format, append([]any{errStop}, args...)...))
}
func (d *driverTB) Cleanup(fn func()) { d.cleanups = append(d.cleanups, fn) }

// guard runs fn and turns the driver's Fatalf into an error.
func (d *driverTB) guard(fn func()) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case error:
			if !errors.Is(v, errStop) {
				panic(v)
			}
			err = v
		default:
			panic(v)
		}
	}()
	fn()
	return nil
}

// runTest pipes the records in and compares what comes out. Sources are quiet
// at the end, so that windows close by the idle policy.
func (s *Spec) runTest(t *testSpec, plan *Plan) []string {
	if plan.Topology == nil {
		return []string{"the pipeline computes nothing: there is nothing to test"}
	}
	tb := &driverTB{}
	var failures []string
	err := tb.guard(func() {
		d := streamstest.New(tb, plan.Topology, streamstest.App(plan.Name), streamstest.Handler(plan.Handler),
			streamstest.DeadLetter(plan.DeadLetter), streamstest.Wall(endOfTime))
		defer func() {
			for _, fn := range tb.cleanups {
				fn()
			}
		}()
		if err := s.pipe(d, t); err != nil {
			failures = append(failures, err.Error())
			return
		}
		failures = s.compare(d, t)
	})
	if err != nil {
		failures = append(failures, err.Error())
	}
	return failures
}

func (s *Spec) pipe(d *streamstest.Driver, t *testSpec) error {
	for _, g := range t.given {
		i := slices.IndexFunc(s.sources, func(src sourceSpec) bool { return src.name == g.source })
		src := &s.sources[i]
		for _, rec := range g.records {
			r, err := src.encode(rec)
			if err == nil {
				err = d.TryPipe(r)
			}
			if err != nil {
				return fmt.Errorf("%s:%d: %w", s.File, rec.at.at().line, err)
			}
		}
	}
	for _, src := range s.sources {
		if src.idle.after > 0 {
			for range len(s.steps) + 1 { // a step may wait for the one before it
				d.AdvanceIdle(src.idle.after + src.idle.maxDelay)
			}
		}
	}
	return nil
}

// endOfTime is the wall clock of tests, in milliseconds: later than any record,
// so that no record comes from the future and every window closes when the
// inputs fall silent.
const endOfTime = 253_402_300_799_000 // the end of the year 9999

func (src *sourceSpec) encode(rec recordSpec) (streamstest.Record, error) {
	r := streamstest.Record{Topic: src.topics[0], Partition: -1}
	if !rec.key.absent() {
		r.Key = []byte(rec.key.text("key"))
	}
	if !rec.time.absent() {
		at, err := time.Parse(time.RFC3339Nano, rec.time.text("time"))
		if err != nil {
			return r, fmt.Errorf("time: %w", err)
		}
		r.Time = at.UnixMilli()
	}
	for name, v := range rec.headers {
		r.Headers = append(r.Headers, processor.Header{Key: name, Value: []byte(v)})
	}
	if rec.isNull {
		return r, nil
	}
	if text, ok := rec.value.(string); ok {
		r.Value = []byte(text)
		return r, nil
	}
	value, err := json.Marshal(rec.value)
	r.Value = value
	return r, err
}

func (s *Spec) compare(d *streamstest.Driver, t *testSpec) []string {
	var failures []string
	for _, x := range t.expect {
		topic := s.errors.topic
		if k := s.sink(x.sink); k != nil {
			topic = k.topic
			if k.kind == "parquet" {
				topic = s.Name + "-" + k.name
			}
		}
		failures = append(failures, x.compare(d.All(topic))...)
	}
	return failures
}

// compare compares in order; a test that counts only counts.
func (x expectSpec) compare(got []streamstest.Record) []string {
	want := max(x.count, len(x.records))
	if len(got) != want {
		lines := []string{fmt.Sprintf("%s: got %d records, want %d", x.sink, len(got), want)}
		for _, r := range got {
			lines = append(lines, fmt.Sprintf("  %s %s", r.Key, r.Value))
		}
		return []string{strings.Join(lines, "\n")}
	}
	var failures []string
	for i, w := range x.records {
		if !w.key.absent() && w.key.text("key") != string(got[i].Key) {
			failures = append(failures, fmt.Sprintf("%s[%d]: got key %q, want %q", x.sink, i, got[i].Key, w.key.text("key")))
		}
		if w.value != nil && !matches(w.value, decodeLoose(got[i].Value), w.subset) {
			want, _ := json.Marshal(w.value)
			failures = append(failures, fmt.Sprintf("%s[%d]: got %s, want %s", x.sink, i, got[i].Value, want))
		}
	}
	return failures
}

// decodeLoose reads JSON, or takes the text as it is.
func decodeLoose(b []byte) any {
	var v any
	if json.Unmarshal(b, &v) != nil {
		return string(b)
	}
	return v
}

// matches compares a value of YAML with one of JSON. Numbers are equal by
// value; with subset, objects may have more fields.
func matches(want, got any, subset bool) bool {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || (!subset && len(g) != len(w)) {
			return false
		}
		for name, v := range w {
			if field, ok := g[name]; !ok || !matches(v, field, subset) {
				return false
			}
		}
		return true
	case []any:
		g, ok := got.([]any)
		return ok && slices.EqualFunc(w, g, func(a, b any) bool { return matches(a, b, subset) })
	case int:
		return matches(float64(w), got, subset)
	case float64:
		g, ok := got.(float64)
		return ok && math.Abs(g-w) <= 1e-9*max(1, math.Abs(w))
	case time.Time:
		text, _ := got.(string)
		at, err := time.Parse(time.RFC3339Nano, text)
		return err == nil && at.Equal(w)
	case string:
		if text, ok := got.(string); ok {
			return text == w
		}
		return fmt.Sprint(got) == w && reflect.TypeOf(got) != reflect.TypeFor[map[string]any]()
	default:
		return reflect.DeepEqual(want, got)
	}
}
