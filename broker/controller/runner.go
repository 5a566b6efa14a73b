package controller

import (
	"context"
	"log/slog"

	"github.com/leatstream/leat/broker/coordination"
	"github.com/leatstream/leat/broker/metadata"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sender carries the controller's requests to brokers.
type Sender interface {
	// Send delivers one request (LeaderAndISR, UpdateMetadata or StopReplica) to
	// a broker and waits for its answer. It may be called concurrently for
	// different brokers; for one broker the runner calls it one at a time.
	Send(ctx context.Context, broker int32, req kmsg.Request) (kmsg.Response, error)
}

// RunnerConfig is what a Runner works with.
type RunnerConfig struct {
	BrokerID int32
	Tree     coordination.Tree
	Sender   Sender
	Configs  *metadata.Configs
}

// Runner stands for election and, while elected, runs the Controller.
type Runner struct{}

// NewRunner checks the config and builds a Runner.
func NewRunner(cfg RunnerConfig, logger *slog.Logger, reg prometheus.Registerer) (*Runner, error) {
	return &Runner{}, nil
}

// Run stands for election until the context ends (nil) or the session does (an
// error that wraps coordination.ErrSessionExpired or ErrClosed). All goroutines
// it started have ended when it returns.
func (r *Runner) Run(ctx context.Context) error { <-ctx.Done(); return nil }
