package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/cmd/internal/output"
)

const (
	defaultBootstrap = "localhost:9092"
	defaultTimeout   = 10 * time.Second
	envPrefix        = "LEAT_"
)

// nouns lists every command below "leat". Each file of this package adds one.
func nouns() []func(*App) *cobra.Command {
	return []func(*App) *cobra.Command{
		newServerCmd,
		newTopicCmd,
		newGroupCmd,
		newConnectorCmd,
		newLogCmd,
		newPerfCmd,
		newPipelineCmd,
		newDemoCmd,
		newVersionCmd,
	}
}

// App is one execution of the command line: its streams, environment and global
// flags. It is made by newApp, used by one goroutine, and not kept.
type App struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string

	bootstrap    string
	format       string
	timeout      time.Duration
	yes          bool
	verbose      bool
	noColor      bool
	properties   []string // -X key=value
	clientConfig string   // a file of such properties

	release func() // gives signals back to the process
}

func newApp(environ []string, stdin io.Reader, stdout, stderr io.Writer) *App {
	return &App{In: stdin, Out: stdout, Err: stderr, Environ: environ, release: func() {}}
}

// Getenv returns the value of a variable, or "".
func (a *App) Getenv(name string) string {
	for i := len(a.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(a.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

func (a *App) run(ctx context.Context, args []string) int {
	root := a.rootCmd()
	root.SetArgs(args)
	defer func() { a.release() }()
	cmd, err := root.ExecuteContextC(ctx)
	return a.report(cmd, err)
}

func (a *App) rootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:           "leat",
		Short:         "A replicated log, streams, connectors and pipelines in one binary",
		Long:          "Leat speaks Kafka's protocol: a broker, a streams library, connectors and\npipelines in one binary, and this command line for all of them.",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.stopOnInterrupt(cmd)
			if err := a.flagsFromEnv(cmd.Flags()); err != nil {
				return err
			}
			return output.Check(a.format)
		},
	}
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError(err.Error(), cmd.CommandPath()+" --help")
	})
	a.globalFlags(root)
	for _, noun := range nouns() {
		root.AddCommand(noun(a))
	}
	checkUsage(root)
	return root
}

func (a *App) globalFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVarP(&a.bootstrap, "bootstrap-server", "b", defaultBootstrap, "brokers to start from, host:port[,host:port] (also --brokers)")
	flags.StringVar(&a.format, "format", output.Table, strings.Join(output.Formats(), "|")+"|template='{{…}}'")
	flags.DurationVar(&a.timeout, "timeout", defaultTimeout, "time for each request to the cluster")
	flags.BoolVarP(&a.yes, "yes", "y", false, "do not ask before destroying something")
	flags.BoolVarP(&a.verbose, "verbose", "v", false, "log what is done")
	flags.BoolVar(&a.noColor, "no-color", false, "no colours on a terminal (also NO_COLOR)")
	flags.StringArrayVarP(&a.properties, "property", "X", nil, "Kafka client property key=value; repeatable")
	flags.StringVar(&a.clientConfig, "client-config", "", "file of Kafka client properties (also --command-config)")
	root.SetGlobalNormalizationFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		switch name {
		case "brokers":
			name = "bootstrap-server"
		case "command-config":
			name = "client-config"
		}
		return pflag.NormalizedName(name)
	})
	completeFlag(root, "format", func(*App) []string { return output.Formats() }, a)
}

// ownSignals marks, as an annotation, a command that handles signals by itself.
const ownSignals = "own-signals"

// stopOnInterrupt cancels the command's context at the first SIGINT or SIGTERM;
// a second one then ends the process in the usual way, unless it is an echo of
// the first.
func (a *App) stopOnInterrupt(cmd *cobra.Command) {
	if _, own := cmd.Annotations[ownSignals]; own {
		return
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { time.AfterFunc(ops.Echo, stop) })
	a.release = stop
	cmd.SetContext(ctx)
}

// flagsFromEnv sets each flag that was not given from LEAT_<NAME>, with '-'
// written as '_'.
func (a *App) flagsFromEnv(flags *pflag.FlagSet) (err error) {
	flags.VisitAll(func(f *pflag.Flag) {
		name := envPrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		value := a.Getenv(name)
		if f.Changed || value == "" || err != nil || f.Name == "help" {
			return
		}
		if setErr := flags.Set(f.Name, value); setErr != nil {
			err = usageError(name+": "+setErr.Error(), "unset "+name)
		}
	})
	return err
}

// formatFlag gives cmd the shorthand -o for --format; commands that read
// positions in a log use -o for those.
func (a *App) formatFlag(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().StringVarP(&a.format, "format", "o", output.Table, strings.Join(output.Formats(), "|")+"|template='{{…}}'")
	completeFlag(cmd, "format", func(*App) []string { return output.Formats() }, a)
	return cmd
}

// printer writes in the chosen format to stdout.
func (a *App) printer() output.Printer {
	return output.Printer{Format: a.format, Out: a.Out, Color: a.color(a.Out)}
}

// color reports whether w may be coloured.
func (a *App) color(w io.Writer) bool {
	return isTerminal(w) && !a.noColor && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// logger of client commands: warnings, and with -v everything.
func (a *App) logger() *slog.Logger {
	level := slog.LevelWarn
	if a.verbose {
		level = slog.LevelDebug
	}
	return ops.NewLogger(a.Err, ops.LogConfig{Level: level, Format: "text"})
}
