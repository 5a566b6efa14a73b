package robust

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leatstream/leat/deploy/testbed"
)

// Kafka's own reader of log folders finds nothing wrong with ours, after a
// crash as well as after an orderly stop.
func TestKafkaReadsOurFiles(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("each call starts a Java process")
	}
	testbed.Require(t, "kafka-3.9")
	dir, port := t.TempDir(), testbed.FreePort(t)
	s := testbed.StartServer(t, dir, port, brokerFlags()...)
	l := startLoad(t, s.Addr)
	l.grows(t, s, 20_000)
	s.Kill()
	s = testbed.StartServer(t, dir, port, brokerFlags()...)
	l.grows(t, s, 1000)
	l.check(t)
	acked := l.history.Acked()
	s.Stop(t)

	found := 0
	for _, pattern := range []string{"load-*/*.log", "load-*/*index", "load-*/*.snapshot"} {
		paths, err := filepath.Glob(filepath.Join(dir, "log", pattern))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no %s: %v", pattern, err)
		}
		out := dump(t, paths, "--deep-iteration")
		found += len(regexp.MustCompile(`(?m)^\| offset: \d+`).FindAllString(out, -1))
		if pattern == "load-*/*index" {
			dump(t, paths, "--index-sanity-check")
		}
	}
	if found < acked {
		t.Errorf("the tool sees %d records, %d were acknowledged", found, acked)
	}
	offsets, err := filepath.Glob(filepath.Join(dir, "log", "__consumer_offsets-*", "*.log"))
	if err != nil {
		t.Fatal(err)
	}
	out := dump(t, offsets, "--offsets-decoder")
	for _, want := range []string{`"topic":"load","partition":0`, `"protocolType":"consumer"`} {
		if !strings.Contains(out, want) {
			t.Errorf("no %s among the decoded offsets:\n%.2000s", want, out)
		}
	}
}

// dump runs kafka-dump-log and fails on what it says when files are damaged.
func dump(t *testing.T, paths []string, flag string) string {
	t.Helper()
	out := testbed.KafkaTool(t, "3.9", "", "kafka-dump-log", flag, "--files", strings.Join(paths, ","))
	bad := regexp.MustCompile(`(?im)^.*(isvalid: false|mismatch|corrupt|exception|error|failed|non-consecutive|out of order|missing).*$`)
	if found := bad.FindAllString(out, 5); found != nil {
		t.Errorf("kafka-dump-log %s: %q", flag, found)
	}
	return out
}
