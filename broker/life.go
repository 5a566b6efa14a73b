package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// life starts the parts of a broker and stops them in the reverse order. It is
// used by one goroutine, but for fail.
type life struct {
	ctx  context.Context // ends when the broker is told to stop, or a part fails
	fail context.CancelCauseFunc
	log  *slog.Logger
	ends []ending // what has to be undone
}

// ending undoes the start of one part.
type ending struct {
	part string
	stop func() error
}

// errStopped is the cause of a life that ends because it was asked to.
var errStopped = errors.New("broker: stopped")

func newLife(ctx context.Context, log *slog.Logger) *life {
	l := &life{log: log}
	l.ctx, l.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { l.fail(errStopped) })
	l.after("signal", func() error { stop(); return nil })
	return l
}

// run starts a part that works until its context ends, on a goroutine of its
// own. Its context outlives those of the parts that were started later. A part
// that returns an error, or returns before it was told to, ends the broker.
func (l *life) run(part string, work func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(l.ctx))
	done := make(chan error, 1)
	go func() {
		err := work(ctx)
		if ctx.Err() == nil {
			if err == nil {
				err = errors.New("ended by itself")
			}
			l.fail(fmt.Errorf("%s: %w", part, err))
			err = nil // it is known as the cause
		}
		done <- err
	}()
	l.after(part, func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
}

// after tells what to do when the parts that were started later have stopped.
func (l *life) after(part string, stop func() error) {
	l.ends = append(l.ends, ending{part, stop})
}

// cause is why the broker has to stop: nil if it was asked to.
func (l *life) cause() error {
	if err := context.Cause(l.ctx); !errors.Is(err, errStopped) {
		return err
	}
	return nil
}

// stop stops all parts, the last one first, and returns what went wrong.
func (l *life) stop() error {
	var errs []error
	for i := len(l.ends) - 1; i >= 0; i-- {
		e, start := l.ends[i], time.Now()
		if err := e.stop(); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", e.part, err))
		}
		l.log.Debug("stopped", "part", e.part, "took", time.Since(start))
	}
	l.ends = nil
	l.fail(errStopped) // releases the context
	return errors.Join(errs...)
}
