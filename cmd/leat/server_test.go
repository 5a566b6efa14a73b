package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// lockedBuffer can be read while a server writes to it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-deadline:
			t.Fatalf("not in time: %s", what)
		case <-ticker.C:
		}
	}
}

// runningServer is "leat server start" in a goroutine.
type runningServer struct {
	kafka, admin string
	log          *lockedBuffer
	code         chan int
	stop         context.CancelFunc
}

func startServer(t *testing.T, environ []string, args ...string) *runningServer {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	s := &runningServer{log: new(lockedBuffer), code: make(chan int, 1), stop: cancel}
	ports := filepath.Join(t.TempDir(), "ports.json")
	args = append([]string{"server", "start", "--ports-file", ports}, args...)
	go func() { s.code <- newApp(environ, nil, io.Discard, s.log).run(ctx, args) }()
	t.Cleanup(cancel)
	eventually(t, "server ready", func() bool {
		select {
		case code := <-s.code:
			t.Fatalf("server ended with %d:\n%s", code, s.log)
		default:
		}
		_, err := os.Stat(ports)
		return err == nil
	})
	text, err := os.ReadFile(ports)
	if err != nil {
		t.Fatal(err)
	}
	var addresses struct{ Kafka, Admin string }
	if err := json.Unmarshal(text, &addresses); err != nil {
		t.Fatal(err)
	}
	s.kafka, s.admin = addresses.Kafka, addresses.Admin
	return s
}

func (s *runningServer) wait(t *testing.T) int {
	t.Helper()
	select {
	case code := <-s.code:
		return code
	case <-time.After(20 * time.Second):
		t.Fatalf("the server does not stop:\n%s", s.log)
		return -1
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.Status + "\n" + string(body)
}

func TestServerServesAndStopsOnSignals(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, nil, "--data-dir", filepath.Join(dir, "data"), "--port", "0", "--admin-addr", "localhost:0", "--override", "bogus.key=1", "--override", "group.initial.rebalance.delay.ms=0")
	if got := fetch(t, "http://"+s.admin+"/readyz?verbose"); !strings.HasPrefix(got, "200") || !strings.Contains(got, "[+] broker: ok") {
		t.Errorf("readyz: %s", got)
	}
	if got := fetch(t, "http://"+s.admin+"/metrics"); !strings.Contains(got, "go_goroutines") || !strings.Contains(got, "\nkafka_") {
		t.Errorf("metrics: %.300s", got)
	}
	if out := mustLeat(t, s.kafka, "", "topic", "list", "-o", "json"); out != "[]\n" {
		t.Errorf("topic list: %q", out)
	}
	mustLeat(t, s.kafka, "", "topic", "create", "t", "-p", "2", "-c", "retention.ms=3600000")
	seed(t, s.kafka, "t", 5)
	commit(t, s.kafka, "g", "t", 3)
	if out := mustLeat(t, s.kafka, "", "topic", "consume", "t", "-g", "g", "--exit-at-end"); out != "v3\nv4\n" {
		t.Errorf("after the commit: %q", out)
	}
	if out := mustLeat(t, s.kafka, "", "group", "list", "--lag", "-o", "csv"); !strings.Contains(out, "g,Empty,consumer,") || !strings.Contains(out, ",0\n") {
		t.Errorf("group list: %q", out)
	}
	if out := mustLeat(t, s.kafka, "", "topic", "describe", "t"); !strings.Contains(out, "retention.ms") || strings.Contains(out, "DEFAULT_CONFIG") {
		t.Errorf("topic describe: %s", out)
	}
	mustLeat(t, s.kafka, "", "perf", "produce", "t", "--raw", "-n", "1000")
	mustLeat(t, s.kafka, "", "perf", "consume", "t", "--raw")
	for _, kind := range []string{"--raw=false", "--raw"} {
		if out := mustLeat(t, s.kafka, "", "perf", "latency", "t", kind, "-n", "100", "-o", "json"); !strings.Contains(out, `"received": 100,`) {
			t.Errorf("perf latency %s: %s", kind, out)
		}
	}
	mustLeat(t, s.kafka, "", "topic", "delete", "t", "--yes")
	if n := strings.Count(s.log.String(), `"key":"bogus.key"`); n != 1 {
		t.Errorf("the unknown key is told %d times:\n%s", n, s.log)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "goroutine dump", func() bool { return strings.Contains(s.log.String(), "goroutine ") })
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := s.wait(t); code != exitDone {
		t.Errorf("exit %d after SIGTERM:\n%s", code, s.log)
	}
}

func TestServerFromFileAndEnvironment(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "server.properties")
	text := "broker.id=7\nlog.dirs=" + filepath.Join(dir, "unused") + "\nlisteners=PLAINTEXT://localhost:0\nnum.partitions=2\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", ":9644")
	if err == nil {
		defer taken.Close()
	}
	s := startServer(t, []string{"KAFKA_LOG_DIRS=" + filepath.Join(dir, "env"), "KAFKA_PORT=tcp://10.0.0.1:9092"}, file)
	if _, err := os.Stat(filepath.Join(dir, "env", "meta.properties")); err != nil {
		t.Errorf("the environment did not win over the file: %v", err)
	}
	if !strings.Contains(s.log.String(), "admin port is taken") || strings.HasSuffix(s.admin, ":9644") {
		t.Errorf("admin at %s:\n%s", s.admin, s.log)
	}
	if !strings.Contains(s.log.String(), `"broker":7`) {
		t.Errorf("broker.id of the file is not used:\n%s", s.log)
	}
	s.stop()
	if code := s.wait(t); code != exitDone {
		t.Errorf("exit %d:\n%s", code, s.log)
	}
}

func TestServerCheckConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "server.properties")
	if err := os.WriteFile(file, []byte("broker.id=7\nlog.dirs=/data\nssl.key.password=abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := mustLeat(t, "", "", "server", "start", file, "--check-config", "--override", "num.partitions=3", "-o", "csv")
	want := "key,value,layer,known\nbroker.id,7,file " + file + ",true\nlog.dirs,/data,file " + file + ",true\n" +
		"num.partitions,3,override,true\nssl.key.password,[hidden],file " + file + ",true\n"
	if out != want {
		t.Errorf("%s\nwant:\n%s", out, want)
	}
}

func TestServerRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.properties")
	if err := os.WriteFile(bad, []byte(`a=\u12`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		args string
		code int
		want string
	}{
		{"", exitUsage, "--data-dir is needed"},
		{dir + "/none.properties", exitNotFound, "no such file"},
		{bad, exitUsage, "syntax error"},
		{"--data-dir d --port 70000", exitUsage, "--port 70000"},
		{"--data-dir d --override x", exitUsage, "not key=value"},
		{"--data-dir d --strict-config --override log.retention.sm=1", exitUsage, "did you mean log.retention.ms?"},
		{"--data-dir d --override num.partitions=many --check-config", exitUsage, "num.partitions"},
		{"--data-dir d --log-level loud", exitUsage, "log level"},
		{"--data-dir d --log-format xml", exitUsage, "want text or json"},
		{"--data-dir d --admin-addr 256.1.1.1:1", exitFailed, "admin server"},
	}
	for _, tt := range tests {
		r := leat(t, "", "", append([]string{"server", "start"}, strings.Fields(tt.args)...)...)
		if r.code != tt.code && !(tt.code == exitFailed && r.code != 0) || !strings.Contains(r.errOut, tt.want) {
			t.Errorf("server start %s: exit %d, want %d with %q\n%s", tt.args, r.code, tt.code, tt.want, r.errOut)
		}
	}
	if _, err := os.Stat("d"); err == nil {
		t.Error("a refused server left a folder")
	}
}
