package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

func TestEndpoints(t *testing.T) {
	ready := make(chan struct{})
	var health Health
	health.Register("broker", Closed(ready))
	health.Register("admin", func(context.Context) error { return nil })
	reg := NewRegistry()
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "leat_test", Help: "x"}, func() float64 { return 2 }))
	h := NewServer(Config{Links: []Link{{"/extra", "more"}}}, reg, &health, discard()).Handler()

	steps := []struct {
		path string
		code int
		want []string
	}{
		{"/healthz", 200, []string{"ok\n"}},
		{"/readyz", 503, []string{"not ready\n"}},
		{"/readyz?verbose", 503, []string{"[+] admin: ok\n[-] broker: not ready yet\nnot ready\n"}},
		{"/metrics", 200, []string{"go_goroutines ", "process_cpu_seconds_total ", "leat_test 2"}},
		{"/", 200, []string{`href="/metrics"`, `href="/debug/pprof/"`, `href="/extra"`}},
		{"/debug/pprof/goroutine?debug=1", 200, []string{"goroutine profile:"}},
		{"/nothing", 404, nil},
	}
	check := func(path string, code int, want []string) {
		t.Helper()
		gotCode, body := get(t, h, path)
		if gotCode != code {
			t.Errorf("%s: status %d, want %d", path, gotCode, code)
		}
		for _, w := range want {
			if !strings.Contains(body, w) {
				t.Errorf("%s: no %q in:\n%.500s", path, w, body)
			}
		}
	}
	for _, s := range steps {
		check(s.path, s.code, s.want)
	}
	close(ready)
	check("/readyz", 200, []string{"ready\n"})
	check("/v1/status/ready", 200, []string{"ready\n"})
}

func TestServerRunsUntilCancelled(t *testing.T) {
	s := NewServer(Config{Addr: "127.0.0.1:0"}, NewRegistry(), new(Health), discard())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + s.Addr() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if string(body) != "ok\n" {
		t.Errorf("body %q", body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
	taken := NewServer(Config{Addr: "256.0.0.1:1"}, NewRegistry(), new(Health), discard())
	if err := taken.Run(t.Context()); err == nil {
		t.Error("a bad address was accepted")
	}
}

func TestServerOff(t *testing.T) {
	s := NewServer(Config{}, NewRegistry(), new(Health), discard())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil || s.Addr() != "" {
		t.Errorf("Run = %v, Addr = %q", err, s.Addr())
	}
}

func TestHeapLimit(t *testing.T) {
	tests := []struct {
		opts string
		size int64
		ok   bool
	}{
		{"-Xmx1G -Xms1G", 1 << 30, true},
		{"-Xms256m -Xmx512M -XX:+UseG1GC", 512 << 20, true},
		{"-Xmx64k", 64 << 10, true}, {"-Xmx1048576", 1 << 20, true}, {"-Xmx2t", 2 << 40, true},
		{"-Xmx1g -Xmx2g", 2 << 30, true},
		{"", 0, false}, {"-Xmx", 0, false}, {"-Xmxlots", 0, false}, {"-Xmx-1g", 0, false},
		{"-Xmx9223372036854775807g", 0, false}, {"-Xms1g", 0, false},
	}
	for _, tt := range tests {
		if size, ok := HeapLimit(tt.opts); size != tt.size || ok != tt.ok {
			t.Errorf("HeapLimit(%q) = %d, %v; want %d, %v", tt.opts, size, ok, tt.size, tt.ok)
		}
	}
	given := func(string) string { return "1GiB" }
	if got := ApplyHeapLimit(given); got != 0 {
		t.Errorf("GOMEMLIMIT must win, got %d", got)
	}
}

func TestLogger(t *testing.T) {
	var out bytes.Buffer
	NewLogger(&out, LogConfig{}).With("component", "log").Info("hello", "topic", "t")
	var line map[string]any
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("%v in %s", err, out.String())
	}
	if line["level"] != "INFO" || line["msg"] != "hello" || line["component"] != "log" || line["topic"] != "t" || line["ts"] == nil {
		t.Errorf("line %v", line)
	}
	out.Reset()
	NewLogger(&out, LogConfig{TTY: true, Level: slog.LevelWarn}).Info("quiet")
	NewLogger(&out, LogConfig{TTY: true}).Info("text")
	if got := out.String(); !strings.HasPrefix(got, "ts=") || strings.Contains(got, "quiet") {
		t.Errorf("text line %q", got)
	}
	for text, want := range map[string]slog.Level{"": slog.LevelInfo, "WARN": slog.LevelWarn, "trace": slog.LevelDebug, "FATAL": slog.LevelError} {
		if got, err := ParseLevel(text); err != nil || got != want {
			t.Errorf("ParseLevel(%q) = %v, %v", text, got, err)
		}
	}
	if _, err := ParseLevel("loud"); err == nil {
		t.Error("a level that does not exist was accepted")
	}
}

// untilCancelled works until its context ends and then takes a while.
func untilCancelled(tail time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(tail)
		return ctx.Err()
	}
}

func TestSupervise(t *testing.T) {
	failure := errors.New("failure")
	tests := []struct {
		name    string
		signals []os.Signal
		work    func(context.Context) error
		check   func(error) bool
	}{
		{"ends well", nil, func(context.Context) error { return nil }, func(err error) bool { return err == nil }},
		{"fails", nil, func(context.Context) error { return failure }, func(err error) bool { return err == failure }},
		{"fails while stopping", []os.Signal{syscall.SIGTERM}, func(ctx context.Context) error { <-ctx.Done(); return failure },
			func(err error) bool { return err == failure }},
		{"stops in order", []os.Signal{syscall.SIGTERM}, untilCancelled(time.Second), func(err error) bool {
			var stopped *Interrupted
			return errors.As(err, &stopped) && stopped.Signal == syscall.SIGTERM
		}},
		{"second signal", []os.Signal{syscall.SIGINT, syscall.SIGTERM}, untilCancelled(time.Second),
			func(err error) bool { return errors.Is(err, ErrForced) }},
		{"echo of the first", []os.Signal{syscall.SIGTERM, syscall.SIGTERM}, untilCancelled(time.Second),
			func(err error) bool { return errors.As(err, new(*Interrupted)) }},
		{"deadline", []os.Signal{syscall.SIGTERM}, untilCancelled(time.Minute),
			func(err error) bool { return errors.Is(err, ErrForced) && strings.Contains(err.Error(), "10s") }},
		{"dump does not stop", []os.Signal{syscall.SIGQUIT, syscall.SIGTERM}, untilCancelled(0),
			func(err error) bool { return errors.As(err, new(*Interrupted)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signals := make(chan os.Signal, len(tt.signals))
				for _, s := range tt.signals {
					signals <- s
				}
				var dump bytes.Buffer
				stop := Stop{Signals: signals, Deadline: 10 * time.Second, Dump: &dump, Log: discard()}
				if err := Supervise(t.Context(), stop, tt.work); !tt.check(err) {
					t.Errorf("got %v", err)
				}
				<-time.After(time.Hour) // abandoned work must have ended before the bubble does
				dumped := strings.Contains(dump.String(), "goroutine ")
				if want := len(tt.signals) > 0 && tt.signals[0] == syscall.SIGQUIT; dumped != want {
					t.Errorf("dumped = %v, want %v", dumped, want)
				}
			})
		})
	}
}
