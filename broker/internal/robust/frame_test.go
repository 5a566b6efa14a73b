package robust

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/deploy/testbed"
)

// What is no request costs its sender the connection and the log one line, and
// the server neither memory nor anything else.
func TestFramesThatAreNone(t *testing.T) {
	t.Parallel()
	s := testbed.StartServer(t, t.TempDir(), testbed.FreePort(t), brokerFlags()...)
	l := startLoad(t, s.Addr)
	l.grows(t, s, 100)
	before := peakMemory(t, s.PID())
	for name, frame := range map[string][]byte{
		"2 GiB":           {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 3},
		"negative size":   {0xff, 0xff, 0xff, 0xff, 0, 0},
		"size 0":          {0, 0, 0, 0},
		"HTTP":            []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		"TLS":             {0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03},
		"unknown API":     sized([]byte{0x7f, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff}),
		"garbage inside":  sized([]byte{0, 3, 0, 9, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}),
		"huge array":      sized([]byte{0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff}),
		"countless tags":  sized([]byte{0, 60, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f}),
		"unknown version": sized([]byte{0, 0, 0, 99, 0, 0, 0, 1, 0xff, 0xff}),
	} {
		lines := strings.Count(s.Stderr(), "\n")
		client := send(t, s.Addr, frame)
		// The line may be written after the connection is closed.
		s.Until(t, "a line tells of the connection", func() bool { return strings.Contains(s.Stderr(), client) })
		if more := strings.Count(s.Stderr(), "\n") - lines; more != 1 {
			t.Errorf("%s: %d lines in the log:\n%s", name, more, s.Stderr())
		}
	}
	if grown := peakMemory(t, s.PID()) - before; grown > 64<<20 {
		t.Errorf("the frames took %d MiB of memory", grown>>20)
	}
	l.grows(t, s, 100)
	l.check(t)
}

// Connections that stop in the middle of a frame are no event at all.
func TestFramesCutShort(t *testing.T) {
	t.Parallel()
	s := testbed.StartServer(t, t.TempDir(), testbed.FreePort(t), brokerFlags()...)
	lines := strings.Count(s.Stderr(), "\n")
	for size := range 12 {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(sized(make([]byte, 100))[:size]); err != nil {
			t.Error(err)
		}
		c.Close()
	}
	l := startLoad(t, s.Addr)
	l.grows(t, s, 100)
	for line := range strings.Lines(s.Stderr()) {
		if lines--; lines < 0 && (strings.Contains(line, "level=ERROR") || strings.Contains(line, "panic")) {
			t.Errorf("log: %s", line)
		}
	}
	l.check(t)
}

func sized(body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}

// send sends a frame, checks that the server closes the connection without an
// answer, and returns the address the frame came from.
func send(t *testing.T, addr string, frame []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(testbed.Patience)); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if len(got) > 0 || os.IsTimeout(err) {
		t.Errorf("%.20q is answered by %d bytes, %v", frame, len(got), err)
	}
	return c.LocalAddr().String()
}

// peakMemory is the largest size, in bytes, that the process has had in memory.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Skip("no /proc here")
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(value)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
