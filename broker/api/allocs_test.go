package api_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/allocs"
	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/record"
)

// maxAllocs is how many allocations a request may cost a whole broker, once
// warm, however many records it carries.
const maxAllocs = 2

// TestAllocations guards the produce and fetch paths from the socket to the log
// and back.
func TestAllocations(t *testing.T) {
	allocs.SkipRace(t)
	br := brokertest.Start(t, bounded)
	br.CreateTopic("bench", 10)
	guard := func(name string, requests int, f func()) {
		allocs.Guard(t, name, float64(maxAllocs*requests), f)
	}
	produce := func(name string, acks int16, batches ...[]byte) {
		c, req := dialRaw(t, br), produceRequest(9, acks, "bench", 0, batches[0])
		for i, batch := range batches[1:] {
			p := req.Topics[0].Partitions[0]
			p.Partition, p.Records = int32(i+1), batch
			req.Topics[0].Partitions = append(req.Topics[0].Partitions, p)
		}
		frame := brokertest.Frame(req, 1)
		guard(name, 1, func() {
			c.send(t, frame)
			c.receive(t)
		})
	}
	values := slices.Repeat([]string{strings.Repeat("x", 100)}, 1000)
	produce("produce one record", 1, plain(t, values[:1]...))
	produce("produce one record, acks=all", -1, plain(t, values[:1]...))
	produce("produce 1000 records", 1, plain(t, values...))
	produce("produce to 10 partitions", 1, slices.Repeat([][]byte{plain(t, values[:50]...)}, 10)...)
	for _, codec := range []record.Compression{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		opts := record.NewOptions()
		opts.Compression = codec
		produce(fmt.Sprint("produce 1000 records in codec ", codec), 1, batch(t, opts, values...))
	}
	for _, size := range []int32{1 << 10, 64 << 10, 1 << 20} {
		c, req := dialRaw(t, br), fetchRequest(12, "bench", 0, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = size
		frame := brokertest.Frame(req, 1)
		guard(fmt.Sprintf("fetch of %d KiB", size>>10), 1, func() {
			c.send(t, frame)
			c.receive(t)
		})
	}
	c, frame, epochAt := openSession(t, br, 100)
	epoch := uint32(1)
	guard("fetch session in which nothing has changed", 1, func() {
		binary.BigEndian.PutUint32(frame[epochAt:], epoch)
		c.send(t, frame)
		c.receive(t)
		epoch++
	})
	br.CreateTopic("wait", 1)
	guard("fetch that waits, and the produce that it waits for", 2, waitingFetch(t, br, "wait"))
}
