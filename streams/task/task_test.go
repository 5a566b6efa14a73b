package task_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/streams"
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/task"
	"github.com/leatstream/leat/streams/window"
	"github.com/leatstream/leat/streams/windowed"
)

// start makes the only task of a program and starts it.
func start(t testing.TB, b *streams.Builder, c task.Config) *task.Task {
	t.Helper()
	topo, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	var specs []processor.StoreSpec
	for _, s := range topo.Stores() {
		specs = append(specs, s.StoreSpec)
	}
	if c.Stores, err = state.Open(state.Config{Stores: specs}); err != nil {
		t.Fatal(err)
	}
	c.App, c.Topology = "app", topo
	tk, err := task.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := tk.Start(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(tk.Close(), c.Stores.Close(false)); err != nil {
			t.Error(err)
		}
	})
	return tk
}

func in(offset, at int64, value string) task.Input {
	return task.Input{Offset: offset, Time: at, Key: []byte("k"), Value: []byte(value)}
}

// drain processes everything and returns "topic:value" of the outputs.
func drain(t testing.TB, tk *task.Task) (out []string, err error) {
	t.Helper()
	for {
		ok, err := tk.Process(0)
		for _, o := range tk.Outputs() {
			out = append(out, o.Topic+":"+string(o.Value))
		}
		if err != nil || !ok {
			return out, err
		}
	}
}

func enqueue(t testing.TB, tk *task.Task, topic string, more bool, records ...task.Input) {
	t.Helper()
	if err := tk.Enqueue(topic, records, more); err != nil {
		t.Fatal(err)
	}
}

func TestInputsMergeByTime(t *testing.T) {
	b := streams.New("app")
	left := streams.From(b, "left", serde.String, serde.String)
	right := streams.From(b, "right", serde.String, serde.String)
	left.Merge("both", right).To("out", serde.String, serde.String)
	tk := start(t, b, task.Config{MaxWait: 100})
	enqueue(t, tk, "left", false, in(0, 10, "l10"), in(1, 30, "l30"))
	enqueue(t, tk, "right", true, in(0, 20, "r20"))
	got, err := drain(t, tk)
	if err != nil || !slices.Equal(got, []string{"out:l10", "out:r20"}) {
		t.Errorf("got %v (%v): l30 must wait for the rest of right", got, err)
	}
	if ok, _ := tk.Process(200); !ok {
		t.Error("the wait for right has no end")
	}
	want := []task.Position{{Topic: "left", Offset: 2}, {Topic: "right", Offset: 1}}
	for i, p := range tk.Positions() {
		if p.Topic != want[i].Topic || p.Offset != want[i].Offset {
			t.Errorf("position %+v, want %+v", p, want[i])
		}
	}
	if err := tk.Enqueue("other", nil, false); !errors.Is(err, task.ErrUnknownTopic) {
		t.Errorf("unknown topic: %v", err)
	}
}

// failing is a program whose step fails for some values, with a step before
// and after it that note what passes.
func failing(fail func(attempt int) error) (*streams.Builder, *int) {
	attempts := new(int)
	b := streams.New("app")
	s := streams.From(b, "in", serde.String, serde.String)
	step := streams.MapValues(s, "step", serde.String, func(_ context.Context, r streams.Rec[string, string]) (string, error) {
		if r.Value == "bad" {
			*attempts++
			return "mended", fail(*attempts)
		}
		return r.Value, nil
	})
	step.To("out", serde.String, serde.String)
	s.To("copy", serde.String, serde.String)
	return b, attempts
}

func TestErrorClasses(t *testing.T) {
	bad := errors.New("bad value")
	for _, c := range []struct {
		name     string
		fail     func(attempt int) error
		want     string
		attempts int
		stops    bool
	}{
		{"skip", func(int) error { return processor.Skip(bad) }, "out:a copy:a copy:bad out:b copy:b", 1, false},
		{"dead letter", func(int) error { return processor.DeadLetter(bad) }, "out:a copy:a dead:bad copy:bad out:b copy:b", 1, false},
		{"retry heals", func(n int) error {
			if n < 3 {
				return processor.Retry(bad, time.Second)
			}
			return nil
		}, "out:a copy:a out:mended copy:bad out:b copy:b", 3, false},
		{"retry gives up", func(int) error { return processor.Retry(bad, time.Second) }, "out:a copy:a", 5, true},
		{"fail", func(int) error { return processor.Fail(bad) }, "out:a copy:a", 1, true},
		{"no class", func(int) error { return bad }, "out:a copy:a", 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, attempts := failing(c.fail)
			var paused time.Duration
			tk := start(t, b, task.Config{DeadLetter: "dead", MaxRetries: 4,
				Pause: func(_ context.Context, d time.Duration) error { paused += d; return nil }})
			enqueue(t, tk, "in", false, in(0, 1, "a"), in(1, 2, "bad"), in(2, 3, "b"))
			got, err := drain(t, tk)
			if strings.Join(got, " ") != c.want || *attempts != c.attempts {
				t.Errorf("got %v after %d attempts, want %s after %d", got, *attempts, c.want, c.attempts)
			}
			var stop *task.StopError
			if errors.As(err, &stop) != c.stops || (c.stops && (!errors.Is(err, bad) || stop.Failure.Input.Offset != 1)) {
				t.Errorf("error %v", err)
			}
			if want := time.Duration(c.attempts-1) * time.Second; paused != want {
				t.Errorf("paused %v, want %v", paused, want)
			}
		})
	}
}

func TestUndecodableInputIsHandledAsConfigured(t *testing.T) {
	b := streams.New("app")
	streams.From(b, "in", serde.String, serde.Int64).To("out", serde.String, serde.Int64)
	tk := start(t, b, task.Config{DeadLetter: "dead", Handler: func(f processor.Failure) (processor.Class, time.Duration) {
		if f.Phase != processor.PhaseDeserialize || !errors.Is(f.Err, serde.ErrMalformed) {
			return processor.ClassFail, 0
		}
		return processor.ClassDeadLetter, 0
	}})
	enqueue(t, tk, "in", false, in(0, 1, "short"), in(1, 2, "12345678"))
	got, err := drain(t, tk)
	if err != nil || !slices.Equal(got, []string{"dead:short", "out:12345678"}) {
		t.Errorf("got %v (%v)", got, err)
	}
}

func TestControlEntriesMoveThePositionOnly(t *testing.T) {
	b := streams.New("app")
	streams.From(b, "in", serde.String, serde.String).To("out", serde.String, serde.String)
	tk := start(t, b, task.Config{})
	enqueue(t, tk, "in", false, in(0, 5, "x"), task.Input{Offset: 1, Time: 9, Control: true})
	got, err := drain(t, tk)
	if err != nil || !slices.Equal(got, []string{"out:x"}) {
		t.Errorf("got %v (%v)", got, err)
	}
	if p := tk.Positions(); len(p) != 1 || p[0].Offset != 2 || tk.StreamTime() != 5 || tk.Stats().In != 1 {
		t.Errorf("positions %v, time %d, %d in", p, tk.StreamTime(), tk.Stats().In)
	}
}

func TestProcessUntilLeavesWhatIsLater(t *testing.T) {
	b := streams.New("app")
	streams.From(b, "in", serde.String, serde.String).To("out", serde.String, serde.String)
	tk := start(t, b, task.Config{})
	enqueue(t, tk, "in", false, in(0, 5, "x"), in(1, 7, "y"))
	for i, want := range []bool{true, false} {
		if ok, err := tk.ProcessUntil(0, 6); ok != want || err != nil {
			t.Errorf("call %d: %v (%v)", i, ok, err)
		}
	}
	if at, ok, err := tk.NextTime(0); at != 7 || !ok || err != nil {
		t.Errorf("next time %d, %v (%v)", at, ok, err)
	}
}

func TestMissingInputIsWaitedForOnce(t *testing.T) {
	b := streams.New("app")
	left := streams.From(b, "a", serde.String, serde.String)
	left.Merge("both", streams.From(b, "b", serde.String, serde.String)).To("out", serde.String, serde.String)
	tk := start(t, b, task.Config{MaxWait: 100})
	enqueue(t, tk, "b", true)
	enqueue(t, tk, "a", false, in(0, 1, "x"), in(1, 2, "y"), in(2, 3, "z"))
	for _, step := range []struct {
		now  int64
		want bool
	}{{10, false}, {109, false}, {110, true}, {111, true}} {
		if ok, err := tk.Process(step.now); ok != step.want || err != nil {
			t.Errorf("at %d: %v (%v)", step.now, ok, err)
		}
	}
	enqueue(t, tk, "b", true, in(0, 2, "w"))
	for _, step := range []struct {
		now  int64
		want bool
	}{{120, true}, {121, false}, {221, true}} {
		if ok, err := tk.Process(step.now); ok != step.want || err != nil {
			t.Errorf("at %d: %v (%v)", step.now, ok, err)
		}
	}
}

func TestIdleNeedsConfirmedQuiet(t *testing.T) {
	b := streams.New("app")
	s := streams.From(b, "in", serde.String, serde.String)
	spec := window.Tumbling(10 * time.Millisecond).CloseWhenIdle(time.Second).MaxDelay(5 * time.Millisecond)
	streams.Count(s.GroupByKey().Window(spec), "n").EmitOnClose().ToStream().To("out", windowed.Key(serde.String), serde.Int64)
	tk := start(t, b, task.Config{})
	enqueue(t, tk, "in", false, in(0, 100, "x"))
	if _, err := drain(t, tk); err != nil {
		t.Fatal(err)
	}
	tick := func(now int64, q task.Quiet) int {
		t.Helper()
		if _, err := tk.Tick(now, q); err != nil {
			t.Fatal(err)
		}
		return len(tk.Outputs())
	}
	for _, step := range []struct {
		now   int64
		quiet task.Quiet
		want  int
	}{
		{900, task.Confirmed, 0},  // not for long enough
		{1500, task.Unsure, 0},    // long enough, but not certain
		{1600, task.Busy, 0},      // input came: the quiet begins anew
		{2500, task.Confirmed, 0}, //
		{2600, task.Confirmed, 1}, //
		{9000, task.Confirmed, 0}, // final once
	} {
		if got := tick(step.now, step.quiet); got != step.want {
			t.Errorf("at %d (%d): %d results, want %d", step.now, step.quiet, got, step.want)
		}
	}
}

func TestPartitionTimeSurvivesInMetadata(t *testing.T) {
	b := streams.New("app")
	streams.From(b, "in", serde.String, serde.String, streams.PartitionTime()).To("out", serde.String, serde.String)
	tk := start(t, b, task.Config{})
	tk.SetPartitionTime("in", "AgAAAAAAAAAqAAAAAA==") // version 2, time 42
	enqueue(t, tk, "in", false, in(0, 1, "x"))
	if _, err := tk.Process(0); err != nil {
		t.Fatal(err)
	}
	if out := tk.Outputs(); len(out) != 1 || out[0].Time != 42 {
		t.Errorf("outputs %v", out)
	}
	if m := tk.Positions()[0].Metadata; m != "AgAAAAAAAAAqAAAAAA==" {
		t.Errorf("metadata %s", m)
	}
	tk.SetPartitionTime("in", "garbage")
}

// BenchmarkTumblingCount is the way of a record from bytes to the store and
// the output, with a commit every 100,000 records; onClose leaves out the
// output of every update.
func BenchmarkTumblingCount(b *testing.B) {
	for _, onClose := range []bool{false, true} {
		b.Run(fmt.Sprint("onClose=", onClose), func(b *testing.B) {
			sb := streams.New("app")
			s := streams.From(sb, "in", serde.String, serde.Bytes)
			spec := window.Tumbling(10 * time.Second).Grace(5 * time.Second)
			counts := streams.Count(s.GroupByKey().Window(spec), "n")
			if onClose {
				counts = counts.EmitOnClose()
			}
			counts.ToStream().To("out", windowed.Key(serde.String), serde.Int64)
			tk := start(b, sb, task.Config{})
			value := make([]byte, 100)
			batch := make([]task.Input, 1000)
			for i := range batch {
				batch[i] = task.Input{Key: fmt.Appendf(nil, "key-%020d", i*i%997), Value: value}
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(batch) {
				for i := range batch {
					batch[i].Offset, batch[i].Time = int64(n+i), int64(n+i)/10
				}
				enqueue(b, tk, "in", false, batch...)
				for {
					if ok, err := tk.Process(0); err != nil {
						b.Fatal(err)
					} else if !ok {
						break
					}
				}
				tk.Outputs()
				if n%100_000 == 0 {
					if err := errors.Join(second(tk.Changes(0)), tk.Commit(nil)); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

func second[T any](_ T, err error) error { return err }

func BenchmarkStatelessChain(b *testing.B) {
	sb := streams.New("app")
	s := streams.From(sb, "in", serde.String, serde.Int64).
		Filter("even", func(r streams.Rec[string, int64]) bool { return r.Value%2 == 0 })
	streams.MapValues(s, "double", serde.Int64, func(_ context.Context, r streams.Rec[string, int64]) (int64, error) { return 2 * r.Value, nil }).
		To("out", serde.String, serde.Int64)
	tk := start(b, sb, task.Config{})
	value := binary.BigEndian.AppendUint64(nil, 42)
	batch := make([]task.Input, 1000)
	for i := range batch {
		batch[i] = task.Input{Key: []byte("key"), Value: value, Time: int64(i)}
	}
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += len(batch) {
		enqueue(b, tk, "in", false, batch...)
		for {
			if ok, err := tk.Process(0); err != nil {
				b.Fatal(err)
			} else if !ok {
				break
			}
		}
		tk.Outputs()
	}
}
