package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/cmd/internal/perf"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result of one command line.
type result struct {
	code        int
	out, errOut string
}

// leat runs a command line against the brokers of addr, with an environment of
// its own.
func leat(t *testing.T, addr, stdin string, args ...string) result {
	t.Helper()
	return leatEnv(t, []string{"LEAT_BOOTSTRAP_SERVER=" + addr}, stdin, args...)
}

func leatEnv(t *testing.T, environ []string, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, errOut bytes.Buffer
	code := newApp(environ, strings.NewReader(stdin), &out, &errOut).run(ctx, args)
	return result{code, out.String(), errOut.String()}
}

// mustLeat fails the test unless the command line succeeds.
func mustLeat(t *testing.T, addr, stdin string, args ...string) string {
	t.Helper()
	r := leat(t, addr, stdin, args...)
	if r.code != 0 {
		t.Fatalf("leat %s: exit %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.errOut)
	}
	return r.out
}

// fake starts a one-node cluster in this process.
func fake(t *testing.T, opts ...kfake.Opt) string {
	t.Helper()
	opts = append([]kfake.Opt{kfake.NumBrokers(1), kfake.DefaultNumPartitions(1), kfake.AllowAutoTopicCreation()}, opts...)
	c, err := kfake.NewCluster(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return strings.Join(c.ListenAddrs(), ",")
}

// seed writes values k0=v0, k1=v1, … to partition 0 of topic.
func seed(t *testing.T, addr, topic string, count int) {
	t.Helper()
	var in strings.Builder
	for i := range count {
		fmt.Fprintf(&in, "k%d\tv%d\n", i, i)
	}
	mustLeat(t, addr, in.String(), "topic", "produce", topic, "-f", `%k\t%v\n`, "-p", "0")
}

// commit stores a group's offset as a consumer would, and leaves the group.
func commit(t *testing.T, addr, group, topic string, count int) {
	t.Helper()
	mustLeat(t, addr, "", "topic", "consume", topic, "-g", group, "-o", "start", "-n", fmt.Sprint(count))
}

// variable is what differs from run to run in an output.
func variable() *regexp.Regexp {
	return regexp.MustCompile(`"(topic_id|member_id|host|client_id|go|platform|revision)": "[^"]*"`)
}

// golden compares got with a file of testdata; -rewrite makes it the file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = variable().ReplaceAllString(got, `"$1": "*"`)
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (run with -rewrite to accept):\n%s\nwant:\n%s", path, got, want)
	}
}

func TestGoldenLists(t *testing.T) {
	addr := fake(t)
	mustLeat(t, addr, "", "topic", "create", "orders", "-p", "2", "-r", "1", "-c", "retention.ms=3600000")
	mustLeat(t, addr, "", "topic", "create", "audit", "-p", "1", "-r", "1")
	seed(t, addr, "orders", 5)
	commit(t, addr, "billing", "orders", 3)

	for _, tt := range []struct {
		name string
		args []string
	}{
		{"topic-list", []string{"topic", "list"}},
		{"topic-describe", []string{"topic", "describe", "orders"}},
		{"group-list", []string{"group", "list"}},
		{"group-list-lag", []string{"group", "list", "--lag"}},
		{"group-describe", []string{"group", "describe", "billing"}},
		{"topic-create", []string{"topic", "create", "planned", "-p", "3", "-r", "1", "--dry-run"}},
		{"topic-delete", []string{"topic", "delete", "orders", "--dry-run"}},
		{"version", []string{"version"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			golden(t, tt.name+".json", mustLeat(t, addr, "", append(tt.args, "--format", "json")...))
		})
	}
	golden(t, "consume.ndjson", regexp.MustCompile(`"ts":"[^"]*","ts_ms":[0-9]+`).ReplaceAllString(
		mustLeat(t, addr, "", "topic", "consume", "orders", "-o", "start", "--exit-at-end", "--format", "ndjson"), `"ts":"*","ts_ms":0`))
	golden(t, "topic-list.txt", mustLeat(t, addr, "", "topic", "list", "--sort", "size"))
	golden(t, "group-describe.txt", regexp.MustCompile(` +`).ReplaceAllString(mustLeat(t, addr, "", "group", "describe", "billing"), " "))
}

func TestHelpShowsTheShapeOfEveryList(t *testing.T) {
	for _, args := range [][]string{{"topic", "list"}, {"topic", "describe", "x"}, {"group", "list"}, {"group", "describe", "x"}, {"topic", "consume", "x"}, {"version"}} {
		// No broker is needed for help.
		out := mustLeat(t, "127.0.0.1:1", "", append(args, "--format", "help")...)
		golden(t, "shape-"+strings.Join(args[:min(2, len(args))], "-")+".txt", out)
	}
}

func TestEmptyLists(t *testing.T) {
	addr := fake(t)
	for _, noun := range []string{"topic", "group"} {
		if out := mustLeat(t, addr, "", noun, "list", "--format", "json"); out != "[]\n" {
			t.Errorf("%s list: %q", noun, out)
		}
		if out := mustLeat(t, addr, "", noun, "list"); strings.Count(out, "\n") != 1 {
			t.Errorf("%s list: %q, want a heading only", noun, out)
		}
	}
}

func TestFormatsOfLists(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(2, "orders"))
	for format, want := range map[string]string{
		"name":                "orders\n",
		"ndjson":              `{"name":"orders",`,
		"yaml":                "- name: orders\n",
		"csv":                 "name,topic_id,partitions,replication_factor,internal,records,size_bytes\norders,",
		"template={{.name}}!": "orders!\n",
		"wide":                "TOPIC ",
	} {
		if out := mustLeat(t, addr, "", "topic", "list", "-o", format); !strings.HasPrefix(out, want) {
			t.Errorf("%s: %q, want prefix %q", format, out, want)
		}
	}
}

func TestExitCodesAndErrors(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(1, "orders"))
	tests := []struct {
		line string
		code int
		want []string // in stderr
	}{
		{"nonsense", 2, []string{`unknown command "nonsense"`, "→ run: leat --help"}},
		{"topik list", 2, []string{`did you mean "topic"?`}},
		{"topic lst", 2, []string{`did you mean "list"?`, "→ run: leat topic list --help"}},
		{"topic list --sort age", 2, []string{"want name, partitions, records or size"}},
		{"topic list extra", 2, []string{"→ run: leat topic list --help"}},
		{"topic list --nope", 2, []string{"unknown flag: --nope"}},
		{"topic list --format xml", 2, []string{`unknown format "xml"`}},
		{"topic list --regex (", 2, []string{"--regex"}},
		{"topic describe", 2, []string{"accepts 1 arg"}},
		{"topic describe missing", 3, []string{"topic missing: not found", "→ run: leat topic list -b " + addr}},
		{"topic consume missing", 3, []string{"topic missing: not found"}},
		{"topic consume orders -p 7", 3, []string{"partition 7 of topic orders"}},
		{"topic consume orders -o nowhere", 2, []string{"not an offset"}},
		{"topic consume orders --where vlue==1", 2, []string{"unknown name vlue"}},
		{"topic consume orders -f %z", 2, []string{"unknown verb %z"}},
		{"topic consume orders --format yaml", 2, []string{"cannot be written as yaml"}},
		{"topic produce orders -f %o", 2, []string{"cannot be produced"}},
		{"topic produce orders -H x", 2, []string{"is not name:value"}},
		{"topic produce orders -z rar", 2, []string{"want none, gzip"}},
		{"topic produce orders --repeat 0", 2, []string{"--repeat"}},
		{"topic create orders", 7, []string{"create topic orders"}},
		{"topic create a -c x", 2, []string{"is not key=value"}},
		{"topic delete orders", 2, []string{"refusing to delete orders", "→ run: leat topic delete orders --yes"}},
		{"topic delete missing --yes", 3, []string{"topic missing: not found"}},
		{"group describe missing", 3, []string{"group missing: not found", "leat group list"}},
		{"topic list -X linger=1", 2, []string{"did you mean linger.ms?"}},
		{"topic list -X linger.ms=x", 2, []string{"is not a number"}},
		{"topic list -X oops", 2, []string{"is not key=value"}},
		{"topic list -b a:b:c", 2, []string{"is not host:port"}},
	}
	for _, tt := range tests {
		r := leat(t, addr, "", strings.Fields(tt.line)...)
		if r.code != tt.code {
			t.Errorf("leat %s: exit %d, want %d\n%s", tt.line, r.code, tt.code, r.errOut)
		}
		if r.out != "" {
			t.Errorf("leat %s: stdout %q", tt.line, r.out)
		}
		for _, w := range tt.want {
			if !strings.Contains(r.errOut, w) {
				t.Errorf("leat %s: no %q in\n%s", tt.line, w, r.errOut)
			}
		}
	}
}

func TestUnreachable(t *testing.T) {
	r := leat(t, "127.0.0.1:1", "", "topic", "list", "--timeout", "2s")
	if r.code != exitUnreachable || !strings.Contains(r.errOut, "cannot reach a broker at 127.0.0.1:1: connection refused") || !strings.Contains(r.errOut, "→ run: ") {
		t.Errorf("exit %d\n%s", r.code, r.errOut)
	}
}

func TestEnvironmentSetsFlags(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(1, "orders"))
	environ := []string{"LEAT_BOOTSTRAP_SERVER=" + addr, "LEAT_FORMAT=name"}
	if r := leatEnv(t, environ, "", "topic", "list"); r.out != "orders\n" {
		t.Errorf("LEAT_FORMAT: %q %q", r.out, r.errOut)
	}
	if r := leatEnv(t, environ, "", "topic", "list", "--format", "csv"); !strings.HasPrefix(r.out, "name,") {
		t.Errorf("a flag must win over LEAT_FORMAT: %q", r.out)
	}
	if r := leatEnv(t, []string{"LEAT_TIMEOUT=soon"}, "", "topic", "list"); r.code != exitUsage || !strings.Contains(r.errOut, "LEAT_TIMEOUT") {
		t.Errorf("a bad LEAT_TIMEOUT: %d %q", r.code, r.errOut)
	}
	if r := leatEnv(t, nil, "", "topic", "list", "--brokers", addr, "-o", "name"); r.out != "orders\n" {
		t.Errorf("--brokers: %q %q", r.out, r.errOut)
	}
}

func TestTopicLifecycle(t *testing.T) {
	addr := fake(t)
	r := leat(t, addr, "", "topic", "create", "a", "b", "a", "-p", "2", "-r", "1")
	if r.code == 0 && strings.Count(r.out, "created") < 2 {
		t.Errorf("create: %+v", r)
	}
	if out := mustLeat(t, addr, "", "topic", "create", "b", "--if-not-exists", "--format", "csv"); !strings.Contains(out, "b,exists") {
		t.Errorf("--if-not-exists: %q", out)
	}
	if r := leat(t, addr, "", "topic", "create", "b", "c", "-r", "1"); r.code != exitPartly || !strings.Contains(r.out, "created") || !strings.Contains(r.errOut, "topic b") {
		t.Errorf("partly: %+v", r)
	}
	if out := mustLeat(t, addr, "", "topic", "delete", "b", "nothing", "--if-exists", "--yes"); !strings.Contains(out, "deleted") {
		t.Errorf("delete: %q", out)
	}
	if out := mustLeat(t, addr, "", "topic", "list", "-o", "name"); strings.Contains(out, "b\n") {
		t.Errorf("b is still there: %q", out)
	}
}

func TestProduceAndConsume(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(3, "in", "copy"))
	mustLeat(t, addr, "one\ntwo\n\nfour", "topic", "produce", "in", "-k", "k", "-H", "trace:1:2", "-z", "gzip", "-p", "1")
	consume := func(args ...string) string {
		t.Helper()
		return mustLeat(t, addr, "", append([]string{"topic", "consume"}, args...)...)
	}
	tests := []struct {
		args string
		want string
	}{
		{"in -o start --exit-at-end", "one\ntwo\n\nfour\n"},
		{"in -o start -n 2 -f %t/%p@%o:%k=%v[%h]\\n", "in/1@0:k=one[trace=1:2]\nin/1@1:k=two[trace=1:2]\n"},
		{"in -o -1 --exit-at-end", "four\n"},
		{"in -o +1 -n 1", "two\n"},
		{"in -o 1:3", "two\n\n"},
		{"in -o end --exit-at-end", ""},
		{"in -o @-1h -n 1", "one\n"},
		{"in -o @-2h:-1h", ""},
		{"in -p 0 -o start --exit-at-end", ""},
		{"in -o start --exit-at-end --where value==\"four\"||offset==0", "one\nfour\n"},
	}
	for _, tt := range tests {
		if got := consume(strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("consume %s: %q, want %q", tt.args, got, tt.want)
		}
	}

	lines := consume("in", "-o", "start", "--exit-at-end", "--format", "ndjson")
	mustLeat(t, addr, lines, "topic", "produce", "copy", "-f", "ndjson", "--keep-partitions")
	stripTopic := func(s string) string { return strings.NewReplacer(`"in"`, "", `"copy"`, "").Replace(s) }
	if got := consume("copy", "-o", "start", "--exit-at-end", "--format", "ndjson"); stripTopic(got) != stripTopic(lines) {
		t.Errorf("copied:\n%s\nwant:\n%s", got, lines)
	}
	r := leat(t, addr, "", "topic", "consume", "in", "-o", "start", "--exit-at-end", "--where", "value.x > 1")
	if r.code != 0 || r.out != "" || !strings.Contains(r.errOut, "does not fit 4 records") {
		t.Errorf("a filter that does not fit: %+v", r)
	}
}

func TestProduceRepeatAndRate(t *testing.T) {
	addr := fake(t)
	mustLeat(t, addr, "x\n", "topic", "produce", "t", "--repeat", "5", "--rate", "1000", "-k", "a", "--acks", "1")
	if got := mustLeat(t, addr, "", "topic", "consume", "t", "-o", "start", "--exit-at-end"); got != strings.Repeat("x\n", 5) {
		t.Errorf("got %q", got)
	}
	if r := leat(t, addr, "not json\n", "topic", "produce", "t", "-f", "ndjson"); r.code != exitFailed || !strings.Contains(r.errOut, "record 1") {
		t.Errorf("bad input: %+v", r)
	}
	if r := leat(t, addr, "7 x\n", "topic", "produce", "t", "-f", `%p %v\n`); r.code != exitFailed || !strings.Contains(r.errOut, "record not written") {
		t.Errorf("a partition that does not exist: %+v", r)
	}
}

func TestConsumeInAGroup(t *testing.T) {
	addr := fake(t)
	seed(t, addr, "t", 5)
	read := func(n string) string {
		t.Helper()
		return mustLeat(t, addr, "", "topic", "consume", "t", "-g", "g", "-o", "start", "-n", n)
	}
	if got := read("2"); got != "v0\nv1\n" {
		t.Errorf("first: %q", got)
	}
	if got := read("2"); got != "v2\nv3\n" {
		t.Errorf("second: %q, want to go on after the commit", got)
	}
	if got := mustLeat(t, addr, "", "topic", "consume", "t", "-g", "g", "--exit-at-end"); got != "v4\n" {
		t.Errorf("rest: %q", got)
	}
	if got := mustLeat(t, addr, "", "topic", "consume", "t", "-g", "g", "--exit-at-end"); got != "" {
		t.Errorf("nothing is left, got %q", got)
	}
}

func TestPerf(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(2, "load"))
	for _, line := range []string{
		"perf produce load -n 300 --size 50 --rate 100000",
		"perf produce load -n 300 --size 50 --raw --batch 10",
		"perf consume load",
		"perf consume load --raw",
	} {
		var report perf.Report
		out := mustLeat(t, addr, "", append(strings.Fields(line), "--format", "json")...)
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%s: %v in %s", line, err, out)
		}
		want := int64(300)
		if strings.Contains(line, "consume") {
			want = 600
		}
		if report.Records != want || report.Failed != 0 || report.RecordsPerSecond <= 0 {
			t.Errorf("%s: %s", line, out)
		}
	}
	for line, mode := range map[string]string{
		"perf latency load -n 200 --rate 2000 --acks 1": "latency",
		"perf latency load -n 200 --rate 2000 --raw":    "latency raw",
		"perf latency load --for 20ms --size 16 --raw":  "latency raw",
	} {
		var report perf.LatencyReport
		out := mustLeat(t, addr, "", append(strings.Fields(line), "--format", "json")...)
		if err := json.Unmarshal([]byte(out), &report); err != nil {
			t.Fatalf("%s: %v in %s", line, err, out)
		}
		if report.Mode != mode || report.Received == 0 || report.Received != report.Sent || report.EndToEndMax < report.EndToEndP90 {
			t.Errorf("%s: %s", line, out)
		}
	}
	for line, code := range map[string]int{
		"perf latency missing": exitNotFound, "perf latency load --acks 0": exitUsage, "perf latency load --raw --acks 0": exitUsage, "perf latency missing --raw": exitNotFound,
		"perf latency load --size 3 -n 1": exitUsage,
		"perf produce missing":            exitNotFound, "perf consume missing": exitNotFound,
		"perf produce load --size 3": exitUsage, "perf produce load --raw -z gzip": exitUsage, "perf consume load --from-end": exitUsage,
	} {
		if r := leat(t, addr, "", strings.Fields(line)...); r.code != code {
			t.Errorf("%s: exit %d, want %d\n%s", line, r.code, code, r.errOut)
		}
	}
	golden(t, "shape-perf-latency.txt", mustLeat(t, addr, "", "perf", "latency", "load", "--format", "help"))
	golden(t, "shape-perf-produce.txt", mustLeat(t, addr, "", "perf", "produce", "load", "--format", "help"))
}

func TestTail(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(1, "t"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	feeder, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer feeder.Close()
	// Tail starts at the end, wherever that is when it looks: feed until it ends.
	fed := make(chan struct{})
	feeding, stop := context.WithCancel(ctx)
	go func() {
		defer close(fed)
		for feeding.Err() == nil {
			feeder.ProduceSync(feeding, kgo.KeyStringRecord("key", "line\x1b[2J"), kgo.StringRecord("other"))
		}
	}()
	out := mustLeat(t, addr, "", "topic", "tail", "t", "-n", "2", "--where", `key == "key"`)
	stop()
	<-fed
	want := regexp.MustCompile(`^(\d\d:\d\d:\d\d\.\d{3} t/0@\d+ key line\\x1b\[2J\n){2}$`)
	if !want.MatchString(out) {
		t.Errorf("got %q", out)
	}
}

func TestInterruptedConsumption(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(1, "t"))
	ctx, cancel := context.WithCancel(t.Context())
	var out, errOut bytes.Buffer
	code := make(chan int, 1)
	go func() {
		code <- newApp([]string{"LEAT_BOOTSTRAP_SERVER=" + addr}, nil, &out, &errOut).run(ctx, []string{"topic", "consume", "t"})
	}()
	cancel()
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit %d, want %d\n%s", got, exitInterrupted, errOut.String())
	}
}

func TestCompletion(t *testing.T) {
	addr := fake(t, kfake.SeedTopics(1, "orders"))
	if out := mustLeat(t, addr, "", "__complete", "topic", "describe", ""); !strings.HasPrefix(out, "orders\n") {
		t.Errorf("topics: %q", out)
	}
	if out := mustLeat(t, addr, "", "__complete", "topic", "list", "--format", ""); !strings.Contains(out, "ndjson\n") {
		t.Errorf("formats: %q", out)
	}
}

func TestEveryCommandHasHelp(t *testing.T) {
	root := newApp(nil, nil, nil, nil).rootCmd()
	for _, noun := range root.Commands() {
		for _, verb := range noun.Commands() {
			if verb.Short == "" || noun.Short == "" {
				t.Errorf("%s has no help", verb.CommandPath())
			}
			if out := mustLeat(t, "", "", noun.Name(), verb.Name(), "--help"); !strings.Contains(out, "Usage:") {
				t.Errorf("%s --help: %q", verb.CommandPath(), out)
			}
		}
	}
}
