package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/leatstream/leat/cmd/internal/conf"
	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/cmd/internal/output"
)

type serverFlags struct {
	overrides   []string
	dataDir     string
	port        int
	adminAddr   string
	portsFile   string
	logFormat   string
	logLevel    string
	stopTimeout time.Duration
	checkConfig bool
	strict      bool

	portSet  bool
	adminSet bool
}

func newServerCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{Use: "server", Short: "Run a broker"}
	cmd.AddCommand(newServerStartCmd(a), newServerImportCmd(a))
	return cmd
}

func newServerStartCmd(a *App) *cobra.Command {
	var f serverFlags
	cmd := a.formatFlag(&cobra.Command{
		Use: "start [FILE]", Short: "Start a broker from a server.properties, or in a data folder of its own",
		Long: "Start a broker and run until SIGTERM or Ctrl-C. SIGQUIT writes all goroutines to stderr.\n\n" +
			"FILE is a Kafka server.properties or the same keys as YAML. Stronger than the file is the\n" +
			"environment (KAFKA_X_Y, KAFKA_CFG_X_Y, LEAT_X_Y for x.y), then --override, then flags.",
		Example: "  leat server start --data-dir ./leat-data\n" +
			"  leat server start config/server.properties --override log.retention.hours=24\n" +
			"  leat server start config/server.properties --check-config",
		Args: cobra.MaximumNArgs(1), Annotations: map[string]string{ownSignals: ""},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.portSet, f.adminSet = cmd.Flags().Changed("port"), cmd.Flags().Changed("admin-addr")
			return a.serve(cmd.Context(), args, f)
		},
	})
	flags := cmd.Flags()
	flags.StringArrayVar(&f.overrides, "override", nil, "broker key=value; repeatable")
	flags.StringVar(&f.dataDir, "data-dir", "", "folder for everything; FILE is then not needed")
	flags.IntVar(&f.port, "port", 9092, "port on localhost; 0 takes a free one")
	flags.StringVar(&f.adminAddr, "admin-addr", fmt.Sprintf(":%d", ops.DefaultPort), "host:port of metrics, health and profiles; port 0 takes a free one; empty: off")
	flags.StringVar(&f.portsFile, "ports-file", "", "write the addresses as JSON to this file when ready")
	flags.StringVar(&f.logFormat, "log-format", "", "text|json (default: text on a terminal, else json)")
	flags.StringVar(&f.logLevel, "log-level", "info", "debug|info|warn|error")
	flags.DurationVar(&f.stopTimeout, "stop-timeout", 3*time.Minute, "time for an orderly stop")
	flags.BoolVar(&f.checkConfig, "check-config", false, "check the configuration, print what differs from the defaults, and end")
	flags.BoolVar(&f.strict, "strict-config", false, "refuse unknown keys")
	return cmd
}

func (a *App) serve(ctx context.Context, args []string, f serverFlags) error {
	if a.format == output.Help {
		return output.List[setting](a.printer(), nil)
	}
	settings, err := a.serverSettings(args, f)
	if err != nil {
		return err
	}
	log, level, err := a.serverLog(f)
	if err != nil {
		return err
	}
	settings.WarnUnknown(log)
	config := broker.Config{DataDir: f.dataDir, Properties: knownKeys(settings), LogLevel: level}
	if f.checkConfig {
		// New checks everything and touches nothing.
		if _, err := broker.New(config, log, ops.NewRegistry()); err != nil {
			return err
		}
		return output.List(a.printer(), settingsOf(settings))
	}
	if limit := ops.ApplyHeapLimit(a.Getenv); limit > 0 {
		log.Info("memory limit from KAFKA_HEAP_OPTS", "bytes", limit)
	}
	s, err := newServerProcess(config, f, log)
	if err != nil {
		return err
	}
	signals, release := ops.Notify()
	defer release()
	stop := ops.Stop{Signals: signals, Deadline: f.stopTimeout, Dump: a.Err, Log: log}
	return ops.Supervise(ctx, stop, s.run)
}

// serverSettings merges file, environment, overrides and flags.
func (a *App) serverSettings(args []string, f serverFlags) (*conf.Settings, error) {
	table, err := newBrokerTable()
	if err != nil {
		return nil, err
	}
	source := conf.Source{Environ: a.Environ, Overrides: f.overrides, Table: table, Strict: f.strict}
	if len(args) == 1 {
		source.File = args[0]
	} else if f.dataDir == "" {
		return nil, usageError("a server.properties or --data-dir is needed", "leat server start --data-dir ./leat-data")
	}
	if f.port < 0 || f.port > 65535 {
		return nil, usageError(fmt.Sprintf("--port %d is no port", f.port), "")
	}
	listener := map[string]string{"listeners": "PLAINTEXT://localhost:" + strconv.Itoa(f.port)}
	switch {
	case f.portSet:
		source.Flags = listener
	case source.File == "":
		source.Defaults = listener
	}
	return conf.Load(source)
}

// noBrokerID is the broker.id of a table that belongs to no broker.
const noBrokerID = -1

// brokerTable shows the broker's keys to the loader.
type brokerTable struct {
	configs *metadata.Configs
	names   []string
}

func newBrokerTable() (*brokerTable, error) {
	configs, err := metadata.NewConfigs(noBrokerID, nil)
	if err != nil {
		return nil, err
	}
	t := &brokerTable{configs: configs}
	for _, k := range metadata.BrokerTable().Keys() {
		t.names = append(t.names, k.Name)
	}
	return t, nil
}

// Known implements conf.Table.
func (t *brokerTable) Known(key string) bool {
	_, ok := t.configs.BrokerKey(key)
	return ok
}

// Keys implements conf.Table.
func (t *brokerTable) Keys() []string { return t.names }

// knownKeys drops unknown keys, which have been warned of by now.
func knownKeys(s *conf.Settings) map[string]string {
	keys := s.All()
	for _, u := range s.Unknown() {
		delete(keys, u.Key)
	}
	return keys
}

// setting is a line of --check-config.
type setting struct {
	Key   string `json:"key" col:"KEY,name"`
	Value string `json:"value" col:"VALUE"`
	Layer string `json:"layer" col:"LAYER"`
	Known bool   `json:"known" col:"KNOWN,wide"`
}

// settingsOf lists what some layer set, by key. Secrets are not shown.
func settingsOf(s *conf.Settings) []setting {
	list := []setting{}
	unknown := map[string]bool{}
	for _, u := range s.Unknown() {
		unknown[u.Key] = true
	}
	for _, key := range s.Keys() {
		value, _ := s.Get(key)
		if secret(key) {
			value = "[hidden]"
		}
		list = append(list, setting{Key: key, Value: value, Layer: s.Layer(key), Known: !unknown[key]})
	}
	return list
}

func secret(key string) bool {
	return strings.Contains(key, "password") || strings.Contains(key, "jaas") || strings.Contains(key, "secret")
}

func (a *App) serverLog(f serverFlags) (*slog.Logger, *slog.LevelVar, error) {
	parsed, err := ops.ParseLevel(f.logLevel)
	if err != nil {
		return nil, nil, usageError(err.Error(), "")
	}
	if f.logFormat != "" && f.logFormat != "text" && f.logFormat != "json" {
		return nil, nil, usageError(fmt.Sprintf("--log-format %q: want text or json", f.logFormat), "")
	}
	if a.verbose {
		parsed = slog.LevelDebug
	}
	level := new(slog.LevelVar)
	level.Set(parsed)
	return ops.NewLogger(a.Err, ops.LogConfig{Level: level, Format: f.logFormat, TTY: isTerminal(a.Err)}), level, nil
}

// serverProcess is a broker with its admin server.
type serverProcess struct {
	broker    *broker.Broker
	admin     *ops.Server
	portsFile string
	log       *slog.Logger
	started   time.Time
}

func newServerProcess(config broker.Config, f serverFlags, log *slog.Logger) (*serverProcess, error) {
	registry := ops.NewRegistry()
	b, err := broker.New(config, log, registry)
	if err != nil {
		return nil, err
	}
	health := new(ops.Health)
	health.Register("broker", ops.Closed(b.Ready()))
	addr := f.adminAddr
	if !f.adminSet && config.DataDir != "" && addr != "" {
		addr = "localhost" + addr // a server for one's own machine
	}
	admin := ops.NewServer(ops.Config{Addr: addr}, registry, health, log.With("component", "admin"))
	err = admin.Listen()
	if errors.Is(err, syscall.EADDRINUSE) && !f.adminSet {
		log.Warn("admin port is taken, using a free one", "addr", addr)
		host, _, _ := net.SplitHostPort(addr)
		admin = ops.NewServer(ops.Config{Addr: net.JoinHostPort(host, "0")}, registry, health, log.With("component", "admin"))
		err = admin.Listen()
	}
	if err != nil {
		return nil, err
	}
	return &serverProcess{broker: b, admin: admin, portsFile: f.portsFile, log: log, started: time.Now()}, nil
}

// run ends when ctx does or when a part fails; the broker stops before the admin
// server, so that its last state can be watched.
func (s *serverProcess) run(ctx context.Context) error {
	adminCtx, stopAdmin := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAdmin()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer stopAdmin()
		return s.broker.Run(ctx)
	})
	group.Go(func() error { return s.admin.Run(adminCtx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-s.broker.Ready():
			return s.announce()
		}
	})
	return group.Wait()
}

// announce tells where the server can be reached.
func (s *serverProcess) announce() error {
	addresses := map[string]string{"kafka": s.kafkaAddr(), "admin": s.admin.Addr()}
	s.log.Info("ready", "kafka", addresses["kafka"], "admin", addresses["admin"],
		"broker", s.broker.ID(), "cluster", s.broker.ClusterID(), "version", version, "took", time.Since(s.started).Round(time.Millisecond).String())
	if s.portsFile == "" {
		return nil
	}
	text, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	return writeWhole(s.portsFile, append(text, '\n'))
}

// kafkaAddr is the address of the listener that clients use, "" when there is
// none by a usual name.
func (s *serverProcess) kafkaAddr() string {
	for _, name := range []string{"PLAINTEXT", "CLIENT", "EXTERNAL", "SSL"} {
		if addr := s.broker.Addr(name); addr != nil {
			return addr.String()
		}
	}
	return ""
}

// writeWhole makes path appear with all its content, or not at all.
func writeWhole(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails, as it should, after the rename
	if _, err := f.Write(content); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
