package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/conf"
	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/connectors/all"
)

func newConnectorCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{Use: "connector", Aliases: []string{"connectors"}, Short: "List and run connectors"}
	cmd.AddCommand(newConnectorListCmd(a), newConnectorRunCmd(a))
	return cmd
}

// plugin is a line of the list of connector plugins.
type plugin struct {
	Name    string   `json:"name" col:"PLUGIN,name"`
	Type    string   `json:"type" col:"TYPE"`
	Version string   `json:"version" col:"VERSION,wide"`
	Aliases []string `json:"aliases" col:"ALIASES,wide"`
	Doc     string   `json:"doc" col:"DESCRIPTION"`
}

// connectorState is a line of the list of running connectors.
type connectorState = admin.Connector

func newConnectorListCmd(a *App) *cobra.Command {
	var worker string
	cmd := a.formatFlag(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List connector plugins, or the connectors of a running worker",
		Example: "  leat connector list\n  leat connector list --worker localhost:9644",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if worker == "" {
				return output.List(a.printer(), plugins())
			}
			states, err := a.workerState(cmd.Context(), worker)
			if err != nil {
				return err
			}
			return output.List(a.printer(), states)
		},
	})
	cmd.Flags().StringVar(&worker, "worker", "", "admin address of a running worker, host:port")
	return cmd
}

func plugins() []plugin {
	list := []plugin{}
	for _, p := range all.Plugins() {
		list = append(list, plugin{Name: p.Name, Type: p.Type(), Version: p.Version, Aliases: append([]string{}, p.Aliases...), Doc: p.Doc})
	}
	return list
}

// statusPath is where a worker's admin server lists its connectors.
const (
	statusPath    = "/connectors"
	maxStatusSize = 16 << 20
)

func (a *App) workerState(ctx context.Context, addr string) ([]connectorState, error) {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	target := url.URL{Scheme: "http", Host: addr, Path: statusPath}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, usageError(fmt.Sprintf("--worker %q: want host:port", addr), "")
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &cliError{
			code: exitUnreachable, err: err, next: "leat connector run WORKER.properties CONNECTOR.properties",
			text: fmt.Sprintf("cannot reach a worker at %s: %s", addr, rootCause(err)),
		}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("worker at %s: %s", addr, resp.Status)
	}
	var states []connectorState
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxStatusSize)).Decode(&states); err != nil {
		return nil, fmt.Errorf("worker at %s: %w", addr, err)
	}
	return states, nil
}

// statesOf sums up what a herder knows about its connectors.
func statesOf(list []herder.ConnectorStatus) []connectorState {
	states := []connectorState{}
	for _, c := range list {
		s := connectorState{
			Connector: c.Name, Type: c.Type, State: string(c.Connector.State), Tasks: len(c.Tasks),
			WorkerID: c.Connector.WorkerID, Trace: c.Connector.Trace,
		}
		for _, task := range c.Tasks {
			switch task.State {
			case herder.Running:
				s.Running++
			case herder.Failed, herder.Restarting:
				s.Failed++
			}
			if s.Trace == "" {
				s.Trace = task.Trace
			}
		}
		states = append(states, s)
	}
	return states
}

type connectorRunFlags struct {
	adminAddr   string
	logFormat   string
	logLevel    string
	stopTimeout time.Duration
}

func newConnectorRunCmd(a *App) *cobra.Command {
	var f connectorRunFlags
	cmd := &cobra.Command{
		Use: "run WORKER.properties CONNECTOR.properties…", Short: "Run connectors in this process",
		Long: "Run connectors until SIGTERM or Ctrl-C, as Kafka's connect-standalone does. A connector file is\n" +
			"properties, or JSON: a flat object, or one with name and config.",
		Args: cobra.MinimumNArgs(2), Annotations: map[string]string{ownSignals: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			bootstrap := ""
			if cmd.Flags().Changed("bootstrap-server") {
				bootstrap = a.bootstrap
			}
			return a.runConnectors(cmd.Context(), bootstrap, args, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.adminAddr, "admin-addr", "localhost:0", "host:port of metrics, health and status; port 0 takes a free one; empty: off")
	flags.StringVar(&f.logFormat, "log-format", "", "text|json (default: text on a terminal, else json)")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug|info|warn|error")
	flags.DurationVar(&f.stopTimeout, "stop-timeout", time.Minute, "time for an orderly stop")
	return cmd
}

func (a *App) runConnectors(ctx context.Context, bootstrap string, files []string, f connectorRunFlags) error {
	worker, err := conf.ReadFile(files[0])
	if err != nil {
		return err
	}
	if bootstrap != "" {
		worker["bootstrap.servers"] = bootstrap
	}
	var connectors []map[string]string
	for _, file := range files[1:] {
		props, err := readConnector(file)
		if err != nil {
			return err
		}
		connectors = append(connectors, props)
	}
	log, _, err := a.serverLog(serverFlags{logFormat: f.logFormat, logLevel: f.logLevel})
	if err != nil {
		return err
	}
	registry := ops.NewRegistry()
	h, err := herder.NewStandalone(herder.Config{
		Worker: worker, Connectors: connectors, Plugins: all.Plugins(), Logger: log, Registry: registry,
	})
	if err != nil {
		return &cliError{code: exitUsage, text: err.Error(), next: "leat connector list", err: err}
	}
	health := new(ops.Health)
	health.Register("connectors", func(context.Context) error { return allRunning(h.List()) })
	admin := ops.NewServer(ops.Config{
		Addr: f.adminAddr, Links: []ops.Link{{Path: statusPath, Text: "state of each connector"}},
	}, registry, health, log.With("component", "admin"))
	admin.Handle("GET "+statusPath, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		// The client may be gone; there is nobody to tell.
		_ = json.NewEncoder(w).Encode(statesOf(h.List()))
	}))
	if err := admin.Listen(); err != nil {
		return err
	}
	log.Info("running", "connectors", len(connectors), "admin", admin.Addr())
	signals, release := ops.Notify()
	defer release()
	stop := ops.Stop{Signals: signals, Deadline: f.stopTimeout, Dump: a.Err, Log: log}
	return ops.Supervise(ctx, stop, func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return h.Run(ctx) })
		group.Go(func() error { return admin.Run(ctx) })
		return group.Wait()
	})
}

// allRunning is the readiness of a worker: no connector or task waits or failed.
func allRunning(list []herder.ConnectorStatus) error {
	for _, s := range statesOf(list) {
		if s.Running != s.Tasks || s.Tasks == 0 {
			return fmt.Errorf("connector %s: %d of %d tasks run", s.Connector, s.Running, s.Tasks)
		}
	}
	return nil
}

// readConnector reads the settings of one connector.
func readConnector(file string) (map[string]string, error) {
	if filepath.Ext(file) != ".json" {
		return conf.ReadFile(file)
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > conf.MaxFileSize {
		return nil, fmt.Errorf("%s: %w: more than %d bytes", file, conf.ErrSyntax, conf.MaxFileSize)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var nested struct {
		Name   string            `json:"name"`
		Config map[string]string `json:"config"`
	}
	if json.Unmarshal(text, &nested) == nil && nested.Config != nil {
		if strings.TrimSpace(nested.Name) != "" {
			nested.Config["name"] = nested.Name
		}
		return nested.Config, nil
	}
	var flat map[string]string
	if err := json.Unmarshal(text, &flat); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", file, conf.ErrSyntax, err)
	}
	return flat, nil
}
