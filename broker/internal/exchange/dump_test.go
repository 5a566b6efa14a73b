package exchange

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leatstream/leat/deploy/testbed"
)

// Kafka's own reader finds the transactions that we appended, in every kind of
// file, and nothing wrong with any.
func TestKafkaDumpsTransactions(t *testing.T) {
	require(t)
	dir := t.TempDir()
	appendTransactions(t, dir)
	logs := dump(t, dir, "*.log", "--deep-iteration")
	for what, want := range map[string]int{
		`endTxnMarker: COMMIT coordinatorEpoch: 1`: 16, `endTxnMarker: ABORT coordinatorEpoch: 1`: 9,
		`(?m)^\| offset: .* payload`: 0,
		`(?m)^baseOffset: .* isTransactional: true isControl: true .* isvalid: true`:                                        25,
		`(?m)^baseOffset: .* producerId: 500\d producerEpoch: 3 .* isTransactional: true isControl: false .* isvalid: true`: 49,
	} {
		if got := len(regexp.MustCompile(what).FindAllString(logs, -1)); got != want {
			t.Errorf("%d times %q, want %d", got, what, want)
		}
	}
	if got := strings.Count(logs, "| offset: "); got != 24*10+12*1+12*2+5+25 {
		t.Errorf("%d records:\n%.1000s", got, logs)
	}
	for _, pattern := range []string{"*.index", "*.timeindex"} {
		out := dump(t, dir, pattern, "--index-sanity-check")
		if pattern == "*.index" && !strings.Contains(out, "passed sanity check") {
			t.Errorf("%s: %.1000s", pattern, out)
		}
		dump(t, dir, pattern, "--verify-index-only")
	}
	aborted := dump(t, dir, "*.txnindex", "--deep-iteration")
	if got := len(regexp.MustCompile(`(?m)^version: 0 producerId: 500[0-2] firstOffset: \d+ lastOffset: \d+ lastStableOffset: \d+ *$`).FindAllString(aborted, -1)); got != 9 {
		t.Errorf("%d aborted transactions in the index:\n%s", got, aborted)
	}
	snapshots := dump(t, dir, "*.snapshot", "--deep-iteration")
	for _, want := range []string{"producerId: 5000 producerEpoch: 3 coordinatorEpoch: 1 currentTxnFirstOffset: OptionalLong.empty", "producerId: 5003 producerEpoch: 3 coordinatorEpoch: -1 currentTxnFirstOffset: OptionalLong[301]"} {
		if !strings.Contains(snapshots, want) {
			t.Errorf("no %q in\n%s", want, snapshots)
		}
	}
}

// dump runs kafka-dump-log over files of the topic accounts and fails on what it
// says when they are damaged.
func dump(t *testing.T, dir, pattern, flag string) string {
	t.Helper()
	paths := must(filepath.Glob(filepath.Join(dir, "accounts-0", pattern)))(t)
	if len(paths) == 0 {
		t.Fatalf("no %s", pattern)
	}
	out := testbed.KafkaTool(t, "3.9", "", "kafka-dump-log", flag, "--files", strings.Join(paths, ","))
	bad := regexp.MustCompile(`(?im)^.*(isvalid: false|mismatch|corrupt|exception|error|failed|non-consecutive|out of order|missing).*$`)
	if found := bad.FindAllString(out, 5); found != nil {
		t.Errorf("kafka-dump-log %s of %s: %q", flag, pattern, found)
	}
	return out
}
