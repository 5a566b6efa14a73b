package inspect_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/commitlog"
	"github.com/leatstream/leat/broker/commitlog/format"
	"github.com/leatstream/leat/broker/commitlog/inspect"
	"github.com/leatstream/leat/broker/record"
	"github.com/leatstream/leat/broker/vfs"
)

// now is the wall clock of tests that pass time in.
var now = time.UnixMilli(1_700_000_000_000)

func makeBatch(t *testing.T, opts record.BuilderOptions, ts int64, values ...string) []byte {
	t.Helper()
	var b record.Builder
	b.Reset(opts)
	for _, v := range values {
		b.Append(ts, []byte("k"), []byte(v))
	}
	out, err := b.Build(nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// partition is the one that writeLog makes.
var partition = record.TopicPartition{Topic: "t"}

// writeLog makes a log of several segments with an open and an aborted
// transaction, closed in order, and returns its directory.
func writeLog(t *testing.T) (dir string) {
	t.Helper()
	cfg := commitlog.DefaultConfig()
	cfg.SegmentBytes, cfg.IndexIntervalBytes = 2000, 200
	m, err := commitlog.OpenManager(t.Context(), commitlog.ManagerConfig{Dirs: []string{t.TempDir()}, Defaults: cfg}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := m.GetOrCreate(partition, [16]byte{1}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	write := func(batch []byte, origin commitlog.Origin) {
		if _, err := l.AppendAsLeader(batch, 0, commitlog.AppendOptions{Origin: origin, Now: now.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 60 {
		write(makeBatch(t, record.NewOptions(), now.UnixMilli()+int64(i), fmt.Sprint(i), strings.Repeat("x", 100)), commitlog.OriginClient)
	}
	txn := record.NewOptions()
	txn.Transactional, txn.ProducerID, txn.ProducerEpoch, txn.BaseSequence = true, 5, 0, 0
	write(makeBatch(t, txn, now.UnixMilli(), "aborted"), commitlog.OriginClient)
	marker, err := record.AppendMarker(nil, 5, 0, now.UnixMilli(), record.Marker{Type: record.Abort})
	if err != nil {
		t.Fatal(err)
	}
	write(marker, commitlog.OriginCoordinator)
	if err := m.Close(1); err != nil {
		t.Fatal(err)
	}
	return l.Path()
}

// problems verifies dir and lists what is wrong as "file@position".
func problems(t *testing.T, dir string) (list []string, sum inspect.Summary, all []inspect.Problem) {
	t.Helper()
	sum, err := inspect.Verify(t.Context(), vfs.OS{}, dir, func(p inspect.Problem) {
		list = append(list, fmt.Sprintf("%s@%d", p.File, p.Position))
		all = append(all, p)
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, sum, all
}

func TestVerifyAcceptsWhatWasWritten(t *testing.T) {
	dir := writeLog(t)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		list, sum, all := problems(t, d)
		if len(list) > 0 {
			t.Errorf("%v: %v", list, all)
		}
		if sum.Partitions != 1 || sum.Segments < 3 || sum.Batches != 62 || sum.Records != 122 || sum.Gaps != 0 || sum.Bytes == 0 {
			t.Errorf("%s: %+v", d, sum)
		}
	}
}

// edit changes the one file of dir that matches pattern.
func edit(t *testing.T, dir, pattern string, change func([]byte) []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", pattern, names, err)
	}
	data, err := os.ReadFile(names[0])
	if err == nil {
		err = os.WriteFile(names[0], change(data), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerifyFinds(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	first := len(makeBatch(t, record.NewOptions(), 0, "0", strings.Repeat("x", 100)))
	for _, tc := range []struct {
		name, pattern string
		change        func([]byte) []byte
		want          string
		err           error
	}{
		{"a flipped bit in a record", "00000000000000000000.log", flip(first + 100), fmt.Sprint("00000000000000000000.log@", first), record.ErrCorruptBatch},
		{"a flipped bit in a length", "00000000000000000000.log", flip(first + 8), fmt.Sprint("00000000000000000000.log@", first), record.ErrTruncated},
		{"an offset that goes back", "00000000000000000000.log", func(b []byte) []byte { b[first+7] = 0; return b }, fmt.Sprint("00000000000000000000.log@", first), record.ErrCorruptBatch},
		{"a cut end", "00000000000000000000.log", func(b []byte) []byte { return b[:first+20] }, fmt.Sprint("00000000000000000000.log@", first), record.ErrTruncated},
		{"an old format", "00000000000000000000.log", func(b []byte) []byte { b[16] = 1; return b }, "00000000000000000000.log@0", record.ErrUnsupportedFormat},
		{"a wrong position", "00000000000000000000.index", flip(7), "00000000000000000000.index@0", format.ErrCorruptFile},
		{"a wrong order", "00000000000000000000.index", func(b []byte) []byte { return append(b, b[:8]...) }, "", format.ErrCorruptFile},
		{"a half entry", "00000000000000000000.index", func(b []byte) []byte { return append(b, 1) }, "", format.ErrCorruptFile},
		{"a wrong time", "00000000000000000000.timeindex", func(b []byte) []byte { b[5]--; return b }, "00000000000000000000.timeindex@0", format.ErrCorruptFile},
		{"a time of no record", "00000000000000000000.timeindex", func(b []byte) []byte { b[len(b)-5]++; return b }, "", format.ErrCorruptFile},
		{"a time index without its end", "00000000000000000000.timeindex", func(b []byte) []byte { return b[:len(b)-12] }, "", format.ErrCorruptFile},
		{"a bad snapshot", "*.snapshot", flip(9), "@-1", format.ErrCorruptFile},
		{"a bad txnindex", "*.txnindex", func(b []byte) []byte { return b[1:] }, "@-1", format.ErrCorruptFile},
		{"bad epochs", format.EpochFile, flip(0), format.EpochFile + "@-1", format.ErrCorruptFile},
		{"a bad topic id", format.PartitionMetadataFile, flip(0), format.PartitionMetadataFile + "@-1", format.ErrCorruptFile},
		{"a bad checkpoint", "../" + format.RecoveryPointFile, flip(0), format.RecoveryPointFile + "@-1", format.ErrCorruptFile},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := writeLog(t)
			edit(t, dir, tc.pattern, tc.change)
			list, _, all := problems(t, filepath.Dir(dir))
			if len(all) != 1 || !strings.HasSuffix(list[0], tc.want) || !errors.Is(all[0].Err, tc.err) {
				t.Errorf("found %v %v, want %s", list, all, tc.want)
			}
			if len(all) > 0 && strings.HasSuffix(all[0].File, "log") && all[0].TopicPartition != partition {
				t.Errorf("partition %v", all[0].TopicPartition)
			}
		})
	}
}

func TestVerifyCountsGaps(t *testing.T) {
	dir := writeLog(t)
	if err := os.Remove(filepath.Join(dir, "00000000000000000000.log")); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(names) < 2 {
		t.Fatal(names, err)
	}
	if err := os.Remove(names[1]); err != nil { // one in the middle
		t.Fatal(err)
	}
	if _, sum, _ := problems(t, filepath.Dir(dir)); sum.Gaps != 1 {
		t.Errorf("%d gaps, want 1", sum.Gaps)
	}
}

func TestVerifyEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	dir := writeLog(t)
	if _, err := inspect.Verify(ctx, vfs.OS{}, dir, func(inspect.Problem) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := inspect.Verify(t.Context(), vfs.OS{}, filepath.Join(dir, "none"), func(inspect.Problem) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}

// Whatever byte is changed, Verify neither panics nor stops with an error; a
// change inside a batch's checksum is always found.
func TestVerifyAnyByte(t *testing.T) {
	dir := writeLog(t)
	name := filepath.Join(dir, "00000000000000000000.log")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		bad := append([]byte(nil), good...)
		at := rng.IntN(len(bad))
		bad[at] ^= 1 << rng.IntN(8)
		if err := os.WriteFile(name, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		list, sum, _ := problems(t, dir)
		b, pos := record.Batch(good), 0
		for pos+b.Size() <= at {
			pos += b.Size()
			b = record.Batch(good[pos:])
		}
		// Outside the checksum lie base offset and leader epoch.
		if in := at - pos; in >= 16 && len(list) == 0 {
			t.Errorf("byte %d of the batch at %d: not found, %+v", in, pos, sum)
		}
	}
}
