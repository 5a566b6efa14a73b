package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// ErrForced is returned by Supervise when the work did not end in time or a
// second signal arrived: the caller should exit at once.
var ErrForced = errors.New("stop was forced")

// Interrupted wraps the result of work that a signal ended in order.
type Interrupted struct{ Signal os.Signal }

func (e *Interrupted) Error() string { return "stopped by " + e.Signal.String() }

// Echo is how long after a signal the same one is taken for its echo:
// timeout(1), process managers and terminals signal a process and, at the same
// moment, the group that it belongs to.
const Echo = 250 * time.Millisecond

// maxDump bounds the text of a goroutine dump, in bytes.
const maxDump = 64 << 20

// Stop says how a process ends.
type Stop struct {
	// Signals delivers what the process receives. SIGQUIT writes all goroutines
	// to Dump and changes nothing; any other signal starts the stop.
	Signals <-chan os.Signal
	// Deadline bounds the time from the first signal to the end of the work.
	// Zero means no bound.
	Deadline time.Duration
	Dump     io.Writer
	Log      *slog.Logger
}

// Notify returns the signals that Supervise understands. Call release when they
// are no longer wanted.
func Notify() (signals <-chan os.Signal, release func()) {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT)
	return ch, func() { signal.Stop(ch) }
}

// Supervise runs work until it returns. The first signal cancels its context; a
// second one after [Echo], or the deadline after the first, abandons it with ErrForced. Work
// that ended well after a signal gives *Interrupted, so that the caller can tell
// it from work that ended by itself.
func Supervise(ctx context.Context, stop Stop, work func(ctx context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()

	var first os.Signal
	var at time.Time // of first
	var deadline <-chan time.Time
	for {
		select {
		case err := <-ended:
			if first != nil && (err == nil || errors.Is(err, context.Canceled)) {
				return &Interrupted{Signal: first}
			}
			return err
		case <-deadline:
			return fmt.Errorf("%w: not ended %s after %s", ErrForced, stop.Deadline, first)
		case sig := <-stop.Signals:
			switch {
			case sig == syscall.SIGQUIT:
				dumpGoroutines(stop.Dump)
			case sig == first && time.Since(at) < Echo:
			case first != nil:
				return fmt.Errorf("%w: second signal %s", ErrForced, sig)
			default:
				first, at = sig, time.Now()
				stop.Log.Info("stopping", "signal", sig.String())
				if stop.Deadline > 0 {
					deadline = time.After(stop.Deadline)
				}
				cancel()
			}
		}
	}
}

func dumpGoroutines(w io.Writer) {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) || len(buf) >= maxDump {
			fmt.Fprintf(w, "goroutines at %s\n%s\n", time.Now().Format(time.RFC3339), buf[:n])
			return
		}
		buf = make([]byte, 2*len(buf))
	}
}
