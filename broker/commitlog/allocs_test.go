package commitlog

import (
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/allocs"
	"github.com/leatstream/leat/broker/record"
)

// TestAllocations guards appending and reading, which cost nothing for a record
// nor for a batch.
func TestAllocations(t *testing.T) {
	allocs.SkipRace(t)
	cfg := DefaultConfig()
	cfg.MaxMessageBytes, cfg.SegmentBytes = 2<<20, 256<<20
	_, l := openOS(t, cfg)
	values := make([]string, 100)
	for i := range values {
		values[i] = strings.Repeat("v", 100)
	}
	producer := record.NewOptions()
	producer.ProducerID, producer.ProducerEpoch, producer.BaseSequence = 7, 0, 0
	for name, batch := range map[string][]byte{
		"append one record":                    makeBatch(t, record.NewOptions(), testNow.UnixMilli(), values[0]),
		"append 100 records":                   makeBatch(t, record.NewOptions(), testNow.UnixMilli(), values...),
		"append a batch that was there before": makeBatch(t, producer, testNow.UnixMilli(), values...),
	} {
		var p Prepared
		allocs.Guard(t, name, 0, func() {
			if err := l.Prepare(&p, batch, AppendOptions{Now: testNow.UnixMilli()}); err != nil {
				t.Fatal(err)
			}
			if _, err := l.AppendPrepared(&p, 0); err != nil {
				t.Fatal(err)
			}
		})
	}
	end := l.EndOffset()
	for name, offset := range map[string]int64{"read the tail": end - 1, "read the middle": end / 2, "read the start": 0} {
		allocs.Guard(t, name, 0, func() {
			s, err := l.Read(offset, 1<<20, true, end)
			if err != nil || s.Size() == 0 {
				t.Fatal(err)
			}
			s.Release()
		})
	}
}
