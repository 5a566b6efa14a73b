package robust

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/deploy/testbed"
)

// smallDisk mounts a file system of that many bytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a tmpfs cannot be mounted (run as root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// On a full disk produce fails with an error that says so, fetch goes on, and
// as soon as there is space again produce works, without a restart.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "24m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 8<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	port := testbed.FreePort(t)
	s := testbed.StartServer(t, filepath.Join(dir, "data"), port, brokerFlags()...)
	cl := dial(t, s.Addr, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordRetries(0), kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	record := func() *kgo.Record { return &kgo.Record{Topic: topic, Value: make([]byte, 100<<10)} }
	written := 0
	var failure error
	for failure == nil && written < 1000 {
		if failure = cl.ProduceSync(ctx, record()).FirstErr(); failure == nil {
			written++
		}
	}
	t.Logf("after %d records of 100 KiB: %v", written, failure)
	// What is left of the disk goes too, so that nothing fits any more.
	if err := os.WriteFile(filepath.Join(dir, "rest"), make([]byte, 1<<20), 0o600); err == nil {
		t.Log("there was a MiB left on the full disk")
	}
	if failure == nil || written == 0 {
		t.Fatalf("%d records fit on the disk, then: %v", written, failure)
	}
	if !errors.Is(failure, kerr.KafkaStorageError) {
		t.Errorf("the error is %v, want %v", failure, kerr.KafkaStorageError)
	}
	if got := count(t, ctx, s.Addr, written); got != written {
		t.Errorf("%d of %d records can be fetched from a full disk", got, written)
	}
	adm := kadm.NewClient(cl)
	_, createErr := adm.CreateTopic(ctx, 1, 1, nil, "another") // goes well if the tree's file has some bytes left
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	testbed.Until(t, "records are taken again", func() bool { return cl.ProduceSync(ctx, record()).FirstErr() == nil })
	if _, err := adm.CreateTopic(ctx, 1, 1, nil, "third"); err != nil {
		t.Errorf("create topic, with space again: %v", err)
	}
	if got := count(t, ctx, s.Addr, written+1); got != written+1 {
		t.Errorf("%d of %d records are there in the end", got, written+1)
	}
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.Stderr())
	}
	if createErr == nil {
		// Its log could not be made then; it is at the next start.
		s = testbed.StartServer(t, filepath.Join(dir, "data"), port, brokerFlags()...)
		late := record()
		late.Topic = "another"
		s.Until(t, "the topic created on the full disk is led", func() bool { return cl.ProduceSync(ctx, late).FirstErr() == nil })
	}
}

// count reads the topic until it has seen that many records.
func count(t *testing.T, ctx context.Context, addr string, want int) (got int) {
	t.Helper()
	cl := dial(t, addr, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	for got < want {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("after %d records: %v", got, err)
		}
		got += fetches.NumRecords()
	}
	return got
}

// A broker starts on a disk without a free byte, and on one that its own
// producers have filled; deleting records makes room, after which produce works
// again without a restart.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "64m")
	port := testbed.FreePort(t)
	start := func() *testbed.Server {
		flags := append(brokerFlags(), "--override", "log.retention.check.interval.ms=200")
		return testbed.StartServer(t, filepath.Join(dir, "data"), port, flags...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	s := start()
	cl := dial(t, s.Addr, kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.RecordRetries(0), kgo.AllowAutoTopicCreation(), kgo.DisableIdempotentWrite())
	defer cl.Close()
	adm := kadm.NewClient(cl)
	produce := func() error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: make([]byte, 500<<10)}).FirstErr()
	}
	written := 0
	for range 50 {
		if err := produce(); err != nil {
			t.Fatal(err)
		}
		written++
	}
	empty := func(s *testbed.Server) {
		t.Helper()
		offsets := kadm.Offsets{}
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil || ends.Error() != nil {
			t.Fatal(err, ends.Error())
		}
		ends.Each(func(o kadm.ListedOffset) {
			offsets.Add(kadm.Offset{Topic: o.Topic, Partition: o.Partition, At: o.Offset, LeaderEpoch: -1})
		})
		if got, err := adm.DeleteRecords(ctx, offsets); err != nil || got.Error() != nil {
			t.Fatalf("DeleteRecords: %v, %v\n%s", err, got.Error(), s.Stderr())
		}
		testbed.Until(t, "records are taken again", func() bool { return produce() == nil })
	}
	if code := s.Stop(t); code != 0 {
		t.Fatalf("exit code %d:\n%s", code, s.Stderr())
	}
	t.Logf("another program filled the disk with %d bytes", fillDisk(t, filepath.Join(dir, "ballast")))
	s = start()
	if got := count(t, ctx, s.Addr, written); got != written {
		t.Errorf("%d of %d records can be fetched", got, written)
	}
	if produce() == nil {
		t.Error("a full disk takes records")
	}
	empty(s)

	taken := 0
	var failure error
	for failure == nil && taken < 1000 {
		if failure = produce(); failure == nil {
			taken++
		}
	}
	t.Logf("then %d records of 500 KiB: %v", taken, failure)
	s.Kill()
	s = start()
	empty(s)
	if code := s.Stop(t); code != 0 {
		t.Errorf("exit code %d:\n%s", code, s.Stderr())
	}
}

// fillDisk writes a file until nothing more fits.
func fillDisk(t *testing.T, name string) (size int) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, chunk := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			var n int
			n, err = f.Write(make([]byte, chunk))
			size += n
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return size
}
