package ops

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// DefaultPort is the admin port when none is configured.
const DefaultPort = 9644

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 3 * time.Second
	maxHeaderBytes    = 64 << 10
)

var errNotReady = errors.New("not ready yet")

// Config of the admin server.
type Config struct {
	// Addr is host:port to listen on; port 0 takes a free one. Empty turns the
	// server off: Listen then returns nil and Run waits for its context.
	Addr string
	// Links are shown on the index page beside the server's own endpoints.
	Links []Link
}

// Link is an entry of the index page.
type Link struct{ Path, Text string }

// Server answers /metrics, /healthz, /readyz and /debug/pprof/ on one port.
// /healthz says that the process runs; /readyz that all checks pass.
type Server struct {
	config   Config
	health   *Health
	log      *slog.Logger
	mux      *http.ServeMux
	listener net.Listener // nil until Listen, and when the server is off
}

// NewRegistry returns a registry with the metrics that every process exports:
// go_* and process_*.
func NewRegistry() *prometheus.Registry {
	reg := prometheus.NewRegistry()
	reg.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}

// NewServer builds a server over the metrics of gatherer and the checks of
// health. It does not listen yet.
func NewServer(config Config, gatherer prometheus.Gatherer, health *Health, log *slog.Logger) *Server {
	s := &Server{config: config, health: health, log: log, mux: http.NewServeMux()}
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{
		ErrorLog:      errorLogger{log},
		ErrorHandling: promhttp.ContinueOnError,
	}))
	s.mux.HandleFunc("GET /healthz", serveHealthy)
	s.mux.HandleFunc("GET /readyz", health.serveReady)
	s.mux.HandleFunc("GET /v1/status/ready", health.serveReady)
	s.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	s.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	s.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	s.mux.HandleFunc("GET /{$}", s.serveIndex)
	return s
}

// Handle adds an endpoint; it must be called before Run. A pattern that
// conflicts with an existing one panics, as http.ServeMux does.
func (s *Server) Handle(pattern string, h http.Handler) { s.mux.Handle(pattern, h) }

// Handler returns everything the server answers, for tests and for mounting
// under another server.
func (s *Server) Handler() http.Handler { return s.mux }

// Listen binds the address, so that Addr is known before Run.
func (s *Server) Listen() error {
	if s.config.Addr == "" || s.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", s.config.Addr)
	if err != nil {
		return fmt.Errorf("admin server: %w", err)
	}
	s.listener = l
	return nil
}

// Addr returns the bound host:port, or "" when the server is off or not bound.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends, then lets requests in flight finish for a moment
// and closes the rest. It returns nil when ctx caused the end.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	server := &http.Server{
		Handler:           s.mux,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("admin server: %w", err)
	case <-ctx.Done():
	}
	deadline, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(deadline); err != nil {
		server.Close()
	}
	<-ended
	return nil
}

func serveHealthy(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "ok")
}

func (s *Server) serveIndex(w http.ResponseWriter, _ *http.Request) {
	links := append([]Link{
		{"/metrics", "metrics in the Prometheus text format"},
		{"/healthz", "the process runs"},
		{"/readyz", "the process can do its work"},
		{"/readyz?verbose", "the same, check by check"},
		{"/debug/pprof/", "profiles"},
		{"/debug/pprof/goroutine?debug=2", "stacks of all goroutines"},
	}, s.config.Links...)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := indexPage().Execute(w, links); err != nil {
		s.log.Debug("index page", "err", err)
	}
}

// indexPage also reads well as plain text, for users of curl.
func indexPage() *template.Template {
	return template.Must(template.New("index").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>leat</title>
<h1>leat</h1>
<ul>
{{range .}}<li><a href="{{.Path}}">{{.Path}}</a> {{.Text}}</li>
{{end}}</ul>
</html>
`))
}

// errorLogger hands promhttp's complaints to slog.
type errorLogger struct{ log *slog.Logger }

func (l errorLogger) Println(v ...any) { l.log.Warn("metrics", "err", fmt.Sprint(v...)) }
