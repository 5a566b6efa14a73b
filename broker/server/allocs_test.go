package server

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/leatstream/leat/broker/internal/allocs"
)

// TestAllocations guards the way of a request in and of its answer out.
func TestAllocations(t *testing.T) {
	allocs.SkipRace(t)
	f := start(t, Config{}, func(r *Request) { r.Reply(Response{}) })
	for _, size := range []int{100, 16 << 10, 1000 << 10} {
		for _, depth := range []int{1, 5} {
			c := f.dial()
			requests := []byte(strings.Repeat(string(frame(1, strings.Repeat("x", size))), depth))
			r := bufio.NewReaderSize(c, 64<<10)
			var head [4]byte
			allocs.Guard(t, fmt.Sprintf("%d requests of %d bytes", depth, size), float64(2*depth), func() {
				if _, err := c.Write(requests); err != nil {
					t.Fatal(err)
				}
				for range depth {
					if _, err := io.ReadFull(r, head[:]); err != nil {
						t.Fatal(err)
					}
					if _, err := r.Discard(int(binary.BigEndian.Uint32(head[:]))); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}
