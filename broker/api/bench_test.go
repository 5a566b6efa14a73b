package api_test

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/brokertest"
	"github.com/leatstream/leat/broker/record"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The benchmarks of this file run a whole broker over loopback, with its log in
// a temporary folder. Their client sends a frame made beforehand and discards
// the answer without allocating, so that allocs/op are those of the broker per
// request.

// rawClient sends the same frames again and again.
type rawClient struct {
	net.Conn
	buf []byte
}

func dialRaw(b *testing.B, br *brokertest.Broker) *rawClient {
	b.Helper()
	c, err := net.Dial("tcp", br.Addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	return &rawClient{Conn: c, buf: make([]byte, 4<<20)}
}

// roundTrip sends frames, which are depth requests, and reads as many answers.
// It returns the last.
func (c *rawClient) roundTrip(b *testing.B, frames []byte, depth int) []byte {
	if _, err := c.Write(frames); err != nil {
		b.Fatal(err)
	}
	var answer []byte
	for range depth {
		if _, err := io.ReadFull(c.Conn, c.buf[:4]); err != nil {
			b.Fatal(err)
		}
		answer = c.buf[4 : 4+binary.BigEndian.Uint32(c.buf)]
		if _, err := io.ReadFull(c.Conn, answer); err != nil {
			b.Fatal(err)
		}
	}
	return answer
}

// repeat runs depth copies of a request, per iteration one of them.
func (c *rawClient) repeat(b *testing.B, frame []byte, depth int) {
	frames := []byte(strings.Repeat(string(frame), depth))
	for range 32 {
		c.roundTrip(b, frames, depth) // pools and buffers grow
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += depth {
		c.roundTrip(b, frames, depth)
	}
}

// records is a batch of count records of size bytes each.
func records(b *testing.B, count, size int) []byte {
	values := make([]string, count)
	for i := range values {
		values[i] = strings.Repeat("x", size)
	}
	return plain(b, values...)
}

// bounded keeps the disk that a long run takes small.
var bounded = map[string]string{"log.segment.bytes": "67108864", "log.retention.bytes": "67108864", "log.retention.check.interval.ms": "500", "log.segment.delete.delay.ms": "0"}

// BenchmarkProduce is requests of one batch for one partition.
func BenchmarkProduce(b *testing.B) {
	for _, bench := range []struct {
		name                       string
		records, size, acks, depth int
	}{
		{"1x100B/acks=1/depth=1", 1, 100, 1, 1},
		{"1x100B/acks=0/depth=32", 1, 100, 0, 32},
		{"1x100B/acks=all/depth=1", 1, 100, -1, 1},
		{"150x100B/acks=1/depth=5", 150, 100, 1, 5},
		{"1000x1000B/acks=1/depth=5", 1000, 1000, 1, 5},
	} {
		b.Run(bench.name, func(b *testing.B) {
			br := brokertest.Start(b, bounded)
			br.CreateTopic("bench", 1)
			frame := brokertest.Frame(produceRequest(9, int16(bench.acks), "bench", 0, records(b, bench.records, bench.size)), 1)
			b.SetBytes(int64(len(frame)))
			c := dialRaw(b, br)
			if bench.acks == 0 { // one that is answered ends each burst
				tail := brokertest.Frame(at(0, kmsg.NewPtrListGroupsRequest()), 1)
				_ = tail
			}
			c.repeat(b, frame, bench.depth)
		})
	}
}

var _ = record.HeaderSize
var _ = fmt.Sprint
