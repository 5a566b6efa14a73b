package state_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/leatstream/leat/streams/processor"
	"github.com/leatstream/leat/streams/serde"
	"github.com/leatstream/leat/streams/state"
)

// fakeContext opens stores of a set; nothing else of it is used.
type fakeContext struct {
	processor.Context
	set *state.Set
}

func (c fakeContext) Store(name string) (any, error) { return c.set.Store(name) }

// engines runs a test on both engines.
func engines(t *testing.T, test func(t *testing.T, dir string)) {
	t.Run("memory", func(t *testing.T) { test(t, "") })
	t.Run("disk", func(t *testing.T) { test(t, t.TempDir()) })
}

func open(t *testing.T, dir string, specs ...processor.StoreSpec) *state.Set {
	t.Helper()
	s, err := state.Open(state.Config{Dir: dir, Stores: specs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(false) })
	return s
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// log is a changelog topic.
type log []state.Restored

// commit applies the set's changes and appends them to the logs.
func commit(t *testing.T, s *state.Set, logs map[string]log) {
	t.Helper()
	next := map[string]state.Checkpoint{}
	err := s.Changes(1, func(store string, c state.Change) error {
		c.Key, c.Value = slices.Clone(c.Key), slices.Clone(c.Value)
		logs[store] = append(logs[store], state.Restored{Change: c, Offset: int64(len(logs[store]))})
		next[store] = state.Checkpoint{Offset: int64(len(logs[store])), TopicID: [16]byte{7}}
		return nil
	})
	if err == nil {
		err = s.Apply(next)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, s *state.Set, name string) []string {
	t.Helper()
	var out []string
	err := must(s.Store(name)).Each(func(it state.Item) bool {
		out = append(out, fmt.Sprintf("%q@%d=%q/%d", it.Key, it.Start, it.Value, it.Time))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestKeyValueAgainstModel drives a store with random operations, commits,
// discards and reopenings, and compares it with a map at every step.
func TestKeyValueAgainstModel(t *testing.T) {
	engines(t, func(t *testing.T, dir string) {
		for seed := range uint64(6) {
			run := dir
			if dir != "" {
				run = filepath.Join(dir, fmt.Sprint(seed))
			}
			runKeyValueModel(t, run, seed)
		}
	})
}

func runKeyValueModel(t *testing.T, dir string, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 2))
	h := state.NewKeyValue(fmt.Sprint("kv", seed), serde.String, serde.Int64, state.Timestamped())
	set := open(t, dir, h.Spec())
	kv := must(h.Open(fakeContext{set: set}))
	model, committed := map[string]int64{}, map[string]int64{}
	logs := map[string]log{}
	for step := range 400 {
		k := fmt.Sprint("k", rng.IntN(40))
		switch n := rng.IntN(20); {
		case n < 10:
			model[k] = int64(step)
			if err := kv.Put(k, int64(step), int64(step)); err != nil {
				t.Fatal(err)
			}
		case n < 13:
			delete(model, k)
			if err := kv.Delete(k, int64(step)); err != nil {
				t.Fatal(err)
			}
		case n == 13:
			commit(t, set, logs)
			committed = maps.Clone(model)
		case n == 14:
			if err := set.Discard(); err != nil {
				t.Fatal(err)
			}
			model = maps.Clone(committed)
		case n == 15 && dir != "":
			if err := set.Close(true); err != nil {
				t.Fatal(err)
			}
			set = open(t, dir, h.Spec())
			kv = must(h.Open(fakeContext{set: set}))
			model = maps.Clone(committed)
		}
		got, ok, err := kv.Get(k)
		if want, has := model[k]; err != nil || ok != has || got != want {
			t.Fatalf("seed %d step %d: %s is %d %v %v, want %d %v", seed, step, k, got, ok, err, want, has)
		}
		checkScan(t, kv, model, rng)
	}
	checkRestored(t, set, h.Spec(), logs)
}

func checkScan(t *testing.T, kv *state.KV[string, int64], model map[string]int64, rng *rand.Rand) {
	t.Helper()
	from, to := fmt.Sprint("k", rng.IntN(40)), fmt.Sprint("k", rng.IntN(40))
	var want, got []string
	for k, v := range model {
		if k >= from && k < to {
			want = append(want, fmt.Sprint(k, v))
		}
	}
	slices.Sort(want)
	err := kv.Range(from, to, func(k string, v, _ int64) (bool, error) {
		got = append(got, fmt.Sprint(k, v))
		return true, nil
	})
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("range %s to %s: %v (%v), want %v", from, to, got, err, want)
	}
}

// checkRestored rebuilds the stores from their logs alone and compares them
// with what was committed.
func checkRestored(t *testing.T, set *state.Set, spec processor.StoreSpec, logs map[string]log) {
	t.Helper()
	if err := set.Discard(); err != nil {
		t.Fatal(err)
	}
	fresh := open(t, "", spec)
	st := must(fresh.Store(spec.Name))
	if err := st.Restore(logs[spec.Name], int64(len(logs[spec.Name]))); err != nil {
		t.Fatal(err)
	}
	if got, want := contents(t, fresh, spec.Name), contents(t, set, spec.Name); !slices.Equal(got, want) {
		t.Errorf("rebuilt %v\nwant    %v", got, want)
	}
	was := must(set.Store(spec.Name))
	if st.Clock() != was.Clock() || st.Emitted() != was.Emitted() {
		t.Errorf("rebuilt clock %d, %d; want %d, %d", st.Clock(), st.Emitted(), was.Clock(), was.Emitted())
	}
}

func TestWindowsAreListedByStartThenKey(t *testing.T) {
	engines(t, func(t *testing.T, dir string) {
		h := state.NewWindow("w", serde.String, serde.Int64, 10*time.Millisecond, state.Retention(time.Hour))
		set := open(t, dir, h.Spec())
		w := must(h.Open(fakeContext{set: set}))
		logs := map[string]log{}
		put := func(k string, start int64) {
			t.Helper()
			if err := w.Put(k, start, start, start); err != nil {
				t.Fatal(err)
			}
		}
		list := func(from, to int64) (out []string) {
			t.Helper()
			err := w.Windows(from, to, func(k string, start, _, _ int64) (bool, error) {
				out = append(out, fmt.Sprint(k, start))
				return true, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return out
		}
		put("b", 10)
		put("a", 20)
		commit(t, set, logs)
		put("a", 10)
		put("b", 20)
		put("ab", 10)
		if err := w.Delete("a", 20, 20); err != nil {
			t.Fatal(err)
		}
		if got := list(0, 100); !slices.Equal(got, []string{"a10", "ab10", "b10", "b20"}) {
			t.Errorf("got %v", got)
		}
		w.SetClock(30, 25)
		commit(t, set, logs)
		if got := list(10, 10); !slices.Equal(got, []string{"a10", "ab10", "b10"}) {
			t.Errorf("got %v", got)
		}
		checkRestored(t, set, h.Spec(), logs)
	})
}

func TestOldWindowsExpireAtCommit(t *testing.T) {
	engines(t, func(t *testing.T, dir string) {
		h := state.NewWindow("w", serde.String, serde.Int64, 10*time.Millisecond, state.Grace(5*time.Millisecond))
		set := open(t, dir, h.Spec())
		w := must(h.Open(fakeContext{set: set}))
		logs := map[string]log{}
		for start := int64(0); start <= 100; start += 10 {
			if err := w.Put("k", start, start, start); err != nil {
				t.Fatal(err)
			}
			w.SetClock(start, -1)
			commit(t, set, logs)
		}
		// Retention is 15 ms: at clock 100 the starts up to 85 may go, and those
		// that can still change must stay.
		got := contents(t, set, "w")
		if len(got) > 4 || len(got) < 2 {
			t.Errorf("left: %v", got)
		}
		if _, _, ok, err := w.Get("k", 90); !ok || err != nil {
			t.Errorf("an open window has gone: %v", err)
		}
	})
}

func TestReopenedSetHasWhatWasApplied(t *testing.T) {
	h := state.NewWindow("w", serde.String, serde.Int64, 10*time.Millisecond)
	dir := t.TempDir()
	set := open(t, dir, h.Spec())
	w := must(h.Open(fakeContext{set: set}))
	logs := map[string]log{}
	if err := w.Put("k", 0, 5, 3); err != nil {
		t.Fatal(err)
	}
	w.SetClock(9, 4)
	commit(t, set, logs)
	if err := w.Put("k", 0, 6, 4); err != nil { // never committed
		t.Fatal(err)
	}
	if err := set.Close(true); err != nil {
		t.Fatal(err)
	}
	set = open(t, dir, h.Spec())
	st := must(set.Store("w"))
	if got := st.Checkpoint(); got.Offset != 2 || got.TopicID != [16]byte{7} {
		t.Errorf("checkpoint %+v", got)
	}
	if st.Clock() != 9 || st.Emitted() != 4 {
		t.Errorf("clock %d, emitted %d", st.Clock(), st.Emitted())
	}
	if got := contents(t, set, "w"); !slices.Equal(got, []string{`"k"@0="\x00\x00\x00\x00\x00\x00\x00\x05"/3`}) {
		t.Errorf("content %v", got)
	}
}

func TestAnotherTopicOfTheNameEmptiesTheStore(t *testing.T) {
	h := state.NewKeyValue("kv", serde.String, serde.Int64)
	set := open(t, "", h.Spec())
	kv := must(h.Open(fakeContext{set: set}))
	if err := kv.Put("a", 1, 0); err != nil {
		t.Fatal(err)
	}
	commit(t, set, map[string]log{})
	st := must(set.Store("kv"))
	if wiped, err := st.Bind([16]byte{7}); wiped || err != nil {
		t.Errorf("the same topic wiped the store: %v", err)
	}
	wiped, err := st.Bind([16]byte{8})
	if !wiped || err != nil || len(contents(t, set, "kv")) != 0 || st.Checkpoint().Offset != 0 {
		t.Errorf("wiped %v (%v), content %v", wiped, err, contents(t, set, "kv"))
	}
}

func TestViewSeesCommittedContentOnly(t *testing.T) {
	engines(t, func(t *testing.T, dir string) {
		h := state.NewKeyValue("kv", serde.String, serde.Int64)
		set := open(t, dir, h.Spec())
		kv := must(h.Open(fakeContext{set: set}))
		if err := kv.Put("a", 1, 0); err != nil {
			t.Fatal(err)
		}
		commit(t, set, map[string]log{})
		if err := kv.Put("a", 2, 0); err != nil {
			t.Fatal(err)
		}
		v := must(set.View("kv"))
		it, ok, err := v.Get([]byte("a"), 0)
		if !ok || err != nil || binary.BigEndian.Uint64(it.Value) != 1 {
			t.Errorf("view has %v %v %v, want 1", it, ok, err)
		}
		if err := v.Close(); err != nil {
			t.Error(err)
		}
		if err := set.Close(false); err != nil {
			t.Error(err)
		}
		if _, err := set.View("kv"); !errors.Is(err, state.ErrClosed) {
			t.Errorf("view of a closed set: %v", err)
		}
	})
}

// FuzzRestore: whatever a changelog holds, restoring it fails or succeeds, and
// what it leaves can be read.
func FuzzRestore(f *testing.F) {
	f.Add([]byte("leat.clock\xff\xff\xff\xff"), []byte("x"), int64(1))
	f.Add([]byte("key\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00"), []byte("value"), int64(7))
	f.Fuzz(func(t *testing.T, key, value []byte, at int64) {
		h := state.NewWindow("w", serde.Bytes, serde.Bytes, time.Second)
		set := open(t, "", h.Spec())
		st := must(set.Store("w"))
		r := state.Restored{Change: state.Change{Key: key, Value: value, Time: at}}
		if err := st.Restore([]state.Restored{r}, 1); err != nil {
			return
		}
		contents(t, set, "w")
	})
}

func BenchmarkWindowUpdate(b *testing.B) {
	for _, mode := range []string{"memory", "disk"} {
		b.Run(mode, func(b *testing.B) {
			h := state.NewWindow("w", serde.String, serde.Int64, 10*time.Second, state.Retention(time.Hour))
			dir := ""
			if mode == "disk" {
				dir = b.TempDir()
			}
			set := must(state.Open(state.Config{Dir: dir, Stores: []processor.StoreSpec{h.Spec()}}))
			defer set.Close(false)
			w := must(h.Open(fakeContext{set: set}))
			keys := make([]string, 100_000)
			for i := range keys {
				keys[i] = fmt.Sprintf("key-%020d", i)
			}
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 1)), 1.1, 1, uint64(len(keys)-1))
			b.ReportAllocs()
			for i := range b.N {
				k, start := keys[zipf.Uint64()], int64(i/1_000_000)*10_000
				n, _, _, _ := w.Get(k, start)
				if err := w.Put(k, start, n+1, start); err != nil {
					b.Fatal(err)
				}
				if i%100_000 == 99_999 {
					if err := set.Apply(nil); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}
