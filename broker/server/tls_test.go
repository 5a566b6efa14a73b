package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/leatstream/leat/broker/internal/certtest"
)

// startTLS starts a server whose listener encrypts, and returns the
// configuration of a client.
func startTLS(t testing.TB, cfg Config, s Security, h handlerFunc) (*fixture, *tls.Config) {
	t.Helper()
	ca := certtest.New(t)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue("server", "127.0.0.1").TLS()}, DynamicRecordSizingDisabled: true}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, cfg, Listener{Listener: l, Name: "TEST", Security: &s}, h), ca.Client()
}

func (f *fixture) dialTLS(cfg *tls.Config) *client {
	f.t.Helper()
	nc, err := tls.Dial("tcp", f.addr, cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	return newClient(f.t, nc)
}

// Frames of all sizes come and go over TLS, in order, and so do parts in files.
func TestTLS(t *testing.T) {
	content := strings.Repeat("0123456789abcdef", 40<<10)
	file := fileOf(t, content)
	f, cfg := startTLS(t, Config{QueuedMaxBytes: 1 << 20}, Security{}, func(r *Request) {
		body := bytes.Clone(r.Body)
		r.Reply(Response{Body: body, Parts: []Part{{File: tempFile{file, len(content)}}, {Bytes: []byte("end")}}})
	})
	c := f.dialTLS(cfg)
	sizes := []int{0, 1, 64, 65, 5000, 16 << 10, 300 << 10, 5 << 20, 3}
	go func() {
		for i, n := range sizes {
			if _, err := c.Write(frame(int32(i), strings.Repeat("x", n))); err != nil {
				return
			}
		}
	}()
	for i, n := range sizes {
		c.want(int32(i), strings.Repeat("x", n)+content+"end")
	}
	eventually(t, "the idle connection to give back its buffer", func() bool { return f.pool.lent() == 0 })
}

func TestTLSFragments(t *testing.T) {
	f, cfg := startTLS(t, Config{}, Security{}, echo)
	c := f.dialTLS(cfg)
	for _, b := range frame(9, "one byte a record") {
		c.send([]byte{b})
	}
	c.want(9, "one byte a record")
}

// Answers from other goroutines leave in order.
func TestTLSLateAnswers(t *testing.T) {
	f, cfg := startTLS(t, Config{}, Security{}, func(r *Request) {
		body := bytes.Clone(r.Body)
		go r.Reply(Response{Body: body})
	})
	c := f.dialTLS(cfg)
	for i := range int32(100) {
		c.send(frame(i, "late"))
	}
	for i := range int32(100) {
		c.want(i, "late")
	}
}

func TestIdentity(t *testing.T) {
	f, cfg := startTLS(t, Config{}, Security{Identify: func(s tls.ConnectionState) (any, error) {
		if s.NegotiatedProtocol != "" || s.ServerName == "stranger" {
			return nil, errors.New("a stranger")
		}
		return "friend", nil
	}}, func(r *Request) { r.Reply(Response{Body: fmt.Append(nil, r.Conn.Identity())}) })
	c := f.dialTLS(cfg)
	c.send(frame(1, ""))
	c.want(1, "friend")

	cfg.ServerName, cfg.InsecureSkipVerify = "stranger", true
	f.dialTLS(cfg).wantClosed()
	f.wantLog("a stranger")
}

// wantLog waits for the one line that says why a connection was closed.
func (f *fixture) wantLog(what string) {
	f.t.Helper()
	eventually(f.t, "a line with "+what, func() bool { return len(f.log.lines()) > 0 })
	if lines := f.log.lines(); len(lines) != 1 || !strings.Contains(lines[0], what) {
		f.t.Errorf("log: %s; want one line with %q", strings.Join(lines, "\n"), what)
	}
}

// A client that does not speak TLS, one that speaks nothing, and one that does
// not trust the server are let go, with a line in the log.
func TestHandshakeFailures(t *testing.T) {
	t.Run("plain client", func(t *testing.T) {
		f, _ := startTLS(t, Config{}, Security{}, echo)
		c := f.dial()
		c.send(frame(1, "plain"))
		_, _ = io.Copy(io.Discard, c) // an alert, then the end
		f.wantLog("does not speak TLS")
		if n := gather(t, f.reg)[socketPrefix+"failed_authentication_total"]; n != 1 {
			t.Errorf("%v failures counted", n)
		}
	})
	t.Run("silent client", func(t *testing.T) {
		f, _ := startTLS(t, Config{HandshakeTimeout: 20 * time.Millisecond}, Security{}, echo)
		f.dial().wantClosed()
		f.wantLog("took too long")
	})
	t.Run("client that stops half way", func(t *testing.T) {
		f, _ := startTLS(t, Config{HandshakeTimeout: 20 * time.Millisecond}, Security{}, echo)
		c := f.dial()
		c.send([]byte{22, 3, 1, 2, 0, 1})
		c.wantClosed()
		f.wantLog("took too long")
	})
	t.Run("client without trust", func(t *testing.T) {
		f, _ := startTLS(t, Config{}, Security{}, echo)
		if _, err := tls.Dial("tcp", f.addr, certtest.New(t).Client()); err == nil {
			t.Error("trusted")
		}
		f.wantLog("TLS handshake failed")
	})
	t.Run("a look whether the port is open", func(t *testing.T) {
		f, _ := startTLS(t, Config{}, Security{}, echo)
		f.dial().Close()
		eventually(t, "the connection to end", func() bool { return len(f.snapshot()) == 0 })
		if lines := f.log.lines(); len(lines) > 0 {
			t.Errorf("log: %s", lines)
		}
	})
	t.Run("TLS client of a plain listener", func(t *testing.T) {
		f := start(t, Config{}, echo)
		if _, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true}); err == nil {
			t.Error("TLS on a plain listener")
		}
		f.wantLog("the client speaks TLS")
	})
}

// One handshake more than are allowed at a time waits until another one ends.
func TestHandshakeLimit(t *testing.T) {
	f, cfg := startTLS(t, Config{MaxHandshakes: 1}, Security{}, echo)
	silent := f.dial()
	eventually(t, "the first connection", func() bool { return len(f.snapshot()) == 1 })
	served := make(chan error, 1)
	go func() {
		nc, err := tls.Dial("tcp", f.addr, cfg)
		if err == nil {
			nc.Close()
		}
		served <- err
	}()
	plain := f.dial() // a third one, so that the second is in the backlog by now
	if n := len(f.snapshot()); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	select {
	case err := <-served:
		t.Fatalf("a second handshake beside the first: %v", err)
	default:
	}
	silent.Close()
	plain.Close()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// Garbage before, during and after the handshake ends one connection, and no
// other one.
func TestTLSGarbage(t *testing.T) {
	f, cfg := startTLS(t, Config{}, Security{}, echo)
	other := f.dialTLS(cfg)
	other.send(frame(1, "before"))
	other.want(1, "before")
	random := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		garbage := make([]byte, 5+random.IntN(2000))
		for i := range garbage {
			garbage[i] = byte(random.Uint32())
		}
		if garbage[0] == 22 { // the beginning of a handshake, which may go on
			garbage[0]++
		}
		c := f.dial()
		c.send(garbage)
		_, _ = io.Copy(io.Discard, c) // until the server closes, by an alert or a reset
	}
	raw, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	cfg.ServerName = "127.0.0.1"
	secured := tls.Client(raw, cfg)
	if err := secured.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Write(frame(1, "plain text after the handshake")); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, raw)
	within := f.dialTLS(cfg)
	within.send([]byte{0xff, 0xff, 0xff, 0xff, 1, 2, 3})
	within.wantClosed()
	eventually(t, "all but one to be closed", func() bool { return len(f.snapshot()) == 1 })
	other.send(frame(2, "after"))
	other.want(2, "after")
}

// A stop during handshakes does not wait for them; clients that are connected
// are told that nothing follows.
func TestTLSShutdown(t *testing.T) {
	f, cfg := startTLS(t, Config{}, Security{}, echo)
	silent, idle := f.dial(), f.dialTLS(cfg)
	idle.send(frame(1, "x"))
	idle.want(1, "x")
	eventually(t, "both connections", func() bool { return len(f.snapshot()) == 2 })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := f.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	silent.wantClosed()
	if _, err := idle.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("an idle client reads %v, want an orderly end", err)
	}
	if lines := f.log.lines(); len(lines) > 0 {
		t.Errorf("log: %s", lines)
	}
}

func BenchmarkTLSEcho(b *testing.B) {
	f, cfg := startTLS(b, Config{}, Security{}, func(r *Request) { r.Reply(Response{}) })
	c := f.dialTLS(cfg)
	req := frame(1, strings.Repeat("x", 1<<20))
	b.SetBytes(int64(len(req)))
	b.ReportAllocs()
	for b.Loop() {
		c.send(req)
		c.recv()
	}
}

func BenchmarkTLSHandshake(b *testing.B) {
	f, cfg := startTLS(b, Config{}, Security{}, func(r *Request) { r.Reply(Response{}) })
	b.ReportAllocs()
	for b.Loop() {
		nc, err := tls.Dial("tcp", f.addr, cfg)
		if err != nil {
			b.Fatal(err)
		}
		nc.Close()
	}
}
