package commitlog

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/record"
)

func benchBatch(b *testing.B, size int) []byte {
	values := make([]string, max(1, size/1024))
	for i := range values {
		values[i] = strings.Repeat("v", min(size, 1000))
	}
	return makeBatch(b, record.NewOptions(), testNow.UnixMilli(), values...)
}

// BenchmarkAppend is check, offset assignment and write of one batch.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.MaxMessageBytes, cfg.SegmentBytes = 2<<20, 256<<20
			_, l := openOS(b, cfg)
			batch := benchBatch(b, size)
			var p Prepared
			b.SetBytes(int64(len(batch)))
			b.ReportAllocs()
			for b.Loop() {
				if err := l.Prepare(&p, batch, AppendOptions{Now: testNow.UnixMilli()}); err != nil {
					b.Fatal(err)
				}
				if _, err := l.AppendPrepared(&p, 0); err != nil {
					b.Fatal(err)
				}
				if l.Size() > 1<<30 { // bounds the disk that a long run takes
					b.StopTimer()
					if err := l.TruncateFullyAndStartAt(l.EndOffset()); err != nil {
						b.Fatal(err)
					}
					b.StartTimer()
				}
			}
		})
	}
}

// BenchmarkRead finds a slice at the tail and in the middle of a segment.
func BenchmarkRead(b *testing.B) {
	_, l := openOS(b, DefaultConfig())
	batch := benchBatch(b, 16<<10)
	for range 4000 {
		mustAppend(b, l, batch, OriginClient)
	}
	end := l.EndOffset()
	for name, offset := range map[string]int64{"tail": end - 16, "middle": end / 2} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s, err := l.Read(offset, 1<<20, true, end)
				if err != nil || s.Size() == 0 {
					b.Fatal(err)
				}
				s.Release()
			}
		})
	}
}

// BenchmarkWriteTo sends slices over loopback.
func BenchmarkWriteTo(b *testing.B) {
	_, l := openOS(b, DefaultConfig())
	batch := benchBatch(b, 16<<10)
	for range 200 {
		mustAppend(b, l, batch, OriginClient)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := net.Dial("tcp", ln.Addr().String())
		if err == nil {
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{conn}, make([]byte, 256<<10))
			conn.Close()
		}
	}()
	conn, err := ln.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	for _, size := range []int{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s, err := l.Read(0, size, true, l.EndOffset())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.WriteTo(conn); err != nil {
					b.Fatal(err)
				}
				s.Release()
			}
		})
	}
}
