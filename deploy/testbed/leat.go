package testbed

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Server is a broker of Leat as a process of its own.
type Server struct {
	*Process
	Addr  string // of the Kafka API
	Admin string // of metrics and health
}

// NoPort leaves the listeners of a server to its properties.
const NoPort = -1

// StartServer runs "leat server start" on a data folder and waits until it is
// ready. Groups form at once; args are further flags.
func StartServer(t testing.TB, dataDir string, port int, args ...string) *Server {
	t.Helper()
	ports := filepath.Join(t.TempDir(), "ports.json")
	if port != NoPort {
		args = append([]string{"--port", strconv.Itoa(port)}, args...)
	}
	args = append([]string{
		"server", "start", "--data-dir", dataDir, "--admin-addr", "localhost:0", "--ports-file", ports,
		"--log-format", "text", "--override", "group.initial.rebalance.delay.ms=0",
	}, args...)
	s := &Server{Process: Start(t, nil, Binary(t), args...)}
	s.Until(t, "the server is ready", func() bool { return exists(ports) })
	var addresses struct{ Kafka, Admin string }
	text, err := os.ReadFile(ports)
	if err == nil {
		err = json.Unmarshal(text, &addresses)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Addr, s.Admin = addresses.Kafka, addresses.Admin
	return s
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
