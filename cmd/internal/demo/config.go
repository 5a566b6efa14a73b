package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/pipelines"
)

// ErrNoPort is returned if no free port was found near the wanted one.
var ErrNoPort = errors.New("no free port")

// Config says how the demo runs.
type Config struct {
	Version string
	// DataDir keeps everything; empty takes a temporary folder.
	DataDir string
	// Keep leaves a temporary folder behind.
	Keep bool
	// Port is the broker's; 0 takes free ports for everything. A port that is
	// taken is shifted by 1000.
	Port int
	// Rate is the number of activity events per second.
	Rate int
	// For ends the demo by itself; 0 runs until the context ends.
	For time.Duration
	// Tail is an access log to follow; empty follows a sample.
	Tail string
	// Window is the length of the pipelines' windows.
	Window time.Duration
	// Started is when the process began.
	Started time.Time
	// Screen takes the banner and the ticker. Live rewrites one line.
	Screen io.Writer
	Live   bool
	// Opened is called with the console's address once it answers; it may open
	// a browser. May be nil.
	Opened func(url string)
	Log    *slog.Logger
	// Registry takes the metrics of all parts, Gatherer serves them.
	Registry prometheus.Registerer
	Gatherer prometheus.Gatherer
	// Connectors runs the connectors of pipelines.
	Connectors func(base herder.Config) func(context.Context, string, []map[string]string) error
	// Console makes the web console. May be nil: then there is none.
	Console func(Parts) (Console, error)
}

// Console is the web console: a handler, and work that goes on until the
// context ends.
type Console interface {
	http.Handler
	Run(ctx context.Context) error
}

// Parts are what a console shows.
type Parts struct {
	Bootstrap string
	Client    []kgo.Opt
	Pipelines []*Pipeline
	// Connectors are those that feed the pipelines.
	Connectors *herder.Standalone
	// Files is the folder of the Parquet files.
	Files string
	// Trial breaks parts of the demo when a user asks for it.
	Trial    admin.Trial
	Registry prometheus.Registerer
	Log      *slog.Logger
}

// Pipeline is one of the demo's pipelines with its document.
type Pipeline struct {
	App  *pipelines.App
	Text string
}

// folder is where the demo keeps its things.
type folder struct {
	root string
	temp bool
}

func openFolder(cfg Config) (folder, error) {
	if cfg.DataDir != "" {
		root, err := filepath.Abs(cfg.DataDir)
		if err != nil {
			return folder{}, err
		}
		return folder{root: root}, os.MkdirAll(root, 0o755)
	}
	root, err := os.MkdirTemp("", "leat-demo-")
	return folder{root: root, temp: !cfg.Keep}, err
}

func (f folder) close() error {
	if !f.temp {
		return nil
	}
	return os.RemoveAll(f.root)
}

func (f folder) broker() string  { return filepath.Join(f.root, "broker") }
func (f folder) states() string  { return filepath.Join(f.root, "state") }
func (f folder) files() string   { return filepath.Join(f.root, "out") }
func (f folder) offsets() string { return filepath.Join(f.root, "connect.offsets") }
func (f folder) sample() string  { return filepath.Join(f.root, "access.log") }

// The ports of the demo besides the broker's.
const (
	consolePort = 8080
	adminPort   = 9644
	portShift   = 1000
	portTries   = 20
)

// freePort finds a port on localhost, shifting from the wanted one. The port
// may be taken by another process before it is used: the user then sees the
// error of the part that wanted it.
func freePort(wanted int, any bool) (int, error) {
	if any {
		wanted = 0
	}
	for try := 0; try < portTries && wanted <= 65535; try++ {
		l, err := net.Listen("tcp", net.JoinHostPort("localhost", strconv.Itoa(wanted)))
		if err == nil {
			port := l.Addr().(*net.TCPAddr).Port
			return port, l.Close()
		}
		wanted += portShift
	}
	return 0, fmt.Errorf("%w near %d: use --port 0", ErrNoPort, wanted-portTries*portShift)
}
