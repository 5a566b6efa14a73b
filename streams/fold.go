package streams

import (
	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
)

// fold is the aggregation of groups without windows. Records without key or
// value are left out, as in Kafka Streams.
type fold[K, V, A any] struct {
	rules[K, V, A]
	ks    serde.Serde[K]
	in    serde.Serde[V]
	store *state.KeyValue[K, A]
	kv    *state.KV[K, A]
	out   *processor.Out[K, processor.Change[A]]
}

func newFold[KOut, K, V, A any](g grouping[KOut, K, V], in Stream[K, V], c storeConfig, r rules[K, V, A]) (processor.Supplier, processor.StoreSpec) {
	store := state.NewKeyValue(c.name, in.ks, r.vs, append(c.opts, state.Timestamped())...)
	supply := func() processor.Typed[K, V, K, processor.Change[A]] {
		return &fold[K, V, A]{rules: r, ks: in.ks, in: in.vs, store: store}
	}
	return processor.Of(supply), store.Spec()
}

func (f *fold[K, V, A]) Init(out *processor.Out[K, processor.Change[A]]) (err error) {
	f.out = out
	f.kv, err = f.store.Open(out)
	return err
}

func (f *fold[K, V, A]) Close() error { return nil }

func (f *fold[K, V, A]) Process(r *Rec[K, V]) error {
	if keyNull(f.ks, r) {
		f.out.Drop(processor.DropNullKey)
		return nil
	}
	if valueNull(f.in, r) {
		f.out.Drop(processor.DropNull)
		return nil
	}
	old, at, ok, err := f.kv.GetAt(r.Key)
	if err != nil {
		return processor.Fail(err)
	}
	change, time, err := f.next(old, at, ok, r)
	if err != nil {
		return err
	}
	if change.NewNull {
		err = f.kv.Delete(r.Key, time)
	} else {
		err = f.kv.Put(r.Key, change.New, time)
	}
	if err != nil {
		return processor.Fail(err)
	}
	to := processor.With(*r, r.Key, change)
	to.Time = time
	return f.out.Emit(to)
}

// next applies the rules to what is stored (at time at, if ok) and one record.
func (r *rules[K, V, A]) next(old A, at int64, ok bool, rec *Rec[K, V]) (c processor.Change[A], time int64, err error) {
	time = rec.Time
	switch {
	case ok:
		time = max(time, at)
		c.Old = old
		c.New, err = r.add(old, rec)
	case r.hasInit:
		c.Old = r.init()
		c.New, err = r.add(c.Old, rec)
	default:
		c.OldNull = true
		c.New = r.first(rec)
		c.NewNull = rec.ValueNull
	}
	c.NewNull = c.NewNull || serde.IsNull(r.vs, c.New)
	return c, time, err
}
