package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connect/connecttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errInjected = errors.New("injected fault")
	errDead     = errors.New("the process is dead")
)

// fault says what happens to the n-th operation of a run.
type fault int

const (
	faultBefore fault = iota // fails, nothing done
	faultAfter               // done, but the caller sees an error
	crashBefore              // nothing done, the process is dead
	crashAfter               // done, the process is dead
	faultKinds
)

// memory is a Storage in memory with faults. Only what was closed survives a crash.
type memory struct {
	files map[string][]byte // closed files
	open  map[string]*memoryFile
	ops   int
	at    map[int]fault // by number of the operation
	dead  bool
}

func newMemory() *memory {
	return &memory{files: map[string][]byte{}, open: map[string]*memoryFile{}, at: map[int]fault{}}
}

// do counts an operation and applies its fault to f.
func (m *memory) do(f func() error) error {
	if m.dead {
		return errDead
	}
	n := m.ops
	m.ops++
	kind, hit := m.at[n]
	if !hit {
		return f()
	}
	if kind == faultAfter || kind == crashAfter {
		if err := f(); err != nil {
			return err
		}
	}
	if kind == crashBefore || kind == crashAfter {
		m.dead = true
		return errDead
	}
	return errInjected
}

// reboot forgets what was open; unclosed files may survive in part.
func (m *memory) reboot() {
	m.dead = false
	for p, f := range m.open {
		m.files[p] = f.b.Bytes()[:f.b.Len()/2]
	}
	m.open = map[string]*memoryFile{}
}

func (m *memory) Create(p string) (f File, err error) {
	err = m.do(func() error {
		if _, ok := m.files[p]; ok || m.open[p] != nil {
			return fs.ErrExist
		}
		mf := &memoryFile{m: m, path: p}
		m.open[p], f = mf, mf
		return nil
	})
	return f, err
}

func (m *memory) RenameNoReplace(from, to string) error {
	return m.do(func() error {
		if _, ok := m.files[to]; ok {
			return fs.ErrExist
		}
		b, ok := m.files[from]
		if !ok {
			return fs.ErrNotExist
		}
		m.files[to] = b
		delete(m.files, from)
		return nil
	})
}

func (m *memory) List(dir string) (out []string, err error) {
	err = m.do(func() error {
		for p := range m.files {
			if path.Dir(p) == dir {
				out = append(out, path.Base(p))
			}
		}
		slices.Sort(out)
		return nil
	})
	return out, err
}

func (m *memory) Remove(p string) error {
	return m.do(func() error {
		delete(m.files, p)
		delete(m.open, p)
		return nil
	})
}

type memoryFile struct {
	m    *memory
	path string
	b    bytes.Buffer
}

func (f *memoryFile) Write(b []byte) (n int, err error) {
	err = f.m.do(func() error { n, err = f.b.Write(b); return err })
	return n, err
}

func (f *memoryFile) Close() error {
	return f.m.do(func() error {
		if f.m.open[f.path] == f {
			f.m.files[f.path] = f.b.Bytes()
			delete(f.m.open, f.path)
		}
		return nil
	})
}

var tpA, tpB = connect.TopicPartition{Topic: "t", Partition: 0}, connect.TopicPartition{Topic: "t", Partition: 1}

// makeLogs makes two partitions; the second has holes, as compaction leaves them.
func makeLogs(n int) map[connect.TopicPartition][]*connect.Record {
	logs := map[connect.TopicPartition][]*connect.Record{}
	for i := range int64(n) {
		logs[tpA] = append(logs[tpA], record(tpA, i))
		logs[tpB] = append(logs[tpB], record(tpB, 5+i*3-i%2))
	}
	return logs
}

func record(tp connect.TopicPartition, offset int64) *connect.Record {
	return &connect.Record{Topic: tp.Topic, Partition: tp.Partition, Origin: tp, Offset: offset, Key: fmt.Sprint(offset),
		Value: map[string]any{"n": offset, "s": fmt.Sprintf("value %d", offset)}, Timestamp: time.UnixMilli(offset)}
}

type metaRow struct {
	Partition int32 `parquet:"_kafka_partition"`
	Offset    int64 `parquet:"_kafka_offset"`
	N         int64 `parquet:"n,optional"`
}

// check verifies that each offset of the logs is in exactly one committed file
// and that each row lies in the range its file's name promises.
func check(t *testing.T, m *memory, logs map[connect.TopicPartition][]*connect.Record) {
	t.Helper()
	count := map[connect.TopicPartition]map[int64]int{tpA: {}, tpB: {}}
	last := map[connect.TopicPartition]int64{tpA: -1, tpB: -1}
	for _, p := range slices.Sorted(maps.Keys(m.files)) {
		if strings.HasSuffix(p, ".tmp") {
			continue
		}
		tp := tpA
		s, ok := parseName(tpA, path.Base(p))
		if !ok {
			tp = tpB
			if s, ok = parseName(tpB, path.Base(p)); !ok {
				t.Fatalf("strange file %s", p)
			}
		}
		if last[tp] >= 0 && s.start != last[tp]+1 {
			t.Fatalf("%s does not follow offset %d", p, last[tp])
		}
		last[tp] = s.end
		rows, err := pq.Read[metaRow](bytes.NewReader(m.files[p]), int64(len(m.files[p])))
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		for _, r := range rows {
			if r.Offset < s.start || r.Offset > s.end || r.Partition != tp.Partition || r.N != r.Offset {
				t.Fatalf("%s holds %+v", p, r)
			}
			count[tp][r.Offset]++
		}
	}
	for tp, log := range logs {
		for _, r := range log {
			if n := count[tp][r.Offset]; n != 1 {
				t.Fatalf("offset %d of %v is in %d files", r.Offset, tp, n)
			}
		}
		if len(count[tp]) != len(log) {
			t.Fatalf("%d offsets of %v in files, %d in the log", len(count[tp]), tp, len(log))
		}
	}
}

// drive runs the sink over logs, rebooting after every crash, until all is committed.
func drive(t *testing.T, m *memory, logs map[connect.TopicPartition][]*connect.Record) (*connecttest.Sink, error) {
	t.Helper()
	clock := time.UnixMilli(0)
	props := map[string]string{"path": "/", "flush.size": "10", "rotate.interval.ms": "40000", "rotate.idle.ms": "-1", "compression": "none"}
	s := connecttest.NewSink(t, func() connect.SinkTask {
		return &task{storage: m, now: func() time.Time { return clock }}
	}, props, logs, 7)
	running := false
	for tries := 0; tries < 20_000; tries++ {
		clock = clock.Add(time.Second)
		err := func() error {
			if !running {
				running = true
				if err := s.Start(); err != nil {
					return err
				}
			}
			if _, err := s.Step(); err != nil {
				return err
			}
			if tries%3 == 0 {
				return s.Commit()
			}
			return nil
		}()
		if err != nil || m.dead {
			s.Crash()
			m.reboot()
			running = false
			continue
		}
		if s.Committed(tpA) == end(logs[tpA]) && s.Committed(tpB) == end(logs[tpB]) {
			return s, s.Finish()
		}
	}
	return s, errors.New("no end in sight")
}

func end(log []*connect.Record) int64 { return log[len(log)-1].Offset + 1 }

func TestEachStepMayFailOrBeTheLast(t *testing.T) {
	logs := makeLogs(35)
	clean := newMemory()
	if _, err := drive(t, clean, logs); err != nil {
		t.Fatal(err)
	}
	check(t, clean, logs)
	for n := range clean.ops {
		for kind := range faultKinds {
			m := newMemory()
			m.at[n] = kind
			if _, err := drive(t, m, logs); err != nil {
				t.Fatalf("operation %d, fault %d: %v", n, kind, err)
			}
			check(t, m, logs)
			if t.Failed() {
				t.Fatalf("operation %d, fault %d", n, kind)
			}
		}
	}
	t.Logf("%d operations, %d runs", clean.ops, clean.ops*int(faultKinds))
}

func TestManyFaults(t *testing.T) {
	logs := makeLogs(60)
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := newMemory()
		for n := 0; n < 4000; n++ {
			if r.IntN(25) == 0 {
				m.at[n] = fault(r.IntN(int(faultKinds)))
			}
		}
		if _, err := drive(t, m, logs); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		check(t, m, logs)
	}
}

// Offsets committed for the group may be lost or lag: the names decide.
func TestNamesDecideWhereToGoOn(t *testing.T) {
	logs := makeLogs(35)
	m := newMemory()
	if _, err := drive(t, m, logs); err != nil {
		t.Fatal(err)
	}
	if _, err := drive(t, m, logs); err != nil { // a group without offsets, as a new name gives
		t.Fatal(err)
	}
	check(t, m, logs)
}

func TestAGapIsFilled(t *testing.T) {
	logs := makeLogs(35)
	m := newMemory()
	if _, err := drive(t, m, logs); err != nil {
		t.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(m.files))
	delete(m.files, names[1])
	delete(m.files, names[len(names)-2])
	if _, err := drive(t, m, logs); err != nil {
		t.Fatal(err)
	}
	check(t, m, logs)
}

func TestALogMadeAnewIsRefused(t *testing.T) {
	m := newMemory()
	if _, err := drive(t, m, makeLogs(35)); err != nil {
		t.Fatal(err)
	}
	p := &partition{task: &task{}, tp: tpA, next: 35, durable: 35}
	if err := p.add(record(tpA, 0), time.Now()); !errors.Is(err, errReset) {
		t.Errorf("offset 0 after 34: %v", err)
	}
}

func TestCover(t *testing.T) {
	name := func(s, e int64) string { return path.Base((layout{}).file(tpA, span{s, e})) }
	for _, c := range []struct {
		names    []string
		next     int64
		ahead    []span
		overlaps []span
	}{
		{nil, -1, nil, nil},
		{[]string{"other.parquet", "t+1+0000000000+0000000001.parquet"}, -1, nil, nil},
		{[]string{name(5, 9)}, 10, nil, nil},
		{[]string{name(0, 9), name(10, 10), name(11, 30)}, 31, nil, nil},
		{[]string{name(0, 9), name(20, 30), name(31, 40)}, 10, []span{{20, 30}, {31, 40}}, nil},
		{[]string{name(0, 9), name(5, 12), name(13, 20)}, 21, nil, []span{{5, 12}}},
		{[]string{name(0, 9), name(20, 30), name(25, 27)}, 10, []span{{20, 30}}, []span{{25, 27}}},
		{[]string{name(0, 99999999999), "t+0+9+3.parquet"}, 100000000000, nil, nil},
	} {
		got := cover(tpA, c.names)
		if got.next != c.next || !slices.Equal(got.ahead, c.ahead) || !slices.Equal(got.overlaps, c.overlaps) {
			t.Errorf("%v: %+v", c.names, got)
		}
	}
}

// A task that does not know yet that its partition has moved must not commit
// what the new owner has committed.
func TestAZombieCommitsNothingTwice(t *testing.T) {
	logs := makeLogs(35)
	m := newMemory()
	props := map[string]string{"path": "/", "flush.size": "1000", "rotate.interval.ms": "-1", "rotate.idle.ms": "-1"}
	start := func() *connecttest.Sink {
		s := connecttest.NewSink(t, func() connect.SinkTask { return &task{storage: m} }, props, logs, 100)
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		return s
	}
	old := start()
	if _, err := old.Step(); err != nil {
		t.Fatal(err)
	}
	if _, err := drive(t, m, logs); err != nil { // sweeps the old one's temporary files
		t.Fatal(err)
	}
	if err := old.Finish(); err != nil {
		t.Fatal(err)
	}
	check(t, m, logs)
}
