package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/leatstream/leat/broker/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// handlerFunc lets a function be a Handler.
type handlerFunc func(*Request)

func (f handlerFunc) Serve(r *Request) { f(r) }

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.TrimSpace(l.b.String())
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// fixture is a running server.
type fixture struct {
	*Server
	t    testing.TB
	addr string
	log  *logBuffer
	done chan error
	reg  *prometheus.Registry
}

func start(t testing.TB, cfg Config, h handlerFunc) *fixture {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, cfg, l, h)
}

func startOn(t testing.TB, cfg Config, l net.Listener, h handlerFunc) *fixture {
	t.Helper()
	f := &fixture{t: t, addr: l.Addr().String(), log: &logBuffer{}, done: make(chan error, 1), reg: prometheus.NewRegistry()}
	s, err := New(cfg, h, slog.New(slog.NewTextHandler(f.log, nil)), f.reg)
	if err != nil {
		t.Fatal(err)
	}
	f.Server = s
	named, ok := l.(Listener)
	if !ok {
		named = Listener{Listener: l, Name: "TEST"}
	}
	go func() { f.done <- s.Serve(named) }()
	t.Cleanup(f.stop)
	return f
}

func (f *fixture) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		f.t.Errorf("Shutdown: %v", err)
	}
	if err := <-f.done; !errors.Is(err, ErrServerClosed) {
		f.t.Errorf("Serve: %v, want ErrServerClosed", err)
	}
	f.done <- ErrServerClosed
	if n := f.pool.lent(); n != 0 {
		f.t.Errorf("%d bytes of read buffers were not given back", n)
	}
}

// client is the other end of a connection.
type client struct {
	net.Conn
	t testing.TB
}

func (f *fixture) dial() *client {
	f.t.Helper()
	nc, err := net.Dial("tcp", f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	return newClient(f.t, nc)
}

func newClient(t testing.TB, nc net.Conn) *client {
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{nc, t}
}

// frame makes a Heartbeat v0 request, whose body is free text here.
func frame(id int32, body string) []byte { return rawFrame(wire.Heartbeat, 0, id, body) }

func rawFrame(key, version int16, id int32, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(2+2+4+2+1+len(body)))
	b = binary.BigEndian.AppendUint16(b, uint16(key))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(id))
	b = append(b, 0, 1, 'c')
	return append(b, body...)
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// recv reads one response.
func (c *client) recv() (id int32, body string) {
	c.t.Helper()
	var head [8]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	if _, err := io.ReadFull(c, b); err != nil {
		c.t.Fatalf("read response: %v", err)
	}
	return int32(binary.BigEndian.Uint32(head[4:])), string(b)
}

func (c *client) want(id int32, body string) {
	c.t.Helper()
	gotID, got := c.recv()
	if gotID != id || got != body {
		if len(got) > 40 {
			got = fmt.Sprintf("%s… (%d bytes)", got[:40], len(got))
		}
		c.t.Fatalf("response %d %q, want %d %.40q", gotID, got, id, body)
	}
}

func (c *client) wantClosed() {
	c.t.Helper()
	n, err := io.Copy(io.Discard, c)
	if n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("connection is not closed: %d bytes, %v", n, err)
	}
}

// eventually waits until ok is true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

func echo(r *Request) { r.Reply(Response{Body: bytes.Clone(r.Body)}) }

func TestEcho(t *testing.T) {
	f := start(t, Config{}, echo)
	c := f.dial()
	for i := range int32(3) {
		body := fmt.Sprint("hello ", i)
		c.send(frame(i, body))
		c.want(i, body)
	}
	eventually(t, "the idle connection to give back its buffer", func() bool { return f.pool.lent() == 0 })
}

// TestFragments sends frames of all sizes in pieces of all sizes: however the
// bytes come, each frame is served once and in order.
func TestFragments(t *testing.T) {
	f := start(t, Config{QueuedMaxBytes: 1 << 20}, echo)
	sizes := []int{0, 1, 50, 64, 65, 1000, minBuffer - 20, minBuffer, minBuffer + 1, 300 << 10, 5 << 20, 3, 70 << 10}
	var all []byte
	for i, n := range sizes {
		all = append(all, frame(int32(i), strings.Repeat(string(rune('a'+i)), n))...)
	}
	for _, piece := range []int{3000, 65536, 1 << 20, len(all)} {
		c := f.dial()
		go func() {
			for b := all; len(b) > 0; b = b[min(piece, len(b)):] {
				if _, err := c.Write(b[:min(piece, len(b))]); err != nil {
					return
				}
			}
		}()
		for i, n := range sizes {
			c.want(int32(i), strings.Repeat(string(rune('a'+i)), n))
		}
	}
	c := f.dial()
	for _, b := range frame(9, "one byte at a time") {
		c.send([]byte{b})
	}
	c.want(9, "one byte at a time")
}

// TestOrder answers requests in random order from other goroutines; the client
// sees them in request order, and each is released once.
func TestOrder(t *testing.T) {
	const n = 200
	var mu sync.Mutex
	var waiting []*Request
	released := 0
	f := start(t, Config{MaxInFlight: 8}, func(r *Request) {
		body := bytes.Clone(r.Body)
		mu.Lock()
		defer mu.Unlock()
		waiting = append(waiting, r)
		go func() {
			mu.Lock()
			i := len(waiting) / 2
			r := waiting[i]
			waiting = append(waiting[:i], waiting[i+1:]...)
			id := r.Header.CorrelationID
			mu.Unlock()
			_ = body
			r.Reply(Response{Body: fmt.Append(nil, "answer ", id), Release: func() {
				mu.Lock()
				released++
				mu.Unlock()
			}})
		}()
	})
	c := f.dial()
	go func() {
		for i := range int32(n) {
			if _, err := c.Write(frame(i, "x")); err != nil {
				return
			}
		}
	}()
	for i := range int32(n) {
		c.want(i, fmt.Sprint("answer ", i))
	}
	eventually(t, "all answers released", func() bool { mu.Lock(); defer mu.Unlock(); return released == n })
}

// TestInFlightLimit: no more requests are served than the limit allows.
func TestInFlightLimit(t *testing.T) {
	served := make(chan *Request, 100)
	f := start(t, Config{MaxInFlight: 3}, func(r *Request) { served <- r })
	c := f.dial()
	for i := range int32(5) {
		c.send(frame(i, ""))
	}
	var first [3]*Request
	for i := range first {
		first[i] = <-served
	}
	first[2].Reply(Response{})
	first[1].Reply(Response{})
	if len(served) != 0 {
		t.Fatal("a fourth request was served although three are unanswered")
	}
	first[0].Reply(Response{})
	for i := range int32(3) {
		c.want(i, "")
	}
	(<-served).Reply(Response{})
	(<-served).Reply(Response{})
	c.want(3, "")
	c.want(4, "")
}

func TestNoReply(t *testing.T) {
	f := start(t, Config{}, func(r *Request) {
		if string(r.Body) == "quiet" {
			r.NoReply()
			return
		}
		echo(r)
	})
	c := f.dial()
	c.send(append(frame(1, "quiet"), frame(2, "loud")...))
	c.want(2, "loud")
}

// TestClose: the answers before the closing request are written, nothing after.
func TestClose(t *testing.T) {
	held := make(chan *Request, 1)
	f := start(t, Config{}, func(r *Request) {
		switch string(r.Body) {
		case "hold":
			held <- r
		case "close":
			r.Close(errors.New("as asked"))
		default:
			echo(r)
		}
	})
	c := f.dial()
	c.send(bytes.Join([][]byte{frame(1, "hold"), frame(2, "close"), frame(3, "never")}, nil))
	r := <-held
	r.Reply(Response{Body: []byte("held")})
	c.want(1, "held")
	c.wantClosed()
	eventually(t, "one log line", func() bool { return len(f.log.lines()) == 1 })
	if l := f.log.lines()[0]; !strings.Contains(l, "as asked") {
		t.Errorf("log line %q does not say why", l)
	}
}

// TestBadFrames: each closes its connection with one log line and harms nobody.
func TestBadFrames(t *testing.T) {
	cases := map[string][]byte{
		"2 GiB":                 {0x7f, 0xff, 0xff, 0xff, 0, 0},
		"negative":              {0xff, 0xff, 0xff, 0xff},
		"too large":             {0x00, 0x10, 0x00, 0x01},
		"garbage":               []byte("GET / HTTP/1.1\r\n\r\n"),
		"no header":             {0, 0, 0, 3, 1, 2, 3},
		"unknown key":           rawFrame(999, 0, 1, ""),
		"negative key":          rawFrame(-1, 0, 1, ""),
		"unknown version":       rawFrame(wire.Heartbeat, 99, 1, ""),
		"negative version":      rawFrame(wire.Heartbeat, -1, 1, ""),
		"ApiVersions, no tags":  rawFrame(wire.ApiVersions, 99, 1, ""),
		"ApiVersions, bad tags": rawFrame(wire.ApiVersions, 99, 1, "\x01\x00\x09"),
		"header cut":            {0, 0, 0, 10, 0, 12, 0, 0, 0, 0, 0, 1, 0, 9},
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			f := start(t, Config{MaxRequestBytes: 1 << 20}, echo)
			other := f.dial()
			c := f.dial()
			c.send(b)
			c.wantClosed()
			other.send(frame(5, "alive"))
			other.want(5, "alive")
			if lines := f.log.lines(); len(lines) != 1 {
				t.Errorf("%d log lines, want 1: %q", len(lines), lines)
			}
		})
	}
}

func TestUnsupportedApiVersions(t *testing.T) {
	f := start(t, Config{}, echo)
	c := f.dial()
	c.send(rawFrame(wire.ApiVersions, 99, 7, "\x00"))
	c.want(7, "\x00\x23\x00\x00\x00\x01\x00\x12\x00\x00\x00\x05")
	c.send(frame(8, "goes on"))
	c.want(8, "goes on")
}

// tempFile is a File part over an os.File.
type tempFile struct {
	f    *os.File
	size int
}

func (p tempFile) Size() int { return p.size }
func (p tempFile) WriteTo(w io.Writer) (int64, error) {
	if s, ok := w.(interface {
		SendFile(fd uintptr, offset, length int64) (int64, error)
	}); ok {
		return s.SendFile(p.f.Fd(), 0, int64(p.size))
	}
	return io.Copy(w, io.NewSectionReader(p.f, 0, int64(p.size)))
}

func fileOf(t *testing.T, content string) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestParts writes responses of memory and files, from the connection's
// goroutine and from another one.
func TestParts(t *testing.T) {
	content := strings.Repeat("0123456789", 50_000)
	file := fileOf(t, content)
	big := strings.Repeat("z", 40_000)
	resp := func() Response {
		return Response{Body: []byte("head "), Parts: []Part{
			{File: tempFile{file, len(content)}}, {Bytes: []byte(" mid ")}, {Bytes: []byte(big)}, {File: tempFile{file, 10}}, {Bytes: []byte(" end")},
		}}
	}
	want := "head " + content + " mid " + big + content[:10] + " end"
	f := start(t, Config{}, func(r *Request) {
		if string(r.Body) == "later" {
			go r.Reply(resp())
			return
		}
		r.Reply(resp())
	})
	c := f.dial()
	c.send(bytes.Join([][]byte{frame(1, ""), frame(2, "later"), frame(3, ""), frame(4, "later")}, nil))
	for i := range int32(4) {
		c.want(i+1, want)
	}
}

// TestShortFile: a response that cannot be completed ends the connection.
func TestShortFile(t *testing.T) {
	file := fileOf(t, "short")
	f := start(t, Config{}, func(r *Request) {
		r.Reply(Response{Parts: []Part{{File: tempFile{file, 100}}}})
	})
	c := f.dial()
	c.send(frame(1, ""))
	if n, _ := io.Copy(io.Discard, c); n >= 108 {
		t.Fatalf("got %d bytes", n)
	}
	eventually(t, "one log line", func() bool { return len(f.log.lines()) == 1 })
}

// TestSlowClient: a client that does not read holds up nobody who answers it
// from elsewhere.
func TestSlowClient(t *testing.T) {
	held := make(chan *Request, 64)
	f := start(t, Config{SendBuffer: 32 << 10}, func(r *Request) { held <- r })
	slow := f.dial()
	slow.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	body := []byte(strings.Repeat("x", 30_000))
	const n = 60
	for i := range int32(n) {
		slow.send(frame(i, ""))
	}
	var waiting []*Request
	for range n {
		waiting = append(waiting, <-held)
	}
	for _, r := range waiting {
		r.Reply(Response{Body: body}) // must not block
	}
	fast := f.dial()
	fast.send(frame(1, ""))
	(<-held).Reply(Response{Body: []byte("ok")})
	fast.want(1, "ok")
	for i := range int32(n) {
		slow.want(i, string(body))
	}
}

// TestGone: answers to a client that has left are dropped and released.
func TestGone(t *testing.T) {
	held := make(chan *Request, 2)
	f := start(t, Config{}, func(r *Request) { held <- r })
	c := f.dial()
	c.send(append(frame(1, ""), frame(2, "")...))
	a, b := <-held, <-held
	var released sync.WaitGroup
	released.Add(2)
	b.Reply(Response{Release: released.Done})
	c.Close()
	eventually(t, "the connection to be forgotten", func() bool { return len(f.snapshot()) == 0 })
	a.Reply(Response{Release: released.Done})
	released.Wait()
}

func TestAnsweredTwice(t *testing.T) {
	got := make(chan any, 1)
	f := start(t, Config{}, func(r *Request) {
		r.Reply(Response{})
		defer func() { got <- recover() }()
		r.NoReply()
	})
	c := f.dial()
	c.send(frame(1, ""))
	c.want(1, "")
	if <-got == nil {
		t.Error("a second answer did not panic")
	}
}

// TestBudget: connections whose frames exceed the budget together are all
// served, one after another.
func TestBudget(t *testing.T) {
	const conns, size = 6, 500 << 10
	f := start(t, Config{QueuedMaxBytes: 256 << 10}, func(r *Request) {
		r.Reply(Response{Body: fmt.Append(nil, len(r.Body))})
	})
	var wg sync.WaitGroup
	for range conns {
		c := f.dial()
		wg.Go(func() {
			b := frame(1, strings.Repeat("b", size))
			for ; len(b) > 0; b = b[min(10_000, len(b)):] {
				if _, err := c.Write(b[:min(10_000, len(b))]); err != nil {
					t.Error(err)
					return
				}
			}
			if id, body := c.recv(); id != 1 || body != fmt.Sprint(size) {
				t.Errorf("got %d %q", id, body)
			}
		})
	}
	wg.Wait()
}

// TestBudgetWaiterGone: a connection that waits for memory ends at once when
// the server is shut down.
func TestBudgetWaiterGone(t *testing.T) {
	f := start(t, Config{QueuedMaxBytes: 1}, echo)
	a, b := f.dial(), f.dial()
	a.send(frame(1, strings.Repeat("a", 200))[:150])
	eventually(t, "the first to hold the buffer", func() bool { return f.pool.lent() > 0 })
	b.send(frame(1, strings.Repeat("a", 200))[:150])
	f.stop()
	a.wantClosed()
	b.wantClosed()
}

func TestShutdownAnswersInFlight(t *testing.T) {
	held := make(chan *Request, 1)
	f := start(t, Config{}, func(r *Request) { held <- r })
	c, idle := f.dial(), f.dial()
	c.send(frame(1, ""))
	r := <-held
	stopped := make(chan struct{})
	go func() { f.stop(); close(stopped) }()
	idle.wantClosed()
	select {
	case <-stopped:
		t.Fatal("Shutdown did not wait for the request in flight")
	default:
	}
	r.Reply(Response{Body: []byte("last")})
	c.want(1, "last")
	c.wantClosed()
	<-stopped
}

func TestShutdownByForce(t *testing.T) {
	held := make(chan *Request, 1)
	f := start(t, Config{}, func(r *Request) { held <- r })
	c := f.dial()
	c.send(frame(1, ""))
	r := <-held
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("Shutdown: %v", err)
	}
	c.wantClosed()
	r.Reply(Response{})
	if err := f.Serve(newPipeListener()); !errors.Is(err, ErrServerClosed) {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

func TestConnectionLimits(t *testing.T) {
	f := start(t, Config{MaxConnectionsPerIP: 2}, echo)
	a, b := f.dial(), f.dial()
	for i, c := range []*client{a, b} {
		c.send(frame(int32(i), "in"))
		c.want(int32(i), "in")
	}
	f.dial().wantClosed()
	a.Close()
	eventually(t, "the first to be forgotten", func() bool { return len(f.snapshot()) == 1 })
	c := f.dial()
	c.send(frame(3, "in"))
	c.want(3, "in")
}

// TestMaxConnections: one more waits until another one leaves.
func TestMaxConnections(t *testing.T) {
	f := start(t, Config{MaxConnections: 1}, echo)
	a := f.dial()
	a.send(frame(1, "in"))
	a.want(1, "in")
	b := f.dial()
	b.send(frame(2, "waits"))
	if n := len(f.snapshot()); n != 1 {
		t.Fatalf("%d connections, want 1", n)
	}
	a.Close()
	b.want(2, "waits")
}

func TestIdleClose(t *testing.T) {
	held := make(chan *Request, 1)
	f := start(t, Config{MaxIdle: 200 * time.Millisecond}, func(r *Request) { held <- r })
	c := f.dial()
	c.send(frame(1, ""))
	r := <-held
	f.dial().wantClosed() // idle
	r.Reply(Response{Body: []byte("kept while waiting for us")})
	c.want(1, "kept while waiting for us")
	c.wantClosed()
}

func TestThrottle(t *testing.T) {
	f := start(t, Config{}, func(r *Request) {
		r.Conn.Throttle(30 * time.Millisecond)
		echo(r)
	})
	c := f.dial()
	begin := time.Now()
	c.send(append(frame(1, "a"), frame(2, "b")...))
	c.want(1, "a")
	c.want(2, "b")
	if d := time.Since(begin); d < 30*time.Millisecond {
		t.Errorf("second answer after %v", d)
	}
}

// pipeListener gives connections in memory, without the fast path of TCP.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// TestPlainConn serves connections that are not TCP.
func TestPlainConn(t *testing.T) {
	l := newPipeListener()
	file := fileOf(t, "from a file")
	f := startOn(t, Config{}, l, func(r *Request) {
		resp := Response{Body: bytes.Clone(r.Body), Parts: []Part{{File: tempFile{file, 11}}}}
		if r.Header.CorrelationID%2 == 0 {
			go r.Reply(resp)
		} else {
			r.Reply(resp)
		}
	})
	near, far := net.Pipe()
	l.conns <- far
	c := newClient(t, near)
	bodies := []string{"a", strings.Repeat("b", 100), strings.Repeat("c", 200_000), ""}
	go func() {
		for i, b := range bodies {
			if _, err := c.Write(frame(int32(i), b)); err != nil {
				return
			}
		}
	}()
	for i, b := range bodies {
		c.want(int32(i), b+"from a file")
	}
	f.stop()
	c.wantClosed()
}

// flakyListener fails a few times before it works.
type flakyListener struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

type tempErr struct{}

func (tempErr) Error() string   { return "out of file descriptors" }
func (tempErr) Temporary() bool { return true }

func (l *flakyListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	l.fails--
	fail := l.fails >= 0
	l.mu.Unlock()
	if fail {
		return nil, tempErr{}
	}
	return l.Listener.Accept()
}

func TestAcceptBackoff(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := startOn(t, Config{}, &flakyListener{Listener: inner, fails: 3}, echo)
	c := f.dial()
	c.send(frame(1, "at last"))
	c.want(1, "at last")
	if n := len(f.log.lines()); n != 3 {
		t.Errorf("%d log lines, want one per failure", n)
	}
}

func TestMetrics(t *testing.T) {
	f := start(t, Config{}, echo)
	c := f.dial()
	for i := range int32(3) {
		c.send(frame(i, ""))
		c.want(i, "")
	}
	eventually(t, "metrics", func() bool {
		m := gather(t, f.reg)
		return m[`kafka_network_requestmetrics_requests_total{Heartbeat}`] == 3 &&
			m[`kafka_network_requestmetrics_totaltimems{Heartbeat}`] == 3 &&
			m[`kafka_server_socket_server_metrics_connection_count{TEST}`] == 1
	})
}

// gather returns the values of all metrics by name{label value}; of a summary
// its count.
func gather(t *testing.T, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += "{" + l.GetValue() + "}"
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetSummary().GetSampleCount())
		}
	}
	return values
}

func TestHistogram(t *testing.T) {
	for d := time.Duration(0); d < 2*time.Hour; d = d*5/4 + time.Microsecond {
		i := bucket(d)
		if up := upper(i); i < buckets-1 && (d >= up || i > 0 && d < upper(i-1)-0 && d.Truncate(time.Microsecond) < upper(i-1)) {
			t.Fatalf("%v is in bucket %d, which ends at %v", d, i, up)
		}
	}
	var h histogram
	for i := range 1000 {
		h.observe(time.Duration(i) * time.Millisecond)
	}
	now := time.Now()
	total, q := h.summary(now)
	if total != 1000 || q[0.5] < 450 || q[0.5] > 650 || q[0.99] < 950 || q[0.99] > 1250 {
		t.Errorf("total %d, quantiles %v", total, q)
	}
	h.summary(now.Add(2 * window))
	if total, q = h.summary(now.Add(4 * window)); total != 1000 || q[0.99] != 0 {
		t.Errorf("after a quiet time: total %d, quantiles %v", total, q)
	}
}
