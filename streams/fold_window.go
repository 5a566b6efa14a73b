package streams

import (
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
	"github.com/leatstream/leat/streams/window"
)

// windowFold is the aggregation of groups cut into windows.
//
// Its clock T is the highest time of the records that reached it. A window
// closes when its end <= T - grace: from then on records for it are late, and
// with EmitOnClose its result is due. Results which are due are found by the
// index of the store from the emission progress on, not by what the store's
// retention has left, so that none is lost however far one record moves T.
//
// Clock and progress are part of the store: they become durable with it and
// travel with the task.
type windowFold[KOut, K, V, A any] struct {
	rules[K, V, A]
	spec  window.Spec
	agg   *aggregation
	ks    serde.Serde[K]
	of    func(K, window.Window) KOut
	store *state.Window[K, A]
	win   *state.Win[K, A]
	out   *processor.Out[KOut, processor.Change[A]]

	size, advance, grace int64 // milliseconds
	windows              []window.Window
	due                  []result[K, A]
}

// result is one final result on its way out.
type result[K, A any] struct {
	key    K
	window window.Window
	value  A
	time   int64
}

func newWindowFold[KOut, K, V, A any](g grouping[KOut, K, V], in Stream[K, V], c storeConfig, r rules[K, V, A], agg *aggregation) (processor.Supplier, processor.StoreSpec) {
	spec := *g.window
	opts := append([]state.Option{state.Grace(spec.GracePeriod())}, c.opts...)
	store := state.NewWindow(c.name, in.ks, r.vs, spec.Size(), opts...)
	supply := func() processor.Typed[K, V, KOut, processor.Change[A]] {
		return &windowFold[KOut, K, V, A]{
			rules: r, spec: spec, agg: agg, ks: in.ks, of: g.of, store: store,
			size: spec.Size().Milliseconds(), advance: spec.Advance().Milliseconds(), grace: spec.GracePeriod().Milliseconds(),
		}
	}
	return processor.Of(supply), store.Spec()
}

func (f *windowFold[KOut, K, V, A]) Init(out *processor.Out[KOut, processor.Change[A]]) (err error) {
	f.out = out
	f.win, err = f.store.Open(out)
	return err
}

func (f *windowFold[KOut, K, V, A]) Close() error { return nil }

// Process adds the record to its windows; a null value is a value here, as in
// Kafka Streams.
func (f *windowFold[KOut, K, V, A]) Process(r *Rec[K, V]) error {
	if keyNull(f.ks, r) {
		f.out.Drop(processor.DropNullKey)
		return nil
	}
	clock := max(f.win.Clock(), r.Time)
	f.win.SetClock(clock, f.win.Emitted())
	f.windows = f.spec.Append(f.windows[:0], r.Time)
	late := 0
	for _, w := range f.windows {
		if w.End <= clock-f.grace {
			f.out.Drop(processor.DropLate)
			late++
			continue
		}
		if err := f.update(r, w); err != nil {
			return err
		}
	}
	if late == len(f.windows) && late > 0 && f.agg.lateNode != "" {
		if err := f.out.ForwardTo(f.agg.lateNode, r); err != nil {
			return err
		}
	}
	return f.emitDue(r.Meta)
}

func (f *windowFold[KOut, K, V, A]) update(r *Rec[K, V], w window.Window) error {
	old, at, ok, err := f.win.Get(r.Key, w.Start)
	if err != nil {
		return processor.Fail(err)
	}
	change, time, err := f.next(old, at, ok, r)
	if err != nil {
		return err
	}
	if change.NewNull {
		err = f.win.Delete(r.Key, w.Start, time)
	} else {
		err = f.win.Put(r.Key, w.Start, change.New, time)
	}
	if err != nil {
		return processor.Fail(err)
	}
	if f.agg.onClose {
		return nil
	}
	to := processor.With(*r, f.of(r.Key, w), change)
	to.Time = time
	return f.out.Emit(to)
}

// emitDue emits the results of the windows that have closed since the last
// time, in order of start, then key bytes, with the headers of the record that
// closed them.
func (f *windowFold[KOut, K, V, A]) emitDue(meta processor.Meta) error {
	closed := f.win.Clock() - f.grace // windows with end <= closed are final
	from := f.win.Emitted()
	if !f.agg.onClose || closed <= from {
		return nil
	}
	// No window ends between two multiples of the advance.
	if from >= 0 && f.lastEnd(closed) <= from {
		return nil
	}
	f.due = f.due[:0]
	err := f.win.Windows(from-f.size+1, closed-f.size, func(k K, start int64, v A, time int64) (bool, error) {
		f.due = append(f.due, result[K, A]{k, window.Window{Start: start, End: start + f.size}, v, time})
		return true, nil
	})
	if err != nil {
		return processor.Fail(err)
	}
	f.win.SetClock(f.win.Clock(), closed)
	for _, d := range f.due {
		to := Rec[KOut, processor.Change[A]]{Key: f.of(d.key, d.window), Meta: meta}
		to.Value = processor.Change[A]{New: d.value, OldNull: true}
		to.Time, to.KeyNull, to.ValueNull = d.time, false, false
		if err := f.out.Emit(to); err != nil {
			return err
		}
	}
	return nil
}

// lastEnd is the greatest end of a window that is not after t.
func (f *windowFold[KOut, K, V, A]) lastEnd(t int64) int64 {
	if t < f.size {
		return 0
	}
	return (t-f.size)/f.advance*f.advance + f.size
}

// IdleAfter is the policy of [window.Spec.CloseWhenIdle].
func (f *windowFold[KOut, K, V, A]) IdleAfter() time.Duration { return f.spec.IdleAfter() }

// AdvanceIdle moves the clock to the wall clock less the maximal delay and
// emits what that closes.
func (f *windowFold[KOut, K, V, A]) AdvanceIdle(wall int64) (bool, error) {
	to := wall - f.spec.IdleDelay().Milliseconds()
	before := f.lastEnd(f.win.Clock() - f.grace)
	if to <= f.win.Clock() || f.win.Clock() < 0 || f.lastEnd(to-f.grace) <= before {
		return false, nil // nothing would close
	}
	f.win.SetClock(to, f.win.Emitted())
	return true, f.emitDue(processor.Meta{Time: to})
}
