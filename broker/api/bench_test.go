package api_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The benchmarks of this file run a whole broker over loopback, with its log in
// a temporary folder. Their client sends frames made beforehand and discards
// the answers without allocating, so that allocs/op are those of the broker, per
// request.

// rawClient sends the same bytes again and again.
type rawClient struct {
	net.Conn
	buf []byte
}

func dialRaw(b testing.TB, br *brokertest.Broker) *rawClient {
	b.Helper()
	c, err := net.Dial("tcp", br.Addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return &rawClient{Conn: c, buf: make([]byte, 4<<20)}
}

func (c *rawClient) send(b testing.TB, frames []byte) {
	if _, err := c.Write(frames); err != nil {
		b.Fatal(err)
	}
}

// receive reads one answer; it is valid until the next.
func (c *rawClient) receive(b testing.TB) []byte {
	if _, err := io.ReadFull(c.Conn, c.buf[:4]); err != nil {
		b.Fatal(err)
	}
	answer := c.buf[4 : 4+binary.BigEndian.Uint32(c.buf)]
	if _, err := io.ReadFull(c.Conn, answer); err != nil {
		b.Fatal(err)
	}
	return answer
}

// warmUp is how often a load runs before it is measured: pools and buffers grow.
const warmUp = 64

// measure repeats f, which makes n requests, until b.N requests are made.
func measure(b *testing.B, n int, f func()) {
	for range warmUp {
		f()
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += n {
		f()
	}
}

// bounded keeps the disk that a long run takes small.
var bounded = map[string]string{
	"log.segment.bytes": "268435456", "log.retention.bytes": "268435456",
	"log.retention.check.interval.ms": "1000", "log.initial.task.delay.ms": "1000", "log.segment.delete.delay.ms": "0",
}

// benchFrame is a Produce request with count records of size bytes each.
func benchFrame(b testing.TB, acks int16, count, size int) []byte {
	values := slices.Repeat([]string{strings.Repeat("x", size)}, count)
	return brokertest.Frame(produceRequest(9, acks, "bench", 0, plain(b, values...)), 1)
}

// BenchmarkProduce is requests of one batch for one partition, depth of them at
// a time.
func BenchmarkProduce(b *testing.B) {
	for _, bench := range []struct {
		records, size int
		acks          int16
		depth         int
	}{
		{1, 100, 1, 1}, {1, 100, 1, 32}, {1, 100, -1, 32}, {1, 100, 0, 32}, {150, 100, 1, 5}, {1000, 1000, 1, 5},
	} {
		b.Run(fmt.Sprintf("%dx%dB/acks=%d/depth=%d", bench.records, bench.size, bench.acks, bench.depth), func(b *testing.B) {
			br := brokertest.Start(b, bounded)
			br.CreateTopic("bench", 1)
			c := dialRaw(b, br)
			frame := benchFrame(b, bench.acks, bench.records, bench.size)
			burst, answers := slices.Repeat(frame, bench.depth), bench.depth
			if bench.acks == 0 { // the last of a burst is answered
				burst = append(slices.Repeat(frame, bench.depth-1), benchFrame(b, 1, bench.records, bench.size)...)
				answers = 1
			}
			b.SetBytes(int64(len(frame)))
			measure(b, bench.depth, func() {
				c.send(b, burst)
				for range answers {
					c.receive(b)
				}
			})
		})
	}
}

// filled is a broker whose topic "bench" holds bytes of records in one partition.
func filled(b testing.TB, bytes int) *brokertest.Broker {
	br := brokertest.Start(b, nil)
	br.CreateTopic("bench", 1)
	c, frame := dialRaw(b, br), benchFrame(b, 1, 16, 1000)
	for n := 0; n < bytes; n += len(frame) {
		c.send(b, frame)
		c.receive(b)
	}
	return br
}

// BenchmarkFetch is requests for one partition: small answers are copied, large
// ones come from the file.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int32{1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			c := dialRaw(b, filled(b, 4<<20))
			req := fetchRequest(12, "bench", 0, 1000)
			req.Topics[0].Partitions[0].PartitionMaxBytes = size
			frame := brokertest.Frame(req, 1)
			b.SetBytes(int64(size))
			measure(b, 1, func() {
				c.send(b, frame)
				c.receive(b)
			})
		})
	}
}

// BenchmarkFetchWait is a consumer that waits at the end of the log for each
// batch of a producer: one Fetch and one Produce per iteration.
func BenchmarkFetchWait(b *testing.B) {
	br := brokertest.Start(b, bounded)
	br.CreateTopic("bench", 1)
	measure(b, 1, waitingFetch(b, br, "bench"))
}

// waitingFetch gives a function that sends a Fetch at the end of a topic, a
// Produce, and takes both answers.
func waitingFetch(b testing.TB, br *brokertest.Broker, topic string) func() {
	producer, consumer := dialRaw(b, br), dialRaw(b, br)
	batch := brokertest.Frame(produceRequest(9, 1, topic, 0, plain(b, strings.Repeat("x", 300))), 1)
	req := fetchRequest(12, topic, 0, 0)
	req.MaxWaitMillis, req.MinBytes = 5000, 1
	frame := brokertest.Frame(req, 1)
	at := len(frame) - tailOfFetch(b, req)
	offset := uint64(0)
	return func() {
		binary.BigEndian.PutUint64(frame[at:], offset)
		consumer.send(b, frame)
		producer.send(b, batch)
		producer.receive(b)
		consumer.receive(b)
		offset++
	}
}

// tailOfFetch is the distance of the fetch offset from the end of a request for
// one partition.
func tailOfFetch(b testing.TB, req *kmsg.FetchRequest) int {
	p := &req.Topics[0].Partitions[0]
	before := brokertest.Frame(req, 1)
	p.FetchOffset++
	after := brokertest.Frame(req, 1)
	p.FetchOffset--
	for i := range before {
		if before[i] != after[i] {
			return len(before) - (i - 7) // its last byte differs
		}
	}
	b.Fatal("the offset is not in the frame")
	return 0
}

// BenchmarkFetchSession is incremental requests over many partitions of which
// none has changed.
func BenchmarkFetchSession(b *testing.B) {
	for _, partitions := range []int32{10, 1000, 10_000} {
		b.Run(fmt.Sprint("partitions=", partitions), func(b *testing.B) {
			c, frame, epochAt := openSession(b, brokertest.Start(b, nil), partitions)
			epoch := uint32(1)
			ask := func() {
				binary.BigEndian.PutUint32(frame[epochAt:], epoch)
				c.send(b, frame)
				c.receive(b)
				epoch++
			}
			for range warmUp {
				ask()
			}
			b.ReportAllocs()
			for b.Loop() { // once: the partitions take their time to be made
				ask()
			}
		})
	}
}

// openSession opens a fetch session over new partitions and gives the frame of
// its next request, whose session epoch, 1, stands at epochAt.
func openSession(b testing.TB, br *brokertest.Broker, partitions int32) (c *rawClient, frame []byte, epochAt int) {
	const each = 1000
	req := fetchRequest(12, "session0", 0, 0)
	req.SessionEpoch, req.Topics = 0, nil
	for t := int32(0); t*each < partitions; t++ {
		name, n := fmt.Sprint("session", t), min(each, partitions-t*each)
		br.CreateTopic(name, n)
		rt := fetchTopic(name, 0, 0)
		for p := int32(1); p < n; p++ {
			row := rt.Partitions[0]
			row.Partition = p
			rt.Partitions = append(rt.Partitions, row)
		}
		req.Topics = append(req.Topics, rt)
	}
	c = dialRaw(b, br)
	c.send(b, brokertest.Frame(req, 1))
	resp, err := brokertest.Decode(req, 1, c.receive(b))
	if err != nil {
		b.Fatal(err)
	}
	req.Topics, req.SessionID, req.SessionEpoch = nil, resp.(*kmsg.FetchResponse).SessionID, 1
	frame = brokertest.Frame(req, 1)
	req.SessionEpoch++
	next := brokertest.Frame(req, 1)
	for next[epochAt] == frame[epochAt] {
		epochAt++
	}
	return c, frame, epochAt - 3
}

// BenchmarkMetadata asks for topics of which each has 1,000 partitions, and for
// one with a single partition.
func BenchmarkMetadata(b *testing.B) {
	br := brokertest.Start(b, nil)
	br.CreateTopic("single", 1)
	names := []string{}
	for i := range 10 {
		names = append(names, fmt.Sprintf("many-%d", i))
		br.CreateTopic(names[i], 1000)
	}
	c := dialRaw(b, br)
	for _, bench := range []struct {
		name   string
		topics []string
	}{{"partitions=1", []string{"single"}}, {"partitions=1000", names[:1]}, {"partitions=10000", names}} {
		b.Run(bench.name, func(b *testing.B) {
			req := kmsg.NewPtrMetadataRequest()
			req.Version = 12
			for _, name := range bench.topics {
				t := kmsg.NewMetadataRequestTopic()
				t.Topic = kmsg.StringPtr(name)
				req.Topics = append(req.Topics, t)
			}
			frame := brokertest.Frame(req, 1)
			measure(b, 1, func() {
				c.send(b, frame)
				c.receive(b)
			})
		})
	}
}
