package broker_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A bit that turns around on disk is found in the background; fetches that reach
// its batch are answered CORRUPT_MESSAGE, all others with their records, also
// after a restart.
func TestDamageIsFoundAndRefused(t *testing.T) {
	dir := t.TempDir()
	more := map[string]string{"log.segment.bytes": "20000", "log.scrub.period.ms": "50"}
	b := brokertest.StartIn(t, dir, more)
	b.CreateTopic("a", 1)
	values := make([]string, 60)
	noise := rand.NewChaCha8([32]byte{1}) // does not compress
	for i := range values {
		value := make([]byte, 1000)
		noise.Read(value) // never fails
		values[i] = string(value)
	}
	for _, v := range values {
		produce(t, b, "a", v)
	}
	b.Stop()
	f, err := os.OpenFile(filepath.Join(dir, "log", "a-0", "00000000000000000000.log"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	if _, err := f.ReadAt(one[:], 5500); err != nil {
		t.Fatal(err)
	}
	one[0] ^= 1
	if _, err := f.WriteAt(one[:], 5500); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		b = brokertest.StartIn(t, dir, more)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		for damagedRanges(t, b) == 0 {
			if ctx.Err() != nil || round > 0 { // later it is known from the start
				t.Fatal("the bit is not known")
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
		cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		refused := 0
		for offset := range int64(len(values)) {
			err := fetchAt(t, ctx, cl, "a", offset)
			if errors.Is(err, kerr.CorruptMessage) {
				refused++
			} else if err != nil {
				t.Errorf("offset %d: %v", offset, err)
			}
		}
		if refused != 1 {
			t.Errorf("%d offsets are refused, want 1", refused)
		}
		b.Stop()
	}
}

func damagedRanges(t *testing.T, b *brokertest.Broker) (n float64) {
	t.Helper()
	families, err := b.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "leat_log_damaged_ranges" {
			for _, m := range f.Metric {
				n += m.GetGauge().GetValue()
			}
		}
	}
	return n
}

// fetchAt fetches the batch at an offset and gives the partition's error.
func fetchAt(t *testing.T, ctx context.Context, cl *kgo.Client, topic string, offset int64) error {
	t.Helper()
	mr := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = &topic
	mr.Topics = append(mr.Topics, mt)
	meta, err := mr.RequestWith(ctx, cl)
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100, 1, 1<<20
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = topic, meta.Topics[0].TopicID
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.FetchOffset, fp.PartitionMaxBytes = offset, 1500
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	resp, err := cl.Broker(int(meta.Brokers[0].NodeID)).Request(ctx, req)
	if err != nil {
		t.Fatal(err)
	}
	p := resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
		return err
	}
	if len(p.RecordBatches) == 0 {
		return errors.New("no records")
	}
	return nil
}
