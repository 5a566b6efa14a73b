package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkEcho measures a request of size bytes and an empty answer, with
// depth requests in flight on one connection.
func BenchmarkEcho(b *testing.B) {
	for _, bench := range []struct {
		name        string
		size, depth int
	}{
		{"100B/depth=1", 100, 1}, {"100B/depth=32", 100, 32}, {"16KiB/depth=5", 16 << 10, 5}, {"1MB/depth=5", 1000 << 10, 5},
	} {
		b.Run(bench.name, func(b *testing.B) {
			f := start(b, Config{}, func(r *Request) { r.Reply(Response{}) })
			c := f.dial()
			batch := []byte(strings.Repeat(string(frame(1, strings.Repeat("x", bench.size))), bench.depth))
			b.SetBytes(int64(bench.size))
			b.ReportAllocs()
			b.ResetTimer()
			pingPong(b, c, batch, bench.depth)
		})
	}
}

// pingPong sends depth requests at a time and reads their answers.
func pingPong(b *testing.B, c net.Conn, batch []byte, depth int) {
	r := bufio.NewReaderSize(c, 64<<10)
	var head [4]byte
	for i := 0; i < b.N; i += depth {
		if _, err := c.Write(batch); err != nil {
			b.Fatal(err)
		}
		for range depth {
			if _, err := io.ReadFull(r, head[:]); err != nil {
				b.Fatal(err)
			}
			if _, err := r.Discard(int(binary.BigEndian.Uint32(head[:]))); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkFile measures answers of size bytes sent from a file.
func BenchmarkFile(b *testing.B) {
	for _, size := range []int{32 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			file, err := os.Create(filepath.Join(b.TempDir(), "data"))
			if err != nil {
				b.Fatal(err)
			}
			defer file.Close()
			if _, err := file.Write(make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			var f File = tempFile{file, size}
			parts := []Part{{File: f}}
			s := start(b, Config{}, func(r *Request) { r.Reply(Response{Body: []byte("head"), Parts: parts}) })
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			pingPong(b, s.dial(), frame(1, ""), 1)
		})
	}
}
