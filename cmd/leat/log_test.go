package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// writeLog makes a log directory whose bytes are the same in every run, with one
// partition orders-0: plain and compressed batches, headers, nulls, a producer
// and an aborted transaction.
func writeLog(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const now = 1_700_000_000_000
	cfg := commitlog.DefaultConfig()
	cfg.IndexIntervalBytes = 100
	m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{dir}, BrokerID: 1, ClusterID: "c", Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(record.TopicPartition{Topic: "orders"}, [16]byte{1, 2, 3}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	appendOne := func(b []byte, err error, origin commitlog.Origin) {
		t.Helper()
		if err == nil {
			_, err = l.AppendAsLeader(b, 2, commitlog.AppendOptions{Origin: origin, Now: now})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var w record.Builder
	w.Reset(record.NewOptions())
	w.Append(now, []byte("k"), []byte("first"), record.Header{Key: []byte("h"), Value: []byte("1")})
	w.Append(now+5, nil, []byte{0xff, 0})
	w.Append(now+1, []byte("gone"), nil)
	b, err := w.Build(nil)
	appendOne(b, err, commitlog.OriginClient)
	opts := record.NewOptions()
	opts.Compression = record.Snappy
	opts.ProducerID, opts.ProducerEpoch, opts.BaseSequence, opts.Transactional = 9, 1, 0, true
	w.Reset(opts)
	for i := range 3 {
		w.Append(now+10, nil, fmt.Append(nil, "in a transaction ", i))
	}
	b, err = w.Build(nil)
	appendOne(b, err, commitlog.OriginClient)
	b, err = record.AppendMarker(nil, 9, 1, now+20, record.Marker{Type: record.Abort, CoordinatorEpoch: 4})
	appendOne(b, err, commitlog.OriginCoordinator)
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
	return dir
}

// mask hides what differs from run to run.
func mask(dir, text string) string { return strings.ReplaceAll(text, dir, "DIR") }

func TestLogDump(t *testing.T) {
	dir := writeLog(t)
	part := filepath.Join(dir, "orders-0")
	segment := filepath.Join(part, "00000000000000000000.log")
	var all []string
	for _, name := range []string{
		"orders-0/00000000000000000000.log", "orders-0/00000000000000000000.index", "orders-0/00000000000000000000.timeindex",
		"orders-0/00000000000000000000.txnindex", "orders-0/00000000000000000007.snapshot", "orders-0/leader-epoch-checkpoint",
		"orders-0/partition.metadata", "recovery-point-offset-checkpoint",
	} {
		all = append(all, filepath.Join(dir, name))
	}
	golden(t, "log-dump.txt", mask(dir, mustLeat(t, "", "", append([]string{"log", "dump"}, all...)...)))
	golden(t, "log-dump.json", mask(dir, mustLeat(t, "", "", append([]string{"log", "dump", "--json"}, all...)...)))
	golden(t, "log-dump-records.txt", mask(dir, mustLeat(t, "", "", "log", "dump", "--records", segment)))
	golden(t, "log-dump-records.ndjson", mask(dir, mustLeat(t, "", "", "log", "dump", "--records", "--format", "ndjson", segment)))
	golden(t, "shape-log-dump.txt", mustLeat(t, "", "", "log", "dump", "x", "--format", "help"))
	if out := mustLeat(t, "", "", "log", "dump", "-n", "2", "--format", "ndjson", segment); strings.Count(out, "\n") != 2 {
		t.Errorf("two batches: %q", out)
	}
}

// TestLogDumpDecodes: the records of internal topics as texts; others as they
// are.
func TestLogDumpDecodes(t *testing.T) {
	commit := kmsg.OffsetCommitValue{Version: 3, Offset: 42, LeaderEpoch: 5, Metadata: "m", CommitTimestamp: 1700000000000}
	group := kmsg.GroupMetadataValue{Version: 3, ProtocolType: "consumer", Generation: 7, Protocol: kmsg.StringPtr("range"), Leader: kmsg.StringPtr("a-1"),
		Members: []kmsg.GroupMetadataValueMember{{MemberID: "a-1", ClientID: "a", ClientHost: "/127.0.0.1", SessionTimeoutMillis: 45000}}}
	txn := kmsg.TxnMetadataValue{ProducerID: 9, ProducerEpoch: 1, TimeoutMillis: 60000, State: 1, Topics: []kmsg.TxnMetadataValueTopic{{Topic: "t", Partitions: []int32{0, 3}}}}
	var w record.Builder
	w.Reset(record.NewOptions())
	const now = 1_700_000_000_000
	offset := (&kmsg.OffsetCommitKey{Version: 1, Group: "mill", Topic: "t", Partition: 2}).AppendTo(nil)
	w.Append(now, offset, commit.AppendTo(nil))
	w.Append(now, offset, nil)
	w.Append(now, (&kmsg.GroupMetadataKey{Version: 2, Group: "mill"}).AppendTo(nil), group.AppendTo(nil))
	w.Append(now, (&kmsg.TxnMetadataKey{TransactionalID: "id"}).AppendTo(nil), txn.AppendTo(nil))
	w.Append(now, offset[:5], []byte("no value"))
	w.Append(now, nil, []byte{0, 9, 1})
	b, err := w.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(t.TempDir(), "00000000000000000000.log")
	if err := os.WriteFile(segment, b, 0o600); err != nil {
		t.Fatal(err)
	}
	var out string
	for _, kind := range []string{"offsets", "transactions"} {
		out += mask(filepath.Dir(segment), mustLeat(t, "", "", "log", "dump", "--decode", kind, segment))
	}
	golden(t, "log-dump-decode.txt", out)
	if r := leat(t, "", "", "log", "dump", "--decode", "x", segment); r.code != exitUsage {
		t.Errorf("unknown decoder: exit %d", r.code)
	}
}

func TestLogDumpOfDamage(t *testing.T) {
	dir := writeLog(t)
	segment := filepath.Join(dir, "orders-0", "00000000000000000000.log")
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	data[70] ^= 1
	if err := os.WriteFile(segment, data[:len(data)-10], 0o644); err != nil {
		t.Fatal(err)
	}
	r := leat(t, "", "", "log", "dump", "--format", "ndjson", segment)
	if r.code != exitFailed || strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, `"valid":false`) {
		t.Errorf("exit %d: %s", r.code, r.out)
	}
	for _, want := range []string{"position 0: ", "truncated"} {
		if !strings.Contains(r.errOut, want) {
			t.Errorf("no %q in %s", want, r.errOut)
		}
	}
	if r := leat(t, "", "", "log", "dump", segment+".none", filepath.Join(dir, "x.txt")); r.code == exitDone {
		t.Errorf("unknown files: exit %d", r.code)
	}
	if r := leat(t, "", "", "log", "dump", filepath.Join(dir, "00000000000000000005.log")); r.code != exitNotFound {
		t.Errorf("missing file: exit %d, %s", r.code, r.errOut)
	}
}

func TestLogVerify(t *testing.T) {
	dir := writeLog(t)
	golden(t, "log-verify.txt", mask(dir, mustLeat(t, "", "", "log", "verify", dir, "--no-gaps")))
	golden(t, "log-verify.json", mask(dir, mustLeat(t, "", "", "log", "verify", filepath.Join(dir, "orders-0"), "--format", "json")))
	golden(t, "shape-log-verify.txt", mustLeat(t, "", "", "log", "verify", "x", "--format", "help"))

	segment := filepath.Join(dir, "orders-0", "00000000000000000000.log")
	data, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	data[200] ^= 1
	if err := os.WriteFile(segment, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "recovery-point-offset-checkpoint"), []byte("9\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := leat(t, "", "", "log", "verify", dir)
	if r.code != exitFailed {
		t.Errorf("exit %d", r.code)
	}
	golden(t, "log-verify-damage.txt", mask(dir, r.out+r.errOut))

	if r := leat(t, "", "", "log", "verify", t.TempDir()); r.code != exitNotFound {
		t.Errorf("empty folder: exit %d", r.code)
	}
	if r := leat(t, "", "", "log", "verify", dir+"/none"); r.code != exitNotFound {
		t.Errorf("missing folder: exit %d", r.code)
	}
}
