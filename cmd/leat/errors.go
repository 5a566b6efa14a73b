package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/leatstream/leat/broker"
	"github.com/leatstream/leat/broker/client"
	"github.com/leatstream/leat/cmd/internal/admin"
	"github.com/leatstream/leat/cmd/internal/conf"
	"github.com/leatstream/leat/cmd/internal/message"
	"github.com/leatstream/leat/cmd/internal/ops"
	"github.com/leatstream/leat/cmd/internal/output"
	"github.com/leatstream/leat/cmd/internal/perf"
)

// Exit codes: scripts may rely on them.
const (
	exitDone         = 0
	exitFailed       = 1
	exitUsage        = 2
	exitNotFound     = 3
	exitPartly       = 4
	exitUnreachable  = 5
	exitUnauthorised = 6
	exitConflict     = 7
	exitUnmet        = 8
	exitInterrupted  = 130
)

// cliError is what a user reads: what failed and why, and the command to run
// next.
type cliError struct {
	code int
	text string
	next string // "" when there is nothing sensible to propose
	err  error  // cause, for errors.Is; may be nil
}

func (e *cliError) Error() string { return e.text }
func (e *cliError) Unwrap() error { return e.err }

// usageError says that the command line is wrong; next shows how it is right.
func usageError(text, next string) error {
	return &cliError{code: exitUsage, text: text, next: next}
}

// report writes err to stderr in the house style and returns its exit code.
func (a *App) report(cmd *cobra.Command, err error) int {
	if err == nil {
		return exitDone
	}
	// The reader of our output is gone, as with "| head": nobody is interested.
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		return exitDone
	}
	var stopped *ops.Interrupted
	if errors.As(err, &stopped) && stopped.Signal == syscall.SIGTERM {
		return exitDone // told to stop, and stopped in order
	}
	if stopped != nil || errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	code, next := a.classify(err)
	if code == exitUsage && next == "" && cmd != nil {
		next = cmd.CommandPath() + " --help"
	}
	fmt.Fprintf(a.Err, "leat: %s\n", strings.TrimSpace(err.Error()))
	if next != "" {
		fmt.Fprintf(a.Err, "  → run: %s\n", next)
	}
	return code
}

// classify finds the exit code of an error and the next command to propose.
func (a *App) classify(err error) (code int, next string) {
	var cli *cliError
	if errors.As(err, &cli) {
		return cli.code, cli.next
	}
	for _, c := range []struct {
		code    int
		next    string
		targets []error
	}{
		{exitUsage, "", []error{output.ErrFormat, message.ErrFilter, message.ErrFormat, message.ErrPosition, conf.ErrOverride, client.ErrConfig, perf.ErrConfig}},
		{exitUsage, "", []error{conf.ErrSyntax, conf.ErrUnknownKey, broker.ErrConfig}},
		{exitNotFound, "leat topic list -b " + a.bootstrap, []error{kerr.UnknownTopicOrPartition, kerr.UnknownTopicID}},
		{exitNotFound, "leat group list -b " + a.bootstrap, []error{kerr.GroupIDNotFound}},
		{exitNotFound, "", []error{admin.ErrNotFound, fs.ErrNotExist}},
		{exitConflict, "leat topic list -b " + a.bootstrap, []error{kerr.TopicAlreadyExists}},
		{exitConflict, "", []error{broker.ErrImportConflict, kerr.NonEmptyGroup, fs.ErrExist, syscall.EADDRINUSE}},
		{exitUnauthorised, "", []error{
			kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.ClusterAuthorizationFailed,
			kerr.TransactionalIDAuthorizationFailed, kerr.SaslAuthenticationFailed, fs.ErrPermission,
		}},
		{exitUnreachable, "leat server start --data-dir ./leat-data", []error{syscall.ECONNREFUSED}},
		{exitUnreachable, "", []error{broker.ErrImportSource, context.DeadlineExceeded, os.ErrDeadlineExceeded, kerr.RequestTimedOut}},
	} {
		for _, target := range c.targets {
			if errors.Is(err, target) {
				return c.code, c.next
			}
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return exitUnreachable, ""
	}
	return exitFailed, ""
}

// partly reports that some of several things failed. All failing the same way
// keeps the code of the first.
func (a *App) partly(done int, failures []error) error {
	if len(failures) == 0 {
		return nil
	}
	joined := errors.Join(failures...)
	if done == 0 {
		code, next := a.classify(failures[0])
		return &cliError{code: code, text: joined.Error(), next: next, err: joined}
	}
	return &cliError{code: exitPartly, text: joined.Error(), err: joined}
}

// checkUsage makes every command that only groups others refuse unknown words,
// and every argument mistake a usage error.
func checkUsage(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		checkUsage(sub)
	}
	if cmd.HasSubCommands() && cmd.RunE == nil {
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			text := fmt.Sprintf("unknown command %q for %q", args[0], cmd.CommandPath())
			if near := conf.Nearest(args[0], commandNames(cmd)); near != "" {
				return usageError(text+fmt.Sprintf("; did you mean %q?", near), cmd.CommandPath()+" "+near+" --help")
			}
			return usageError(text, cmd.CommandPath()+" --help")
		}
		cmd.Args = cobra.ArbitraryArgs
		return
	}
	check := cmd.Args
	if check == nil {
		check = cobra.NoArgs
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usageError(err.Error(), cmd.CommandPath()+" --help")
		}
		return nil
	}
}

func commandNames(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return names
}
