package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/connect/herder"
	"github.com/leatstream/leat/connectors/all"
	"github.com/leatstream/leat/pipelines"
)

func newPipelineCmd(a *App) *cobra.Command {
	cmd := &cobra.Command{
		Use: "pipeline", Aliases: []string{"pipelines"}, Short: "Check, test, draw and run YAML pipelines",
		Long: "A pipeline is a YAML file with sources, steps and sinks. Wherever a FILE is asked\nfor, the name of a ready pipeline (leat pipeline list) does as well.",
	}
	cmd.AddCommand(newPipelineListCmd(a), newPipelineLintCmd(a), newPipelineTestCmd(a), newPipelineGraphCmd(a), newPipelineRunCmd(a))
	return cmd
}

// document is a pipeline file, or a ready one by name.
type document struct {
	name string
	text []byte
}

func readDocuments(names []string) ([]document, error) {
	var docs []document
	for _, name := range names {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) && !strings.ContainsAny(name, `/\`) {
			if ready, readyErr := pipelines.ReadyDocument(name); readyErr == nil {
				text, err = ready, nil
			}
		}
		if err != nil {
			return nil, &cliError{code: exitNotFound, text: err.Error(), next: "leat pipeline list", err: err}
		}
		docs = append(docs, document{name, text})
	}
	return docs, nil
}

// documentOptions are the values a document takes from the command line.
func (a *App) documentOptions(params []string) (pipelines.Options, error) {
	opts := pipelines.Options{Params: map[string]string{}, Env: func(name string) (string, bool) {
		v := a.Getenv(name)
		return v, v != ""
	}}
	for _, p := range params {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return opts, usageError(fmt.Sprintf("--param %s: want name=value", p), "")
		}
		opts.Params[name] = value
	}
	return opts, nil
}

func paramFlag(cmd *cobra.Command, params *[]string) *cobra.Command {
	cmd.Flags().StringArrayVar(params, "param", nil, "value of a param, name=value; repeatable")
	return cmd
}

// readyPipeline is a row of leat pipeline list.
type readyPipeline struct {
	Name    string   `json:"name" col:"PIPELINE,name"`
	Sources []string `json:"sources" col:"SOURCES"` // topics
	Sinks   []string `json:"sinks" col:"SINKS"`     // topics
}

func newPipelineListCmd(a *App) *cobra.Command {
	return a.formatFlag(&cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the ready pipelines", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var rows []readyPipeline
			for _, name := range pipelines.Ready() {
				text, err := pipelines.ReadyDocument(name)
				if err != nil {
					return err
				}
				plan, problems := pipelines.Load(name, text, pipelines.Options{})
				if err := problems.Err(); err != nil {
					return err
				}
				rows = append(rows, readyPipeline{name, topicsOf(plan, pipelines.RoleSource), topicsOf(plan, pipelines.RoleSink)})
			}
			return output.List(a.printer(), rows)
		},
	})
}

func topicsOf(plan *pipelines.Plan, role pipelines.Role) []string {
	names := []string{}
	for _, t := range plan.Topics {
		if t.Role == role {
			names = append(names, t.Name)
		}
	}
	return names
}

// onDocuments is a command that reads pipelines, one or more, with their
// params. It needs no broker.
func (a *App) onDocuments(cmd *cobra.Command, work func([]document, pipelines.Options) error) *cobra.Command {
	var params []string
	cmd.Args = cobra.MinimumNArgs(1)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		docs, err := readDocuments(args)
		if err != nil {
			return err
		}
		opts, err := a.documentOptions(params)
		if err != nil {
			return err
		}
		return work(docs, opts)
	}
	return paramFlag(a.formatFlag(cmd), &params)
}

func newPipelineLintCmd(a *App) *cobra.Command {
	return a.onDocuments(&cobra.Command{
		Use: "lint FILE…", Short: "List everything that is wrong with pipelines",
		Example: "  leat pipeline lint my.yaml\n  leat pipeline lint pipelines/*/pipeline.yaml --format json",
	}, func(docs []document, opts pipelines.Options) error {
		problems := []pipelines.Problem{}
		for _, d := range docs {
			problems = append(problems, pipelines.Lint(d.name, d.text, opts)...)
		}
		if err := a.printProblems(problems); err != nil {
			return err
		}
		return a.lintResult(problems, len(docs))
	})
}

// plain reports whether a command that has a text of its own for tables
// prints that.
func (a *App) plain() bool { return a.format == output.Table || a.format == output.Wide }

func (a *App) printProblems(problems []pipelines.Problem) error {
	if !a.plain() {
		return output.List(a.printer(), problems)
	}
	for _, p := range problems {
		if _, err := fmt.Fprintln(a.Out, p); err != nil {
			return err
		}
	}
	return nil
}

// lintResult is exit code 2 if a problem is an error.
func (a *App) lintResult(problems []pipelines.Problem, documents int) error {
	wrong := 0
	for _, p := range problems {
		if p.Severity == pipelines.Error {
			wrong++
		}
	}
	if wrong > 0 {
		text := fmt.Sprintf("%s in %s", counted(wrong, "problem"), counted(documents, "pipeline"))
		return &cliError{code: exitUsage, text: text, err: pipelines.ErrInvalid}
	}
	if a.plain() {
		verb := "is"
		if documents != 1 {
			verb = "are"
		}
		fmt.Fprintf(a.Err, "%s %s fine\n", counted(documents, "pipeline"), verb)
	}
	return nil
}

// counted is a number with its noun: 1 problem, 2 problems.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

func newPipelineTestCmd(a *App) *cobra.Command {
	return a.onDocuments(&cobra.Command{
		Use: "test FILE…", Short: "Run the tests of pipelines, without a broker",
		Example: "  leat pipeline test my.yaml\n  leat pipeline test activity-per-minute --format json",
	}, func(docs []document, opts pipelines.Options) error {
		results := []pipelines.TestResult{}
		for _, d := range docs {
			more, problems := pipelines.Test(d.name, d.text, opts)
			if problems.Err() != nil {
				if err := a.printProblems(problems); err != nil {
					return err
				}
				return a.lintResult(problems, 1)
			}
			results = append(results, more...)
		}
		return a.printTests(results)
	})
}

func (a *App) printTests(results []pipelines.TestResult) error {
	failed := 0
	for _, r := range results {
		if !r.Passed {
			failed++
		}
	}
	if !a.plain() {
		if err := output.List(a.printer(), results); err != nil {
			return err
		}
	} else if err := writeTests(a.Out, results); err != nil {
		return err
	}
	if failed > 0 {
		return &cliError{code: exitFailed, text: fmt.Sprintf("%d of %d tests failed", failed, len(results)), err: pipelines.ErrTests}
	}
	return nil
}

func writeTests(w io.Writer, results []pipelines.TestResult) error {
	for _, r := range results {
		mark := "ok  "
		if !r.Passed {
			mark = "FAIL"
		}
		text := fmt.Sprintf("%s %s:%d %s\n", mark, r.File, r.Line, r.Name)
		for _, f := range r.Failures {
			text += "     " + strings.ReplaceAll(f, "\n", "\n     ") + "\n"
		}
		if _, err := io.WriteString(w, text); err != nil {
			return err
		}
	}
	return nil
}

func newPipelineGraphCmd(a *App) *cobra.Command {
	var params []string
	var as string
	cmd := paramFlag(&cobra.Command{
		Use: "graph FILE", Short: "Draw a pipeline: sub-topologies, internal topics, stores", Args: cobra.ExactArgs(1),
		Example: "  leat pipeline graph trending-searches\n  leat pipeline graph my.yaml --as dot | dot -Tsvg > my.svg",
		RunE: func(_ *cobra.Command, args []string) error {
			plan, err := a.loadPlan(args[0], params)
			if err != nil {
				return err
			}
			if a.format == output.JSON {
				as = "json"
			}
			text, err := drawPlan(plan, as)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.Out, strings.TrimRight(text, "\n"))
			return err
		},
	}, &params)
	cmd.Flags().StringVar(&as, "as", "text", "text|mermaid|dot|json")
	return cmd
}

// loadPlan loads one document; its problems go to stderr.
func (a *App) loadPlan(name string, params []string) (*pipelines.Plan, error) {
	docs, err := readDocuments([]string{name})
	if err != nil {
		return nil, err
	}
	opts, err := a.documentOptions(params)
	if err != nil {
		return nil, err
	}
	plan, problems := pipelines.Load(docs[0].name, docs[0].text, opts)
	for _, p := range problems {
		fmt.Fprintln(a.Err, p)
	}
	if plan == nil {
		return nil, a.lintResult(problems, 1)
	}
	return plan, nil
}

func drawPlan(plan *pipelines.Plan, as string) (string, error) {
	if plan.Topology == nil {
		return "", &cliError{code: exitFailed, text: "pipeline " + plan.Name + " only connects topics with sinks: it has no topology"}
	}
	switch as {
	case "text":
		return plan.Topology.Describe(), nil
	case "mermaid":
		return plan.Topology.Mermaid(plan.Name), nil
	case "dot":
		return plan.Topology.DOT(plan.Name), nil
	case "json":
		b, err := plan.Topology.JSON(plan.Name)
		return string(b), err
	default:
		return "", usageError(fmt.Sprintf("--as %s: one of text, mermaid, dot, json", as), "")
	}
}

// pipelineStop bounds an orderly stop: the last commit, and the end of files.
const pipelineStop = time.Minute

func newPipelineRunCmd(a *App) *cobra.Command {
	var params []string
	var stateDir string
	cmd := paramFlag(&cobra.Command{
		Use: "run FILE…", Short: "Run pipelines until they are interrupted",
		Args: cobra.MinimumNArgs(1), Annotations: map[string]string{ownSignals: ""},
		Example: "  leat pipeline run activity-per-minute -b localhost:9092 --param out=./out",
		RunE: func(cmd *cobra.Command, args []string) error {
			var apps []*pipelines.App
			opts, session, err := a.runOptions()
			if err != nil {
				return err
			}
			for _, name := range args {
				plan, err := a.loadPlan(name, params)
				if err != nil {
					return err
				}
				app, err := pipelines.New(plan, pipelines.Config{
					Client: opts, StateDir: stateDir, SessionTimeout: session, Logger: a.logger(),
					Connectors: pipelineConnectors(herder.Config{Client: opts, Logger: a.logger()}),
				})
				if err != nil {
					return err
				}
				apps = append(apps, app)
			}
			if err := a.greetCluster(cmd.Context()); err != nil {
				return err
			}
			for _, app := range apps {
				fmt.Fprintf(a.Err, "pipeline %s runs; Ctrl-C stops it\n", app.Plan().Name)
			}
			signals, release := ops.Notify()
			defer release()
			stop := ops.Stop{Signals: signals, Deadline: pipelineStop, Dump: a.Err, Log: a.logger()}
			return ops.Supervise(cmd.Context(), stop, func(ctx context.Context) error { return runPipelines(ctx, apps) })
		},
	}, &params)
	cmd.Flags().StringVar(&stateDir, "state-dir", filepath.Join(".", "leat-state"), "folder of the stores; empty keeps them in memory")
	return cmd
}

// runOptions are the options of every client of a pipeline, those of -X
// included, and the session timeout of its group, 0 for the usual one.
func (a *App) runOptions() ([]kgo.Opt, time.Duration, error) {
	config := client.Config{Brokers: client.Addresses(a.bootstrap), ClientID: clientID}
	own, err := a.clientProperties(&config)
	if err != nil {
		return nil, 0, err
	}
	opts, err := config.Options()
	if err != nil {
		return nil, 0, err
	}
	var session time.Duration
	for _, property := range a.properties {
		if millis, ok := strings.CutPrefix(property, "session.timeout.ms="); ok {
			n, _ := strconv.ParseInt(millis, 10, 32) // a number: it has been read before
			session = time.Duration(n) * time.Millisecond
		}
	}
	return append(opts, own...), session, nil
}

// greetCluster fails early, and names the cluster, if it cannot be reached.
func (a *App) greetCluster(ctx context.Context) error {
	cl, err := a.newClient()
	if err != nil {
		return err
	}
	defer cl.Close()
	return a.greet(ctx, cl)
}

// runPipelines runs until ctx ends; the first that fails stops the others.
func runPipelines(ctx context.Context, apps []*pipelines.App) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(apps))
	var wg sync.WaitGroup
	for i, app := range apps {
		wg.Go(func() {
			defer cancel()
			errs[i] = app.Run(ctx)
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pipelineConnectors runs the connectors that a pipeline needs with a herder
// of its own; base holds what they share.
func pipelineConnectors(base herder.Config) func(context.Context, string, []map[string]string) error {
	return func(ctx context.Context, _ string, properties []map[string]string) error {
		cfg := base
		cfg.Worker = maps.Clone(base.Worker)
		if cfg.Worker == nil {
			cfg.Worker = map[string]string{}
		}
		maps.Copy(cfg.Worker, map[string]string{"key.converter": "string", "value.converter": "json", "value.converter.schemas.enable": "false"})
		cfg.Connectors, cfg.Plugins = properties, all.Plugins()
		h, err := herder.NewStandalone(cfg)
		if err != nil {
			return err
		}
		return h.Run(ctx)
	}
}
