package streams_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/streamstest"
	"github.com/leatstream/leat/streams/topology"
	"github.com/leatstream/leat/streams/windowed"
)

// input is one step of a case.
type input struct {
	Topic       string
	Key         *string
	Value       json.RawMessage
	Ts          int64
	Headers     [][2]string
	AdvanceWall int64 `json:"advance_wall"`
	Query       json.RawMessage
}

// output is one expected record.
type output struct {
	Step       int
	Topic      string
	Key        *string
	Start, End *int64
	Value      json.RawMessage
	Ts         int64
	Headers    [][2]string
}

type testCase struct {
	Case, Family, Kind string
	Optimization       string
	Spec               []json.RawMessage
	Inputs             []input
	Outputs            []output
	Alt                []struct {
		Why     string
		Outputs []output
	}
	Peeks []struct {
		Step  int
		Node  string
		Key   *string
		Value json.RawMessage
	}
	Stores map[string][]struct {
		Key   string
		Value json.RawMessage
		Ts    *int64
	}
	Error          *struct{ Step int }
	Dropped        *int64
	Describe       string
	InternalTopics []struct {
		Topic, Kind string
		Config      map[string]string
	} `json:"internal_topics"`
}

// load reads recorded cases of Kafka Streams 4.3: topologies, their inputs, and
// what Kafka Streams wrote. Operators that are not there yet are skipped by name.
func load(t *testing.T) []testCase {
	t.Helper()
	f, err := os.Open("testdata/kafka-streams-cases.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []testCase
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c testCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// line is a record in the form in which records are compared.
func line(k *string, start *int64, v, ts string, headers [][2]string) string {
	key := "null"
	if k != nil {
		key = fmt.Sprintf("%q", *k)
	}
	if start != nil {
		key += fmt.Sprintf("@%d", *start)
	}
	return fmt.Sprintf("%s=%s ts=%s %v", key, v, ts, headers)
}

func raw(v json.RawMessage) string {
	if v == nil {
		return "null"
	}
	var s string
	if json.Unmarshal(v, &s) == nil && string(v) != "null" {
		return fmt.Sprintf("%q", s)
	}
	return string(v)
}

// expected groups outputs by step and topic.
func expected(outs []output) map[string][]string {
	m := map[string][]string{}
	for _, o := range outs {
		at := fmt.Sprintf("step %03d %s", o.Step, o.Topic)
		m[at] = append(m[at], line(o.Key, o.Start, raw(o.Value), fmt.Sprint(o.Ts), o.Headers))
	}
	return m
}

func TestRunCases(t *testing.T) {
	ran, skipped := 0, map[string]int{}
	for _, c := range load(t) {
		if c.Kind != "run" {
			continue
		}
		p, topo, err := buildCase(c.Spec)
		if errors.Is(err, errUnsupported) {
			skipped[err.Error()]++
			continue
		}
		ran++
		t.Run(c.Case, func(t *testing.T) {
			if err != nil {
				t.Fatal(err)
			}
			runCase(t, c, p, topo)
		})
	}
	t.Logf("%d cases ran; skipped:", ran)
	for _, why := range slices.Sorted(maps.Keys(skipped)) {
		t.Logf("  %3d %s", skipped[why], why)
	}
	if ran < 38 {
		t.Errorf("only %d cases ran", ran)
	}
}

func runCase(t *testing.T, c testCase, p *program, topo *topology.Topology) {
	d := streamstest.New(t, topo, streamstest.App("oracle"))
	got := map[string][]string{}
	peekSteps := []string{}
	failed := -1
	for i, in := range c.Inputs {
		seen := len(p.peeks)
		if err := feed(d, p, in); err != nil {
			failed = i
		}
		for topic, tt := range p.topics {
			for _, r := range d.Drain(topic) {
				at := fmt.Sprintf("step %03d %s", i, topic)
				got[at] = append(got[at], decode(t, r, tt))
			}
		}
		for _, pk := range p.peeks[seen:] {
			peekSteps = append(peekSteps, fmt.Sprintf("%d %s %s", i, pk.node, line(pk.key, nil, quoted(pk.val), "", nil)))
		}
		if failed >= 0 {
			break
		}
	}
	if (c.Error == nil) != (failed < 0) || (c.Error != nil && c.Error.Step != failed) {
		t.Errorf("failed at step %d, want %+v", failed, c.Error)
	}
	var drops int64
	for _, n := range d.Drops() {
		drops += n
	}
	if c.Dropped != nil && failed < 0 && drops != *c.Dropped {
		t.Errorf("%d records dropped, want %d: %v", drops, *c.Dropped, d.Drops())
	}
	compareOutputs(t, c, got)
	comparePeeks(t, c, peekSteps)
	if failed < 0 {
		compareStores(t, c, d, topo)
	}
}

func feed(d *streamstest.Driver, p *program, in input) error {
	switch {
	case in.Query != nil:
		return nil // reads of stores are compared by their final content
	case in.Topic == "":
		d.AdvanceWall(time.Duration(in.AdvanceWall) * time.Millisecond)
		return nil
	}
	r := streamstest.Record{Topic: in.Topic, Time: in.Ts}
	if in.Key != nil {
		r.Key = []byte(*in.Key)
	}
	var n int64
	var s string
	switch {
	case in.Value == nil || string(in.Value) == "null":
	case json.Unmarshal(in.Value, &n) == nil:
		r.Value, _ = serde.Int64.Append(nil, n)
	case json.Unmarshal(in.Value, &s) == nil:
		r.Value = append([]byte{}, s...)
	}
	for _, h := range in.Headers {
		r.Headers = append(r.Headers, processor.Header{Key: h[0], Value: []byte(h[1])})
	}
	return d.TryPipe(r)
}

func quoted(v value) string {
	if v.null || v.long {
		return v.String()
	}
	return fmt.Sprintf("%q", v.s)
}

// decode brings a written record into the compared form.
func decode(t *testing.T, r streamstest.Record, tt topicType) string {
	t.Helper()
	var k *string
	var start *int64
	if r.Key != nil {
		s := string(r.Key)
		k = &s
		if tt.windowed {
			w, err := windowed.KeyOf(serde.String, tt.size).Decode(r.Key)
			if err != nil {
				t.Fatal(err)
			}
			k, start = &w.Key, &w.Start
		}
	}
	v := null(tt.long)
	if r.Value != nil {
		var err error
		if v, err = (valueSerde{tt.long}).Decode(r.Value); err != nil {
			t.Fatal(err)
		}
	}
	var headers [][2]string
	for _, h := range r.Headers {
		headers = append(headers, [2]string{h.Key, string(h.Value)})
	}
	return line(k, start, quoted(v), fmt.Sprint(r.Time), headers)
}

func compareOutputs(t *testing.T, c testCase, got map[string][]string) {
	t.Helper()
	candidates := []map[string][]string{expected(c.Outputs)}
	for _, a := range c.Alt {
		if a.Why == "default-retention" {
			continue // it loses final results; emitting all is the better behaviour
		}
		candidates = append(candidates, expected(a.Outputs))
	}
	for _, want := range candidates {
		if maps.EqualFunc(got, want, slices.Equal) {
			return
		}
	}
	want := candidates[0]
	for _, at := range slices.Sorted(maps.Keys(union(got, want))) {
		if !slices.Equal(got[at], want[at]) {
			t.Errorf("%s\n got  %s\n want %s", at, strings.Join(got[at], "\n      "), strings.Join(want[at], "\n      "))
		}
	}
}

func union(a, b map[string][]string) map[string]bool {
	out := map[string]bool{}
	for k := range a {
		out[k] = true
	}
	for k := range b {
		out[k] = true
	}
	return out
}

func comparePeeks(t *testing.T, c testCase, got []string) {
	t.Helper()
	var want []string
	for _, p := range c.Peeks {
		want = append(want, fmt.Sprintf("%d %s %s", p.Step, p.Node, line(p.Key, nil, raw(p.Value), "", nil)))
	}
	if len(want) > 0 && !slices.Equal(got, want) {
		t.Errorf("peeks\n got  %v\n want %v", got, want)
	}
}

// compareStores compares the named key-value stores after the last step.
func compareStores(t *testing.T, c testCase, d *streamstest.Driver, topo *topology.Topology) {
	t.Helper()
	for name, entries := range c.Stores {
		var want, got []string
		for _, e := range entries {
			ts := "-1"
			if e.Ts != nil {
				ts = fmt.Sprint(*e.Ts)
			}
			want = append(want, line(&e.Key, nil, raw(e.Value), ts, nil))
		}
		for _, it := range d.Store(name) {
			k := string(it.Key)
			v := fmt.Sprintf("%q", it.Value)
			if len(entries) > 0 && entries[0].Value[0] != '"' {
				n, err := serde.Int64.Decode(it.Value)
				if err != nil {
					t.Error(err)
				}
				v = fmt.Sprint(n)
			}
			got = append(got, line(&k, nil, v, fmt.Sprint(it.Time), nil))
		}
		if !slices.Equal(got, want) {
			t.Errorf("store %s\n got  %v\n want %v", name, got, want)
		}
	}
}

// TestInvalidCases: what Kafka Streams refuses to build is refused.
func TestInvalidCases(t *testing.T) {
	ran := 0
	for _, c := range load(t) {
		if c.Kind != "invalid" {
			continue
		}
		_, _, err := buildCase(c.Spec)
		if errors.Is(err, errUnsupported) {
			continue
		}
		ran++
		if err == nil {
			t.Errorf("%s builds: %s", c.Case, c.Spec)
		}
	}
	t.Logf("%d cases ran", ran)
}

var arrow = regexp.MustCompile(`(?m)^(      (?:-->|<--) )(.*)$`)

// normal sorts the names after the arrows: Kafka Streams orders them by a hash.
func normal(describe string) string {
	return arrow.ReplaceAllStringFunc(describe, func(l string) string {
		m := arrow.FindStringSubmatch(l)
		names := strings.Split(m[2], ", ")
		sort.Strings(names)
		return m[1] + strings.Join(names, ", ")
	})
}

func TestDescribeCases(t *testing.T) {
	ran := 0
	for _, c := range load(t) {
		if c.Kind != "describe" || c.Optimization != "" {
			continue
		}
		_, topo, err := buildCase(c.Spec)
		if errors.Is(err, errUnsupported) {
			continue
		}
		if strings.Contains(c.Case, "branch") {
			continue // branches are named after their cases here, not numbered
		}
		ran++
		t.Run(c.Case, func(t *testing.T) {
			if err != nil {
				t.Fatal(err)
			}
			if got, want := normal(topo.Describe()), normal(c.Describe); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			var got, want []string
			for _, it := range topo.InternalTopics("oracle") {
				got = append(got, fmt.Sprint(it.Name, it.Kind, it.Config))
			}
			for _, it := range c.InternalTopics {
				want = append(want, fmt.Sprint(it.Topic, it.Kind, it.Config))
			}
			if !slices.Equal(got, want) {
				t.Errorf("internal topics\n got  %v\n want %v", got, want)
			}
		})
	}
	t.Logf("%d cases ran", ran)
}
