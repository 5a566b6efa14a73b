package peertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/deploy/testbed"
)

// The flow under test: activity events → windows and Parquet files.
const (
	events     = 4000 // of each round
	eventRate  = 2000
	partitions = 4
	pipeline   = "activity-per-minute"
	// session is as short as both brokers are told to allow.
	session = "session.timeout.ms=2000"
)

func TestReadyPipelineOnLeat(t *testing.T) {
	t.Parallel()
	s := testbed.StartServer(t, t.TempDir(), 0, "--override", "group.min.session.timeout.ms=1000")
	runFlow(t, s.Addr)
}

func TestReadyPipelineOnKafka(t *testing.T) {
	t.Parallel()
	runFlow(t, testbed.Kafka(t, "4.3", "group.min.session.timeout.ms=1000", "group.initial.rebalance.delay.ms=0", "offsets.topic.num.partitions=4"))
}

// runFlow shares the partitions between two processes of one pipeline. In the
// first round both stop in order, and every event is in exactly one window; in
// the second one is killed on the way, and none is missing. In both, each
// record is in exactly one Parquet file.
func runFlow(t *testing.T, addr string) {
	f := newFlow(t, addr)
	f.create(t, "activity")

	one, two := f.pipeline(t, "one"), f.pipeline(t, "two")
	source := f.source(t, events)
	f.until(t, two, events)
	for _, p := range []*testbed.Process{source, one, two} {
		if code := p.Stop(t); code != 0 {
			t.Fatalf("exit %d after SIGTERM:\n%s", code, p.Stderr())
		}
	}
	if got := f.counted(t); got != events {
		t.Errorf("windows and late events count %d, want %d", got, events)
	}
	f.checkFiles(t, events)

	one, two = f.pipeline(t, "one"), f.pipeline(t, "two")
	exported := f.files(t).rows
	f.source(t, 2*events)
	two.Until(t, "the pipeline goes on", func() bool { return f.files(t).rows > exported })
	one.Kill()
	f.until(t, two, 2*events)
	if code := two.Stop(t); code != 0 {
		t.Errorf("exit %d after SIGTERM:\n%s", code, two.Stderr())
	}
	if got := f.counted(t); got < 2*events {
		t.Errorf("windows and late events count %d after a kill, want %d at least", got, 2*events)
	}
	f.checkFiles(t, 2*events)
}

// flow is the processes and files of one test.
type flow struct {
	addr, dir string
	client    *kgo.Client
}

func newFlow(t *testing.T, addr string) *flow {
	client, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &flow{addr: addr, dir: t.TempDir(), client: client}
}

func (f *flow) create(t *testing.T, topic string) {
	t.Helper()
	if _, err := kadm.NewClient(f.client).CreateTopic(t.Context(), partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
}

func (f *flow) pipeline(t *testing.T, name string) *testbed.Process {
	t.Helper()
	return testbed.Start(t, nil, testbed.Binary(t), "pipeline", "run", pipeline, "-b", f.addr, "-X", session,
		"--param", "window=1s", "--param", "grace=1s", "--param", "roll=1s", "--param", "out="+filepath.Join(f.dir, "out"),
		"--state-dir", filepath.Join(f.dir, "state-"+name))
}

// source runs the connector that makes events until there are limit of them;
// it goes on where the last one stopped.
func (f *flow) source(t *testing.T, limit int) *testbed.Process {
	t.Helper()
	worker := f.write(t, "worker.properties", "bootstrap.servers="+f.addr, "key.converter=string", "value.converter=json",
		"value.converter.schemas.enable=false", "offset.storage.file.filename="+filepath.Join(f.dir, "offsets"))
	connector := f.write(t, "activity.properties", "name=activity", "connector.class=activity", "topic=activity",
		"rate="+strconv.Itoa(eventRate), "max.records="+strconv.Itoa(limit))
	return testbed.Start(t, nil, testbed.Binary(t), "connector", "run", worker, connector)
}

func (f *flow) write(t *testing.T, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// until waits until all events have been written, exported and counted.
func (f *flow) until(t *testing.T, p *testbed.Process, want int) {
	t.Helper()
	p.Until(t, fmt.Sprintf("%d exported records", want), func() bool { return f.files(t).rows >= int64(want) })
	p.Until(t, fmt.Sprintf("%d counted events", want), func() bool { return f.counted(t) >= want })
}

// counted is the sum of the windows, each once, and the events behind them.
func (f *flow) counted(t *testing.T) int {
	t.Helper()
	windows, late := map[string]int{}, 0
	f.each(t, "activity-late", func(*kgo.Record) { late++ })
	f.each(t, "activity-per-minute", func(r *kgo.Record) {
		var w struct{ Events int }
		if err := json.Unmarshal(r.Value, &w); err != nil {
			t.Fatalf("%s: %v", r.Value, err)
		}
		windows[string(r.Key)] = max(windows[string(r.Key)], w.Events)
	})
	for _, n := range windows {
		late += n
	}
	return late
}

// each reads a topic from its start to its present end.
func (f *flow) each(t *testing.T, topic string, see func(*kgo.Record)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	ends, err := kadm.NewClient(f.client).ListEndOffsets(ctx, topic)
	if err != nil {
		return // it will be there soon
	}
	from, left := map[string]map[int32]kgo.Offset{topic: {}}, map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Err == nil && o.Offset > 0 {
			from[topic][o.Partition], left[o.Partition] = kgo.NewOffset().AtStart(), o.Offset
		}
	})
	if len(left) == 0 {
		return
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(f.addr), kgo.ConsumePartitions(from))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for len(left) > 0 {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if end, ok := left[r.Partition]; ok && r.Offset < end {
				see(r)
				if r.Offset == end-1 {
					delete(left, r.Partition)
				}
			}
		})
	}
}

// span is the offsets of one file, both inclusive.
type span struct{ first, last int64 }

// export is what the finished files hold.
type export struct {
	rows  int64
	spans map[string][]span // by partition
	paths map[string]span
}

var fileName = regexp.MustCompile(`^activity\+(\d+)\+(\d+)\+(\d+)\.parquet$`)

// files reads the names of the finished files: they say what is inside.
func (f *flow) files(t *testing.T) export {
	t.Helper()
	e := export{spans: map[string][]span{}, paths: map[string]span{}}
	err := filepath.WalkDir(filepath.Join(f.dir, "out"), func(path string, d os.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // a temporary file that has got its name
		}
		if m := fileName.FindStringSubmatch(filepath.Base(path)); err == nil && m != nil {
			s := span{number(t, m[2]), number(t, m[3])}
			e.spans[m[1]] = append(e.spans[m[1]], s)
			e.paths[path] = s
			e.rows += s.last - s.first + 1
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func number(t *testing.T, digits string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// checkFiles demands that the files of each partition follow one another
// without gap or overlap, and hold the rows that their names promise.
func (f *flow) checkFiles(t *testing.T, want int64) {
	t.Helper()
	e := f.files(t)
	if e.rows != want {
		t.Errorf("%d rows are exported, want %d", e.rows, want)
	}
	for partition, spans := range e.spans {
		slices.SortFunc(spans, func(a, b span) int { return int(a.first - b.first) })
		next := int64(0)
		for _, s := range spans {
			if s.first != next {
				t.Errorf("partition %s: a file begins at offset %d, want %d", partition, s.first, next)
			}
			next = s.last + 1
		}
	}
	for path, s := range e.paths {
		if got := rowsOf(t, path); got != s.last-s.first+1 {
			t.Errorf("%s holds %d rows", filepath.Base(path), got)
		}
	}
}

func rowsOf(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	p, err := parquet.OpenFile(file, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return p.NumRows()
}
