package robust

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/deploy/testbed"
)

// fragileDisk mounts a file system that can be broken: it is read-only from then
// on, whatever is open.
func fragileDisk(t *testing.T) (dir string, breakIt func()) {
	t.Helper()
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 96<<20); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, dir}} {
		if _, stderr, err := testbed.Run("", command[0], command[1:]...); err != nil {
			t.Skipf("a disk of its own cannot be mounted (run as root, with mkfs.ext4): %v %s", err, stderr)
		}
	}
	t.Cleanup(func() { testbed.Output(t, "", "umount", "-l", dir) })
	return dir, func() { testbed.Output(t, "", "mount", "-o", "remount,abort", dir) }
}

// When one of two log directories fails, the broker goes on with the other, says
// so, and does so after a restart too; nothing of the failed one is made anew
// elsewhere.
func TestFailedLogDirectory(t *testing.T) {
	t.Parallel()
	disk, breakIt := fragileDisk(t)
	dir, port := t.TempDir(), testbed.FreePort(t)
	good, bad := filepath.Join(dir, "good"), filepath.Join(disk, "bad")
	start := func() *testbed.Server {
		return testbed.StartServer(t, filepath.Join(dir, "data"), port, append(brokerFlags(), "--override", "log.dirs="+good+","+bad)...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	s := start()
	cl := dial(t, s.Addr, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordRetries(0), kgo.DisableIdempotentWrite())
	defer cl.Close()
	adm := kadm.NewClient(cl)
	const partitions = 4
	if _, err := adm.CreateTopic(ctx, partitions, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	produce := func(ctx context.Context, partition int32) error {
		return cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: partition, Value: []byte("value")}).FirstErr()
	}
	folder := func(dir string, partition int32) string {
		return filepath.Join(dir, fmt.Sprintf("%s-%d", topic, partition))
	}
	lost := map[int32]bool{}
	for p := range int32(partitions) {
		if err := produce(ctx, p); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(folder(bad, p)); err == nil {
			lost[p] = true
		}
	}
	if len(lost) != partitions/2 {
		t.Fatalf("partitions %v lie on the disk that will fail", lost)
	}
	breakIt()
	check := func(s *testbed.Server, when string) {
		t.Helper()
		for p := range int32(partitions) {
			if !lost[p] {
				s.Until(t, fmt.Sprintf("%s: partition %d takes records", when, p), func() bool { return produce(ctx, p) == nil })
				continue
			}
			within, cancel := context.WithTimeout(ctx, 2*time.Second) // the client would go on asking for a leader
			if produce(within, p) == nil {
				t.Errorf("%s: partition %d takes records", when, p)
			}
			cancel()
		}
		dirs, err := adm.DescribeAllLogDirs(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		shown := dirs.Sorted()
		if len(shown) != 2 {
			t.Errorf("%s: %d directories", when, len(shown))
		}
		for _, d := range shown {
			switch d.Dir {
			case bad:
				if !errors.Is(d.Err, kerr.KafkaStorageError) {
					t.Errorf("%s: the failed directory shows %v", when, d.Err)
				}
			case good:
				if d.Err != nil || len(d.Topics[topic]) != partitions/2 {
					t.Errorf("%s: the other directory shows %v, %v", when, d.Err, d.Topics)
				}
			default:
				t.Errorf("%s: directory %s", when, d.Dir)
			}
		}
	}
	check(s, "then")
	s.Kill()
	s = start()
	check(s, "after a restart")
	for p := range lost {
		if _, err := os.Stat(folder(good, p)); err == nil {
			t.Errorf("partition %d was made anew", p)
		}
	}
}
