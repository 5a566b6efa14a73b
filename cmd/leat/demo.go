package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/cmd/internal/console"
	"github.com/leatstream/leat/cmd/internal/demo"
	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/connect/herder"
)

type demoFlags struct {
	dataDir, tail string
	port, rate    int
	runFor        time.Duration
	window        time.Duration
	keep, noOpen  bool
}

func newDemoCmd(a *App) *cobra.Command {
	var f demoFlags
	started := time.Now()
	cmd := a.formatFlag(&cobra.Command{
		Use: "demo", Short: "Run a broker, sources, pipelines, a Parquet export and the console on sample data",
		Example:     "  leat demo\n  leat demo --for 20s --no-open\n  leat demo --tail /var/log/nginx/access.log --keep",
		Args:        cobra.NoArgs,
		Annotations: map[string]string{ownSignals: ""},
		RunE:        func(cmd *cobra.Command, _ []string) error { return a.demo(cmd, f, started) },
	})
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", "", "folder for everything, kept (default: a temporary folder)")
	flags.BoolVar(&f.keep, "keep", false, "keep the temporary folder")
	flags.IntVar(&f.port, "port", 9092, "port of the Kafka API; 0 takes free ports for everything")
	flags.IntVar(&f.rate, "rate", 1000, "activity events per second")
	flags.DurationVar(&f.runFor, "for", 0, "run that long and print a summary")
	flags.DurationVar(&f.window, "window", 5*time.Second, "length of the pipelines' windows")
	flags.StringVar(&f.tail, "tail", "", "follow this access log instead of the sample")
	flags.BoolVar(&f.noOpen, "no-open", false, "do not open the console in a browser")
	return cmd
}

func (a *App) demo(cmd *cobra.Command, f demoFlags, started time.Time) error {
	if a.format == output.Help {
		return output.One(a.printer(), demo.Summary{})
	}
	if f.rate < 1 || f.rate > 1_000_000 {
		return usageError(fmt.Sprintf("--rate %d: want 1 to 1000000", f.rate), "")
	}
	if f.port < 0 || f.port > 65535 {
		return usageError(fmt.Sprintf("--port %d is no port", f.port), "")
	}
	if f.tail != "" {
		path, err := filepath.Abs(f.tail)
		if err != nil {
			return err
		}
		f.tail = path
	}
	reg := ops.NewRegistry()
	config := demo.Config{
		Version: version, DataDir: f.dataDir, Keep: f.keep, Port: f.port, Rate: f.rate, For: f.runFor, Tail: f.tail, Window: f.window,
		Started: started, Screen: a.Err, Live: isTerminal(a.Err) && a.color(a.Err), Log: a.demoLog(), Registry: reg, Gatherer: reg,
		Connectors: pipelineConnectors, Console: demoConsole,
	}
	if !f.noOpen && isTerminal(a.Out) {
		config.Opened = openBrowser
	}
	signals, release := ops.Notify()
	defer release()
	stop := ops.Stop{Signals: signals, Deadline: time.Minute, Dump: a.Err, Log: config.Log}
	var summary demo.Summary
	err := ops.Supervise(cmd.Context(), stop, func(ctx context.Context) (err error) {
		summary, err = demo.Run(ctx, config)
		return err
	})
	if f.runFor > 0 && (err == nil || errors.Is(err, demo.ErrUnbalanced)) {
		err = errors.Join(err, a.printSummary(summary))
	}
	return err
}

// demoConsole is the console over the parts of a demo.
func demoConsole(parts demo.Parts) (demo.Console, error) {
	config := console.Config{
		Bootstrap: parts.Bootstrap, Client: parts.Client, Files: parts.Files, Log: parts.Log, Trial: parts.Trial,
		Connectors: func() []console.Connector { return consoleConnectors(parts.Connectors) },
	}
	for _, p := range parts.Pipelines {
		config.Pipelines = append(config.Pipelines, console.Pipeline{App: p.App, Text: p.Text})
	}
	return console.New(config)
}

// consoleConnectors adds to each state the topic and what has been moved.
func consoleConnectors(h *herder.Standalone) []console.Connector {
	list := h.List()
	states := statesOf(list)
	out := make([]console.Connector, len(list))
	for i, status := range list {
		out[i].Connector = states[i]
		if info, err := h.Info(status.Name); err == nil {
			out[i].Topics = connectorTopics(info.Config)
		}
		for _, task := range status.Tasks {
			out[i].Records += task.Stats.Written
		}
	}
	return out
}

// connectorTopics are the topics that a configuration names.
func connectorTopics(config map[string]string) []string {
	if topic := config["topic"]; topic != "" {
		return []string{topic}
	}
	return client.Addresses(config["topics"]) // the same list of words and commas
}

func (a *App) printSummary(s demo.Summary) error {
	if a.format == output.Table {
		return s.Print(a.Out)
	}
	return output.One(a.printer(), s)
}

// demoLog is quiet: the screen belongs to the banner and the ticker.
func (a *App) demoLog() *slog.Logger {
	level := slog.LevelError
	if a.verbose {
		level = slog.LevelDebug
	}
	return ops.NewLogger(a.Err, ops.LogConfig{Level: level, Format: "text"})
}

// openBrowser tries; a machine without a browser loses nothing.
func openBrowser(url string) {
	command := "xdg-open"
	if runtime.GOOS == "darwin" {
		command = "open"
	}
	if cmd := exec.Command(command, url); cmd.Start() == nil {
		go func() { _ = cmd.Wait() }() // reaped; how it ends is its own matter
	}
}
